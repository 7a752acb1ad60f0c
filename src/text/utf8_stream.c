/* utf8_stream.c - bytes to whole characters. Follows table 3-7 of Unicode's section 3.9: the first byte tells the
 * length, and for four first bytes the second one's range is narrower (no overlong forms, surrogates or values past
 * U+10FFFF). */
#include "text/utf8_stream.h"
#include <string.h>

static const char REPLACEMENT[] = "\xEF\xBF\xBD";

/* Bytes of the character that `first` begins; 0: it begins none. */
static size_t length_of(uint8_t first)
{
    if (first < 0x80)
        return 1;
    if (first < 0xC2 || first > 0xF4)
        return 0;
    return first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
}

/* May `byte` stand at `at` (1, 2 or 3) in the character that `first` begins? */
static bool continues(uint8_t first, size_t at, uint8_t byte)
{
    uint8_t low = 0x80, high = 0xBF;
    if (at == 1) {
        if (first == 0xE0)
            low = 0xA0;
        else if (first == 0xED)
            high = 0x9F;
        else if (first == 0xF0)
            low = 0x90;
        else if (first == 0xF4)
            high = 0x8F;
    }
    return byte >= low && byte <= high;
}

bool utf8_stream_put(struct utf8_stream *s, struct span bytes, struct buffer *out)
{
    for (size_t i = 0; i < bytes.n; i++) {
        uint8_t byte = (uint8_t)bytes.p[i];
        if (s->n_held && !continues((uint8_t)s->held[0], s->n_held, byte)) {
            s->n_held = 0; /* what is held can never become a character; `byte` may begin one */
            buffer_add(out, REPLACEMENT, 3);
        }
        if (!s->n_held && !length_of(byte)) {
            buffer_add(out, REPLACEMENT, 3);
            continue;
        }
        s->held[s->n_held++] = (char)byte;
        if (s->n_held == length_of((uint8_t)s->held[0])) {
            buffer_add(out, s->held, s->n_held);
            s->n_held = 0;
        }
    }
    return !out->failed;
}

bool utf8_stream_end(struct utf8_stream *s, struct buffer *out)
{
    if (s->n_held)
        buffer_add(out, REPLACEMENT, 3);
    s->n_held = 0;
    return !out->failed;
}
