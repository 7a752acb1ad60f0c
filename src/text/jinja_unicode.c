/* jinja_unicode.c - over utf8proc. Case mapping is one code point to one, but for the sharp s, whose upper case is
 * common in real text. */
#include "text/jinja_unicode.h"
#include <utf8proc.h>

size_t jinja_char(const char *p, size_t n, uint32_t *point)
{
    if (!((unsigned char)*p & 0x80)) {
        *point = (unsigned char)*p;
        return 1;
    }
    utf8proc_int32_t c;
    utf8proc_ssize_t used = utf8proc_iterate((const utf8proc_uint8_t *)p, n > 4 ? 4 : (utf8proc_ssize_t)n, &c);
    if (used <= 0) {
        *point = (unsigned char)*p;
        return 1;
    }
    *point = (uint32_t)c;
    return (size_t)used;
}

size_t jinja_char_before(const char *p, size_t n, uint32_t *point)
{
    for (size_t back = 1; back <= 4 && back <= n; back++) {
        if (((unsigned char)p[n - back] & 0xC0) == 0x80)
            continue;
        if (jinja_char(p + n - back, back, point) == back)
            return back;
        break;
    }
    *point = (unsigned char)p[n - 1];
    return 1;
}

size_t jinja_encode(uint32_t point, char *out)
{
    if (point > 0x10FFFF || (point >= 0xD800 && point < 0xE000))
        point = 0xFFFD;
    return (size_t)utf8proc_encode_char((utf8proc_int32_t)point, (utf8proc_uint8_t *)out);
}

size_t jinja_count_chars(struct span s)
{
    size_t count = 0;
    uint32_t point;
    for (size_t i = 0; i < s.n; count++)
        i += jinja_char(s.p + i, s.n - i, &point);
    return count;
}

bool jinja_is_valid(struct span s)
{
    uint32_t point;
    for (size_t i = 0, used; i < s.n; i += used) {
        used = jinja_char(s.p + i, s.n - i, &point);
        if (used == 1 && point >= 0x80)
            return false;
    }
    return true;
}

bool jinja_is_space(uint32_t c)
{
    return (c >= 9 && c <= 13) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

bool jinja_is_line_end(uint32_t c)
{
    return (c >= 10 && c <= 13) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 || c == 0x2029;
}

static utf8proc_category_t category(uint32_t c) { return utf8proc_category((utf8proc_int32_t)c); }

bool jinja_is_letter(uint32_t c)
{
    if (c < 0x80)
        return (c | 32) >= 'a' && (c | 32) <= 'z';
    utf8proc_category_t k = category(c);
    return k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_LO;
}

bool jinja_is_digit(uint32_t c)
{
    if (c < 0x80)
        return c >= '0' && c <= '9';
    return category(c) == UTF8PROC_CATEGORY_ND || c == 0xB2 || c == 0xB3 || c == 0xB9 || (c >= 0x2070 && c <= 0x2089);
}

bool jinja_is_word(uint32_t c)
{
    if (c < 0x80)
        return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || c == '_';
    utf8proc_category_t k = category(c);
    return jinja_is_letter(c) || (k >= UTF8PROC_CATEGORY_ND && k <= UTF8PROC_CATEGORY_NO);
}

bool jinja_is_printable(uint32_t c)
{
    if (c < 0x7F)
        return c >= 0x20;
    utf8proc_category_t k = category(c);
    return k != UTF8PROC_CATEGORY_CN && k < UTF8PROC_CATEGORY_ZS;
}

bool jinja_is_upper(uint32_t c) { return c < 0x80 ? c >= 'A' && c <= 'Z' : utf8proc_isupper((utf8proc_int32_t)c) != 0; }

bool jinja_is_lower(uint32_t c) { return c < 0x80 ? c >= 'a' && c <= 'z' : utf8proc_islower((utf8proc_int32_t)c) != 0; }

size_t jinja_to_upper(uint32_t c, char *out)
{
    if (c == 0xDF) {
        memcpy(out, "SS", 2);
        return 2;
    }
    return jinja_encode((uint32_t)utf8proc_toupper((utf8proc_int32_t)c), out);
}

size_t jinja_to_lower(uint32_t c, char *out)
{
    return jinja_encode((uint32_t)utf8proc_tolower((utf8proc_int32_t)c), out);
}
