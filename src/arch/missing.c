/* missing.c - tensors that a file lacks: all of them in one error. Until then another layer's stands in for each. */
#include "arch/expand.h"
#include "base/error.h"
#include <stdio.h>
#include <string.h>

enum { NAMED = 8, MAX_MISSING = 256, TRIED_LAYERS = 64 };

/* The tensor of another layer: "blk.0.attn_q.weight" for "blk.7.attn_q.weight". Of those that stand once, one of the
 * same shape: the head for the table of tokens, a layer's norm for the last one. */
static const struct weight *stand_in(const struct expansion *x, struct span stem, const char *suffix)
{
    char name[MAX_STEM];
    size_t from = 0, to;
    if (span_is(stem, "token_embd") || span_is(stem, "output_norm"))
        return stem_weight(x, span_of(span_is(stem, "output_norm") ? "blk.0.attn_norm" : "output"), suffix);
    while (from < stem.n && (stem.p[from] < '0' || stem.p[from] > '9'))
        from++;
    for (to = from; to < stem.n && stem.p[to] >= '0' && stem.p[to] <= '9';)
        to++;
    for (int i = 0; i < TRIED_LAYERS && to > from; i++) {
        const int n = snprintf(name, sizeof name, "%.*s%d%.*s", (int)from, stem.p, i, (int)(stem.n - to), stem.p + to);
        const struct weight *w = n < (int)sizeof name ? stem_weight(x, span_of(name), suffix) : NULL;
        if (w)
            return w;
    }
    return NULL;
}

/* Is it on the list, now at least? */
static bool listed(struct expansion *x, struct span stem, const char *suffix)
{
    struct missing **end = &x->missing;
    for (; *end; end = &(*end)->next)
        if (span_same((*end)->stem, stem) && !strcmp((*end)->suffix, suffix))
            return true;
    struct missing *m = arena_alloc(&x->own, 1, sizeof *m);
    const char *kept = m ? arena_text(&x->own, stem.p, stem.n) : NULL;
    if (!kept)
        return false;
    *m = (struct missing){{kept, stem.n}, suffix, NULL};
    *end = m;
    x->n_missing++;
    return true;
}

const struct weight *missing_weight(struct expansion *x, const struct frame *f, uint32_t line, struct span op,
                                    struct span stem, const char *suffix)
{
    if (!x->missing) {
        expand_error(x, f, line, "%.*s%sthe file has no tensor \"%.*s%s\"", cut(op), op.p, op.n ? ": " : "",
                     (int)stem.n, stem.p, suffix);
        snprintf(x->first_missing, sizeof x->first_missing, "%s", x->error ? x->error->text : "");
    }
    return listed(x, stem, suffix) && x->n_missing < MAX_MISSING ? stand_in(x, stem, suffix) : NULL;
}

andiron_status missing_named(const struct expansion *x)
{
    char text[sizeof x->error->text] = "";
    size_t n = 1, at = 0;
    const size_t room = sizeof text - 40 - strlen(x->first_missing);
    for (const struct missing *m = x->missing->next; m && n < NAMED; m = m->next, n++) {
        const size_t more = m->stem.n + strlen(m->suffix) + 8;
        if (more + at > room || room > sizeof text)
            break;
        at += (size_t)snprintf(text + at, sizeof text - at, "%s\"%.*s%s\"", n == 1 ? ", nor " : ", ", (int)m->stem.n,
                               m->stem.p, m->suffix);
    }
    if (x->n_missing > n)
        snprintf(text + at, sizeof text - at, " and %s%zu more", x->n_missing < MAX_MISSING ? "" : "at least ",
                 x->n_missing - n);
    return error_set(x->error, ANDIRON_E_FORMAT, "%s%s", x->first_missing, text);
}
