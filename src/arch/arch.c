/* arch.c - a definition with its parents, and what of it is found by name. */
#include "arch/expand.h"
#include "base/alloc.h"
#include "base/error.h"

/* What a definition is opened with. */
struct opening {
    struct arch *a;
    arch_find_fn find;
    void *user;
    andiron_error *error;
    int n_opened;
};

static int shown(struct span s) { return (int)(s.n < 60 ? s.n : 60); }

/* The built-in definition of that name, which `d` wants as its `role`. */
static andiron_status open_named(struct opening *o, const struct definition *d, struct span wanted, const char *role,
                                 struct definition **out)
{
    struct span text;
    const char *file;
    if (o->n_opened++ == MAX_PARENTS)
        return error_set(o->error, ANDIRON_E_FORMAT,
                         "%s: more than %d parents, the last of them \"%.*s\"; does one inherit itself?", d->file,
                         MAX_PARENTS, shown(wanted), wanted.p);
    if (!o->find || !o->find(o->user, wanted, &text, &file))
        return error_set(o->error, ANDIRON_E_FORMAT,
                         "%s: the %s \"%.*s\" is not known; it must be one of the built-in definitions", d->file, role,
                         shown(wanted), wanted.p);
    const char *copy = text.n <= MAX_SOURCE_BYTES ? arena_text(&o->a->arena, text.p, text.n) : text.p;
    const char *name = arena_text(&o->a->arena, file, span_of(file).n);
    if (!copy || !name)
        return error_memory(o->error, text.n, "a definition");
    return parse_definition(out, (struct span){copy, text.n}, name, &o->a->arena, o->error);
}

/* Chain what `d` inherits behind it: its libraries, then its parent with its own. */
static andiron_status open_parents(struct opening *o, struct definition *d)
{
    struct definition *last = d, *next;
    for (; d; d = next) {
        next = NULL;
        for (size_t i = 0; i < d->n_libraries; i++) {
            struct definition *library;
            andiron_status s = open_named(o, d, d->libraries[i], "definition", &library);
            if (!s && (library->parent.n || library->n_libraries || library->graph))
                s = error_set(
                    o->error, ANDIRON_E_FORMAT,
                    "%s: \"%.*s\" has a parent or a graph; only blocks and parameters can be used with others", d->file,
                    shown(library->name), library->name.p);
            if (s)
                return s;
            last->base = library;
            last = library;
        }
        andiron_status s = d->parent.n ? open_named(o, d, d->parent, "parent", &next) : ANDIRON_OK;
        if (s)
            return s;
        if (next) {
            last->base = next;
            last = next;
        }
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
    struct opening o = {a, find, user, error, 0};
    if (!s)
        s = open_parents(&o, a->definition);
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
