/* generate.c - the whole loop: sample, write, feed. */
#include "base/clock.h"
#include "base/error.h"
#include "engine/batch.h"
#include "engine/stop.h"
#include "text/utf8_stream.h"

enum { HELD_MAX = 1 << 20 };

struct generation {
    andiron_session *session;
    const andiron_generate_options *options;
    struct utf8_stream utf8;
    struct stop stop;
};

/* Give out what is known not to be part of a stop string. False: stopped, with *reason. */
static bool write_text(struct generation *g, bool at_end, andiron_stop_reason *reason)
{
    struct buffer *held = &g->stop.held;
    size_t at = held->n;
    bool found = stop_found(&g->stop, &at);
    size_t n = found ? at : at_end ? held->n : held->n - stop_pending(&g->stop);
    bool go_on = !g->options->write || g->options->write(g->options->user, n ? held->data : "", n);
    if (n)
        memmove(held->data, held->data + n, held->n - n);
    held->n -= n;
    if (found)
        *reason = ANDIRON_STOP_TEXT;
    else if (!go_on)
        *reason = ANDIRON_STOP_CANCELLED;
    return go_on && !found;
}

/* Write one token's text and feed it. False: the loop is over, with *reason. */
static bool take_token(struct generation *g, andiron_token token, bool last, andiron_stop_reason *reason,
                       andiron_status *status, andiron_error *error)
{
    size_t n;
    const char *piece = andiron_token_piece(g->session->model, token, false, &n);
    if (!utf8_stream_put(&g->utf8, (struct span){piece, n}, &g->stop.held)) {
        *status = error_memory(error, n, "held-back text");
        return false;
    }
    bool go_on = write_text(g, false, reason);
    *status = session_extend(g->session, &token, 1, go_on && !last, error);
    if (*status)
        return false;
    if (go_on && last)
        *reason = ANDIRON_STOP_LENGTH;
    return go_on && !last;
}

static andiron_status loop(struct generation *g, andiron_sampler *sampler, andiron_generate_result *result,
                           uint64_t start, andiron_error *error)
{
    andiron_session *s = g->session;
    andiron_status status = ANDIRON_OK;
    for (bool go_on = true; go_on;) {
        andiron_token token = andiron_sampler_next(sampler, s->logits);
        if (!result->first_ns)
            result->first_ns = clock_ns() - start;
        if (andiron_token_ends_turn(s->model, token)) {
            result->reason = ANDIRON_STOP_TURN;
            if (s->n_tokens < s->n_ctx)
                status = session_extend(s, &token, 1, false, error);
            break;
        }
        if (s->n_tokens == s->n_ctx) {
            result->reason = ANDIRON_STOP_FULL;
            break;
        }
        result->n_tokens++;
        bool last = g->options->max_tokens && result->n_tokens == g->options->max_tokens;
        go_on = take_token(g, token, last, &result->reason, &status, error);
    }
    return status;
}

andiron_status andiron_generate(andiron_session *session, andiron_sampler *sampler,
                                const andiron_generate_options *options, andiron_generate_result *result,
                                andiron_error *error)
{
    static const andiron_generate_options defaults = {0};
    andiron_generate_result ignored;
    struct generation g = {.session = session, .options = options ? options : &defaults};
    result = result ? result : &ignored;
    *result = (andiron_generate_result){.reason = ANDIRON_STOP_LENGTH};
    if (!session->has_logits)
        return error_set(error, ANDIRON_E_ARGUMENT, "the session has no scores yet; append its prompt first");
    if (sampler_n_vocab(sampler) != session->model->n_vocab)
        return error_set(error, ANDIRON_E_ARGUMENT,
                         "the sampler picks from %zu tokens, but the session's model has %zu", sampler_n_vocab(sampler),
                         session->model->n_vocab);
    uint64_t start = clock_ns();
    g.stop.texts = g.options->stop;
    g.stop.n = g.options->n_stop;
    buffer_init(&g.stop.held, HELD_MAX);
    andiron_status status = loop(&g, sampler, result, start, error);
    if (!status && result->reason != ANDIRON_STOP_TEXT && result->reason != ANDIRON_STOP_CANCELLED) {
        utf8_stream_end(&g.utf8, &g.stop.held);
        andiron_stop_reason reason = result->reason;
        write_text(&g, true, &reason);
        result->reason = reason == ANDIRON_STOP_TEXT ? reason : result->reason;
    }
    buffer_reset(&g.stop.held);
    result->total_ns = clock_ns() - start;
    return status;
}
