# The tokenizer's tests, and a program for comparing it with llama.cpp by hand (docs/tokenizers.md).
andiron_test(test_utf8_stream SOURCES test_utf8_stream.c USES text)
andiron_test(test_tokenizer SOURCES test_tokenizer.c vocabulary.c USES text files)
andiron_test(test_tokenizer_golden SOURCES test_tokenizer_golden.c vocabulary.c USES engine)
add_executable(tokens_of tokens_of.c)
target_link_libraries(tokens_of PRIVATE engine andiron_flags)
andiron_test(test_tokenizer_hf SOURCES test_tokenizer_hf.c USES text files)
andiron_test(test_tokenizer_say SOURCES test_tokenizer_say.c USES text files)
add_executable(hf_tokens_of hf_tokens_of.c)
target_link_libraries(hf_tokens_of PRIVATE text files andiron_flags)
andiron_fuzz(fuzz_tokenizer SOURCES ../fuzz/fuzz_tokenizer.c USES text
  CORPUS "${CMAKE_CURRENT_SOURCE_DIR}/../fuzz/corpus/tokenizer" MUTANTS 300)
foreach(name added clip deepseek gemma llama2 roberta t5 uncased words)
  list(APPEND hf_seeds "${CMAKE_CURRENT_SOURCE_DIR}/../golden/hf/${name}.json")
endforeach()
andiron_fuzz(fuzz_hf_json SOURCES ../fuzz/fuzz_hf_json.c USES text files
  CORPUS "${CMAKE_CURRENT_SOURCE_DIR}/../fuzz/corpus/hf_json" ${hf_seeds} MUTANTS 100)
