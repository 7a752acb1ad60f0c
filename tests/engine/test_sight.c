/* test_sight.c - what a query sees of a text of many pages, by plain sums: the text's begin beside a window, and a
 * reach of its own. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../files/writer.h"
#include "base/types.h"
#include "engine/engine.h"

enum { N_VOCAB = 16, SIZE = 8, N_HEADS = N_VOCAB / SIZE, N_TEXT = 6 * 64 + 3, N_TABLES = 4 };
enum { Q, K, V, REACH };

static float tables[N_TABLES][N_VOCAB][N_VOCAB]; /* rows of all heads by token; of REACH the first number counts */

static andiron_token token_at(size_t i) { return (andiron_token)((i * 7 + i * i % 13) % N_VOCAB); }

static void put_model(struct buffer *b, size_t window, size_t begin, bool reach)
{
    static const char *const names[N_TABLES] = {"blk.0.q.weight", "blk.0.k.weight", "blk.0.v.weight",
                                                "blk.0.reach.weight"};
    char text[512];
    snprintf(
        text, sizeof text,
        "arch sight\nparam n_ctx_train = 512\nblock row(tokens, table) { return heads(embed(tokens, table), %d) }\n"
        "graph(tokens) {\n  for l in layers(\"blk\", 1) {\n    x = flat(attend(row(tokens, l.q), "
        "row(tokens, l.k), row(tokens, l.v), cache: l, window: %zu, begin: %zu%s))\n  }\n  return x\n}\n",
        N_HEADS, window, begin, reach ? ", reach: slice(embed(tokens, l.reach), 0, 1)" : "");
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
    static const float reaches[] = {1, 2, 3.9f, 64, 65, 200, 1e9f, NAN, -1};
    for (size_t i = 0; i < N_VOCAB; i++)
        tables[REACH][i][0] = reaches[i % (sizeof reaches / sizeof *reaches)];
    put(b, tables, sizeof tables);
}

/* One head's sum of the values that position i sees, of the last n up to its own and of the text's begin. */
static void plain_sum(size_t i, size_t head, double n, size_t begin, double out[SIZE])
{
    const float *q = tables[Q][token_at(i)] + head * SIZE;
    double total = 0;
    for (size_t d = 0; d < SIZE; d++)
        out[d] = 0;
    for (size_t j = 0; j <= i; j++) {
        if ((double)(i - j) >= n && j >= begin)
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

static double farthest(const float *got, size_t i, size_t window, size_t begin, bool reach)
{
    const double own = floor((double)tables[REACH][token_at(i)][0]), within = own >= 1 ? own : 1;
    double most = 0, want[SIZE];
    for (size_t head = 0; head < N_HEADS; head++) {
        plain_sum(i, head, reach ? fmin((double)window, within) : (double)window, begin, want);
        for (size_t d = 0; d < SIZE; d++)
            most = fmax(most, fabs((double)got[head * SIZE + d] - want[d]));
    }
    return most;
}

/* The text in steps of so many tokens: the same bits as at once, which is asked first. */
static void check_in_steps(size_t window, size_t begin, bool reach, size_t step)
{
    static float whole[N_TEXT][N_VOCAB];
    struct buffer file = {0};
    andiron_model *model;
    andiron_session *session;
    andiron_batch *batch;
    andiron_error e = {0};
    put_model(&file, window, begin, reach);
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
            const float *got = andiron_batch_logits(batch, i);
            if (step == N_TEXT)
                memcpy(whole[i], got, sizeof whole[i]);
            assert_memory_equal(whole[at + i], got, sizeof whole[i]);
            const double off = farthest(got, at + i, window, begin, reach);
            if (off > 1e-5)
                fail_msg("window %zu, begin %zu, reach %d, steps of %zu: position %zu is %g off", window, begin, reach,
                         step, at + i, off);
        }
    }
    andiron_batch_close(batch);
    andiron_session_close(session);
    andiron_model_close(model);
    buffer_reset(&file);
}

static void check(size_t window, size_t begin, bool reach)
{
    static const size_t steps[] = {N_TEXT, 50, 1};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        check_in_steps(window, begin, reach, steps[i]);
}

static void a_window_beside_the_begin(void **state)
{
    (void)state;
    check(20, 0, false);
    check(20, 3, false);  /* four pages between them */
    check(20, 70, false); /* the begin ends within the second page */
    check(90, 64, false); /* and with the first one */
    check(1, 1, false);
    check(200, 150, false); /* they meet for most */
}

static void a_reach_of_each_row(void **state)
{
    (void)state;
    check(N_TEXT, 0, true);
    check(100, 0, true);
    check(N_TEXT, 5, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_window_beside_the_begin),
                                       cmocka_unit_test(a_reach_of_each_row)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
