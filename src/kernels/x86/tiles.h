/* tiles.h - many tokens: unpacked panels, which tiles of rows and tokens meet without folding. Types whose sums are
 * alike share the code of tiles. */
#ifndef KERNELS_X86_TILES_H
#define KERNELS_X86_TILES_H

#include "kernels/x86/unpack.h"

#if defined(__AVX512F__)
enum { TILE_TOKENS = 6, TILE_TOKENS_16 = 4 }; /* the latter for scales of 16 items, which need more registers */
#else
enum { TILE_TOKENS = 2, TILE_TOKENS_16 = 1 };
#endif

/* Adds to sums[p][i] the products of words [from, from + n) of block b. */
INLINE void dot_words(struct form f, vi *sums, const struct chunk *c, size_t b, const struct activations *x, int from,
                      int n, int P, int T)
{
    for (int i = from; i < from + n; i++) {
        vi w[2];
        for (int p = 0; p < P; p++)
            w[p] = vi_load(c[p].w[b][i]);
        for (int t = 0; t < T; t++) {
            int32_t word;
            memcpy(&word, x[t].q + 4 * i, 4);
            vi q = V(set1_epi32)(word);
            for (int p = 0; p < P; p++)
                sums[p * T + t] = dot(f, sums[p * T + t], w[p], q);
        }
    }
}

INLINE void tile_block(struct form f, struct chain *chains, const struct chunk *c, size_t b,
                       const struct activations *x, int P, int T)
{
    const bool apart = f.in_halves;
    vi sums[2 * TILE_TOKENS], sums1[2 * TILE_TOKENS];
    for (int p = 0; p < P; p++)
        for (int t = 0; t < T; t++) {
            const int first = apart ? x[t].sums[0] : x[t].sums[0] + x[t].sums[1];
            sums[p * T + t] = V(set1_epi32)(-f.offset * first);
            sums1[p * T + t] = V(set1_epi32)(-f.offset * x[t].sums[1]);
        }
    struct scale s[2];
    for (int p = 0; p < P; p++)
        s[p] = scale_at(f, &c[p].s, b);
    dot_words(f, sums, c, b, x, 0, apart ? 4 : 8, P, T);
    if (apart)
        dot_words(f, sums1, c, b, x, 4, 4, P, T);
    for (int p = 0; p < P; p++)
        for (int t = 0; t < T; t++)
            step(f, &chains[p * T + t], sums[p * T + t], sums1[p * T + t], &s[p], &x[t], b);
}

INLINE void tile_activations(const struct mul *m, struct activations *x, size_t t, size_t b, int T)
{
    for (int i = 0; i < T; i++)
        x[i] = activations_of(m, t + (size_t)i, b);
}

/* A superblock whose items have their scales: all its dots run into one integer. */
INLINE void tile_superblock(const struct mul *m, struct form f, struct chain *chains, const struct chunk *c, size_t t,
                            size_t first, int P, int T)
{
    vi sums[2 * TILE_TOKENS], least[2 * TILE_TOKENS];
    struct activations x[TILE_TOKENS];
    struct scale s[2];
    tile_activations(m, x, t, first, T);
    for (int i = 0; i < T; i++) {
        const vi start = V(set1_epi32)(f.sums == SUMS_WIDE ? -f.offset * sum_of_256(x[i].sums) : 0);
        for (int p = 0; p < P; p++) {
            sums[p * T + i] = start;
            least[p * T + i] = V(set1_epi32)(0);
        }
    }
    for (size_t b = 0; b < CHUNK; b++) {
        tile_activations(m, x, t, first + b, T);
        dot_words(f, sums, c, b, x, 0, 8, P, T);
    }
    for (size_t b = 0; b < (f.sums == SUMS_WIDE_MIN ? CHUNK : 1); b++) {
        tile_activations(m, x, t, first + b, T);
        for (int p = 0; p < P; p++)
            s[p] = scale_at(f, &c[p].s, b);
        for (int i = 0; f.sums == SUMS_WIDE_MIN && i < P * T; i++)
            least[i] = V(add_epi32)(least[i], minima(&s[i / T], &x[i % T]));
    }
    for (int i = 0; i < P * T; i++)
        chains[i].acc = step_wide(f, chains[i].acc, V(cvtepi32_ps)(sums[i]), V(cvtepi32_ps)(least[i]), &s[i / T],
                                  &x[i % T]);
}

