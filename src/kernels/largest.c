/* largest.c - where the largest of many numbers stand. Compiled once a level: LEVEL names it.
 *
 * The largest of each of many groups tell what is too small; the rest is kept, and where room ends, only the k largest
 * of that. */
#include "kernels/overlays.h"
#include "kernels/v16.h"

enum { ROOM = 2 * LARGEST_MOST };

struct kept {
    size_t n;
    float least; /* others have to be above it */
    uint32_t at[ROOM + LANES];
    float x[ROOM + LANES];
};

/* Whole numbers in the order of floats; both zeros are one. */
static inline uint32_t rank_of(float x)
{
    const uint32_t bits = bits_of_float(x + 0.0f);
    return bits >> 31 ? 0 - bits : bits | 0x80000000;
}

static inline float of_rank(uint32_t rank) { return float_of_bits(rank >> 31 ? rank & 0x7fffffff : 0 - rank); }

/* The k-th largest, bit by bit from the highest on. */
static float kth_largest(const struct kept *kept, size_t k)
{
    uint32_t rank[ROOM + LANES], found = 0;
    for (size_t i = 0; i < kept->n; i++)
        rank[i] = rank_of(kept->x[i]);
    for (uint32_t bit = 0x80000000; bit; bit >>= 1) {
        uint32_t n = 0;
        for (size_t i = 0; i < kept->n; i++)
            n += rank[i] >= (found | bit);
        found |= n >= k ? bit : 0;
    }
    return of_rank(found);
}

static void keep_largest(struct kept *kept, size_t k)
{
    size_t above = 0, n = 0;
    if (kept->n <= k)
        return;
    kept->least = kth_largest(kept, k);
    for (size_t i = 0; i < kept->n; i++)
        above += kept->x[i] > kept->least;
    for (size_t i = 0, equal = above; i < kept->n; i++) {
        const float x = kept->x[i];
        const bool stays = x > kept->least || (x == kept->least && equal < k);
        equal += x == kept->least;
        kept->at[n] = kept->at[i];
        kept->x[n] = x;
        n += stays;
    }
    kept->n = n;
}

/* The largest of n, a multiple of LANES. */
static inline float most_of(const float *x, size_t n)
{
    v16 most = v16_set(-__builtin_inff());
    for (size_t i = 0; i < n; i += LANES)
        most = v16_max(v16_load(x + i), most);
    return v16_fold_max(most);
}

/* Keep what may be among the k largest of n <= LANES numbers from x[from] on. */
static inline void keep(struct kept *kept, const float *x, size_t from, size_t n, size_t k)
{
    for (size_t i = from; i < from + n; i++) {
        kept->at[kept->n] = (uint32_t)i;
        kept->x[kept->n] = x[i];
        kept->n += x[i] > kept->least;
    }
    if (kept->n >= ROOM)
        keep_largest(kept, k);
}

/* Where k groups have a number of at least so much, what is below it is not among the k largest. */
static float below_kth(struct kept *kept, const float *most, size_t n_groups, size_t k)
{
    if (n_groups < k)
        return -__builtin_inff();
    memcpy(kept->x, most, n_groups * sizeof *most);
    kept->n = n_groups;
    const uint32_t rank = rank_of(kth_largest(kept, k));
    return of_rank(rank - (rank > rank_of(-__builtin_inff())));
}

static size_t largest(uint32_t *at, const float *x, size_t n, size_t k)
{
    struct kept kept;
    float most[ROOM];
    const size_t each = (n / ROOM + LANES) / LANES * LANES, n_groups = n / each; /* at most ROOM */
    for (size_t g = 0; g < n_groups; g++)
        most[g] = most_of(x + g * each, each);
    kept.least = below_kth(&kept, most, n_groups, k);
    kept.n = 0;
    for (size_t g = 0; g < n_groups; g++)
        for (size_t i = g * each; i < (g + 1) * each && most[g] > kept.least; i += LANES)
            if (most_of(x + i, LANES) > kept.least)
                keep(&kept, x, i, LANES, k);
    for (size_t i = n_groups * each; i < n; i += LANES)
        keep(&kept, x, i, n - i < LANES ? n - i : LANES, k);
    keep_largest(&kept, k);
    memcpy(at, kept.at, kept.n * sizeof *at);
    return kept.n;
}

void LEVELED(largest_overlay)(struct kernels *k) { k->largest = largest; }
