/* tokenizer_hf_regex.h - a pattern of Oniguruma's (Ruby's dialect) written over for PCRE2. */
#ifndef TEXT_TOKENIZER_HF_REGEX_H
#define TEXT_TOKENIZER_HF_REGEX_H

#include "base/buffer.h"

/* Appends the pattern for PCRE2 (UTF, UCP, multiline) to *out. False: it has something that would mean another thing
 * there, or that is not known; *why then says what. `pattern` is whole UTF-8. *by_kind: it tells characters beyond
 * ASCII by categories and scripts only. */
bool hf_regex_translate(struct span pattern, struct buffer *out, bool *by_kind, const char **why);

#endif
