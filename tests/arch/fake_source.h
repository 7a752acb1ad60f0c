/* fake_source.h - a model for tests and fuzzing, described in comments of the definition itself:
 *
 *     #: block_count 2                 numbers of a key: one or more
 *     #' rope.scaling.type yarn        a text
 *     #= blk.0.attn_q.weight 64 64     a tensor's dims (F32; of every layer: `blk.N.`)
 *
 * Tensors of a small llama are there without saying. */
#ifndef TESTS_FAKE_SOURCE_H
#define TESTS_FAKE_SOURCE_H

#include "arch/arch.h"

struct fake_source {
    struct span text; /* borrowed */
    struct weight made[64];
    size_t n_made;
    char names[64][64];
    struct arch_source source;
};

/* `s` must stay where it is while its source is used. */
void fake_source_init(struct fake_source *s, struct span text);

/* Is the error's text this one? The N of "llama.arch:N: " in `wanted` stands for any line: those of built-in
 * definitions move. */
bool error_is(const char *text, const char *wanted);

#endif
