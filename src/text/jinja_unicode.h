/* jinja_unicode.h - characters as Python's str sees them. Bytes that are not UTF-8 count as one character each. */
#ifndef TEXT_JINJA_UNICODE_H
#define TEXT_JINJA_UNICODE_H

#include "base/span.h"
#include <stdint.h>

/* Bytes of the character at p[0 .. n), n > 0; *point is its code point (the byte, if it is not UTF-8). */
size_t jinja_char(const char *p, size_t n, uint32_t *point);
/* Bytes of the last character of p[0 .. n). */
size_t jinja_char_before(const char *p, size_t n, uint32_t *point);
/* Writes a code point (out of range and surrogates: U+FFFD) to out[4], returns its bytes. */
size_t jinja_encode(uint32_t point, char *out);
size_t jinja_count_chars(struct span s);
bool jinja_is_valid(struct span s); /* UTF-8 throughout? */
bool jinja_is_space(uint32_t point);
bool jinja_is_line_end(uint32_t point); /* as str.splitlines */
bool jinja_is_word(uint32_t point);     /* \w */
bool jinja_is_printable(uint32_t point);
bool jinja_is_letter(uint32_t point);
bool jinja_is_digit(uint32_t point); /* str.isdigit, for characters with a decimal value */
bool jinja_is_upper(uint32_t point);
bool jinja_is_lower(uint32_t point);
/* One character's other case, written to out[8]; returns the bytes. */
size_t jinja_to_upper(uint32_t point, char *out);
size_t jinja_to_lower(uint32_t point, char *out);

#endif
