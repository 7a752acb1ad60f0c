/* test_allocation.c - every allocation from opening a model to closing it fails in turn: a status that says so or a
 * right result, nothing leaked (a sanitizer's run sees it), and the same objects work afterwards. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "andiron.h"
#include "base/alloc.h"
#include "models.h"
#include <string.h>

#define SEED(name) SOURCE_DIR "/tests/fuzz/corpus/model/" name ".gguf"

static const andiron_model_options options = {.n_threads = 2, .max_step_tokens = 8};

static void assert_told(andiron_status s, const andiron_error *e, int64_t n)
{
    if (s && (s != ANDIRON_E_MEMORY || e->status != s || !strstr(e->text, "memory")))
        fail_msg("allocation %lld failed: %d \"%s\"", (long long)n, s, e->text);
}

static bool discard(void *user, const char *text, size_t n)
{
    (void)user, (void)text, (void)n;
    return true;
}

/* All that can be done with an open model; the first failure, or OK. */
static andiron_status use(andiron_model *m, andiron_token *last, andiron_error *e)
{
    static const andiron_message hello = {"user", "Hello"};
    andiron_session *s = NULL;
    andiron_sampler *sampler = NULL;
    andiron_batch *b = NULL;
    andiron_token ids[64];
    char text[64];
    size_t n = 0, n_text = 0;
    andiron_status status = andiron_tokenize(m, "hello world", 11, 3, ids, 64, &n, e);
    if (!status)
        status = andiron_detokenize(m, ids, n, true, text, sizeof text, &n_text, e);
    if (!status && andiron_model_has_chat(m))
        status = andiron_chat_tokens(m, &hello, 1, true, ids, 64, &n, e);
    if (!status)
        status = andiron_session_open(&s, m, &(andiron_session_options){.n_ctx = 70}, e);
    if (!status)
        status = andiron_sampler_open(&sampler, m, &(andiron_sampler_options){.temperature = 1, .seed = 3}, e);
    if (!status)
        status = andiron_batch_open(&b, m, e);
    if (!status)
        status = andiron_session_append(s, ids, n < 20 ? n : 20, e);
    if (!status)
        status = andiron_generate(s, sampler, &(andiron_generate_options){.max_tokens = 2, .write = discard}, NULL, e);
    if (!status)
        status = andiron_batch_add(b, s, 1, true, e);
    if (!status)
        status = andiron_batch_run(b, e);
    if (!status) {
        assert_non_null(andiron_batch_logits(b, 0));
        *last = andiron_sampler_next(sampler, andiron_batch_logits(b, 0));
    }
    andiron_batch_close(b);
    andiron_sampler_close(sampler);
    andiron_session_close(s);
    return status;
}

static void each_of_opening(const char *path)
{
    andiron_status s = ANDIRON_OK;
    int64_t n_allocations = 1, n_told = 0;
    for (int64_t n = -1; n <= n_allocations; n++) { /* -1: none fails */
        andiron_model *m = NULL;
        andiron_error e = {0};
        const uint64_t before = alloc_count();
        alloc_fail_after(n);
        s = andiron_model_open(&m, path, &options, &e);
        alloc_fail_after(-1);
        if (n < 0)
            n_allocations = (int64_t)(alloc_count() - before);
        n_told += s != ANDIRON_OK;
        assert_told(s, &e, n);
        assert_true((s == ANDIRON_OK) == (m != NULL));
        andiron_model_close(m);
    }
    assert_int_equal(s, ANDIRON_OK);
    assert_true(n_told > 10 && n_told >= n_allocations / 2); /* a template may be done without */
}

static void each_of_using(const char *path)
{
    andiron_model *m = NULL;
    andiron_token expected = -1, got = -1;
    andiron_error e = {0};
    assert_int_equal(andiron_model_open(&m, path, &options, &e), ANDIRON_OK);
    const uint64_t before = alloc_count();
    assert_int_equal(use(m, &expected, &e), ANDIRON_OK);
    const int64_t n_allocations = (int64_t)(alloc_count() - before);
    andiron_status s = ANDIRON_OK;
    for (int64_t n = 0; n <= n_allocations; n++) {
        alloc_fail_after(n);
        s = use(m, &got, &e);
        alloc_fail_after(-1);
        assert_told(s, &e, n);
        assert_true(s != ANDIRON_OK || got == expected);
        if (n % 16 == 0) { /* what failed left nothing behind */
            assert_int_equal(use(m, &got, &e), ANDIRON_OK);
            assert_int_equal(got, expected);
        }
    }
    assert_int_equal(s, ANDIRON_OK);
    assert_true(n_allocations > 10);
    andiron_model_close(m);
}

static void each_of_describing(const char *path)
{
    andiron_status s = ANDIRON_E_MEMORY;
    const uint64_t before = alloc_count();
    assert_int_equal(andiron_describe(path, &options, 0, NULL, 7, discard, NULL, NULL), ANDIRON_OK);
    const int64_t n_allocations = (int64_t)(alloc_count() - before);
    for (int64_t n = 0; n <= n_allocations; n++) { /* one that fails may be described instead */
        andiron_error e = {0};
        alloc_fail_after(n);
        s = andiron_describe(path, &options, 0, NULL, n % 2 ? 7 : 15, discard, NULL, &e);
        alloc_fail_after(-1);
        assert_told(s, &e, n);
    }
    assert_int_equal(s, ANDIRON_OK);
}

static void byte_level_bpe(void **state)
{
    (void)state;
    each_of_opening(TINY("llama"));
    each_of_using(TINY("llama"));
    each_of_describing(TINY("llama"));
}

static void sentencepiece_with_its_own_definition_and_a_template(void **state)
{
    (void)state;
    each_of_opening(SEED("spm"));
    each_of_using(SEED("spm"));
    each_of_describing(SEED("spm"));
}

/* A failing chat template costs only chat, and the model says so. */
static void a_template_without_memory(void **state)
{
    (void)state;
    bool lost = false;
    for (int64_t n = 0; !lost && n < 5000; n++) {
        andiron_model *m = NULL;
        andiron_error e = {0};
        static const andiron_message hello = {"user", "Hello"};
        alloc_fail_after(n);
        andiron_status s = andiron_model_open(&m, SEED("spm"), &options, NULL);
        alloc_fail_after(-1);
        if (!s && !andiron_model_has_chat(m)) {
            lost = true;
            size_t n_tokens;
            assert_int_equal(andiron_chat_tokens(m, &hello, 1, true, NULL, 0, &n_tokens, &e), ANDIRON_E_MEMORY);
            assert_non_null(strstr(e.text, "memory"));
        }
        andiron_model_close(m);
        if (!s && !lost)
            break;
    }
    assert_true(lost);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(byte_level_bpe),
        cmocka_unit_test(sentencepiece_with_its_own_definition_and_a_template),
        cmocka_unit_test(a_template_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
