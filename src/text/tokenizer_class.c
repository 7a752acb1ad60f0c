/* tokenizer_class.c - characters to classes. The categories are those of Unicode 15.1, as in llama.cpp's tables;
 * utf8proc 2.8 has those of 15.0, and the three ranges that came later are added here. */
#include "text/tokenizer_class.h"
#include <utf8proc.h>

enum { REPLACEMENT = 0xFFFD };

static const uint8_t code_of_category[] = {
    [UTF8PROC_CATEGORY_CN] = CLASS_OTHER,       [UTF8PROC_CATEGORY_LU] = CLASS_LETTER,
    [UTF8PROC_CATEGORY_LL] = CLASS_LETTER,      [UTF8PROC_CATEGORY_LT] = CLASS_LETTER,
    [UTF8PROC_CATEGORY_LM] = CLASS_LETTER,      [UTF8PROC_CATEGORY_LO] = CLASS_LETTER,
    [UTF8PROC_CATEGORY_MN] = CLASS_MARK,        [UTF8PROC_CATEGORY_MC] = CLASS_MARK,
    [UTF8PROC_CATEGORY_ME] = CLASS_MARK,        [UTF8PROC_CATEGORY_ND] = CLASS_NUMBER,
    [UTF8PROC_CATEGORY_NL] = CLASS_NUMBER,      [UTF8PROC_CATEGORY_NO] = CLASS_NUMBER,
    [UTF8PROC_CATEGORY_PC] = CLASS_PUNCTUATION, [UTF8PROC_CATEGORY_PD] = CLASS_PUNCTUATION,
    [UTF8PROC_CATEGORY_PS] = CLASS_PUNCTUATION, [UTF8PROC_CATEGORY_PE] = CLASS_PUNCTUATION,
    [UTF8PROC_CATEGORY_PI] = CLASS_PUNCTUATION, [UTF8PROC_CATEGORY_PF] = CLASS_PUNCTUATION,
    [UTF8PROC_CATEGORY_PO] = CLASS_PUNCTUATION, [UTF8PROC_CATEGORY_SM] = CLASS_SYMBOL,
    [UTF8PROC_CATEGORY_SC] = CLASS_SYMBOL,      [UTF8PROC_CATEGORY_SK] = CLASS_SYMBOL,
    [UTF8PROC_CATEGORY_SO] = CLASS_SYMBOL,      [UTF8PROC_CATEGORY_ZS] = CLASS_OTHER,
    [UTF8PROC_CATEGORY_ZL] = CLASS_OTHER,       [UTF8PROC_CATEGORY_ZP] = CLASS_OTHER,
    [UTF8PROC_CATEGORY_CC] = CLASS_OTHER,       [UTF8PROC_CATEGORY_CF] = CLASS_OTHER,
    [UTF8PROC_CATEGORY_CS] = CLASS_OTHER,       [UTF8PROC_CATEGORY_CO] = CLASS_OTHER,
};

/* Unicode's property White_Space beyond ASCII. */
static bool is_space(uint32_t c)
{
    return c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 ||
           c == 0x202F || c == 0x205F || c == 0x3000;
}

static uint8_t code_of(uint32_t c)
{
    if (is_space(c))
        return CLASS_SPACE;
    if (c >= 0x2EBF0 && c <= 0x2EE5D) /* ideographs of 15.1 */
        return CLASS_LETTER;
    if ((c >= 0x2FFC && c <= 0x2FFF) || c == 0x31EF) /* ideographic description characters of 15.1 */
        return CLASS_SYMBOL;
    unsigned category = (unsigned)utf8proc_category((utf8proc_int32_t)c);
    return category < sizeof code_of_category ? code_of_category[category] : CLASS_OTHER;
}

static uint8_t code_in_set(uint32_t c, const struct class_set *set)
{
    uint8_t plain = code_of(c);
    if (plain == CLASS_SPACE)
        return plain;
    size_t low = 0, high = set->n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (c > set->ranges[middle].last)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == set->n || c < set->ranges[low].first)
        return plain;
    uint8_t code = set->ranges[low].code;
    return code == CLASS_HAN && plain != CLASS_LETTER ? CLASS_HAN_OTHER : code;
}

static bool follows(uint8_t byte) { return (byte & 0xC0) == 0x80; }

/* The character at p, in 1 to 4 bytes; a byte that begins none is U+FFFD. Surrogates are let through, since their bytes
 * are kept; forms that are too long are not. */
static uint32_t decode(const uint8_t *p, size_t n, size_t *bytes)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    uint8_t first = p[0];
    *bytes = 1;
    if (first < 0x80)
        return first;
    size_t length = first < 0xC2 || first > 0xF4 ? n + 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    if (length > n)
        return REPLACEMENT;
    uint32_t c = first & (0x7Fu >> length);
    for (size_t i = 1; i < length; i++) {
        if (!follows(p[i]))
            return REPLACEMENT;
        c = c << 6 | (p[i] & 0x3Fu);
    }
    if (c < least[length] || c > 0x10FFFF)
        return REPLACEMENT;
    *bytes = length;
    return c;
}

bool class_is_ascii(struct span text)
{
    uint64_t high = 0, x;
    size_t i = 0;
    for (; i + 8 <= text.n; i += 8) {
        memcpy(&x, text.p + i, 8);
        high |= x;
    }
    for (; i < text.n; i++)
        high |= (uint8_t)text.p[i];
    return !(high & 0x8080808080808080u);
}

size_t class_text(struct span text, const struct class_set *set, uint8_t *out)
{
    const uint8_t *p = (const uint8_t *)text.p;
    size_t n = 0, bytes;
    for (size_t at = 0; at < text.n; at += bytes) {
        if (p[at] < 0x80) {
            out[n++] = p[at];
            bytes = 1;
            continue;
        }
        uint32_t c = decode(p + at, text.n - at, &bytes);
        out[n++] = set ? code_in_set(c, set) : code_of(c);
    }
    return n;
}

size_t class_bytes(struct span text, size_t n)
{
    const uint8_t *p = (const uint8_t *)text.p;
    size_t at = 0, bytes;
    for (; n && at < text.n; n--, at += bytes) {
        bytes = 1;
        if (p[at] >= 0x80)
            decode(p + at, text.n - at, &bytes);
    }
    return at;
}

size_t class_character(struct span text)
{
    size_t bytes;
    uint32_t c = decode((const uint8_t *)text.p, text.n, &bytes);
    return bytes == 1 && c >= 0x80 ? 0 : bytes;
}
