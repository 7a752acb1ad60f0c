/* panel.h - eight blocks of a panel: their scales, and their items in rows or in words. */
#ifndef KERNELS_X86_PANEL_H
#define KERNELS_X86_PANEL_H

#include "kernels/x86/books.h"
#include "kernels/x86/fetch.h"
#include "kernels/x86/scales.h"

/* Eight blocks of a panel; items where they come from a code book. */
struct eight {
    const uint8_t *panel;
    size_t row_bytes, first; /* first: a multiple of CHUNK */
    vi raw[RAW][4];
    struct book book;
};

/* n of them, of a panel that begins at `panel`. */
INLINE void take(uint32_t type, const uint8_t *panel, size_t row_bytes, size_t first, size_t n, struct eight *out,
                 struct scales *s)
{
    const uint8_t *p = block_at(type, panel, first);
    out->panel = panel;
    out->row_bytes = row_bytes;
    out->first = first;
    if (has_raw(type))
        read_raw(type, p, row_bytes, out->raw);
    if (has_grid(type)) {
        open_book(type, p, row_bytes, &out->book);
        scales_of_book(type, p, row_bytes, &out->book, s);
    } else if (block_length(type) < CHUNK) {
        if (n == CHUNK) /* without looking for the end at each block */
            scales_first(type, p, row_bytes, CHUNK, s);
        else
            scales_first(type, p, row_bytes, n, s);
    } else if (type == TYPE_TQ1_0 || type == TYPE_TQ2_0) {
        scales_last(type, p, row_bytes, s);
    } else if (type == TYPE_IQ4_XS) {
        scales_iq4_xs(p, row_bytes, s);
    } else if (sums_apart(sums_of(type))) {
        scales_of_16(type, p, row_bytes, s);
    } else {
        scales_k4(p, row_bytes, s);
    }
}

/* Items of block b of the eight. */
INLINE void fetch(uint32_t type, struct eight *from, size_t b, struct items *out)
{
    if (has_grid(type)) {
        read_book(type, &from->book, b, out);
        return;
    }
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

/* Block b of the eight as words; of types that have_raw_words the bytes are transposed already. */
INLINE void fetch_words(uint32_t type, struct eight *from, size_t b, vi w[8])
{
    if (has_raw_words(type)) {
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
 * 155 to 245 tokens/s by it, more than by fetching into the first level. They are fetched evenly, for a burst would
 * keep the memory waiting after it, and a core has 16 lines under way at most. Work is counted in blocks of 32 of a
 * panel times what is done with each. */
struct ahead {
    const uint8_t *at;
    size_t bytes; /* of a block */
    size_t due;   /* bytes times work */
    size_t line;  /* 64 bytes times all the work that a block takes */
};

INLINE void fetch_due(struct ahead *a, size_t work)
{
    for (a->due += a->bytes * work; a->due >= a->line; a->due -= a->line, a->at += 64)
        _mm_prefetch((const char *)a->at, _MM_HINT_T1);
}

#endif
