list(APPEND text_sources tokenizer.c tokenizer_table.c tokenizer_names.c tokenizer_special.c tokenizer_pieces.c
  tokenizer_bpe.c tokenizer_spm.c tokenizer_merge.c tokenizer_pre.c tokenizer_patterns.c tokenizer_class.c)
