/* stop.c - finding stop strings in text that grows. */
#include "engine/stop.h"

bool stop_found(const struct stop *s, size_t *at)
{
    bool found = false;
    for (size_t i = 0; i < s->n; i++) {
        size_t n = strlen(s->texts[i]);
        const char *hit = n && s->held.n >= n ? memmem(s->held.data, s->held.n, s->texts[i], n) : NULL;
        if (hit && (!found || (size_t)(hit - s->held.data) < *at)) {
            *at = (size_t)(hit - s->held.data);
            found = true;
        }
    }
    return found;
}

size_t stop_pending(const struct stop *s)
{
    size_t most = 0;
    for (size_t i = 0; i < s->n; i++) {
        size_t n = strlen(s->texts[i]);
        for (size_t m = n ? n - 1 : 0; m > most; m--)
            if (m <= s->held.n && !memcmp(s->held.data + s->held.n - m, s->texts[i], m))
                most = m;
    }
    return most;
}
