/* session.c - one growing text: its tokens, its cache pages, the scores after its last token. */
#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"
#include "base/memory.h"
#include "engine/batch.h"
#include <string.h>

enum { DEFAULT_CONTEXT = 4096 };

static uint64_t n_pages(uint64_t n_ctx) { return (n_ctx + KV_PAGE - 1) / KV_PAGE; }

bool kv_bytes(const struct kv_layout *layout, size_t n_ctx, uint64_t *out)
{
    return n_ctx <= UINT32_MAX && checked_mul(n_pages(n_ctx), layout->page_bytes, out);
}

/* Pages are one block, so that the system gives memory as the text grows and a step never allocates. */
static andiron_status take_memory(andiron_session *s, andiron_error *error)
{
    const andiron_model *model = s->model;
    const size_t n_rows = s->n_ctx + model->graph.n_begin;
    uint64_t bytes = 0, all, pages = n_pages(n_rows);
    uint64_t lists = pages * sizeof *s->pages + n_rows * sizeof *s->rows + model->n_vocab * sizeof *s->logits +
                     model->graph.n_state * sizeof *s->state;
    if (s->n_ctx > UINT32_MAX || !kv_bytes(s->layout, n_rows, &bytes) || !checked_add(bytes, lists, &all))
        return error_set(error, ANDIRON_E_ARGUMENT, "a context of %zu tokens is beyond any machine", s->n_ctx);
    andiron_status status = memory_check(model, all, "the cache of this context", error);
    if (status)
        return status;
    s->kv = alloc_zeroed(bytes + 1, 1); /* a model without attention has pages of no bytes */
    s->pages = alloc_zeroed(pages, sizeof *s->pages);
    s->rows = alloc_zeroed(n_rows, sizeof *s->rows);
    s->logits = alloc_zeroed(model->n_vocab, sizeof *s->logits);
    if (model->graph.n_state)
        s->state = alloc_zeroed(model->graph.n_state, sizeof *s->state);
    if (!s->kv || !s->pages || !s->rows || !s->logits || (model->graph.n_state && !s->state))
        return error_memory(error, bytes, "a session's cache");
    s->tokens = s->rows + model->graph.n_begin;
    memory_ask_large_pages(s->kv, bytes); /* a head's keys stand far apart, and each step reads all of them */
    for (uint64_t i = 0; i < pages; i++)
        s->pages[i] = s->kv + i * s->layout->page_bytes;
    return ANDIRON_OK;
}

static andiron_status choose_context(andiron_session *s, size_t wanted, andiron_error *error)
{
    size_t trained = s->model->graph.n_ctx_train, most = s->model->graph.n_positions_max;
    most = most > s->model->graph.n_begin ? most - s->model->graph.n_begin : most > 0;
    s->n_ctx = wanted ? wanted : trained && trained < DEFAULT_CONTEXT ? trained : DEFAULT_CONTEXT;
    if (most && s->n_ctx > most) {
        if (wanted)
            return error_set(error, ANDIRON_E_ARGUMENT,
                             "a context of %zu tokens was asked for, but the model has %zu positions", wanted, most);
        s->n_ctx = most;
    }
    return ANDIRON_OK;
}

andiron_status andiron_session_open(andiron_session **out, andiron_model *model, const andiron_session_options *options,
                                    andiron_error *error)
{
    static const andiron_session_options defaults = {0};
    enum kv_type type;
    *out = NULL;
    options = options ? options : &defaults;
    if (!model->plan)
        return error_set(error, ANDIRON_E_ARGUMENT,
                         "the model was opened for its vocabulary only; open it whole to run it");
    if (!kv_type_from_name(options->kv_type, &type))
        return error_set(error, ANDIRON_E_ARGUMENT, "no cache type \"%s\"; there are f32, f16 and q8_0",
                         options->kv_type);
    andiron_session *s = alloc_zeroed(1, sizeof *s);
    if (!s)
        return error_memory(error, sizeof *s, "a session");
    s->model = model;
    s->layout = &model->layouts[type];
    andiron_status status = choose_context(s, options->n_ctx, error);
    if (!status)
        status = take_memory(s, error);
    if (!status)
        status = andiron_batch_open(&s->batch, model, error);
    if (status)
        andiron_session_close(s);
    else
        *out = s;
    return status;
}

void andiron_session_close(andiron_session *s)
{
    if (!s)
        return;
    if (s->n_queued)
        batch_forget(s->queue, s);
    andiron_batch_close(s->batch);
    alloc_free(s->kv);
    alloc_free(s->pages);
    alloc_free(s->rows);
    alloc_free(s->logits);
    alloc_free(s->state);
    alloc_free(s);
}

size_t andiron_session_length(const andiron_session *s) { return s->n_tokens; }

size_t andiron_session_capacity(const andiron_session *s) { return s->n_ctx; }

const float *andiron_session_logits(const andiron_session *s) { return s->has_logits ? s->logits : NULL; }

