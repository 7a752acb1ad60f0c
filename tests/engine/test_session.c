/* test_session.c - sessions and batches: prefixes kept, limits told, failures that change nothing, no allocation in a
 * step. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "andiron.h"
#include "base/alloc.h"
#include "engine/engine.h"
#include "models.h"

static andiron_model *model;
static andiron_model_info info;

static int open_model(void **state)
{
    (void)state;
    andiron_error e = {0};
    andiron_model_options o = {.n_threads = 2, .max_step_tokens = 16};
    if (andiron_model_open(&model, TINY("llama"), &o, &e)) {
        print_error("%s\n", e.text);
        return 1;
    }
    andiron_model_get_info(model, &info);
    return 0;
}

static int close_model(void **state)
{
    (void)state;
    andiron_model_close(model);
    return 0;
}

static andiron_session *session(size_t n_ctx)
{
    andiron_session *s = NULL;
    andiron_error e = {0};
    andiron_session_options o = {.n_ctx = n_ctx};
    if (andiron_session_open(&s, model, &o, &e)) {
        print_error("%s\n", e.text);
        fail();
    }
    return s;
}

static void fill(andiron_token *t, size_t n, int salt)
{
    for (size_t i = 0; i < n; i++)
        t[i] = (andiron_token)((i * 13 + (size_t)salt * 7 + i * i) % info.n_vocab);
}

static void assert_same_logits(andiron_session *a, andiron_session *b)
{
    assert_memory_equal(andiron_session_logits(a), andiron_session_logits(b), info.n_vocab * sizeof(float));
}

static void sync_keeps_the_common_prefix(void **state)
{
    (void)state;
    andiron_token t[50], u[50];
    size_t kept = 99;
    andiron_session *a = session(64), *b = session(64);
    fill(t, 50, 1);
    memcpy(u, t, sizeof u);
    u[30] = (u[30] + 1) % (andiron_token)info.n_vocab;
    assert_int_equal(andiron_session_sync(a, t, 50, &kept, NULL), ANDIRON_OK);
    assert_int_equal(kept, 0);
    assert_int_equal(andiron_session_sync(a, u, 45, &kept, NULL), ANDIRON_OK);
    assert_int_equal(kept, 30);
    assert_int_equal(andiron_session_append(b, u, 45, NULL), ANDIRON_OK);
    assert_same_logits(a, b);
    assert_int_equal(andiron_session_sync(a, u, 45, &kept, NULL), ANDIRON_OK);
    assert_int_equal(kept, 45);
    assert_same_logits(a, b);
    assert_int_equal(andiron_session_sync(a, u, 20, &kept, NULL), ANDIRON_OK);
    assert_int_equal(kept, 19);
    assert_int_equal(andiron_session_length(a), 20);
    andiron_session_close(a);
    andiron_session_close(b);
}

static void a_full_session_says_so(void **state)
{
    (void)state;
    andiron_token t[40];
    andiron_error e = {0};
    andiron_session *s = session(32);
    fill(t, 40, 2);
    assert_int_equal(andiron_session_append(s, t, 40, &e), ANDIRON_E_FULL);
    assert_non_null(strstr(e.text, "40"));
    assert_non_null(strstr(e.text, "32"));
    assert_int_equal(andiron_session_length(s), 0);
    assert_null(andiron_session_logits(s));
    assert_int_equal(andiron_session_append(s, t, 32, NULL), ANDIRON_OK);
    assert_int_equal(andiron_session_append(s, t, 1, NULL), ANDIRON_E_FULL);
    assert_int_equal(andiron_session_length(s), 32);
    assert_non_null(andiron_session_logits(s));
    andiron_session_close(s);
}

static void bad_tokens_change_nothing(void **state)
{
    (void)state;
    andiron_error e = {0};
    andiron_session *s = session(64);
    andiron_token t[20];
    fill(t, 20, 3);
    t[18] = (andiron_token)info.n_vocab; /* in the second step */
    assert_int_equal(andiron_session_append(s, t, 20, &e), ANDIRON_E_ARGUMENT);
    assert_int_equal(andiron_session_length(s), 0);
    t[18] = -1;
    assert_int_equal(andiron_session_append(s, t, 20, &e), ANDIRON_E_ARGUMENT);
    t[18] = 0;
    assert_int_equal(andiron_session_append(s, t, 20, &e), ANDIRON_OK);
    andiron_session_close(s);
}

