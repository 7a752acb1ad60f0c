/* pack.h - numbers as weights of a type, for files: the other way round of decode.h. Not for speed, and the same on
 * every machine. Bits equal those of ggml's quantize_row_*_ref and of the gguf package's gguf.quants.quantize. */
#ifndef KERNELS_PACK_H
#define KERNELS_PACK_H

#include "base/types.h"

bool pack_can(enum weight_type type); /* F32 F16 BF16 Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 */
/* `n` numbers, a whole number of blocks, in `out`; finite ones past 65504 are infinite as F16. */
void pack_row(enum weight_type type, const float *x, size_t n, void *out);

#endif
