/* bench_kernels.h - how fast each kernel is, on one thread. */
#ifndef TESTS_KERNELS_BENCH_KERNELS_H
#define TESTS_KERNELS_BENCH_KERNELS_H

#include "kernels/kernels.h"

/* A line for each kernel of a level, the level's roof of 8-bit products first. */
void bench_kernels(const struct kernels *k);

#endif
