/* test_source.c - sessions that read a source first (encoder-decoder models), on the tiny T5 of tests/golden/archs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "engine/engine.h"
#include "models.h"
#include "spec.h"

enum { N_VOCAB = 64, N_TEXT = 6 };
static const andiron_token first[] = {61, 19, 41, 63, 60}, second[] = {4, 27, 51, 11, 59, 60, 21, 46, 9},
                           text[N_TEXT] = {0, 5, 17, 5, 33, 2};

struct t5 {
    struct buffer file;
    andiron_model *model;
    andiron_error e;
};

static void open_t5(struct t5 *t, int n_threads)
{
    struct spec spec;
    *t = (struct t5){0};
    spec_to_gguf(SOURCE_DIR "/tests/golden/archs/t5.txt", &spec, &t->file);
    const struct model_source source = {.bytes = {t->file.data, t->file.n}};
    const andiron_model_options options = {.n_threads = n_threads, .max_step_tokens = 16};
    assert_int_equal(model_open_source(&t->model, &source, &options, &t->e), ANDIRON_OK);
}

static void close_t5(struct t5 *t)
{
    andiron_model_close(t->model);
    buffer_reset(&t->file);
}

static andiron_session *session_about(struct t5 *t, const andiron_token *source, size_t n)
{
    andiron_session *s;
    const andiron_session_options options = {.n_ctx = 32};
    assert_int_equal(andiron_session_open(&s, t->model, &options, &t->e), ANDIRON_OK);
    assert_int_equal(andiron_session_read_source(s, source, n, &t->e), ANDIRON_OK);
    return s;
}

/* The scores after `text` about a source, alone in its model. */
static void scores_about(const andiron_token *source, size_t n, float *out)
{
    struct t5 t;
    open_t5(&t, 1);
    andiron_session *s = session_about(&t, source, n);
    assert_int_equal(andiron_session_append(s, text, N_TEXT, &t.e), ANDIRON_OK);
    memcpy(out, andiron_session_logits(s), N_VOCAB * sizeof *out);
    andiron_session_close(s);
    close_t5(&t);
}

static void the_model_tells_what_it_reads(void **state)
{
    (void)state;
    struct t5 t;
    andiron_model_info info;
    open_t5(&t, 1);
    andiron_model_get_info(t.model, &info);
    assert_true(info.reads_source && !info.embeds);
    assert_int_equal(info.first_token, 0);
    assert_int_equal(info.forced_token, -1);
    close_t5(&t);
}

static void what_cannot_be_read_is_said(void **state)
{
    (void)state;
    struct t5 t;
    andiron_session *s;
    const andiron_session_options options = {.n_ctx = 32};
    const andiron_token bad[] = {3, N_VOCAB}, many[17] = {1};
    open_t5(&t, 1);
    assert_int_equal(andiron_session_open(&s, t.model, &options, &t.e), ANDIRON_OK);
    assert_int_equal(andiron_session_append(s, text, 1, &t.e), ANDIRON_E_ARGUMENT);
    assert_non_null(strstr(t.e.text, "have the session read one first"));
    assert_int_equal(andiron_session_read_source(s, first, 0, &t.e), ANDIRON_E_ARGUMENT);
    assert_int_equal(andiron_session_read_source(s, bad, 2, &t.e), ANDIRON_E_ARGUMENT);
    assert_non_null(strstr(t.e.text, "token 64 does not exist"));
    assert_int_equal(andiron_session_read_source(s, many, 17, &t.e), ANDIRON_E_FULL);
    assert_non_null(strstr(t.e.text, "a step of this context holds 16"));
    assert_int_equal(andiron_session_append(s, text, 1, &t.e), ANDIRON_E_ARGUMENT); /* still none */
    andiron_session_close(s);
    close_t5(&t);
    andiron_model *llama;
    assert_int_equal(andiron_model_open(&llama, TINY("llama"), NULL, &t.e), ANDIRON_OK);
    assert_int_equal(andiron_session_open(&s, llama, &options, &t.e), ANDIRON_OK);
    assert_int_equal(andiron_session_read_source(s, first, 5, &t.e), ANDIRON_E_ARGUMENT);
    assert_non_null(strstr(t.e.text, "reads no source"));
    andiron_session_close(s);
    andiron_model_close(llama);
}

static void another_source_begins_another_text(void **state)
{
    (void)state;
    float about_first[N_VOCAB], about_second[N_VOCAB];
    struct t5 t;
    scores_about(first, 5, about_first);
    scores_about(second, 9, about_second);
    assert_memory_not_equal(about_first, about_second, sizeof about_first);
    open_t5(&t, 2);
    andiron_session *s = session_about(&t, second, 9);
    assert_int_equal(andiron_session_append(s, text, N_TEXT, &t.e), ANDIRON_OK);
    assert_memory_equal(andiron_session_logits(s), about_second, sizeof about_second);
    assert_int_equal(andiron_session_read_source(s, first, 5, &t.e), ANDIRON_OK);
    assert_int_equal(andiron_session_length(s), 0);
    assert_null(andiron_session_logits(s));
    for (size_t i = 0; i < N_TEXT; i++)
        assert_int_equal(andiron_session_append(s, text + i, 1, &t.e), ANDIRON_OK);
    assert_memory_equal(andiron_session_logits(s), about_first, sizeof about_first);
    assert_int_equal(andiron_session_truncate(s, 2, &t.e), ANDIRON_OK); /* the source stays */
    assert_int_equal(andiron_session_append(s, text + 2, N_TEXT - 2, &t.e), ANDIRON_OK);
    assert_memory_equal(andiron_session_logits(s), about_first, sizeof about_first);
    andiron_session_close(s);
    close_t5(&t);
}

static void sessions_of_one_step_keep_their_sources(void **state)
{
    (void)state;
    float want[2][N_VOCAB];
    struct t5 t;
    andiron_batch *batch;
    scores_about(first, 5, want[0]);
    scores_about(second, 9, want[1]);
    open_t5(&t, 2);
    andiron_session *s[] = {session_about(&t, first, 5), session_about(&t, second, 9)};
    assert_int_equal(andiron_batch_open(&batch, t.model, &t.e), ANDIRON_OK);
    for (size_t i = 0; i < 2 * N_TEXT; i++)
        assert_int_equal(andiron_batch_add(batch, s[i % 2], text[i / 2], true, &t.e), ANDIRON_OK);
    assert_int_equal(andiron_session_read_source(s[0], first, 5, &t.e), ANDIRON_E_ARGUMENT); /* its tokens wait */
    assert_int_equal(andiron_batch_run(batch, &t.e), ANDIRON_OK);
    for (size_t i = 0; i < 2; i++)
        assert_memory_equal(andiron_batch_logits(batch, 2 * N_TEXT - 2 + i), want[i], sizeof want[i]);
    andiron_session *other = session_about(&t, first, 5); /* takes the plan's rows */
    assert_null(andiron_batch_logits(batch, 0));
    andiron_session_close(other);
    andiron_batch_close(batch);
    andiron_session_close(s[0]);
    andiron_session_close(s[1]);
    close_t5(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_model_tells_what_it_reads),
        cmocka_unit_test(what_cannot_be_read_is_said),
        cmocka_unit_test(another_source_begins_another_text),
        cmocka_unit_test(sessions_of_one_step_keep_their_sources),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
