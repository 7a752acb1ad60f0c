/* error.c - one sentence, safe to print. */
#include "base/error.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Length of the whole UTF-8 character at p (a zero byte ends the text), or 0 where there is none. Overlong forms and
 * surrogates do not matter here: no terminal acts on them. C1 controls (U+0080 to U+009F) do, and count as none. */
static size_t character(const unsigned char *p)
{
    size_t n = p[0] >= 0xc2 && p[0] < 0xe0 ? 2 : p[0] >= 0xe0 && p[0] < 0xf0 ? 3 : p[0] >= 0xf0 && p[0] < 0xf5 ? 4 : 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    return n == 2 && p[0] == 0xc2 && p[1] < 0xa0 ? 0 : n;
}

static void make_printable(char *text)
{
    for (unsigned char *p = (unsigned char *)text; *p;) {
        size_t n = *p >= 0x20 && *p < 0x7f ? 1 : character(p);
        if (n == 0)
            *p = '?';
        p += n ? n : 1;
    }
}

andiron_status error_set(andiron_error *error, andiron_status status, const char *format, ...)
{
    if (!error)
        return status;
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(error->text, sizeof error->text, format, arguments);
    va_end(arguments);
    if (n < 0)
        error->text[0] = 0;
    make_printable(error->text);
    error->status = status;
    return status;
}

andiron_status error_memory(andiron_error *error, size_t bytes, const char *what)
{
    return error_set(error, ANDIRON_E_MEMORY, "out of memory: %zu bytes for %s", bytes, what);
}
