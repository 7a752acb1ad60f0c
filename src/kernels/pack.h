/* pack.h - numbers as weights of a type, for files: the other way round of decode.h. The same on every machine and
 * level. Q2_K to Q6_K are our own search (pack_search.h); the bits of all others equal those of ggml's
 * quantize_row_*_ref and of the gguf package's gguf.quants.quantize. */
#ifndef KERNELS_PACK_H
#define KERNELS_PACK_H

#include "kernels/kernels.h"

bool pack_can(enum weight_type type); /* F32 F16 BF16 Q4_0 Q4_1 Q5_0 Q5_1 Q8_0, Q2_K to Q6_K */
/* `n` numbers, a whole number of blocks, in `out`; finite ones past 65504 are infinite as F16. */
void pack_row(const struct kernels *k, enum weight_type type, const float *x, size_t n, void *out);

#endif
