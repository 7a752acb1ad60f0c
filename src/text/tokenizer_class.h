/* tokenizer_class.h - text as one byte a character, on which the pre-tokenizers' patterns run.
 *
 * ASCII stands for itself; any other character becomes the code of its Unicode category, white space 0x0B (which \s
 * matches), a byte that begins no character the code of a symbol, as U+FFFD would. Patterns then need no UTF mode and
 * any bytes are fine. */
#ifndef TEXT_TOKENIZER_CLASS_H
#define TEXT_TOKENIZER_CLASS_H

#include "base/span.h"
#include <stdbool.h>
#include <stdint.h>

enum class_code {
    CLASS_SPACE = 0x0B,
    CLASS_OTHER = 0xD0,
    CLASS_NUMBER,
    CLASS_LETTER,
    CLASS_PUNCTUATION,
    CLASS_MARK,
    CLASS_SYMBOL,
    CLASS_MEMBER, /* of a pattern's own set of characters; a set may use up to four codes */
    CLASS_MEMBER_2,
    CLASS_MEMBER_3,
    CLASS_MEMBER_4,
    CLASS_HAN, /* a letter of the set of Han characters; the code after it is for one that is no letter */
    CLASS_HAN_OTHER,
};

/* Characters that a pattern tells apart beyond their categories. Ranges rise and hold no ASCII. White space stays so.
 */
struct class_range {
    uint32_t first, last;
    uint8_t code;
};
struct class_set {
    const struct class_range *ranges;
    size_t n;
};

bool class_is_ascii(struct span text);
/* Codes of the text's characters to out[0..), which has room for text.n; returns their number. `set` may be NULL. */
size_t class_text(struct span text, const struct class_set *set, uint8_t *out);
/* Bytes of the first `n` characters of `text`. */
size_t class_bytes(struct span text, size_t n);
/* Bytes of the character that `text` (not empty) begins with; 0: its first byte begins none. */
size_t class_character(struct span text);

#endif
