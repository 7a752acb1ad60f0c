/* tokenizer_hf_chars.c - characters of whole UTF-8, and what they are (tokenizer_hf_classes.c). */
#include "text/tokenizer_class.h"
#include "text/tokenizer_hf_classes.h"
#include "text/tokenizer_hf_internal.h"
#include <utf8proc.h>

uint32_t hf_char(const char *text, size_t *bytes)
{
    const uint8_t *p = (const uint8_t *)text;
    if (p[0] < 0x80) {
        *bytes = 1;
        return p[0];
    }
    if (p[0] < 0xE0) {
        *bytes = 2;
        return (p[0] & 0x1Fu) << 6 | (p[1] & 0x3Fu);
    }
    if (p[0] < 0xF0) {
        *bytes = 3;
        return (p[0] & 0x0Fu) << 12 | (p[1] & 0x3Fu) << 6 | (p[2] & 0x3Fu);
    }
    *bytes = 4;
    return (p[0] & 0x07u) << 18 | (p[1] & 0x3Fu) << 12 | (p[2] & 0x3Fu) << 6 | (p[3] & 0x3Fu);
}

size_t hf_put_char(char *out, uint32_t c)
{
    return (size_t)utf8proc_encode_char((utf8proc_int32_t)c, (utf8proc_uint8_t *)out);
}

const void *hf_find_range(const void *ranges, size_t n, size_t bytes, uint32_t c)
{
    size_t low = 0, high = n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        const struct hf_range *r = (const void *)((const char *)ranges + middle * bytes);
        if (c > r->last)
            low = middle + 1;
        else
            high = middle;
    }
    const struct hf_range *r = (const void *)((const char *)ranges + low * bytes);
    return low < n && c >= r->first ? r : NULL;
}

static bool is_in(const struct hf_range *ranges, size_t n, uint32_t c)
{
    return hf_find_range(ranges, n, sizeof *ranges, c) != NULL;
}

bool hf_is_space(uint32_t c)
{
    if (c < 0x80)
        return c == ' ' || (c >= 9 && c <= 13);
    return c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 ||
           c == 0x202F || c == 0x205F || c == 0x3000;
}

bool hf_is_word(uint32_t c)
{
    if (c < 0x80)
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    return is_in(hf_words, n_hf_words, c);
}

bool hf_is_punctuation(uint32_t c)
{
    if (c < 0x80)
        return c > ' ' && c < 0x7F && (!hf_is_word(c) || c == '_');
    return is_in(hf_punctuation, n_hf_punctuation, c);
}

bool hf_is_number(uint32_t c) { return c < 0x80 ? c >= '0' && c <= '9' : is_in(hf_numbers, n_hf_numbers, c); }
bool hf_is_mark(uint32_t c) { return c >= 0x300 && is_in(hf_marks, n_hf_marks, c); }
bool hf_is_nonspacing(uint32_t c) { return c >= 0x300 && is_in(hf_nonspacing, n_hf_nonspacing, c); }
bool hf_is_combining(uint32_t c) { return c >= 0x300 && is_in(hf_combining, n_hf_combining, c); }
bool hf_is_indivisible(uint32_t c) { return c >= 0x80 && is_in(hf_indivisible, n_hf_indivisible, c); }
bool hf_is_cleaned(uint32_t c) { return is_in(hf_cleaned, n_hf_cleaned, c); }

uint32_t hf_lower_of(uint32_t c)
{
    if (c < 0x80)
        return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c;
    const struct hf_lower *l = hf_find_range(hf_lowers, n_hf_lowers, sizeof *hf_lowers, c);
    return l && (c - l->first) % l->step == 0 ? (uint32_t)((int32_t)c + l->delta) : c;
}

bool hf_is_whole(struct span text)
{
    for (size_t at = 0; at < text.n;) {
        size_t n = (uint8_t)text.p[at] < 0x80 ? 1 : class_character((struct span){text.p + at, text.n - at});
        if (n == 0)
            return false;
        uint8_t second = n == 3 ? (uint8_t)text.p[at + 1] : 0;
        if ((uint8_t)text.p[at] == 0xED && second >= 0xA0)
            return false; /* a surrogate */
        at += n;
    }
    return true;
}