static void a_step_allocates_nothing(void **state)
{
    (void)state;
    andiron_token t[40];
    andiron_session *s = session(64);
    andiron_sampler *sampler;
    andiron_sampler_options o = {.temperature = 1, .top_k = 5};
    fill(t, 40, 4);
    assert_int_equal(andiron_sampler_open(&sampler, model, &o, NULL), ANDIRON_OK);
    assert_int_equal(andiron_session_append(s, t, 2, NULL), ANDIRON_OK);
    uint64_t before = alloc_count();
    assert_int_equal(andiron_session_append(s, t, 37, NULL), ANDIRON_OK);
    for (int i = 0; i < 20; i++) {
        andiron_token next = andiron_sampler_next(sampler, andiron_session_logits(s));
        assert_int_equal(andiron_session_append(s, &next, 1, NULL), ANDIRON_OK);
    }
    assert_int_equal(alloc_count(), before);
    andiron_sampler_close(sampler);
    andiron_session_close(s);
}

static void a_batch_has_limits(void **state)
{
    (void)state;
    andiron_batch *b;
    andiron_session *s = session(8), *other = session(64);
    andiron_error e = {0};
    assert_int_equal(andiron_batch_open(&b, model, NULL), ANDIRON_OK);
    for (int i = 0; i < 8; i++)
        assert_int_equal(andiron_batch_add(b, s, i, i == 7, NULL), ANDIRON_OK);
    assert_int_equal(andiron_batch_add(b, s, 1, false, &e), ANDIRON_E_FULL); /* the session */
    for (int i = 0; i < 8; i++)
        assert_int_equal(andiron_batch_add(b, other, i, false, NULL), ANDIRON_OK);
    assert_int_equal(andiron_batch_add(b, other, 1, false, &e), ANDIRON_E_FULL); /* the batch */
    assert_null(andiron_batch_logits(b, 7));                                     /* not run */
    assert_int_equal(andiron_batch_run(b, NULL), ANDIRON_OK);
    assert_non_null(andiron_batch_logits(b, 7));
    assert_null(andiron_batch_logits(b, 6));
    assert_null(andiron_batch_logits(b, 99));
    assert_int_equal(andiron_session_length(s), 8);
    assert_int_equal(andiron_session_length(other), 8);
    assert_int_equal(andiron_session_append(other, (andiron_token[]){1}, 1, NULL), ANDIRON_OK);
    assert_null(andiron_batch_logits(b, 7)); /* another step came after it */
    andiron_batch_close(b);
    andiron_session_close(s);
    andiron_session_close(other);
}

static bool collect(void *user, const char *text, size_t n)
{
    struct {
        char text[4096];
        size_t n;
    } *out = user;
    if (out->n + n < sizeof out->text)
        memcpy(out->text + out->n, text, n);
    out->n += n;
    return true;
}

/* A model with rows before each text: two texts that begin in one step, a token of each in turn, read what each reads
 * alone; a text that is cut to nothing begins again; lengths do not count those rows. */
static void rows_before_a_text(void **state)
{
    (void)state;
    andiron_model *begun = NULL;
    andiron_session *two[2], *alone[2];
    andiron_batch *batch;
    const andiron_model_options o = {.n_threads = 2, .max_step_tokens = 16};
    const andiron_session_options few = {.n_ctx = 24};
    const andiron_token t[2][4] = {{5, 9, 14, 20}, {200, 7, 9, 3}};
    assert_int_equal(andiron_model_open(&begun, TINY("imports/begun"), &o, NULL), ANDIRON_OK);
    assert_true(begun->graph.n_begin > 0);
    assert_int_equal(andiron_batch_open(&batch, begun, NULL), ANDIRON_OK);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(andiron_session_open(&two[i], begun, &few, NULL), ANDIRON_OK);
        assert_int_equal(andiron_session_open(&alone[i], begun, &few, NULL), ANDIRON_OK);
        assert_int_equal(andiron_session_append(alone[i], t[1 - i], 3, NULL), ANDIRON_OK);
        assert_int_equal(andiron_session_truncate(alone[i], 0, NULL), ANDIRON_OK);
        assert_int_equal(andiron_session_append(alone[i], t[i], 4, NULL), ANDIRON_OK);
    }
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(andiron_batch_add(batch, two[i % 2], t[i % 2][i / 2], i >= 6, NULL), ANDIRON_OK);
    assert_int_equal(andiron_batch_run(batch, NULL), ANDIRON_OK);
    for (size_t i = 0; i < 2; i++) {
        assert_memory_equal(andiron_batch_logits(batch, 6 + i), andiron_session_logits(alone[i]),
                            begun->n_vocab * sizeof(float));
        assert_int_equal(andiron_session_length(two[i]), 4);
    }
    assert_int_equal(andiron_session_capacity(two[0]), 24);
    for (size_t i = 4; i < 24; i++)
        assert_int_equal(andiron_session_append(two[0], &t[0][i % 4], 1, NULL), ANDIRON_OK);
    assert_int_equal(andiron_session_append(two[0], t[0], 1, NULL), ANDIRON_E_FULL);
    for (size_t i = 0; i < 2; i++) {
        andiron_session_close(two[i]);
        andiron_session_close(alone[i]);
    }
    andiron_batch_close(batch);
    andiron_model_close(begun);
}

