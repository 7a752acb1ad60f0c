/* batch.c - a step of work: tokens of one or many sessions, computed together.
 *
 * The plan wants the rows of a session side by side; callers add them in any order. So rows are placed by session when
 * the batch runs, and `place` tells where an added token went. */
#include "engine/batch.h"
#include "base/alloc.h"
#include "base/error.h"
#include <string.h>

struct added {
    andiron_session *session;
    andiron_token token;
    bool wants_logits;
    bool is_first; /* of the session's in this batch */
};

struct andiron_batch {
    andiron_model *model;
    size_t n, capacity;
    size_t n_begun;               /* rows before the texts that begin in this step with it */
    struct added *added;          /* [capacity] in the order of andiron_batch_add */
    struct batch_row *rows;       /* [capacity + those of one text] as the plan runs them */
    uint32_t *place;              /* [capacity] added -> row */
    uint64_t step;                /* the model's n_steps after our run; 0: not run */
    const float *logits;          /* [n_slice][n_vocab] of added tokens slice[] */
    uint32_t *slice, *slice_rows; /* [max_head_rows] */
    size_t n_slice;
};

andiron_status andiron_batch_open(andiron_batch **out, andiron_model *model, andiron_error *error)
{
    *out = NULL;
    if (!model->plan)
        return error_set(error, ANDIRON_E_ARGUMENT,
                         "the model was opened for its vocabulary only; open it whole to run it");
    andiron_batch *b = alloc_zeroed(1, sizeof *b);
    if (!b)
        return error_memory(error, sizeof *b, "a batch");
    b->model = model;
    b->capacity = model->max_rows;
    b->added = alloc_zeroed(b->capacity, sizeof *b->added);
    b->rows = alloc_zeroed(b->capacity + model_begun_rows(model), sizeof *b->rows);
    b->place = alloc_zeroed(b->capacity, sizeof *b->place);
    b->slice = alloc_zeroed(model->max_head_rows, sizeof *b->slice);
    b->slice_rows = alloc_zeroed(model->max_head_rows, sizeof *b->slice_rows);
    if (!b->added || !b->rows || !b->place || !b->slice || !b->slice_rows) {
        andiron_batch_close(b);
        return error_memory(error, model->max_rows * sizeof(struct batch_row), "a batch's rows");
    }
    *out = b;
    return ANDIRON_OK;
}

void andiron_batch_close(andiron_batch *b)
{
    if (!b)
        return;
    andiron_batch_clear(b);
    alloc_free(b->added);
    alloc_free(b->rows);
    alloc_free(b->place);
    alloc_free(b->slice);
    alloc_free(b->slice_rows);
    alloc_free(b);
}

void andiron_batch_clear(andiron_batch *b)
{
    for (size_t i = 0; i < b->n && !b->step; i++)
        b->added[i].session->n_queued = 0;
    b->n = b->n_begun = b->n_slice = 0;
    b->step = 0;
}

void batch_forget(andiron_batch *b, andiron_session *session)
{
    size_t n = 0;
    for (size_t i = 0; i < b->n; i++)
        if (b->added[i].session != session)
            b->added[n++] = b->added[i];
    b->n = n;
    b->n_begun -= session->n_queued ? model_begun_rows(b->model) : 0;
    session->n_queued = 0;
}

size_t andiron_batch_length(const andiron_batch *b) { return b->n; }

static andiron_status check_token(const andiron_model *model, andiron_token token, andiron_error *error)
{
    if (token >= 0 && (size_t)token < model->n_embedded)
        return ANDIRON_OK;
    return error_set(error, ANDIRON_E_ARGUMENT, "token %d does not exist; the model knows 0 to %zu", token,
                     model->n_embedded - 1);
}

andiron_status andiron_batch_add(andiron_batch *b, andiron_session *session, andiron_token token, bool wants_logits,
                                 andiron_error *error)
{
    if (b->step)
        andiron_batch_clear(b);
    if (session->model != b->model)
        return error_set(error, ANDIRON_E_ARGUMENT, "the session belongs to another model than the batch");
    if (session->n_queued && session->queue != b)
        return error_set(error, ANDIRON_E_ARGUMENT,
                         "the session's tokens wait in another batch; run or clear that one first");
    andiron_status status = check_token(b->model, token, error);
    if (status)
        return status;
    const size_t n_begun = b->n_begun + (session->n_queued ? 0 : model_begun_rows(b->model));
    if (b->n == b->capacity || b->n + n_begun >= b->capacity + model_begun_rows(b->model))
        return error_set(error, ANDIRON_E_FULL, "the batch is full: a step holds %zu tokens", b->capacity);
    if (session->n_tokens + session->n_queued >= session->n_ctx)
        return error_set(error, ANDIRON_E_FULL, "the session's context of %zu tokens is full", session->n_ctx);
    if (session->n_source == 0 && b->model->graph.reads_source)
        return error_set(error, ANDIRON_E_ARGUMENT,
                         "this model writes about a source text; have the session read one first");
    if (session->n_tokens > 0 && b->model->graph.whole_texts)
        return error_set(error, ANDIRON_E_ARGUMENT,
                         "this model reads whole texts; cut the session to nothing before the next one");
    b->added[b->n++] = (struct added){session, token, wants_logits, .is_first = session->n_queued == 0};
    session->n_queued++;
    session->queue = b;
    b->n_begun = n_begun;
    return ANDIRON_OK;
}

