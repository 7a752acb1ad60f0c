/* probe.h - how fast this machine could be: the loops whose speed is the roof of the kernels. */
#ifndef KERNELS_PROBE_H
#define KERNELS_PROBE_H

#include "kernels/kernels.h"

/* Each runs on one thread and returns the operations done (a multiply and an add are two), or bytes read. `sink` keeps
 * the compiler from dropping the work. */
struct probes {
    double (*int8)(size_t rounds, int32_t *sink);                /* 8-bit dot products, operands in registers */
    double (*f32)(size_t rounds, float *sink);                   /* fused multiply-adds, operands in registers */
    double (*read)(const void *p, size_t bytes, uint64_t *sink); /* bytes: a multiple of 4096 */
};

/* The probes of a level by name ("avx2"), as kernels_choose left it in struct kernels. */
struct probes probes_for(const char *cpu);

#endif