/* P unpacked panels times T tokens from t on. Chunks of the panels alternate. */
INLINE void tile(const struct mul *m, struct form f, size_t r, size_t t, int P, int T)
{
    const size_t n_blocks = m->k / Q_BLOCK;
    const struct chunk *c = m->scratch;
    float *y = m->y + t * m->y_stride + r;
    struct chain chains[2 * TILE_TOKENS];
    for (int i = 0; i < P * T; i++)
        chains[i] = chain_start();
    for (size_t first = 0; first < n_blocks; first += CHUNK, c += P) {
        size_t n = n_blocks - first < CHUNK ? n_blocks - first : CHUNK;
        if (is_wide(f.sums) && !f.in_halves) {
            tile_superblock(m, f, chains, c, t, first, P, T);
            continue;
        }
        for (size_t b = 0; b < n; b++) {
            struct activations x[TILE_TOKENS];
            tile_activations(m, x, t, first + b, T);
            tile_block(f, chains, c, b, x, P, T);
        }
    }
    for (int p = 0; p < P; p++)
        for (int i = 0; i < T; i++)
            V(storeu_ps)(y + (size_t)i * m->y_stride + (size_t)p * WIDTH, chains[p * T + i].acc);
}

/* The next tile's tokens when n are left: 7 are 4 + 3, 8 are 4 + 4. */
INLINE size_t tile_tokens(size_t n, size_t most)
{
    if (n > most + 2 || n == most)
        return most;
    return n >= 4 && n != 5 && most > 3 ? 4 : n >= 3 && most > 3 ? 3 : n >= 2 && most > 1 ? 2 : 1;
}

/* All tokens. */
INLINE void tiles_of(const struct mul *m, struct form f, size_t r, int P)
{
    const size_t most = f.in_halves ? TILE_TOKENS_16 : TILE_TOKENS;
    for (size_t t = 0, n; t < m->n_tokens; t += n) {
        n = tile_tokens(m->n_tokens - t, most);
        if (most > 4 && n == most)
            tile(m, f, r, t, P, (int)most);
        else if (most > 3 && n == 4)
            tile(m, f, r, t, P, 4);
        else if (most > 3 && n == 3)
            tile(m, f, r, t, P, 3);
        else if (most > 1 && n == 2)
            tile(m, f, r, t, P, 2);
        else
            tile(m, f, r, t, P, 1);
    }
}

#define TILES(name, sums, is_signed, in_halves, offset)                                       \
    static __attribute__((noinline)) void name(const struct mul *m, int any, size_t r, int P) \
    {                                                                                         \
        const struct form f = {sums, is_signed, false, in_halves, offset};                    \
        (void)any;                                                                            \
        if (P == 2)                                                                           \
            tiles_of(m, f, r, 2);                                                             \
        else                                                                                  \
            tiles_of(m, f, r, 1);                                                             \
    }
TILES(tiles_plain, SUMS_PLAIN, false, false, any)
TILES(tiles_min, SUMS_MIN, false, false, 0)
TILES(tiles_16, SUMS_16, false, true, any)
TILES(tiles_wide, SUMS_WIDE, false, false, any)
TILES(tiles_wide_min, SUMS_WIDE_MIN, false, false, 0)
#if !defined(__AVX512F__)
TILES(tiles_signed, SUMS_PLAIN, true, false, 0)
TILES(tiles_wide_16, SUMS_WIDE, false, true, any)
#endif

static void tiles(const struct mul *m, struct form f, size_t r, int P)
{
#if !defined(__AVX512F__)
    if (f.is_signed || (f.sums == SUMS_WIDE && f.in_halves)) {
        (f.is_signed ? tiles_signed : tiles_wide_16)(m, f.offset, r, P);
        return;
    }
#endif
    switch (f.sums) {
    case SUMS_PLAIN: tiles_plain(m, f.offset, r, P); break;
    case SUMS_MIN: tiles_min(m, 0, r, P); break;
    case SUMS_16: tiles_16(m, f.offset, r, P); break;
    case SUMS_WIDE: tiles_wide(m, f.offset, r, P); break;
    case SUMS_WIDE_MIN: tiles_wide_min(m, 0, r, P); break;
    }
}

#endif
