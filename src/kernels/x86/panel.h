/* panel.h - eight blocks of a panel: their scales, and their items in rows or in words; a panel block by block. */
#ifndef KERNELS_X86_PANEL_H
#define KERNELS_X86_PANEL_H

#include "kernels/x86/books.h"
#include "kernels/x86/fetch.h"
#include "kernels/x86/scales.h"
#include "kernels/x86/sums.h"

/* Eight blocks of a panel; items where they come from a code book. */
struct eight {
    const uint8_t *panel;
    size_t row_bytes, first; /* first: a multiple of CHUNK */
    vi raw[RAW][4];
    struct book book;
};

/* Those of a panel that begins at `panel`, from block `first` on. */
INLINE void take(uint32_t type, const uint8_t *panel, size_t row_bytes, size_t first, struct eight *out)
{
    out->panel = panel;
    out->row_bytes = row_bytes;
    out->first = first;
    if (has_grid(type))
        open_book(type, block_at(type, panel, first), row_bytes, &out->book);
}

/* Their scales; n: CHUNK, or fewer at a row's end. */
INLINE void take_scales(uint32_t type, const struct eight *from, size_t n, struct scales *s)
{
    const uint8_t *p = block_at(type, from->panel, from->first);
    const size_t row_bytes = from->row_bytes;
    if (has_grid(type))
        scales_of_book(type, p, row_bytes, &from->book, s);
    else if (has_first_word(type) && n == CHUNK) /* without looking for the end at each block */
        scales_first(type, p, row_bytes, CHUNK, s);
    else if (has_first_word(type))
        scales_first(type, p, row_bytes, n, s);
    else if (type == TYPE_TQ1_0 || type == TYPE_TQ2_0)
        scales_last(type, p, row_bytes, s);
    else if (type == TYPE_IQ4_XS)
        scales_iq4_xs(p, row_bytes, s);
    else if (sums_apart(type))
        scales_of_16(type, p, row_bytes, s);
    else
        scales_k4(p, row_bytes, s);
}

/* Items of block b of the eight; blocks of superblocks in rising order. */
INLINE void fetch(uint32_t type, struct eight *from, size_t b, struct items *out)
{
    if (has_grid(type)) {
        read_book(type, &from->book, b, out);
        return;
    }
    read_raw(type, block_at(type, from->panel, from->first), from->row_bytes, b, false, from->raw);
    for (size_t j = 0; j < 4; j++) {
        if (has_raw(type)) {
            out->lo[j] = fetch_raw(type, from->raw, j, b, 0);
            out->hi[j] = fetch_raw(type, from->raw, j, b, 1);
            continue;
        }
        const uint8_t *row = from->panel + j * from->row_bytes;
        fetch_row(type, block_at(type, row, from->first + b), 4 * from->row_bytes, b, &out->lo[j], &out->hi[j]);
    }
}

/* Or words. */
INLINE void fetch_words(uint32_t type, struct eight *from, size_t b, vi w[8])
{
    if (has_raw_words(type)) {
        read_raw(type, block_at(type, from->panel, from->first), from->row_bytes, b, true, from->raw);
        for (size_t j = 0; j < 8; j++)
            w[j] = fetch_raw(type, from->raw, j % 4, b, j / 4);
    } else if (has_nibbles(type)) {
        nibble_words(type, block_at(type, from->panel, from->first + b), from->row_bytes, b, w);
    } else {
        struct items x;
        fetch(type, from, b, &x);
        transpose_words(x.lo);
        transpose_words(x.hi);
        for (size_t j = 0; j < 8; j++)
            w[j] = j < 4 ? x.lo[j] : x.hi[j - 4];
    }
}

/* Weights of the next panels come into the second-level cache while these are worked on: SmolLM2's generation went from
 * 155 to 245 tokens/s by it, more than by fetching into the first level. They are fetched evenly, block by block: what
 * a burst asks for beyond the lines that cache can wait for is dropped. */
enum { LINE = 64, LONG_PANEL = 32 << 10 };

INLINE const uint8_t *panel_at(const struct mul *m, size_t r) { return (const uint8_t *)m->w + r * m->row_bytes; }

/* Where those stand: n panels after the one from row r on, or one where panels are long. */
INLINE const uint8_t *ahead_of(const struct mul *m, size_t r, size_t n)
{
    const size_t bytes = WIDTH * m->row_bytes;
    return panel_at(m, r) + bytes * (bytes < LONG_PANEL ? n : 1);
}

