/* amx_products.c - products of quantized weights with many tokens on CPUs with AMX (Intel, "Architecture Instruction
 * Set Extensions", chapter 3). Adds to the level avx512, whose panels, scales and steps these are.
 *
 * A tile is a matrix: activations of up to 16 tokens, as they stand, or a block of a panel in words (unpack.h). One
 * instruction adds all products of 16 tokens with 16 rows to a tile of sums, exact integers as ever. Sums go to memory,
 * where they meet their scales in the chains of struct mul, and that takes the time: while tiles are at work, only one
 * of the two units of 512 bits multiplies (seen on a Xeon of the fifth generation). So three things are under way at
 * once: the products of one block, the sums of the one before on their way to memory, the floats of the one before
 * that. A superblock of a wide type is one step of the chain, not eight, and runs near the speed of tiles. */
#include "kernels/x86/amx.h"
#include "kernels/x86/products.h"

enum {
    TOKENS = 16, /* of a tile, at most */
    PANELS = MUL_PANELS,
};

/* ---- tiles ---- */

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
    tiles_begin(&c);
}

/* ---- a group of tokens ---- */

/* What all panels need of a chunk of the group's activations. */
struct taken {
    float d[CHUNK][TOKENS], ds[CHUNK][TOKENS]; /* the blocks' scales, side by side */
    int32_t offsets[TOKENS];                   /* SUMS_WIDE: what the items' offset adds */
    int8_t by_16[TOKENS][2][2 * CHUNK];        /* SUMS_WIDE_MIN: sums of 16, in two parts */
};
_Static_assert(MUL_PANELS * sizeof(struct chunk) + sizeof(struct taken) <= MUL_CHUNK_BYTES, "scratch holds both");

/* Some panels with n tokens from `token` on. Where a row of sums lies in two lines, all takes a fifth longer. */
#define ALIGNED __attribute__((aligned(64)))
struct work {
    const struct mul *m;
    const struct typed *typed;
    size_t token, n;
    struct chunk *chunks; /* unpacked */
    struct taken *taken;  /* of each chunk of the activations */
    size_t fetched;       /* bytes of a panel's block, where run_blocks fetches */
    ALIGNED int32_t sums[2][TOKENS][WIDTH], minima[2][TOKENS][WIDTH]; /* of an even and an odd place */
    ALIGNED float acc[PANELS][TOKENS][WIDTH];                         /* chains */
};

/* Numbers of up to 8 tokens from `t` on, n of each, a token's last one for those beyond it, as columns of `to`. */
INLINE void transpose(const struct work *w, float *to, const float *from, size_t t, size_t stride, size_t n)
{
    __m256 a[8], b[8];
    for (size_t i = 0; i < 8; i++) {
        const size_t token = t + i < w->n ? t + i : w->n - 1;
        a[i] = _mm256_maskz_loadu_ps((__mmask8)((1 << n) - 1), from + token * stride);
    }
    for (int i = 0; i < 8; i += 2) {
        b[i] = _mm256_unpacklo_ps(a[i], a[i + 1]);
        b[i + 1] = _mm256_unpackhi_ps(a[i], a[i + 1]);
    }
    for (int i = 0; i < 8; i += 4)
        for (int j = 0; j < 2; j++) {
            a[i + 2 * j] = _mm256_shuffle_ps(b[i + j], b[i + j + 2], 0x44);
            a[i + 2 * j + 1] = _mm256_shuffle_ps(b[i + j], b[i + j + 2], 0xee);
        }
    for (size_t i = 0; i < 4; i++) {
        _mm256_storeu_ps(to + i * TOKENS + t, _mm256_permute2f128_ps(a[i], a[i + 4], 0x20));
        _mm256_storeu_ps(to + (i + 4) * TOKENS + t, _mm256_permute2f128_ps(a[i], a[i + 4], 0x31));
    }
}

