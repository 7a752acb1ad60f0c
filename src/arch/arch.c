/* arch.c - a definition with its parents, and what of it is found by name. */
#include "arch/expand.h"
#include "base/alloc.h"
#include "base/error.h"

static andiron_status open_parents(struct arch *a, struct definition *d, arch_find_fn find, void *user,
                                   andiron_error *error)
{
    for (int n = 0; d->parent.n; n++) {
        struct span text;
        const char *file;
        struct definition *base;
        if (n == MAX_PARENTS)
            return error_set(error, ANDIRON_E_FORMAT,
                             "%s: more than %d parents, the last of them \"%.*s\"; does one inherit itself?", d->file,
                             MAX_PARENTS, (int)d->parent.n, d->parent.p);
        if (!find || !find(user, d->parent, &text, &file))
            return error_set(error, ANDIRON_E_FORMAT,
                             "%s: the parent \"%.*s\" is not known; it must be one of the built-in definitions",
                             d->file, (int)(d->parent.n < 60 ? d->parent.n : 60), d->parent.p);
        const char *copy = text.n <= MAX_SOURCE_BYTES ? arena_text(&a->arena, text.p, text.n) : text.p;
        const char *name = arena_text(&a->arena, file, span_of(file).n);
        if (!copy || !name)
            return error_memory(error, text.n, "a definition");
        andiron_status s = parse_definition(&base, (struct span){copy, text.n}, name, &a->arena, error);
        if (s)
            return s;
        d->base = base;
        d = base;
    }
    return ANDIRON_OK;
}

andiron_status arch_open(struct arch **out, struct span text, const char *file, arch_find_fn find, void *user,
                         andiron_error *error)
{
    *out = NULL;
    struct arch *a = alloc_zeroed(1, sizeof *a);
    if (!a)
        return error_memory(error, sizeof *a, "a definition");
    arena_init(&a->arena, MAX_TREE_BYTES);
    const char *copy = text.n <= MAX_SOURCE_BYTES ? arena_text(&a->arena, text.p, text.n) : text.p;
    const char *name = arena_text(&a->arena, file, span_of(file).n);
    andiron_status s = copy && name
                           ? parse_definition(&a->definition, (struct span){copy, text.n}, name, &a->arena, error)
                           : error_memory(error, text.n, "a definition");
    if (!s)
        s = open_parents(a, a->definition, find, user, error);
    if (!s && !(a->name = arena_text(&a->arena, a->definition->name.p, a->definition->name.n)))
        s = error_memory(error, a->definition->name.n, "a definition");
    if (s)
        arch_close(a);
    else
        *out = a;
    return s;
}

void arch_close(struct arch *a)
{
    if (!a)
        return;
    arena_reset(&a->arena);
    alloc_free(a);
}

const char *arch_name(const struct arch *a) { return a->name; }

const struct block *find_block(const struct definition *from, struct span name)
{
    for (const struct definition *d = from; d; d = d->base)
        for (const struct block *b = d->blocks; b; b = b->next)
            if (span_same(b->name, name))
                return b;
    return NULL;
}

const struct param *find_param(const struct definition *from, struct span name)
{
    for (const struct definition *d = from; d; d = d->base)
        for (const struct param *p = d->params; p; p = p->next)
            if (span_same(p->name, name))
                return p;
    return NULL;
}
