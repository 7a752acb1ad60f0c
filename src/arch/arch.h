/* arch.h - the .arch language: read a definition, inherit, expand it to a graph. The language is described in
 * docs/arch-language.md.
 *
 * Definitions may come from an untrusted file: no recursion, loops over layers only, a fixed list of ops
 * (graph/ops.def), checked arithmetic, and budgets on source bytes, steps, depth, nodes and layers. Every mistake is an
 * error with file:line and what was expected. */
#ifndef ARCH_ARCH_H
#define ARCH_ARCH_H

#include "graph/graph.h"

struct arch; /* a parsed definition with all its parents */

/* Where parents come from: the text of the definition called `name`, or false. `file` names it in errors. */
typedef bool (*arch_find_fn)(void *user, struct span name, struct span *text, const char **file);

/* Built-in definitions, embedded at build from arch/ (an arch_find_fn; `user` is not used). */
bool arch_builtin(void *user, struct span name, struct span *text, const char **file);
/* Names of the built-in definitions, in order; NULL at the end. */
const char *arch_builtin_name(size_t i);

/* Parse `text` (called `file` in errors) and, through `find`, its parents. Text is copied. */
andiron_status arch_open(struct arch **out, struct span text, const char *file, arch_find_fn find, void *user,
                         andiron_error *error);
void arch_close(struct arch *a); /* NULL is fine */
const char *arch_name(const struct arch *a);

/* Two matrices whose product, times `scale`, is added to a weight: A narrows, B widens again. a NULL: none here. */
struct arch_adapter {
    const struct weight *a, *b;
    double scale;
};

/* A model's metadata and tensors, whatever kind of file they stand in. Keys are given without the architecture's name
 * ("attention.head_count" for "llama.attention.head_count"); a key that begins with a dot is looked up without its dot
 * as it is (".general.name"). */
struct arch_source {
    void *user;
    /* Number `i` of the key (a scalar is an array of one); false: absent, not a number, or past the end. *n, if not
     * NULL, is the count. Bools are 0 and 1. */
    bool (*number)(void *user, const char *key, uint64_t i, double *out, uint64_t *n);
    /* Likewise, whole numbers of 64 bits without a sign. */
    bool (*whole)(void *user, const char *key, uint64_t i, uint64_t *out, uint64_t *n);
    bool (*text)(void *user, const char *key, struct span *out);
    /* The tensor of that full name ("blk.0.attn_q.weight"), or NULL; lives as long as the graph. */
    const struct weight *(*weight)(void *user, const char *name);
    /* What adapter number i adds to that weight; false: there are fewer. NULL: there are none. */
    bool (*adapter)(void *user, const struct weight *w, size_t i, struct arch_adapter *out);
};

/* Expand the definition for one model. `arena` keeps the graph. Runs graph(tokens); parameters are evaluated
 * when first used. */
andiron_status arch_expand(const struct arch *a, const struct arch_source *source, struct arena *arena,
                           struct graph *out, andiron_error *error);

#endif
