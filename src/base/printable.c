/* printable.c - what a terminal might act on becomes '?'. */
#include "base/printable.h"

/* Length of the whole UTF-8 character that begins the `left` bytes at p, or 0 where there is none. Overlong forms and
 * surrogates do not matter here: no terminal acts on them. C1 controls (U+0080 to U+009F) do, and count as none. */
static size_t character(const unsigned char *p, size_t left)
{
    size_t n = p[0] >= 0xc2 && p[0] < 0xe0 ? 2 : p[0] >= 0xe0 && p[0] < 0xf0 ? 3 : p[0] >= 0xf0 && p[0] < 0xf5 ? 4 : 0;
    if (n > left)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    return n == 2 && p[0] == 0xc2 && p[1] < 0xa0 ? 0 : n;
}

void printable(char *text, size_t n, bool lines)
{
    unsigned char *p = (unsigned char *)text, *end = p + n;
    while (p < end) {
        size_t whole = (*p >= 0x20 && *p < 0x7f) || (lines && *p == '\n') ? 1 : character(p, (size_t)(end - p));
        if (whole == 0)
            *p = '?';
        p += whole ? whole : 1;
    }
}
