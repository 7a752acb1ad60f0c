/* lanes.h - the order of every float sum.
 *
 * Float addition is not associative, so the order is part of the answer. Ours: element i goes to lane i % 16 by fused
 * multiply-add, and the lanes fold in halves. 16 is one AVX-512 register, two AVX2, four NEON: each keeps this order at
 * full speed, and so every machine prints the same tokens. */
#ifndef KERNELS_LANES_H
#define KERNELS_LANES_H

#include "kernels/kernels.h"

static inline float lanes_fold(float lane[LANES])
{
    for (int half = LANES / 2; half; half /= 2)
        for (int i = 0; i < half; i++)
            lane[i] += lane[i + half];
    return lane[0];
}

#endif
