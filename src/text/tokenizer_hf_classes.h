/* tokenizer_hf_classes.h - sets of characters as the tokenizers package has them (generated tables, rising). */
#ifndef TEXT_TOKENIZER_HF_CLASSES_H
#define TEXT_TOKENIZER_HF_CLASSES_H

#include <stddef.h>
#include <stdint.h>

struct hf_range {
    uint32_t first, last;
};
/* Every `step`th character from first to last has its small form `delta` behind it. */
struct hf_lower {
    uint32_t first, last;
    int32_t delta;
    uint32_t step;
};
/* Characters that PCRE2 may not know, and one that it knows of as many bytes and the same kind. */
struct hf_stand_in {
    uint32_t first, last, to;
};

extern const struct hf_range hf_punctuation[], hf_numbers[], hf_words[], hf_marks[], hf_nonspacing[], hf_cleaned[];
extern const struct hf_range hf_combining[], hf_indivisible[]; /* of normal forms */
extern const size_t n_hf_combining, n_hf_indivisible;
extern const size_t n_hf_punctuation, n_hf_numbers, n_hf_words, n_hf_marks, n_hf_nonspacing, n_hf_cleaned;
extern const struct hf_lower hf_lowers[];
extern const size_t n_hf_lowers;
extern const struct hf_stand_in hf_stand_ins[];
extern const size_t n_hf_stand_ins;

#endif