/* Of all of the chunk's blocks. */
INLINE void take_blocks(struct form f, struct work *w, size_t chunk)
{
    const size_t n_blocks = w->m->k / Q_BLOCK, left = n_blocks - chunk * CHUNK, n = left < CHUNK ? left : CHUNK;
    const size_t from = w->token * n_blocks + chunk * CHUNK;
    for (size_t t = 0; t < w->n; t += 8) {
        transpose(w, w->taken[chunk].d[0], w->m->xq.d + from, t, n_blocks, n);
        if (f.sums == SUMS_MIN)
            transpose(w, w->taken[chunk].ds[0], w->m->xq.ds + from, t, n_blocks, n);
    }
}

/* Of a superblock. Sums of 16, at most 16 * 127, are 16 h + l with l < 16: h and l meet minima, which have four bits,
 * times 16 and as they are. */
INLINE void take_superblock(struct form f, struct work *w, size_t chunk)
{
    struct taken *to = &w->taken[chunk];
    for (size_t i = 0; i < w->n; i++) {
        const struct activations x = activations_of(w->m, w->token + i, chunk * CHUNK);
        to->d[0][i] = x.d;
        to->offsets[i] = f.sums == SUMS_WIDE ? -f.offset * sum_of_256(x.sums) : 0;
        const __m256i sums = _mm256_loadu_si256((const __m256i *)(const void *)x.sums);
        const __m128i h = _mm256_cvtepi16_epi8(_mm256_srai_epi16(sums, 4));
        const __m128i l = _mm256_cvtepi16_epi8(_mm256_and_si256(sums, _mm256_set1_epi16(15)));
        _mm_storeu_si128((__m128i *)(void *)to->by_16[i][0], h);
        _mm_storeu_si128((__m128i *)(void *)to->by_16[i][1], l);
    }
}

INLINE void take_group(struct form f, struct work *w)
{
    for (size_t chunk = 0; chunk < chunks_of(w->m->k); chunk++)
        if (is_wide(f.sums))
            take_superblock(f, w, chunk);
        else
            take_blocks(f, w, chunk);
}

/* ---- panels unpacked ---- */

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

/* Items of a wide type stay unsigned, times their scales; others lose their offset. */
static void unpack(const struct work *w, size_t r, size_t chunk, const uint8_t *ahead, struct chunk *to)
{
    const uint32_t type = w->typed->type;
    const struct form f = form_of_many(type);
    w->typed->unpack(&(struct unpacking){.m = w->m,
                                         .r = r,
                                         .chunk = chunk,
                                         .ahead = ahead,
                                         .half = w->fetched > 0,
                                         .less = is_wide(f.sums) ? 0 : f.offset},
                     to);
    if (can_scale(type))
        scale_items(to, offset_of(type), f);
    if (f.sums == SUMS_WIDE_MIN)
        minima_in_words(to);
}

/* A chunk of a panel with the group. */
struct unit {
    const int8_t *x; /* the first token's, from the chunk on */
    const struct chunk *c;
    const struct taken *taken;
    float (*acc)[WIDTH];
    size_t n;             /* blocks */
    const uint8_t *ahead; /* from the chunk on, where run_blocks fetches */
};

INLINE struct unit unit_of(struct work *w, size_t chunk, const struct chunk *c, float acc[TOKENS][WIDTH])
{
    const size_t left = w->m->k / Q_BLOCK - chunk * CHUNK;
    return (struct unit){.x = w->m->xq.q + w->token * w->m->k + chunk * Q_WIDE,
                         .c = c,
                         .taken = w->taken + chunk,
                         .acc = acc,
                         .n = left < CHUNK ? left : CHUNK};
}

INLINE void take_sums(struct work *w, bool odd)
{
    if (odd)
        TILE_STORE(ODD_SUMS, w->sums[1]);
    else
        TILE_STORE(EVEN_SUMS, w->sums[0]);
}

/* ---- block by block ---- */

#define PUT(sums, x, w, from_x, stride, from_w) \
    do {                                        \
        TILE_LOAD(x, from_x, stride);           \
        TILE_LOAD(w, from_w, 64);               \
        TILE_ZERO(sums);                        \
        TILE_DOT(sums, x, w);                   \
    } while (0)

