/* amx_products.c - products of quantized weights with many tokens on CPUs with AMX (Intel, "Architecture Instruction
 * Set Extensions", chapter 3). Adds to the level avx512, whose panels, scales and steps these are.
 *
 * A tile is a matrix: activations of up to 16 tokens, as they stand, or a block of a panel in words (unpack.h). One
 * instruction adds all products of 16 tokens with 16 rows to a tile of sums, exact integers as ever. Sums go to memory,
 * where they meet their scales in the chains of struct mul, and that takes the time: while tiles are at work, only one
 * of the two units of 512 bits multiplies (seen on a Xeon of the fifth generation). So three things are under way at
 * once: the products of one block, the sums of the one before on their way to memory, the floats of the one before
 * that. A superblock of a wide type is one step of the chain, not eight, and runs near the speed of tiles. */
#include "kernels/x86/products.h"

enum {
    TOKENS = 16, /* of a tile, at most */
    PANELS = MUL_PANELS,
};

/* ---- tiles ---- */

struct tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
};
_Static_assert(sizeof(struct tile_config) == 64, "as ldtilecfg reads it");

/* Which tile is what. Sums: of the block (or superblock) at an even place and at an odd one; minima: theirs for
 * SUMS_WIDE_MIN. */
#define EVEN_SUMS 0
#define EVEN_MINIMA 1
#define ODD_SUMS 2
#define ODD_MINIMA 3
#define X_0 4 /* activations */
#define X_1 5
#define W_0 6 /* weights */
#define W_1 7

#define TILE_NAME(tile) TILE_NAME_(tile)
#define TILE_NAME_(tile) "%%tmm" #tile
#define TILE_LOAD(tile, from, stride) \
    __asm__ volatile("tileloadd (%0,%1,1), " TILE_NAME(tile) : : "r"(from), "r"((size_t)(stride)) : "memory")
#define TILE_STORE(tile, to) \
    __asm__ volatile("tilestored " TILE_NAME(tile) ", (%0,%1,1)" : : "r"(to), "r"((size_t)64) : "memory")
#define TILE_ZERO(tile) __asm__ volatile("tilezero " TILE_NAME(tile) : :)
/* sums += signed x times w, signed or unsigned. */
#define TILE_DOT(sums, x, w) __asm__ volatile("tdpbssd " TILE_NAME(w) ", " TILE_NAME(x) ", " TILE_NAME(sums) : :)
#define TILE_DOT_UNSIGNED(sums, x, w) \
    __asm__ volatile("tdpbsud " TILE_NAME(w) ", " TILE_NAME(x) ", " TILE_NAME(sums) : :)

/* For n tokens. Items in the first tile of activations and of weights, and in the second. */
static void configure(size_t n, size_t first, size_t second)
{
    struct tile_config c = {.palette = 1};
    for (int i = EVEN_SUMS; i <= ODD_MINIMA; i++) {
        c.rows[i] = (uint8_t)n;
        c.row_bytes[i] = 64;
    }
    for (int i = 0; i < 2; i++) {
        c.rows[X_0 + i] = (uint8_t)n;
        c.row_bytes[X_0 + i] = (uint16_t)(i ? second : first);
        c.rows[W_0 + i] = (uint8_t)((i ? second : first) / 4);
        c.row_bytes[W_0 + i] = 64;
    }
    __asm__ volatile("ldtilecfg %0" : : "m"(c));
}

static void release(void) { __asm__ volatile("tilerelease" : : : "memory"); }

/* ---- a group of tokens ---- */

/* P unpacked panels from row r on, and n tokens from `token` on. */
struct work {
    const struct mul *m;
    size_t r, token, n, P;
    int32_t sums[2][TOKENS][WIDTH], minima[2][TOKENS][WIDTH]; /* of an even and an odd place */
    float acc[PANELS][TOKENS][WIDTH];                         /* chains */
    float d[CHUNK][TOKENS], ds[CHUNK][TOKENS];                /* scales of the chunk's activations */
    int32_t offsets[TOKENS];                                  /* SUMS_WIDE: of the chunk */
    int8_t by_16[TOKENS][2][2 * CHUNK]; /* SUMS_WIDE_MIN: the chunk's sums of 16, their sixteenths and the rest */
} __attribute__((aligned(64)));

