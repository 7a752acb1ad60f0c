/* test_sight.c - what a query sees of a text of many pages, by plain sums: the text's begin beside a window. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "../files/writer.h"
#include "base/types.h"
#include "engine/engine.h"

enum { N_VOCAB = 16, SIZE = 8, N_HEADS = N_VOCAB / SIZE, N_TEXT = 6 * 64 + 3, N_TABLES = 3 };
enum { Q, K, V };

static float tables[N_TABLES][N_VOCAB][N_VOCAB]; /* rows of all heads by token */

static andiron_token token_at(size_t i) { return (andiron_token)((i * 7 + i * i % 13) % N_VOCAB); }

static void put_model(struct buffer *b, size_t window, size_t begin)
{
    static const char *const names[N_TABLES] = {"blk.0.q.weight", "blk.0.k.weight", "blk.0.v.weight"};
    char text[512];
    snprintf(
        text, sizeof text,
        "arch sight\nparam n_ctx_train = 512\nblock row(tokens, table) { return heads(embed(tokens, table), %d) }\n"
        "graph(tokens) {\n  for l in layers(\"blk\", 1) {\n    x = flat(attend(row(tokens, l.q), "
        "row(tokens, l.k), row(tokens, l.v), cache: l, window: %zu, begin: %zu))\n  }\n  return x\n}\n",
        N_HEADS, window, begin);
    begin_file(b, 3, N_TABLES, 3);
    put_key_text(b, "general.architecture", "sight");
    put_key_text(b, "andiron.arch", text);
    put_key_text(b, "tokenizer.ggml.model", "none");
    for (size_t t = 0; t < N_TABLES; t++)
        put_tensor(b, names[t], TYPE_F32, N_VOCAB, N_VOCAB, t * sizeof tables[t]);
    pad(b, 32);
    uint32_t seed = 1;
    for (size_t t = 0; t < N_TABLES; t++)
        for (size_t i = 0; i < (size_t)N_VOCAB * N_VOCAB; i++) {
            seed = seed * 1664525 + 1013904223;
            tables[t][i / N_VOCAB][i % N_VOCAB] = (float)(seed >> 8) * 0x1p-23f - 1;
        }
    put(b, tables, sizeof tables);
}

/* One head's sum of the values that position i sees. */
static void plain_sum(size_t i, size_t head, size_t window, size_t begin, double out[SIZE])
{
    const float *q = tables[Q][token_at(i)] + head * SIZE;
    double total = 0;
    for (size_t d = 0; d < SIZE; d++)
        out[d] = 0;
    for (size_t j = 0; j <= i; j++) {
        if (i - j >= window && j >= begin)
            continue;
        double score = 0;
        for (size_t d = 0; d < SIZE; d++)
            score += (double)q[d] * (double)tables[K][token_at(j)][head * SIZE + d];
        const double share = exp(score / sqrt(SIZE));
        total += share;
        for (size_t d = 0; d < SIZE; d++)
            out[d] += share * (double)tables[V][token_at(j)][head * SIZE + d];
    }
    for (size_t d = 0; d < SIZE; d++)
        out[d] /= total;
}

static double farthest(const float *got, size_t i, size_t window, size_t begin)
{
    double most = 0, want[SIZE];
    for (size_t head = 0; head < N_HEADS; head++) {
        plain_sum(i, head, window, begin, want);
        for (size_t d = 0; d < SIZE; d++)
            most = fmax(most, fabs((double)got[head * SIZE + d] - want[d]));
    }
    return most;
}

/* The text in steps of so many tokens. */
static void check(size_t window, size_t begin, size_t step)
{
    struct buffer file = {0};
    andiron_model *model;
    andiron_session *session;
    andiron_batch *batch;
    andiron_error e = {0};
    put_model(&file, window, begin);
    const struct model_source source = {.bytes = {file.data, file.n}};
    const andiron_model_options options = {.n_threads = 2, .max_step_tokens = N_TEXT};
    const andiron_session_options own = {.n_ctx = N_TEXT, .kv_type = "f32"};
    if (model_open_source(&model, &source, &options, &e) || andiron_session_open(&session, model, &own, &e) ||
        andiron_batch_open(&batch, model, &e))
        fail_msg("%s", e.text);
    for (size_t at = 0; at < N_TEXT; at += step) {
        const size_t n = N_TEXT - at < step ? N_TEXT - at : step;
        andiron_batch_clear(batch);
        for (size_t i = at; i < at + n; i++)
            assert_int_equal(andiron_batch_add(batch, session, token_at(i), true, &e), ANDIRON_OK);
        assert_int_equal(andiron_batch_run(batch, &e), ANDIRON_OK);
        for (size_t i = 0; i < n; i++) {
            const double off = farthest(andiron_batch_logits(batch, i), at + i, window, begin);
            if (off > 1e-5)
                fail_msg("window %zu, begin %zu, steps of %zu: position %zu is %g off", window, begin, step, at + i,
                         off);
        }
    }
    andiron_batch_close(batch);
    andiron_session_close(session);
    andiron_model_close(model);
    buffer_reset(&file);
}

static void a_window_beside_the_begin(void **state)
{
    (void)state;
    static const size_t steps[] = {N_TEXT, 50, 1};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        check(20, 0, steps[i]);
        check(20, 3, steps[i]);  /* four pages between them */
        check(20, 70, steps[i]); /* the begin ends within the second page */
        check(90, 64, steps[i]); /* and with the first one */
        check(1, 1, steps[i]);
        check(200, 150, steps[i]); /* they meet for most */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_window_beside_the_begin)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