/* Block b's products. Units of an odd number of blocks take the last one twice. */
INLINE void put(const struct work *w, const struct unit *u, size_t b, bool odd)
{
    b = b < u->n ? b : u->n - 1;
    const int8_t *x = u->x + b * Q_BLOCK;
    const uint8_t *words = u->c->w[0][0] + b * sizeof u->c->w[0];
    if (odd)
        PUT(ODD_SUMS, X_1, W_1, x, w->m->k, words);
    else
        PUT(EVEN_SUMS, X_0, W_0, x, w->m->k, words);
}

/* All blocks of a unit; the first two of the next begin meanwhile. T: chains at hand, at least as many as tokens; those
 * beyond the last token are of stale sums, and dropped. */
INLINE void run_blocks(struct form f, struct work *w, const struct unit *u, const struct unit *next, int T)
{
    struct chain chains[TOKENS];
    for (int i = 0; i < T; i++)
        chains[i].acc = V(loadu_ps)(u->acc[i]);
    for (size_t b = 0; b < u->n; b += 2)
#pragma GCC unroll 2
        for (size_t odd = 0; odd < 2; odd++) {
            if (b + 2 < u->n)
                put(w, u, b + odd + 2, odd);
            else
                put(w, next, odd, odd);
            take_sums(w, !odd);
            if (odd && b + 1 == u->n)
                break;
            if (odd && w->fetched) /* what `unpack` did not */
                fetch_lines(u->ahead, w->fetched, b + 1);
            const struct scale scale = scale_at(f, &u->c->s, b + odd);
#pragma GCC unroll 16
            for (int i = 0; i < T; i++) {
                const struct activations x = {.d = u->taken->d[b + odd][i], .ds = u->taken->ds[b + odd][i]};
                step(f, &chains[i], vi_load(w->sums[odd][i]), V(set1_epi32)(0), &scale, &x, b + odd);
            }
        }
    for (int i = 0; i < T; i++)
        V(storeu_ps)(u->acc[i], chains[i].acc);
}

/* ---- superblock by superblock ---- */

/* Products of a superblock: items are unsigned, and so are minima. */
#define PUT_256(sums, minima_sums, with_minima, u, stride)    \
    do {                                                      \
        TILE_ZERO(sums);                                      \
        for (size_t i = 0; i < 4; i++) {                      \
            TILE_LOAD(X_0, (u)->x + 64 * i, stride);          \
            TILE_LOAD(W_0, (u)->c->w[2 * i][0], 64);          \
            TILE_DOT_UNSIGNED(sums, X_0, W_0);                \
        }                                                     \
        if (with_minima) {                                    \
            TILE_LOAD(X_1, (u)->taken->by_16, 2 * 2 * CHUNK); \
            TILE_LOAD(W_1, (u)->c->minima, 64);               \
            TILE_ZERO(minima_sums);                           \
            TILE_DOT_UNSIGNED(minima_sums, X_1, W_1);         \
        }                                                     \
    } while (0)

INLINE void put_256(struct form f, const struct work *w, const struct unit *u, bool odd)
{
    if (odd)
        PUT_256(ODD_SUMS, ODD_MINIMA, f.sums == SUMS_WIDE_MIN, u, w->m->k);
    else
        PUT_256(EVEN_SUMS, EVEN_MINIMA, f.sums == SUMS_WIDE_MIN, u, w->m->k);
}

