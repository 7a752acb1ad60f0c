/* buffer.h - growing bytes, born with a maximum. */
#ifndef BASE_BUFFER_H
#define BASE_BUFFER_H

#include "base/span.h"
#include <stdbool.h>
#include <stddef.h>

struct buffer {
    char *data; /* zero-terminated once anything was added; owned; NULL before */
    size_t n, capacity, max_bytes;
    bool failed; /* sticky: something did not fit or memory ran out; check once, at the end */
};

void buffer_init(struct buffer *b, size_t max_bytes);
void buffer_reset(struct buffer *b); /* free; empty and usable again */
/* Each returns !b->failed. After a failure nothing more is added. */
bool buffer_add(struct buffer *b, const void *p, size_t n);
bool buffer_add_text(struct buffer *b, const char *text);
bool buffer_add_span(struct buffer *b, struct span s);
bool buffer_printf(struct buffer *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
static inline struct span buffer_span(const struct buffer *b) { return (struct span){b->data, b->n}; }

#endif