/* The session's row at `position` of `tokens`. */
static struct batch_row row_of(const andiron_session *s, const andiron_token *tokens, size_t position, size_t n_source)
{
    return (struct batch_row){
        .token = tokens[position],
        .tokens = tokens,
        .position = (uint32_t)position,
        .n_ctx = (uint32_t)s->n_ctx + s->model->graph.n_begin,
        .layout = s->layout,
        .pages = s->pages,
        .state = s->state,
        .n_source = (uint32_t)n_source,
    };
}

/* Give each session's tokens neighbouring rows, in order, and those of a whole text the rows before it. Quadratic in
 * the number of sessions only. */
static size_t place_rows(andiron_batch *b)
{
    size_t n_placed = 0;
    for (size_t i = 0; i < b->n; i++)
        b->place[i] = UINT32_MAX;
    for (size_t first = 0; first < b->n; first++) {
        if (b->place[first] != UINT32_MAX)
            continue;
        andiron_session *s = b->added[first].session;
        size_t position = s->model->graph.n_begin + s->n_tokens;
        for (size_t i = 0; i < model_begun_rows(b->model); i++)
            b->rows[n_placed++] = row_of(s, s->rows, i, 0);
        for (size_t i = first, left = s->n_queued; left; i++) {
            if (b->added[i].session != s)
                continue;
            b->place[i] = (uint32_t)n_placed;
            s->rows[position] = b->added[i].token;
            b->rows[n_placed++] = row_of(s, s->rows, position++, s->n_source);
            left--;
        }
    }
    return n_placed;
}

/* Rows before the texts that begin in this step, in steps of their own. */
static void begin_texts(andiron_batch *b)
{
    const size_t n_begin = b->model->graph.n_begin - model_begun_rows(b->model);
    for (size_t i = 0; i < b->n && n_begin; i++) {
        const andiron_session *s = b->added[i].session;
        const bool begins = b->added[i].is_first && s->n_tokens == 0;
        for (size_t at = 0, n = 0; at < n_begin && begins; at += n) {
            for (n = 0; n < b->capacity && at + n < n_begin; n++)
                b->rows[n] = row_of(s, s->rows, at + n, 0);
            plan_run(b->model->plan, b->rows, n);
        }
    }
}

static void finish_sessions(andiron_batch *b)
{
    for (size_t i = 0; i < b->n; i++) {
        andiron_session *s = b->added[i].session;
        s->n_tokens += s->n_queued;
        s->n_state_tokens = s->n_tokens;
        if (s->n_queued)
            s->has_logits = false;
        s->n_queued = 0;
    }
}

andiron_status batch_run_for(andiron_batch *b, float *logits, andiron_error *error)
{
    andiron_model *model = b->model;
    if (b->step)
        return error_set(error, ANDIRON_E_ARGUMENT, "the batch has run already; add its next tokens first");
    if (b->n == 0)
        return ANDIRON_OK;
    b->n_slice = 0;
    pthread_mutex_lock(&model->step);
    begin_texts(b);
    plan_run(model->plan, b->rows, place_rows(b));
    b->step = ++model->n_steps;
    if (logits) {
        uint32_t last = b->place[b->n - 1];
        memcpy(logits, plan_head(model->plan, &last, 1), model->n_vocab * sizeof *logits);
    }
    pthread_mutex_unlock(&model->step);
    finish_sessions(b);
    return ANDIRON_OK;
}

andiron_status batch_run_source(andiron_batch *b, andiron_session *session, const andiron_token *tokens, size_t n,
                                andiron_error *error)
{
    andiron_batch_clear(b);
    for (size_t i = 0; i < n; i++) {
        andiron_status status = check_token(b->model, tokens[i], error);
        if (status)
            return status;
        b->rows[i] = row_of(session, tokens, i, n);
    }
    pthread_mutex_lock(&b->model->step);
    plan_run_source(b->model->plan, b->rows, n);
    b->model->n_steps++;
    pthread_mutex_unlock(&b->model->step);
    return ANDIRON_OK;
}

andiron_status andiron_batch_run(andiron_batch *b, andiron_error *error) { return batch_run_for(b, NULL, error); }

/* Compute the scores of `row` and the next rows that want theirs, as many as the plan does at once. */
static bool compute_slice(andiron_batch *b, size_t row)
{
    andiron_model *model = b->model;
    b->n_slice = 0;
    for (size_t i = row; i < b->n && b->n_slice < model->max_head_rows; i++)
        if (b->added[i].wants_logits) {
            b->slice_rows[b->n_slice] = b->place[i];
            b->slice[b->n_slice++] = (uint32_t)i;
        }
    pthread_mutex_lock(&model->step);
    bool ours = model->n_steps == b->step;
    if (ours)
        b->logits = plan_head(model->plan, b->slice_rows, b->n_slice);
    else
        b->n_slice = 0;
    pthread_mutex_unlock(&model->step);
    return ours;
}

const float *andiron_batch_logits(andiron_batch *b, size_t row)
{
    if (!b->step || row >= b->n || !b->added[row].wants_logits)
        return NULL;
    for (int attempt = 0; attempt < 2; attempt++) {
        for (size_t i = 0; i < b->n_slice && b->model->n_steps == b->step; i++)
            if (b->slice[i] == row)
                return b->logits + i * b->model->n_vocab;
        if (!compute_slice(b, row))
            return NULL;
    }
    return NULL;
}