/* One step of each chain, while products of the next superblock run. */
INLINE void run_superblock(struct form f, struct work *w, const struct unit *u, const struct unit *next, bool odd)
{
    put_256(f, w, next, !odd);
    take_sums(w, odd);
    if (f.sums == SUMS_WIDE_MIN && odd)
        TILE_STORE(ODD_MINIMA, w->minima[1]);
    else if (f.sums == SUMS_WIDE_MIN)
        TILE_STORE(EVEN_MINIMA, w->minima[0]);
    const struct scale scale = {.d = V(loadu_ps)(u->c->s.d[0]), .m = V(loadu_ps)(u->c->s.m[0])};
#pragma GCC unroll 4
    for (size_t i = 0; i < w->n; i++) {
        const struct activations x = {.d = u->taken->d[0][i]};
        const vi sum = V(add_epi32)(vi_load(w->sums[odd][i]), V(set1_epi32)(u->taken->offsets[i]));
        const vi least = f.sums == SUMS_WIDE_MIN ? vi_load(w->minima[odd][i]) : V(set1_epi32)(0);
        const vf acc = V(loadu_ps)(u->acc[i]);
        V(storeu_ps)(u->acc[i], step_wide(f, acc, V(cvtepi32_ps)(sum), V(cvtepi32_ps)(least), &scale, &x));
    }
}

/* ---- unit after unit ---- */

INLINE void begin(struct form f, struct work *w, const struct unit *u)
{
    if (is_wide(f.sums)) {
        put_256(f, w, u, false);
        return;
    }
    put(w, u, 0, false);
    put(w, u, 1, true);
    take_sums(w, false);
}

INLINE void run(struct form f, struct work *w, const struct unit *u, const struct unit *next, bool odd, int T)
{
    if (is_wide(f.sums))
        run_superblock(f, w, u, next, odd);
    else
        run_blocks(f, w, u, next, T);
}

static void write_out(const struct work *w, size_t r, float acc[TOKENS][WIDTH])
{
    for (size_t i = 0; i < w->n; i++)
        V(storeu_ps)(w->m->y + (w->token + i) * w->m->y_stride + r, V(loadu_ps)(acc[i]));
}

/* The row that panel p begins at: the last panel may overlap the one before it, to the same bits. */
INLINE size_t row_of(const struct mul *m, size_t p)
{
    return (p + 1) * WIDTH <= m->n_rows ? p * WIDTH : m->n_rows - WIDTH;
}

INLINE size_t panels_of(const struct mul *m) { return (m->n_rows + WIDTH - 1) / WIDTH; }

/* P panels from panel `first` on, unpacked whole, with one group of many. A chunk of the activations meets them all. */
INLINE void group_of_many(struct form f, struct work *w, size_t first, size_t P)
{
    const size_t n_units = chunks_of(w->m->k) * P;
    take_group(f, w);
    memset(w->acc, 0, sizeof w->acc);
    struct unit u = unit_of(w, 0, w->chunks, w->acc[0]);
    begin(f, w, &u);
    for (size_t i = 0, chunk = 0, p = 0; i < n_units; i++) {
        p = p + 1 < P ? p + 1 : 0;
        chunk += p == 0;
        const struct unit next = i + 1 < n_units ? unit_of(w, chunk, w->chunks + i + 1, w->acc[p]) : u;
        run(f, w, &u, &next, i % 2, TOKENS);
        u = next;
    }
    for (size_t p = 0; p < P; p++)
        write_out(w, row_of(w->m, first + p), w->acc[p]);
}

/* A chunk of panel p, unpacked for the only group. */
INLINE struct unit unpacked(struct work *w, size_t p, size_t chunk, struct chunk *to)
{
    const size_t r = row_of(w->m, p);
    const uint8_t *ahead = ahead_of(w->m, r, 2);
    unpack(w, r, chunk, ahead, to);
    struct unit u = unit_of(w, chunk, to, w->acc[0]);
    u.ahead = ahead + chunk * CHUNK * w->fetched;
    return u;
}

