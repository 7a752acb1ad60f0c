/* random.c - xoshiro256** (https://prng.di.unimi.it), seeded by splitmix64 as its authors advise. */
#include "base/random.h"

static uint64_t rotate(uint64_t x, int k) { return (x << k) | (x >> (64 - k)); }

void random_init(struct random *r, uint64_t seed)
{
    for (int i = 0; i < 4; i++) {
        uint64_t z = seed += 0x9e3779b97f4a7c15u;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        r->s[i] = z ^ (z >> 31);
    }
}

uint64_t random_u64(struct random *r)
{
    uint64_t *s = r->s, result = rotate(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

double random_unit(struct random *r) { return (double)(random_u64(r) >> 11) * 0x1p-53; }

uint64_t random_below(struct random *r, uint64_t bound)
{
    uint64_t reject = -bound % bound, x; /* the lowest 2^64 mod bound values would be drawn too often */
    do
        x = random_u64(r);
    while (x < reject);
    return x % bound;
}
