/* tokenizer_merge.c - byte-pair merging, for whatever says which neighbours may be merged.
 *
 * Short words, which are nearly all, are scanned for their best pair again and again; long ones go through a heap, so
 * that no text takes more than O(n log n). Both merge in the same order. */
#include "text/tokenizer_internal.h"

enum { SCANNED = 24 }; /* most symbols of a short word */
static const uint32_t GONE = UINT32_MAX, NONE = UINT32_MAX;

/* ---- short words ---- */

static void scan_pair(struct symbol *s, size_t n, size_t i, uint32_t *ranks, int32_t *ids, merge_pair_fn *pair,
                      const void *context)
{
    ranks[i] = NONE;
    ids[i] = i + 1 < n ? pair(context, &s[i], &s[i + 1], &ranks[i]) : -1;
}

static size_t merge_short(struct symbol *s, size_t n, merge_pair_fn *pair, const void *context)
{
    uint32_t ranks[SCANNED];
    int32_t ids[SCANNED];
    for (size_t i = 0; i < n; i++)
        scan_pair(s, n, i, ranks, ids, pair, context);
    for (;;) {
        size_t best = n;
        for (size_t i = 0; i + 1 < n; i++)
            if (ids[i] >= 0 && (best == n || ranks[i] < ranks[best]))
                best = i;
        if (best == n)
            return n;
        s[best].n += s[best + 1].n;
        s[best].id = ids[best];
        n--;
        memmove(&s[best + 1], &s[best + 2], (n - best - 1) * sizeof *s);
        memmove(&ranks[best + 1], &ranks[best + 2], (n - best - 1) * sizeof *ranks);
        memmove(&ids[best + 1], &ids[best + 2], (n - best - 1) * sizeof *ids);
        scan_pair(s, n, best, ranks, ids, pair, context);
        if (best)
            scan_pair(s, n, best - 1, ranks, ids, pair, context);
    }
}

/* ---- long words ---- */

struct candidate {
    uint64_t order; /* rank, then the left symbol's index */
    uint32_t right;
    int32_t left_id, right_id, id; /* ids as they were: another pair may have taken either since */
};

struct heap {
    struct encoder *e;
    size_t n;
    struct symbol *s;
    size_t n_symbols;
    merge_pair_fn *pair;
    const void *context;
};

static void sift_up(struct candidate *c, size_t i)
{
    struct candidate moving = c[i];
    for (size_t up; i && (up = (i - 1) / 2, moving.order < c[up].order); i = up)
        c[i] = c[up];
    c[i] = moving;
}

static void pop(struct heap *h)
{
    struct candidate *c = h->e->heap, moving = c[--h->n];
    size_t i = 0, n = h->n;
    for (size_t down; (down = i * 2 + 1) < n; i = down) {
        if (down + 1 < n && c[down + 1].order < c[down].order)
            down++;
        if (moving.order <= c[down].order)
            break;
        c[i] = c[down];
    }
    c[i] = moving;
}

static bool push_pair(struct heap *h, uint32_t left, uint32_t right)
{
    uint32_t rank = NONE;
    int32_t id = h->pair(h->context, &h->s[left], &h->s[right], &rank);
    if (id < 0)
        return true;
    if (!encoder_reserve(&h->e->heap, &h->e->heap_bytes, h->n + 1, sizeof(struct candidate)))
        return false;
    struct candidate *c = h->e->heap;
    c[h->n++] = (struct candidate){(uint64_t)rank << 32 | left, right, h->s[left].id, h->s[right].id, id};
    sift_up(c, h->n - 1);
    return true;
}

/* `before` is where the symbol before each stands; GONE in `next` marks one that another has taken. */
static bool merge_best(struct heap *h, uint32_t *before)
{
    struct candidate best = *(const struct candidate *)h->e->heap;
    uint32_t left = (uint32_t)best.order, right = best.right;
    struct symbol *s = h->s;
    pop(h);
    if (s[left].next != right || s[left].id != best.left_id || s[right].id != best.right_id)
        return true; /* out of date */
    s[left].n += s[right].n;
    s[left].id = best.id;
    s[left].next = s[right].next;
    s[right].next = GONE;
    if (s[left].next < h->n_symbols) {
        before[s[left].next] = left;
        if (!push_pair(h, left, s[left].next))
            return false;
    }
    return left == 0 || push_pair(h, before[left], left);
}

static bool merge_long(struct encoder *e, struct symbol *s, size_t *n, merge_pair_fn *pair, const void *context)
{
    struct heap h = {.e = e, .s = s, .n_symbols = *n, .pair = pair, .context = context};
    if (!encoder_reserve(&e->before, &e->before_bytes, *n, sizeof(uint32_t)))
        return false;
    uint32_t *before = e->before;
    for (size_t i = 0; i < *n; i++) {
        before[i] = (uint32_t)i - 1;
        s[i].next = (uint32_t)i + 1; /* n: nothing follows */
    }
    for (size_t i = 0; i + 1 < *n; i++)
        if (!push_pair(&h, (uint32_t)i, (uint32_t)i + 1))
            return false;
    while (h.n)
        if (!merge_best(&h, before))
            return false;
    size_t to = 0;
    for (size_t i = 0, next; i < *n; i = next) {
        next = s[i].next;
        s[to++] = s[i];
    }
    *n = to;
    return true;
}

bool merge_symbols(struct encoder *e, struct symbol *symbols, size_t *n, merge_pair_fn *pair, const void *context)
{
    if (*n > SCANNED)
        return merge_long(e, symbols, n, pair, context);
    *n = merge_short(symbols, *n, pair, context);
    return true;
}