/* The first `n` of eight numbers. */
INLINE __m256 floats_of(const float *p, size_t n) { return _mm256_maskz_loadu_ps((__mmask8)((1 << n) - 1), p); }

/* Eight rows of n numbers, `stride` apart, as columns of `to`. */
INLINE void transpose(float *to, const float *from, size_t stride, size_t n)
{
    __m256 a[8], b[8];
    for (int i = 0; i < 8; i++)
        a[i] = floats_of(from + (size_t)i * stride, n);
    for (int i = 0; i < 8; i += 2) {
        b[i] = _mm256_unpacklo_ps(a[i], a[i + 1]);
        b[i + 1] = _mm256_unpackhi_ps(a[i], a[i + 1]);
    }
    for (int i = 0; i < 8; i += 4)
        for (int j = 0; j < 2; j++) {
            a[i + 2 * j] = _mm256_shuffle_ps(b[i + j], b[i + j + 2], 0x44);
            a[i + 2 * j + 1] = _mm256_shuffle_ps(b[i + j], b[i + j + 2], 0xee);
        }
    for (int i = 0; i < 4; i++) {
        _mm256_storeu_ps(to + i * TOKENS, _mm256_permute2f128_ps(a[i], a[i + 4], 0x20));
        _mm256_storeu_ps(to + (i + 4) * TOKENS, _mm256_permute2f128_ps(a[i], a[i + 4], 0x31));
    }
}

/* Scales of n blocks from `block` on, a block's side by side: tokens in eights, of which the last may overlap. */
INLINE void take_scales_of_tokens(const struct work *w, float to[CHUNK][TOKENS], const float *from, size_t block,
                                  size_t n)
{
    const size_t n_blocks = w->m->k / Q_BLOCK;
    from += w->token * n_blocks + block;
    for (size_t t = 0; t < w->n; t += 8) {
        const size_t at = t + 8 < w->n ? t : w->n - 8;
        transpose(to[0] + at, from + at * n_blocks, n_blocks, n);
    }
}

/* ---- blocks ---- */

/* A chunk of a panel. */
struct unit {
    const int8_t *x; /* the first token's, from the chunk on */
    const struct chunk *c;
    float (*acc)[WIDTH];
    size_t n; /* blocks */
};

INLINE struct unit unit_of(struct work *w, size_t chunk, size_t p)
{
    const size_t left = w->m->k / Q_BLOCK - chunk * CHUNK;
    return (struct unit){.x = w->m->xq.q + w->token * w->m->k + chunk * Q_WIDE,
                         .c = (const struct chunk *)w->m->scratch + chunk * w->P + p,
                         .acc = w->acc[p],
                         .n = left < CHUNK ? left : CHUNK};
}

#define PUT(sums, x, w, from_x, stride, from_w) \
    do {                                        \
        TILE_LOAD(x, from_x, stride);           \
        TILE_LOAD(w, from_w, 64);               \
        TILE_ZERO(sums);                        \
        TILE_DOT(sums, x, w);                   \
    } while (0)

/* Block b's products. Units of an odd number of blocks take the last one twice. */
INLINE void put(const struct mul *m, const struct unit *u, size_t b, bool odd)
{
    b = b < u->n ? b : u->n - 1;
    const int8_t *x = u->x + b * Q_BLOCK;
    const uint8_t *w = u->c->w[b][0];
    if (odd)
        PUT(ODD_SUMS, X_1, W_1, x, m->k, w);
    else
        PUT(EVEN_SUMS, X_0, W_0, x, m->k, w);
}

INLINE void take_sums(struct work *w, bool odd)
{
    if (odd)
        TILE_STORE(ODD_SUMS, w->sums[1]);
    else
        TILE_STORE(EVEN_SUMS, w->sums[0]);
}

