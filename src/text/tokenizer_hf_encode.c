/* tokenizer_hf_encode.c - one text through the whole of tokenizer.json. */
#include "base/alloc.h"
#include "text/tokenizer_class.h"
#include "text/tokenizer_hf_internal.h"

enum { TEXT_MAX = INT32_MAX }; /* bytes of a text at any step: it may be refused for memory, never wrap round */

bool hf_run_open(struct hf_run *run, struct encoder *e)
{
    *run = (struct hf_run){.e = e, .t = e->t, .h = e->t->hf};
    buffer_init(&run->norms[0], TEXT_MAX);
    buffer_init(&run->norms[1], TEXT_MAX);
    buffer_init(&run->scratch, TEXT_MAX);
    for (size_t i = 0; i < HF_MAX_STEPS; i++)
        buffer_init(&run->texts[i], TEXT_MAX);
    return true;
}

void hf_run_close(struct hf_run *run)
{
    buffer_reset(&run->norms[0]);
    buffer_reset(&run->norms[1]);
    buffer_reset(&run->scratch);
    for (size_t i = 0; i < HF_MAX_STEPS; i++)
        buffer_reset(&run->texts[i]);
}

/* ---- whole UTF-8 ---- */

struct cleaner {
    struct buffer text, runs;
    size_t run, run_end; /* of the given text */
};

/* The runs of the clean text: a character belongs where its last byte does. */
static bool add_bytes(struct cleaner *c, const struct tokenizer_run *runs, size_t n_runs, size_t end, const char *p,
                      size_t n)
{
    while (c->run + 1 < n_runs && end > c->run_end) {
        c->run_end += runs[++c->run].n_bytes;
        if (!buffer_add(&c->runs, &(struct tokenizer_run){0, runs[c->run].markup}, sizeof *runs))
            return false;
    }
    ((struct tokenizer_run *)(void *)c->runs.data)[c->runs.n / sizeof *runs - 1].n_bytes += n;
    return buffer_add(&c->text, p, n);
}

static bool clean(struct cleaner *c, struct span text, const struct tokenizer_run *runs, size_t n_runs)
{
    c->run_end = n_runs ? runs[0].n_bytes : text.n;
    struct tokenizer_run first = {0, n_runs && runs[0].markup};
    if (!buffer_add(&c->runs, &first, sizeof first))
        return false;
    for (size_t at = 0, n; at < text.n; at += n) {
        struct span rest = {text.p + at, text.n - at};
        n = class_character(rest);
        bool whole = n && hf_is_whole((struct span){rest.p, n});
        n = n ? n : 1;
        if (!add_bytes(c, runs, n_runs, at + n, whole ? rest.p : "\xEF\xBF\xBD", whole ? n : 3))
            return false;
    }
    return true;
}

/* ---- the way of a text ---- */

static bool encode_words(struct hf_run *run, struct span text, bool first)
{
    return !text.n || hf_split_run(run, 0, (struct hf_piece){text, first});
}

/* What lies between added tokens of the raw text. */
static bool encode_piece(struct hf_run *run, struct span text, bool first, const struct tokenizer_run *runs,
                         size_t n_runs)
{
    struct hf_piece piece = {text, first};
    struct tokenizer_run whole[2] = {{0, n_runs == 1 && runs[0].markup}, {0, false}};
    struct hf_match m;
    if (!text.n)
        return true;
    if (!hf_normalize(run, &piece))
        return false;
    whole[0].n_bytes = piece.text.n;
    struct hf_finder f = {.t = run->t,
                          .trie = &run->h->normalized,
                          .text = piece.text,
                          .runs = whole,
                          .n_runs = n_runs == 1 ? 1 : 2, /* of two runs, control tokens are none of content's */
                          .run_end = piece.text.n};
    size_t at = 0;
    while (hf_added_next(&f, &m)) {
        struct span before = {piece.text.p + at, m.at > at ? m.at - at : 0};
        if (!encode_words(run, before, piece.first && at == 0) || !encoder_add(run->e, m.id))
            return false;
        at = m.next;
    }
    return encode_words(run, (struct span){piece.text.p + at, piece.text.n - at}, piece.first && at == 0);
}

static bool encode_text(struct hf_run *run, struct span text, const struct tokenizer_run *runs, size_t n_runs)
{
    struct hf_finder f = {.t = run->t,
                          .trie = n_runs == 1 ? &run->h->raw : &run->h->all_raw,
                          .text = text,
                          .runs = runs,
                          .n_runs = n_runs,
                          .run_end = runs[0].n_bytes};
    struct hf_match m;
    size_t at = 0;
    while (hf_added_next(&f, &m)) {
        struct span before = {text.p + at, m.at > at ? m.at - at : 0};
        if (!encode_piece(run, before, at == 0, runs, n_runs) || !encoder_add(run->e, m.id))
            return false;
        at = m.next;
    }
    return encode_piece(run, (struct span){text.p + at, text.n - at}, at == 0, runs, n_runs);
}

static bool add_all(struct encoder *e, const int32_t *ids, size_t n)
{
    return n == 0 || buffer_add(e->ids, ids, n * sizeof *ids);
}

bool hf_encode(struct encoder *e, struct span text, const struct tokenizer_run *runs, size_t n_runs, bool around)
{
    struct cleaner c = {0};
    struct hf_run run;
    const struct hf *h = e->t->hf;
    const struct tokenizer_run all = {text.n, false};
    buffer_init(&c.text, TEXT_MAX);
    buffer_init(&c.runs, SIZE_MAX);
    bool fine = hf_run_open(&run, e);
    if (n_runs == 0) {
        runs = &all;
        n_runs = 1;
    }
    if (!hf_is_whole(text)) {
        fine = fine && clean(&c, text, runs, n_runs);
        text = buffer_span(&c.text);
        runs = (const struct tokenizer_run *)(const void *)c.runs.data;
        n_runs = c.runs.n / sizeof *runs;
    }
    run.n_bytes = text.n;
    fine = fine && (!around || add_all(e, h->before, h->n_before));
    fine = fine && (!text.n || encode_text(&run, text, runs, n_runs));
    fine = fine && (!around || add_all(e, h->behind, h->n_behind));
    hf_run_close(&run);
    buffer_reset(&c.text);
    buffer_reset(&c.runs);
    return fine;
}
