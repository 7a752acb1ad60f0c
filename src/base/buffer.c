/* buffer.c - growing bytes, born with a maximum. */
#include "base/buffer.h"
#include "base/alloc.h"
#include <stdarg.h>
#include <stdio.h>

void buffer_init(struct buffer *b, size_t max_bytes) { *b = (struct buffer){.max_bytes = max_bytes}; }

void buffer_reset(struct buffer *b)
{
    alloc_free(b->data);
    buffer_init(b, b->max_bytes);
}

/* Room for `n` more bytes and a zero byte. */
static bool reserve(struct buffer *b, size_t n)
{
    if (b->failed || n > b->max_bytes || b->n > b->max_bytes - n) {
        b->failed = true;
        return false;
    }
    if (b->n + n < b->capacity)
        return true;
    size_t wanted = b->capacity < 64 ? 64 : b->capacity * 2;
    if (wanted - 1 > b->max_bytes) /* max_bytes may be SIZE_MAX */
        wanted = b->max_bytes + 1;
    if (wanted < b->n + n + 1)
        wanted = b->n + n + 1;
    char *data = alloc_resize(b->data, wanted);
    if (!data) {
        b->failed = true;
        return false;
    }
    b->data = data;
    b->capacity = wanted;
    return true;
}

bool buffer_add(struct buffer *b, const void *p, size_t n)
{
    if (!reserve(b, n))
        return false;
    if (n)
        memcpy(b->data + b->n, p, n);
    b->n += n;
    b->data[b->n] = 0;
    return true;
}

bool buffer_add_text(struct buffer *b, const char *text) { return buffer_add(b, text, strlen(text)); }

bool buffer_add_span(struct buffer *b, struct span s) { return buffer_add(b, s.p, s.n); }

bool buffer_printf(struct buffer *b, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (n < 0 || !reserve(b, (size_t)n)) {
        b->failed = true;
        return false;
    }
    va_start(arguments, format);
    vsnprintf(b->data + b->n, (size_t)n + 1, format, arguments);
    va_end(arguments);
    b->n += (size_t)n;
    return true;
}