/* All blocks of a unit; the first two of the next begin meanwhile. Chains beyond the last token are of stale sums, and
 * dropped. */
INLINE void run_unit(struct form f, struct work *w, const struct unit *u, const struct unit *next)
{
    struct chain chains[TOKENS];
    for (int i = 0; i < TOKENS; i++)
        chains[i].acc = V(loadu_ps)(u->acc[i]);
    for (size_t b = 0; b < u->n; b += 2)
#pragma GCC unroll 2
        for (size_t odd = 0; odd < 2; odd++) {
            if (b + 2 < u->n)
                put(w->m, u, b + odd + 2, odd);
            else
                put(w->m, next, odd, odd);
            take_sums(w, !odd);
            if (odd && b + 1 == u->n)
                break;
            const struct scale scale = scale_at(f, &u->c->s, b + odd);
#pragma GCC unroll 16
            for (int i = 0; i < TOKENS; i++) {
                const struct activations x = {.d = w->d[b + odd][i], .ds = w->ds[b + odd][i]};
                step(f, &chains[i], vi_load(w->sums[odd][i]), V(set1_epi32)(0), &scale, &x, b + odd);
            }
        }
    for (int i = 0; i < TOKENS; i++)
        V(storeu_ps)(u->acc[i], chains[i].acc);
}

INLINE void run_units(struct form f, struct work *w)
{
    const size_t n_chunks = (w->m->k / Q_BLOCK + CHUNK - 1) / CHUNK;
    struct unit u = unit_of(w, 0, 0);
    put(w->m, &u, 0, false);
    put(w->m, &u, 1, true);
    take_sums(w, false);
    for (size_t chunk = 0; chunk < n_chunks; chunk++) {
        take_scales_of_tokens(w, w->d, w->m->xq.d, chunk * CHUNK, u.n);
        if (f.sums == SUMS_MIN)
            take_scales_of_tokens(w, w->ds, w->m->xq.ds, chunk * CHUNK, u.n);
        for (size_t p = 0; p < w->P; p++) {
            struct unit next = u;
            if (p + 1 < w->P)
                next = unit_of(w, chunk, p + 1);
            else if (chunk + 1 < n_chunks)
                next = unit_of(w, chunk + 1, 0);
            run_unit(f, w, &u, &next);
            u = next;
        }
    }
}

static __attribute__((noinline)) void units_plain(struct work *w)
{
    run_units((struct form){SUMS_PLAIN, false, false, false, 0}, w);
}

static __attribute__((noinline)) void units_min(struct work *w)
{
    run_units((struct form){SUMS_MIN, false, false, false, 0}, w);
}

/* ---- superblocks ---- */

/* A superblock's products: items are unsigned, and so are minima. */
#define PUT_256(sums, minima_sums, with_minima, c, x, stride, by_16) \
    do {                                                             \
        TILE_ZERO(sums);                                             \
        for (size_t i = 0; i < 4; i++) {                             \
            TILE_LOAD(X_0, (x) + 64 * i, stride);                    \
            TILE_LOAD(W_0, (c)->w[2 * i][0], 64);                    \
            TILE_DOT_UNSIGNED(sums, X_0, W_0);                       \
        }                                                            \
        if (with_minima) {                                           \
            TILE_LOAD(X_1, by_16, 2 * 2 * CHUNK);                    \
            TILE_LOAD(W_1, (c)->minima, 64);                         \
            TILE_ZERO(minima_sums);                                  \
            TILE_DOT_UNSIGNED(minima_sums, X_1, W_1);                \
        }                                                            \
    } while (0)

INLINE void put_256(bool with_minima, struct work *w, size_t chunk, size_t p, bool odd)
{
    const struct unit u = unit_of(w, chunk, p);
    if (odd)
        PUT_256(ODD_SUMS, ODD_MINIMA, with_minima, u.c, u.x, w->m->k, w->by_16);
    else
        PUT_256(EVEN_SUMS, EVEN_MINIMA, with_minima, u.c, u.x, w->m->k, w->by_16);
}

