"""andiron-import: a Transformers model, traced, as an .arch definition and a GGUF file that carries it."""
