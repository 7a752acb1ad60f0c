/* test_imports.c - logits of tiny imported models (GGUF files that carry their definition) against Transformers'
 * (tools/oracle/make_imports.py): all tokens in one step, one by one, and in a few pieces; a model that reads whole
 * texts, or gives a text one vector, in one step. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "rows.h"

#define IMPORTS SOURCE_DIR "/tests/golden/imports"

static const double limit = 2e-5;
static const andiron_model_options small_steps = {.n_threads = 1, .max_step_tokens = 64};

static void logits_are_transformers(void **state)
{
    (void)state;
    size_t n_right = 0, n_wrong = 0;
    DIR *dir = opendir(IMPORTS);
    assert_non_null(dir);
    for (struct dirent *d; (d = readdir(dir)) != NULL;) {
        const size_t n = strlen(d->d_name);
        char model[512], golden[512];
        if (n <= 5 || strcmp(d->d_name + n - 5, ".gguf") != 0)
            continue;
        snprintf(model, sizeof model, IMPORTS "/%s", d->d_name);
        snprintf(golden, sizeof golden, IMPORTS "/%.*s.bin", (int)(n - 5), d->d_name);
        *(golden_right(model, golden, &small_steps, limit) ? &n_right : &n_wrong) += 1;
    }
    closedir(dir);
    print_message("%zu right, %zu wrong\n", n_right, n_wrong);
    assert_int_equal(n_wrong, 0);
    assert_true(n_right >= 25);
}

/* The first n golden tokens in one step: the scores after the last. */
static void ask_whole(andiron_model *model, const struct golden *g, size_t n, float *out)
{
    andiron_session *session;
    andiron_error e;
    assert_int_equal(andiron_session_open(&session, model, NULL, &e), ANDIRON_OK);
    assert_int_equal(andiron_session_append(session, g->tokens, n, &e), ANDIRON_OK);
    memcpy(out, andiron_session_logits(session), g->n_columns * sizeof *out);
    andiron_session_close(session);
}

/* A text with three rows before it, all of which see one another: it is read again where it grows, and two such texts
 * share a step. */
static void whole_texts_grow(void **state)
{
    (void)state;
    enum { N = 7, N_COLUMNS = 64, N_STEP = 16 };
    const andiron_model_options steps = {.n_threads = 1, .max_step_tokens = N_STEP};
    struct golden g;
    andiron_error e;
    andiron_model *model;
    andiron_session *s[2];
    andiron_batch *batch;
    float want[N_COLUMNS], less[N_COLUMNS];
    golden_open(&g, IMPORTS "/cpmant.bin");
    assert_int_equal(g.n_columns, N_COLUMNS);
    assert_int_equal(andiron_model_open(&model, IMPORTS "/cpmant.gguf", &steps, &e), ANDIRON_OK);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(andiron_session_open(&s[i], model, NULL, &e), ANDIRON_OK);
    for (size_t n = 1; n <= N; n++) {
        assert_int_equal(andiron_session_append(s[0], g.tokens + n - 1, 1, &e), ANDIRON_OK);
        ask_whole(model, &g, n, want);
        assert_memory_equal(andiron_session_logits(s[0]), want, sizeof want);
    }
    assert_int_equal(andiron_session_truncate(s[0], 4, &e), ANDIRON_OK);
    assert_int_equal(andiron_session_append(s[0], g.tokens + 4, 2, &e), ANDIRON_OK);
    ask_whole(model, &g, 6, want);
    assert_memory_equal(andiron_session_logits(s[0]), want, sizeof want);
    assert_int_equal(andiron_session_append(s[0], g.tokens + 6, N_STEP - 5, &e), ANDIRON_E_ARGUMENT);
    assert_int_equal(andiron_session_length(s[0]), 6);
    assert_int_equal(andiron_session_append(s[0], g.tokens + 6, N_STEP - 6, &e), ANDIRON_OK);

    assert_int_equal(andiron_session_truncate(s[0], 0, &e), ANDIRON_OK);
    assert_int_equal(andiron_batch_open(&batch, model, &e), ANDIRON_OK);
    for (size_t i = 0; i < N; i++)
        for (size_t k = 0; k < 2 && i + k < N; k++) /* of the second one token less: 13 of them, and 6 rows before */
            assert_int_equal(andiron_batch_add(batch, s[k], g.tokens[i], i + k + 1 == N, &e), ANDIRON_OK);
    assert_int_equal(andiron_batch_add(batch, s[0], g.tokens[N], true, &e), ANDIRON_E_FULL);
    ask_whole(model, &g, N, want);
    ask_whole(model, &g, N - 1, less);
    assert_int_equal(andiron_batch_run(batch, &e), ANDIRON_OK);
    assert_memory_equal(andiron_batch_logits(batch, 2 * N - 2), want, sizeof want);
    assert_memory_equal(andiron_batch_logits(batch, 2 * N - 3), less, sizeof less);
    andiron_batch_close(batch);
    for (size_t i = 0; i < 2; i++)
        andiron_session_close(s[i]);
    golden_close(&g);
    andiron_model_close(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(logits_are_transformers), cmocka_unit_test(whole_texts_grow)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
