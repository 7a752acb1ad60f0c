# The tokenizer's tests, and a program for comparing it with llama.cpp by hand (docs/tokenizers.md).
andiron_test(test_tokenizer_golden SOURCES test_tokenizer_golden.c vocabulary.c USES engine)
add_executable(tokens_of tokens_of.c)
target_link_libraries(tokens_of PRIVATE engine andiron_flags)