INLINE void take_minima(struct work *w, bool odd)
{
    if (odd)
        TILE_STORE(ODD_MINIMA, w->minima[1]);
    else
        TILE_STORE(EVEN_MINIMA, w->minima[0]);
}

/* The step of a superblock of panel p. */
INLINE void step_256(struct form f, struct work *w, size_t chunk, size_t p, bool odd)
{
    const struct unit u = unit_of(w, chunk, p);
    const struct scale scale = {.d = V(loadu_ps)(u.c->s.d[0]), .m = V(loadu_ps)(u.c->s.m[0])};
#pragma GCC unroll 4
    for (size_t i = 0; i < w->n; i++) {
        const struct activations x = {.d = w->d[0][i]};
        const vi sum = V(add_epi32)(vi_load(w->sums[odd][i]), V(set1_epi32)(w->offsets[i]));
        const vi least = f.sums == SUMS_WIDE_MIN ? vi_load(w->minima[odd][i]) : V(set1_epi32)(0);
        const vf acc = V(loadu_ps)(u.acc[i]);
        V(storeu_ps)(u.acc[i], step_wide(f, acc, V(cvtepi32_ps)(sum), V(cvtepi32_ps)(least), &scale, &x));
    }
}

/* What all panels need of a superblock's activations. Sums of 16, at most 16 * 127, are 16 h + l with l < 16: h and l
 * meet minima, which have four bits, times 16 and as they are. */
INLINE void take_superblock(struct form f, struct work *w, size_t chunk)
{
    for (size_t i = 0; i < w->n; i++) {
        const struct activations x = activations_of(w->m, w->token + i, chunk * CHUNK);
        w->d[0][i] = x.d;
        w->offsets[i] = f.sums == SUMS_WIDE ? -f.offset * sum_of_256(x.sums) : 0;
        const __m256i sums = _mm256_loadu_si256((const __m256i *)(const void *)x.sums);
        const __m128i h = _mm256_cvtepi16_epi8(_mm256_srai_epi16(sums, 4));
        const __m128i l = _mm256_cvtepi16_epi8(_mm256_and_si256(sums, _mm256_set1_epi16(15)));
        _mm_storeu_si128((__m128i *)(void *)w->by_16[i][0], h);
        _mm_storeu_si128((__m128i *)(void *)w->by_16[i][1], l);
    }
}

/* One panel's products run while the sums of the one before are met. */
INLINE void run_superblocks(struct form f, struct work *w)
{
    const bool with_minima = f.sums == SUMS_WIDE_MIN;
    for (size_t chunk = 0; chunk < w->m->k / Q_WIDE; chunk++) {
        take_superblock(f, w, chunk);
        put_256(with_minima, w, chunk, 0, false);
        for (size_t p = 0; p < w->P; p++) {
            const bool odd = p % 2;
            if (p + 1 < w->P)
                put_256(with_minima, w, chunk, p + 1, !odd);
            take_sums(w, odd);
            if (with_minima)
                take_minima(w, odd);
            step_256(f, w, chunk, p, odd);
        }
    }
}

static __attribute__((noinline)) void superblocks(struct work *w, int offset)
{
    run_superblocks((struct form){SUMS_WIDE, false, false, false, offset}, w);
}

static __attribute__((noinline)) void superblocks_min(struct work *w)
{
    run_superblocks((struct form){SUMS_WIDE_MIN, false, false, false, 0}, w);
}

