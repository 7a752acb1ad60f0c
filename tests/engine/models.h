/* models.h - the models that tests of the whole engine run on. Tiny ones are committed; real ones stand in models/,
 * where `make test` puts them, and a test that needs one skips where it is absent. */
#ifndef TESTS_MODELS_H
#define TESTS_MODELS_H

#define TINY(name) SOURCE_DIR "/tests/golden/" name ".gguf"
#define SMOLLM2 SOURCE_DIR "/models/SmolLM2-135M-Instruct.Q4_1.gguf"
#define GEMMA3 SOURCE_DIR "/models/gemma-3-270m-q4_k_m.gguf"

#endif
