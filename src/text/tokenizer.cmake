list(APPEND text_sources tokenizer.c tokenizer_table.c tokenizer_names.c tokenizer_special.c tokenizer_pieces.c
  tokenizer_bpe.c tokenizer_spm.c tokenizer_merge.c tokenizer_cuts.c tokenizer_trie.c tokenizer_pre.c
  tokenizer_patterns.c tokenizer_class.c tokenizer_gguf_json.c)
foreach(part "" _added _bpe _chars _charsmap _classes _dialect _encode _form _gguf _norm _post _regex _say _split
  _unigram _words)
  list(APPEND text_sources tokenizer_hf${part}.c)
endforeach()