/* Q2_K's minima of 16, times 16 and as they are, in words. */
static void minima_in_words(struct chunk *c)
{
    for (int i = 0; i < 4; i++) {
        __m128i a[4];
        for (int j = 0; j < 4; j++)
            a[j] = _mm_loadu_si128((const __m128i *)(const void *)c->s.n[4 * i + j]);
        const __m128i lo[2] = {_mm_unpacklo_epi8(a[0], a[1]), _mm_unpacklo_epi8(a[2], a[3])};
        const __m128i hi[2] = {_mm_unpackhi_epi8(a[0], a[1]), _mm_unpackhi_epi8(a[2], a[3])};
        const __m256i ab = _mm256_set_m128i(_mm_unpackhi_epi16(lo[0], lo[1]), _mm_unpacklo_epi16(lo[0], lo[1]));
        const __m256i cd = _mm256_set_m128i(_mm_unpackhi_epi16(hi[0], hi[1]), _mm_unpacklo_epi16(hi[0], hi[1]));
        const vi words = _mm512_inserti64x4(_mm512_castsi256_si512(ab), cd, 1);
        vi_store(c->minima[i], V(slli_epi32)(words, 4)); /* of four bits: none reaches the next byte */
        vi_store(c->minima[4 + i], words);
    }
}

/* ---- a product ---- */

static void meet(struct form f, struct work *w)
{
    memset(w->acc, 0, sizeof w->acc);
    switch (f.sums) {
    case SUMS_PLAIN: units_plain(w); break;
    case SUMS_MIN: units_min(w); break;
    case SUMS_16: break; /* not here (fewest) */
    case SUMS_WIDE: superblocks(w, f.offset); break;
    case SUMS_WIDE_MIN: superblocks_min(w); break;
    }
    for (size_t i = 0; i < w->n; i++)
        for (size_t p = 0; p < w->P; p++)
            V(storeu_ps)(w->m->y + (w->token + i) * w->m->y_stride + w->r + p * WIDTH, V(loadu_ps)(w->acc[p][i]));
}

/* P panels times all tokens, in groups of n; the last group may overlap the one before it, to the same bits. */
static void panels(const struct mul *m, const struct typed *typed, size_t r, size_t P, size_t n)
{
    const struct form f = form_of_many(typed->type);
    struct work w = {.m = m, .r = r, .n = n, .P = P};
    struct chunk *c = m->scratch;
    for (size_t p = 0; p < P; p++)
        typed->unpack(m, r + p * WIDTH, c + p, P, is_wide(f.sums) ? 0 : f.offset);
    for (size_t i = 0; can_scale(typed->type) && i < m->k / Q_WIDE * P; i++) {
        scale_items(c + i, offset_of(typed->type), f);
        if (f.sums == SUMS_WIDE_MIN)
            minima_in_words(c + i);
    }
    for (size_t t = 0; t < m->n_tokens; t += n) {
        w.token = t + n < m->n_tokens ? t : m->n_tokens - n;
        meet(f, &w);
    }
}

/* Tokens from which on this is faster than the level below: never where each block has two steps of floats. */
static size_t fewest(struct form f) { return f.sums == SUMS_16 ? SIZE_MAX : is_wide(f.sums) ? 16 : 24; }

static void product(const struct mul *m, const struct typed *typed)
{
    const struct form f = form_of_many(typed->type);
    if (m->n_rows < WIDTH || m->n_tokens < fewest(f)) {
        product_avx512(m, typed);
        return;
    }
    /* Groups of one size, at least 8. */
    const size_t groups = (m->n_tokens + TOKENS - 1) / TOKENS, n = (m->n_tokens + groups - 1) / groups;
    configure(n, is_wide(f.sums) ? 64 : Q_BLOCK, Q_BLOCK);
    for (size_t r = 0, P; r < m->n_rows; r += P * WIDTH) {
        P = (m->n_rows - r) / WIDTH;
        P = P < PANELS ? P : PANELS;
        if (P == 0) {
            P = 1;
            r = m->n_rows - WIDTH;
        }
        panels(m, typed, r, P, n);
    }
    release();
}

#define QUANTIZED(name, type) \
    static void mul_##name(const struct mul *m) { product(m, &typed_##name##_avx512); }
#include "kernels/quantized.def"
#undef QUANTIZED

void products_overlay_amx(struct kernels *k)
{
#define QUANTIZED(name, type) k->mul_##name = mul_##name;
#include "kernels/quantized.def"
#undef QUANTIZED
}
