/* fill.h - what the kernels' tests and benchmarks compute with. */
#ifndef TESTS_KERNELS_FILL_H
#define TESTS_KERNELS_FILL_H

#include "kernels/kernels.h"

/* Scales of weights are finite: what products of infinite or NaN scales give is not held. */
enum fill {
    RANDOM,
    ZEROS,    /* all bytes 0 */
    ONES,     /* floats 1; quantized: all bits set but those that would make a scale infinite */
    EXTREMES, /* floats: largest, subnormal, -0; quantized: items and integer scales at their ends, largest scales */
    N_FILLS
};

extern const char *const fill_names[N_FILLS];

void fill_seed(uint64_t seed);
size_t fill_below(size_t n);
void fill_floats(float *x, size_t n, enum fill fill);
/* RANDOM with a few of what functions treat apart, infinities among them. */
void fill_special(float *x, size_t n);
/* n_blocks blocks of a weight type. */
void fill_weights(uint8_t *w, uint32_t type, size_t n_blocks, enum fill fill);
/* n rows of k activations within struct q8's limits: -127..127, d, ds and sums as they belong together. */
void fill_q8(struct q8 x, size_t n, size_t k, enum fill fill);

/* All types with kernels, floats first. */
extern const uint32_t run_types[];
extern const size_t n_run_types;

#endif