static void generation_ends_as_asked(void **state)
{
    (void)state;
    struct {
        char text[4096];
        size_t n;
    } out = {{0}, 0};
    andiron_token t[5];
    andiron_session *s = session(64);
    andiron_sampler *greedy;
    andiron_generate_result r;
    fill(t, 5, 5);
    assert_int_equal(andiron_sampler_open(&greedy, model, NULL, NULL), ANDIRON_OK);
    assert_int_equal(andiron_generate(s, greedy, NULL, &r, NULL), ANDIRON_E_ARGUMENT); /* no prompt yet */
    assert_int_equal(andiron_session_append(s, t, 5, NULL), ANDIRON_OK);
    andiron_generate_options o = {.max_tokens = 7, .write = collect, .user = &out};
    assert_int_equal(andiron_generate(s, greedy, &o, &r, NULL), ANDIRON_OK);
    assert_true(r.reason == ANDIRON_STOP_LENGTH || r.reason == ANDIRON_STOP_TURN);
    assert_true(r.n_tokens <= 7);
    assert_true(andiron_session_length(s) >= 5 + r.n_tokens);
    andiron_sampler_close(greedy);
    andiron_session_close(s);
}

static void what_cannot_be_opened_says_why(void **state)
{
    (void)state;
    andiron_error e = {0};
    andiron_session *s;
    andiron_model *m;
    assert_int_equal(andiron_session_open(&s, model, &(andiron_session_options){.kv_type = "f17"}, &e),
                     ANDIRON_E_ARGUMENT);
    assert_non_null(strstr(e.text, "f17"));
    assert_int_equal(andiron_session_open(&s, model, &(andiron_session_options){.n_ctx = (size_t)1 << 60}, &e),
                     ANDIRON_E_ARGUMENT);
    assert_int_equal(andiron_session_open(&s, model, &(andiron_session_options){.n_ctx = UINT32_MAX}, &e),
                     ANDIRON_E_MEMORY);
    assert_non_null(strstr(e.text, "MiB"));
    assert_int_equal(andiron_model_open(&m, "/nowhere/m.gguf", NULL, &e), ANDIRON_E_IO);
    assert_non_null(strstr(e.text, "/nowhere/m.gguf"));
    assert_int_equal(andiron_model_open(&m, TINY("llama"), &(andiron_model_options){.cpu = "z80"}, &e),
                     ANDIRON_E_ARGUMENT);
    assert_int_equal(andiron_model_open(&m, TINY("llama"), &(andiron_model_options){.math = "quick"}, &e),
                     ANDIRON_E_ARGUMENT);
    assert_int_equal(
        andiron_model_open(&m, TINY("llama"), &(andiron_model_options){.arch_path = "/nowhere/x.arch"}, &e),
        ANDIRON_E_IO);
    assert_int_equal(andiron_model_open(&m, TINY("llama"), &(andiron_model_options){.vocab_only = true}, &e),
                     ANDIRON_OK);
    assert_int_equal(andiron_session_open(&s, m, NULL, &e), ANDIRON_E_ARGUMENT);
    andiron_model_close(m);
}

/* Every allocation of opening, running and generating fails in turn: a status, no crash, nothing leaked. */
static void each_allocation_may_fail(void **state)
{
    (void)state;
    andiron_status status = ANDIRON_E_MEMORY;
    for (int64_t n = 0; status != ANDIRON_OK && n < 20000; n++) {
        andiron_model *m = NULL;
        andiron_session *s = NULL;
        andiron_sampler *sampler = NULL;
        andiron_error e = {0};
        alloc_fail_after(n);
        status = andiron_model_open(&m, TINY("llama"), &(andiron_model_options){.n_threads = 1, .max_step_tokens = 8},
                                    &e);
        if (!status)
            status = andiron_session_open(&s, m, &(andiron_session_options){.n_ctx = 16}, &e);
        if (!status)
            status = andiron_sampler_open(&sampler, m, NULL, &e);
        if (!status)
            status = andiron_session_append(s, (andiron_token[]){1, 2, 3}, 3, &e);
        if (!status)
            status = andiron_generate(s, sampler, &(andiron_generate_options){.max_tokens = 2}, NULL, &e);
        if (status)
            assert_true(e.text[0] != 0);
        andiron_sampler_close(sampler);
        andiron_session_close(s);
        andiron_model_close(m);
    }
    alloc_fail_after(-1);
    assert_int_equal(status, ANDIRON_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sync_keeps_the_common_prefix), cmocka_unit_test(a_full_session_says_so),
        cmocka_unit_test(bad_tokens_change_nothing),    cmocka_unit_test(a_step_allocates_nothing),
        cmocka_unit_test(a_batch_has_limits),           cmocka_unit_test(rows_before_a_text),
        cmocka_unit_test(generation_ends_as_asked),     cmocka_unit_test(what_cannot_be_opened_says_why),
        cmocka_unit_test(each_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, open_model, close_model);
}
