/* stop.h - stop strings: text that may become one is held back until it is known. */
#ifndef ENGINE_STOP_H
#define ENGINE_STOP_H

#include "base/buffer.h"

struct stop {
    const char *const *texts; /* borrowed */
    size_t n;
    struct buffer held; /* text not given out yet */
};

/* The first place in s->held where a stop string begins, whole; false where there is none. Of several the earliest. */
bool stop_found(const struct stop *s, size_t *at);
/* How many bytes at the end of s->held may be the beginning of a stop string. */
size_t stop_pending(const struct stop *s);

#endif
