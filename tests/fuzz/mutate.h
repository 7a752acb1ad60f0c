/* mutate.h - inputs made slightly wrong, in the ways their kind suggests. The same numbers give the same mutant on
 * every machine. */
#ifndef TESTS_MUTATE_H
#define TESTS_MUTATE_H

#include "base/random.h"
#include <stddef.h>
#include <stdint.h>

enum { MUTANT_ROOM = 1 << 16 }; /* bytes by which a mutant may outgrow its seed */

/* Each changes data[0..*n) in place, once, and may let it grow to `capacity`. */
void mutate_bytes(struct random *r, uint8_t *data, size_t *n, size_t capacity);
/* Words and lines: swapped, doubled, left out, replaced by others; numbers made extreme; brackets nested. */
void mutate_text(struct random *r, uint8_t *data, size_t *n, size_t capacity);
/* A GGUF: nearly all changes fall on its header, many of them such that the rest of the file stays well formed (a key
 * taken out, a list cut, a text exchanged), so that they reach what stands behind the loader. */
void mutate_gguf(struct random *r, uint8_t *data, size_t *n, size_t capacity);
/* One of the above, by what the data looks like. */
void mutate(struct random *r, uint8_t *data, size_t *n, size_t capacity);

/* Put `n_new` bytes of `with` in the place of data[at..at + n_old); false, and nothing done, where they do not fit. */
int mutate_splice(uint8_t *data, size_t *n, size_t capacity, size_t at, size_t n_old, const void *with, size_t n_new);

#endif