/* Run `n` tokens as one step; on failure nothing has changed. */
static andiron_status append_step(andiron_session *s, const andiron_token *tokens, size_t n, bool wants_logits,
                                  andiron_error *error)
{
    andiron_batch_clear(s->batch);
    for (size_t i = 0; i < n; i++) {
        andiron_status status = andiron_batch_add(s->batch, s, tokens[i], wants_logits && i + 1 == n, error);
        if (status) {
            andiron_batch_clear(s->batch);
            return status;
        }
    }
    return batch_run_for(s->batch, wants_logits ? s->logits : NULL, error);
}

andiron_status session_extend(andiron_session *s, const andiron_token *tokens, size_t n_tokens, bool wants_logits,
                              andiron_error *error)
{
    if (n_tokens > s->n_ctx - s->n_tokens)
        return error_set(error, ANDIRON_E_FULL, "%zu tokens do not fit: the context of %zu holds %zu already", n_tokens,
                         s->n_ctx, s->n_tokens);
    size_t before = s->n_tokens, most = s->model->max_rows;
    bool had_logits = s->has_logits;
    if (s->model->graph.whole_texts) {
        if (n_tokens > most - before)
            return error_set(error, ANDIRON_E_ARGUMENT,
                             "this model reads whole texts, of at most %zu tokens here; got %zu after %zu", most,
                             n_tokens, before);
        memmove(s->tokens + before, tokens, n_tokens * sizeof *tokens); /* all of it again */
        tokens = s->tokens;
        n_tokens += before;
        s->n_tokens = 0;
    }
    for (size_t done = 0; done < n_tokens;) {
        size_t n = n_tokens - done < most ? n_tokens - done : most;
        bool last = done + n == n_tokens;
        andiron_status status = append_step(s, tokens + done, n, wants_logits && last, error);
        if (status) {
            s->n_tokens = before;
            s->has_logits = had_logits;
            return status;
        }
        done += n;
        s->has_logits = wants_logits && last;
    }
    return ANDIRON_OK;
}

/* Forget the tokens after the first n. */
static void cut(andiron_session *s, size_t n)
{
    s->has_logits = s->has_logits && n == s->n_tokens;
    s->n_tokens = n;
}

/* A state cannot go back: where the model keeps one, the tokens that stay are read again. */
andiron_status andiron_session_truncate(andiron_session *s, size_t n_tokens, andiron_error *error)
{
    if (n_tokens > s->n_tokens)
        return error_set(error, ANDIRON_E_ARGUMENT, "the session holds %zu tokens and cannot be cut to %zu",
                         s->n_tokens, n_tokens);
    cut(s, n_tokens);
    if (!s->state || s->n_state_tokens == n_tokens)
        return ANDIRON_OK;
    s->n_tokens = 0;
    return session_extend(s, s->tokens, n_tokens, false, error);
}

andiron_status andiron_session_read_source(andiron_session *s, const andiron_token *tokens, size_t n_tokens,
                                           andiron_error *error)
{
    const size_t most = s->n_ctx < s->model->max_rows ? s->n_ctx : s->model->max_rows;
    if (!s->model->graph.reads_source)
        return error_set(error, ANDIRON_E_ARGUMENT, "this model reads no source; append its text");
    if (s->n_queued)
        return error_set(error, ANDIRON_E_ARGUMENT,
                         "the session's tokens wait in a batch; run or clear that one first");
    if (n_tokens == 0)
        return error_set(error, ANDIRON_E_ARGUMENT, "an empty source says nothing; give at least one token");
    if (n_tokens > most)
        return error_set(error, ANDIRON_E_FULL, "the source has %zu tokens, but a step of this context holds %zu",
                         n_tokens, most);
    andiron_status status = batch_run_source(s->batch, s, tokens, n_tokens, error);
    if (status)
        return status;
    s->n_source = n_tokens;
    cut(s, 0);
    return ANDIRON_OK;
}

andiron_status andiron_session_append(andiron_session *s, const andiron_token *tokens, size_t n_tokens,
                                      andiron_error *error)
{
    return session_extend(s, tokens, n_tokens, true, error);
}

andiron_status andiron_session_sync(andiron_session *s, const andiron_token *tokens, size_t n_tokens, size_t *n_kept,
                                    andiron_error *error)
{
    size_t same = 0;
    if (n_tokens > s->n_ctx)
        return error_set(error, ANDIRON_E_FULL,
                         "the text has %zu tokens, but the context holds %zu; shorten it or ask for more", n_tokens,
                         s->n_ctx);
    while (same < n_tokens && same < s->n_tokens && s->tokens[same] == tokens[same])
        same++;
    if (same == n_tokens && !(s->has_logits && s->n_tokens == n_tokens) && same > 0)
        same--; /* the scores after the last token must be computed again */
    if (s->state && s->n_state_tokens != same)
        same = 0;
    cut(s, same);
    andiron_status status = session_extend(s, tokens + same, n_tokens - same, true, error);
    if (n_kept)
        *n_kept = same;
    return status;
}
