/* embed.c - one vector for a text: the model's last rows, pooled; sums run in the order of the tokens. */
#include "base/error.h"
#include "engine/batch.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

static uint64_t pooling_key(const andiron_model *model)
{
    char key[256];
    uint64_t kind = 0;
    snprintf(key, sizeof key, "%s.pooling_type", model->architecture);
    gguf_get_u64(model->file, key, &kind);
    return kind == UINT32_MAX ? 0 : kind; /* llama.cpp's "unspecified" */
}

static andiron_pooling pooling_of(const andiron_model *model)
{
    const uint64_t kind = pooling_key(model);
    if (kind == POOLING_MEAN || (kind == 0 && model->graph.whole_texts))
        return ANDIRON_POOLING_MEAN;
    const bool first = kind == POOLING_CLS || (kind == POOLING_RANK && model->graph.whole_texts);
    return first ? ANDIRON_POOLING_FIRST : ANDIRON_POOLING_LAST;
}

struct pooled {
    andiron_pooling pooling;
    size_t n, n_tokens; /* numbers; of the whole text */
    float *out;
};

static bool wanted(const struct pooled *p, size_t token)
{
    return p->pooling == ANDIRON_POOLING_MEAN || token == (p->pooling == ANDIRON_POOLING_FIRST ? 0 : p->n_tokens - 1);
}

/* Tokens [at, at + n) of the text as one step. */
static andiron_status embed_step(andiron_session *s, const andiron_token *tokens, size_t at, size_t n,
                                 const struct pooled *p, andiron_error *error)
{
    andiron_batch_clear(s->batch);
    for (size_t i = at; i < at + n; i++) {
        andiron_status status = andiron_batch_add(s->batch, s, tokens[i], wanted(p, i), error);
        if (status) {
            andiron_batch_clear(s->batch);
            return status;
        }
    }
    andiron_status status = andiron_batch_run(s->batch, error);
    for (size_t i = 0; i < n && !status; i++) {
        const float *row = wanted(p, at + i) ? andiron_batch_logits(s->batch, i) : NULL;
        if (wanted(p, at + i) && !row)
            return error_set(error, ANDIRON_E_ARGUMENT, "another step ran before the text's vectors were read");
        for (size_t d = 0; row && d < p->n; d++)
            p->out[d] += row[d];
    }
    return status;
}

static void finish(const struct pooled *p, bool normalize)
{
    double length = 0, by = p->pooling == ANDIRON_POOLING_MEAN ? 1 / (double)p->n_tokens : 1;
    for (size_t d = 0; d < p->n; d++)
        length += (double)p->out[d] * (double)p->out[d];
    length = sqrt(length);
    if (normalize)
        by = length > 0 ? 1 / length : 0;
    for (size_t d = 0; d < p->n; d++)
        p->out[d] = (float)((double)p->out[d] * by);
}

static andiron_status check(const andiron_session *s, size_t n_tokens, andiron_error *error)
{
    const andiron_model *model = s->model;
    if (!model->graph.embeds)
        return error_set(error, ANDIRON_E_ARGUMENT,
                         "the model gives scores; open it with `embeddings` for its vectors");
    if (n_tokens == 0)
        return error_set(error, ANDIRON_E_ARGUMENT, "an empty text has no vector; give at least one token");
    if (n_tokens > s->n_ctx)
        return error_set(error, ANDIRON_E_FULL, "the text has %zu tokens, but the context holds %zu", n_tokens,
                         s->n_ctx);
    if (model->graph.whole_texts && n_tokens > model->max_rows)
        return error_set(error, ANDIRON_E_FULL,
                         "the text has %zu tokens, but the model reads whole texts and a step holds %zu", n_tokens,
                         model->max_rows);
    return ANDIRON_OK;
}

andiron_status andiron_session_embed(andiron_session *s, const andiron_token *tokens, size_t n_tokens,
                                     andiron_pooling pooling, bool normalize, float *out, andiron_error *error)
{
    const struct pooled p = {pooling == ANDIRON_POOLING_MODEL ? pooling_of(s->model) : pooling, s->model->n_vocab,
                             n_tokens, out};
    andiron_status status = check(s, n_tokens, error);
    if (!status)
        status = andiron_session_truncate(s, 0, error);
    memset(out, 0, p.n * sizeof *out);
    for (size_t at = 0, n; at < n_tokens && !status; at += n) {
        n = n_tokens - at < s->model->max_rows ? n_tokens - at : s->model->max_rows;
        status = embed_step(s, tokens, at, n, &p, error);
    }
    if (!status)
        finish(&p, normalize && pooling_key(s->model) < POOLING_RANK); /* scores have no direction */
    return status;
}