/* All panels with the only group: a chunk is unpacked while the one before it is met. */
INLINE void only_group(struct form f, struct work *w, int T)
{
    const size_t n_chunks = chunks_of(w->m->k), n_units = panels_of(w->m) * n_chunks;
    take_group(f, w);
    struct unit u = unpacked(w, 0, 0, w->chunks);
    memset(w->acc[0], 0, sizeof w->acc[0]);
    begin(f, w, &u);
    for (size_t i = 0, chunk = 0, p = 0; i < n_units; i++) {
        const bool last = chunk + 1 == n_chunks;
        const size_t r = row_of(w->m, p);
        struct unit next = u;
        p += last;
        chunk = last ? 0 : chunk + 1;
        if (i + 1 < n_units)
            next = unpacked(w, p, chunk, w->chunks + (i + 1) % 2);
        run(f, w, &u, &next, i % 2, T);
        u = next;
        if (!last)
            continue;
        write_out(w, r, w->acc[0]);
        memset(w->acc[0], 0, sizeof w->acc[0]);
    }
}

/* ---- a product ---- */

#define FORM(name, sums)                                                              \
    static void many_##name(struct work *w, int offset, size_t first, size_t P)       \
    {                                                                                 \
        group_of_many((struct form){sums, false, false, false, offset}, w, first, P); \
    }                                                                                 \
    static void only_##name(struct work *w, int offset)                               \
    {                                                                                 \
        const struct form f = {sums, false, false, false, offset};                    \
        if (w->n > 8)                                                                 \
            only_group(f, w, TOKENS);                                                 \
        else                                                                          \
            only_group(f, w, 8);                                                      \
    }
FORM(plain, SUMS_PLAIN)
FORM(min, SUMS_MIN)
FORM(wide, SUMS_WIDE)
FORM(wide_min, SUMS_WIDE_MIN)

/* By enum sums; none for SUMS_16 (fewest). */
static const struct {
    void (*many)(struct work *w, int offset, size_t first, size_t P);
    void (*only)(struct work *w, int offset);
} forms[] = {
    [SUMS_PLAIN] = {many_plain, only_plain},
    [SUMS_MIN] = {many_min, only_min},
    [SUMS_WIDE] = {many_wide, only_wide},
    [SUMS_WIDE_MIN] = {many_wide_min, only_wide_min},
};

/* P panels with all groups; the last group may overlap the one before it, to the same bits. */
static void many_groups(struct form f, struct work *w, size_t first, size_t P)
{
    for (size_t i = 0; i < chunks_of(w->m->k) * P; i++) {
        const size_t r = row_of(w->m, first + i % P);
        unpack(w, r, i / P, ahead_of(w->m, r, P), w->chunks + i);
    }
    for (size_t t = 0; t < w->m->n_tokens; t += w->n) {
        w->token = t + w->n < w->m->n_tokens ? t : w->m->n_tokens - w->n;
        forms[f.sums].many(w, f.offset, first, P);
    }
}

/* Tokens from which on this is faster than the level below: never where each block has two steps of floats, later where
 * items meet their scales first. */
static size_t fewest(uint32_t type) { return sums_of(type) == SUMS_16 ? SIZE_MAX : can_scale(type) ? 12 : 6; }

static void product(const struct mul *m, const struct typed *typed)
{
    const struct form f = form_of_many(typed->type);
    if (m->n_rows < WIDTH || m->n_tokens < fewest(typed->type)) {
        product_avx512(m, typed, true);
        return;
    }
    const size_t groups = (m->n_tokens + TOKENS - 1) / TOKENS;
    struct chunk *chunks = m->scratch;
    struct work w = {.m = m, .typed = typed, .chunks = chunks};
    w.taken = (struct taken *)(void *)(chunks + MUL_PANELS * chunks_of(m->k));
    w.n = (m->n_tokens + groups - 1) / groups;
    configure(w.n, is_wide(f.sums) ? 64 : Q_BLOCK, Q_BLOCK);
    if (groups == 1 && !is_wide(f.sums))
        w.fetched = panel_block_bytes(typed->type);
    if (groups == 1)
        forms[f.sums].only(&w, f.offset);
    for (size_t p = 0; groups > 1 && p < panels_of(m); p += PANELS)
        many_groups(f, &w, p, panels_of(m) - p < PANELS ? panels_of(m) - p : PANELS);
    tiles_end();
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