/* Bytes of a panel's block; on average, of longer ones. */
INLINE size_t panel_block_bytes(uint32_t type) { return WIDTH * block_bytes(type) / block_length(type); }

/* The lines of block b of those that begin at `at`, each of so many bytes. */
INLINE void fetch_lines(const uint8_t *at, size_t bytes, size_t b)
{
    const size_t from = b * bytes + LINE - 1, to = from + bytes;
    for (size_t line = from / LINE; line < to / LINE; line++)
        _mm_prefetch((const char *)at + line * LINE, _MM_HINT_T1);
}

/* The lines there of block first + b; first: a multiple of CHUNK. Where b is a constant, so are their places beside
 * those of `first`: a loop that counts what is due takes a tenth of the time of a block of Q4_0. */
INLINE void fetch_ahead(uint32_t type, const uint8_t *ahead, size_t first, size_t b)
{
    const uint8_t *at = ahead + first * panel_block_bytes(type);
    /* Compilers would bring the lines of all blocks together. With superblocks it serves, too, not to keep the
     * addresses of 16 rows. */
    if (has_first_word(type))
        __asm__ volatile("" : "+r"(at));
    else
        __asm__ volatile("" : "+r"(at) : : "memory");
    fetch_lines(at, panel_block_bytes(type), b);
}

/* A panel block by block. The words that hold scales are copied eight blocks before they are needed: a register that is
 * loaded over several stores waits until all of them have reached the cache. */
struct walk {
    size_t n_blocks;
    struct eight blocks;          /* at hand */
    struct scales s;              /* theirs; not of types that has_first_word */
    uint32_t words[CHUNK][WIDTH]; /* copy_words of each block, until it is met; then of that in the next eight */
    const uint8_t *ahead;
};

INLINE void walk_start(struct walk *k, uint32_t type, const struct mul *m, size_t r)
{
    const uint8_t *panel = panel_at(m, r);
    k->n_blocks = m->k / Q_BLOCK;
    k->ahead = ahead_of(m, r, 2);
    k->blocks.panel = panel;
    k->blocks.row_bytes = m->row_bytes;
    for (size_t b = 0; has_first_word(type) && b < CHUNK && b < k->n_blocks; b++)
        copy_words(type, panel, m->row_bytes, b, k->words[b]);
}

/* Eight blocks from `first` on, or fewer at the row's end: how many. */
INLINE size_t walk_take(struct walk *k, uint32_t type, size_t first)
{
    take(type, k->blocks.panel, k->blocks.row_bytes, first, &k->blocks);
    if (!has_first_word(type))
        take_scales(type, &k->blocks, CHUNK, &k->s);
    return block_length(type) == CHUNK || k->n_blocks - first > CHUNK ? CHUNK : k->n_blocks - first;
}

/* A superblock of Q6_K is read all over from its first block on. If all its lines have to come from the second-level
 * cache at that moment, no lines come from memory meanwhile: they are fetched with the blocks before, two rows each.
 * Those of gains_near only where that pays (`near`): not on Zen 4. */
INLINE bool gains_near(uint32_t type) { return type == TYPE_Q3_K || type == TYPE_Q4_K || type == TYPE_Q5_K; }

INLINE void fetch_superblock(const struct walk *k, uint32_t type, size_t b, bool near)
{
    const uint8_t *row = block_at(type, k->blocks.panel, k->blocks.first + CHUNK);
    if (!near && type != TYPE_Q6_K)
        return;
    for (size_t r = WIDTH / CHUNK * b; r < WIDTH / CHUNK * (b + 1); r++)
        for (size_t at = 0; at < block_bytes(type) + LINE - 1; at += LINE)
            _mm_prefetch((const char *)row + r * k->blocks.row_bytes + at, _MM_HINT_T0);
}

/* Scales of block b of them, once. */
INLINE struct scale walk_scale(struct walk *k, uint32_t type, size_t b, bool near)
{
    fetch_superblock(k, type, b, near);
    if (!has_first_word(type))
        return scale_at(form_of(type), &k->s, b);
    const size_t next = k->blocks.first + CHUNK + b;
    struct scale s;
    s.d = scale_of_words(type, k->words[b], b);
    if (sums_of(type) != SUMS_PLAIN)
        s.m = second_of_words(type, k->words[b], b);
    if (next < k->n_blocks)
        copy_words(type, k->blocks.panel, k->blocks.row_bytes, next, k->words[b]);
    return s;
}

#endif
