/* random.h - random numbers that are the same on every machine: xoshiro256** (Blackman and Vigna 2018), seeded by
 * splitmix64. Not for secrets. */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stdint.h>

struct random {
    uint64_t s[4];
};

void random_init(struct random *r, uint64_t seed);
uint64_t random_u64(struct random *r);
double random_unit(struct random *r);                    /* uniform in [0, 1), 53 bits */
uint64_t random_below(struct random *r, uint64_t bound); /* uniform in [0, bound), bound > 0, without bias */

#endif
