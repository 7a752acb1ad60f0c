/* fuzz_spiece.c - any bytes as a SentencePiece model: read or refused with a sentence; what is read can be read to its
 * last byte, and names no piece that is not there. */
#include "files/spiece.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static bool is_in(struct span text, const uint8_t *data, size_t n)
{
    const uint8_t *p = (const uint8_t *)text.p;
    return text.n == 0 || (p >= data && text.n <= n && p + text.n <= data + n);
}

static void check(const struct spiece *s, const uint8_t *data, size_t n)
{
    const int32_t ids[] = {s->unknown, s->bos, s->eos, s->padding};
    if (s->n_pieces == 0 || s->n_pieces > n / 2 || !is_in(s->charsmap, data, n))
        abort();
    for (size_t i = 0; i < s->n_pieces; i++)
        if (!is_in(s->texts[i], data, n) || s->kinds[i] < 1 || s->kinds[i] > 6 || s->scores[i] - s->scores[i] != 0)
            abort();
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        if (ids[i] < -1 || ids[i] >= (int64_t)s->n_pieces)
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct arena arena;
    struct spiece s;
    andiron_error error = {0};
    arena_init(&arena, (size_t)1 << 30);
    const andiron_status status = spiece_read(&s, (struct span){(const char *)data, n}, "spiece.model", &arena, &error);
    if (!status)
        check(&s, data, n);
    else if (error.status != status || !error.text[0])
        abort();
    arena_reset(&arena);
    return 0;
}
