/* span.h - borrowed bytes with a length; not zero-terminated, may hold zero bytes. */
#ifndef BASE_SPAN_H
#define BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct span {
    const char *p;
    size_t n;
};

static inline struct span span_of(const char *text) { return (struct span){text, strlen(text)}; }
static inline bool span_is(struct span a, const char *text)
{
    return a.n == strlen(text) && (a.n == 0 || !memcmp(a.p, text, a.n));
}
static inline bool span_same(struct span a, struct span b)
{
    return a.n == b.n && (a.n == 0 || !memcmp(a.p, b.p, a.n));
}
static inline bool span_ends(struct span a, const char *text)
{
    const size_t n = strlen(text);
    return a.n >= n && (n == 0 || !memcmp(a.p + a.n - n, text, n));
}

#endif
