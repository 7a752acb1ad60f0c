/* test_golden.c - logits of tiny models against Transformers' (tools/oracle/make_tiny.py), through the public header:
 * all tokens in one step, one by one, and in a few pieces. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "andiron.h"
#include "models.h"

struct golden {
    uint32_t n_tokens, n_vocab;
    int32_t *tokens;
    float *logits; /* [n_tokens][n_vocab] */
    double largest, mean_square;
};

static void golden_open(struct golden *g, const char *name)
{
    char path[512];
    uint32_t head[2];
    snprintf(path, sizeof path, SOURCE_DIR "/tests/golden/%s.bin", name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    assert_int_equal(fread(head, sizeof *head, 2, f), 2);
    *g = (struct golden){.n_tokens = head[0], .n_vocab = head[1]};
    assert_true(g->n_tokens > 0 && g->n_tokens < 1024 && g->n_vocab > 0 && g->n_vocab < 1024);
    size_t n = (size_t)g->n_tokens * g->n_vocab;
    g->tokens = malloc(g->n_tokens * sizeof *g->tokens);
    g->logits = malloc(n * sizeof *g->logits);
    assert_true(g->tokens && g->logits);
    assert_int_equal(fread(g->tokens, sizeof *g->tokens, g->n_tokens, f), g->n_tokens);
    assert_int_equal(fread(g->logits, sizeof *g->logits, n, f), n);
    assert_int_equal(fgetc(f), EOF);
    fclose(f);
    for (size_t i = 0; i < n; i++) {
        g->largest = fmax(g->largest, fabs((double)g->logits[i]));
        g->mean_square += (double)g->logits[i] * (double)g->logits[i] / (double)n;
    }
}

static void golden_close(struct golden *g)
{
    free(g->tokens);
    free(g->logits);
}

static void must(andiron_status status, const andiron_error *e)
{
    if (status) {
        print_error("%s\n", e->text);
        fail();
    }
}

struct distance {
    double worst, mean_square;
};

/* Run the tokens in steps of `step`; how far the logits are from the golden ones. */
static struct distance run(const struct golden *g, andiron_model *model, const char *kv_type, size_t step)
{
    andiron_error e = {0};
    andiron_session *session;
    andiron_batch *batch;
    struct distance far = {0};
    const andiron_session_options options = {.n_ctx = g->n_tokens, .kv_type = kv_type};
    must(andiron_session_open(&session, model, &options, &e), &e);
    must(andiron_batch_open(&batch, model, &e), &e);
    for (size_t at = 0; at < g->n_tokens; at += step) {
        size_t n = g->n_tokens - at < step ? g->n_tokens - at : step;
        andiron_batch_clear(batch);
        for (size_t i = 0; i < n; i++)
            must(andiron_batch_add(batch, session, g->tokens[at + i], true, &e), &e);
        must(andiron_batch_run(batch, &e), &e);
        for (size_t i = 0; i < n; i++) {
            const float *row = andiron_batch_logits(batch, i), *want = g->logits + (at + i) * g->n_vocab;
            assert_non_null(row);
            for (size_t k = 0; k < g->n_vocab; k++) {
                double d = fabs((double)row[k] - (double)want[k]);
                far.worst = d <= far.worst ? far.worst : d; /* NaN becomes the worst */
                far.mean_square += d * d / ((double)g->n_tokens * g->n_vocab);
            }
        }
    }
    andiron_batch_close(batch);
    andiron_session_close(session);
    return far;
}

static void check(const char *model_path, const char *name, const char *kv_type, double worst, double rms)
{
    andiron_error e = {0};
    andiron_model *model;
    andiron_model_info info;
    struct golden g;
    static const size_t steps[] = {1024, 1, 5};
    golden_open(&g, name);
    must(andiron_model_open(&model, model_path, &(andiron_model_options){.n_threads = 2, .max_step_tokens = 128}, &e),
         &e);
    andiron_model_get_info(model, &info);
    assert_int_equal(info.n_vocab, g.n_vocab);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        struct distance far = run(&g, model, kv_type, steps[i]);
        double a = far.worst / g.largest, b = sqrt(far.mean_square / g.mean_square);
        print_message("%-10s kv %-4s steps of %-4zu: largest %.1e, rms %.1e\n", name, kv_type, steps[i], a, b);
        if (!(a <= worst && b <= rms))
            fail_msg("%s: logits are further than %.1e (largest), %.1e (rms) from Transformers'", name, worst, rms);
    }
    andiron_model_close(model);
    golden_close(&g);
}

static void check_tiny(const char *name, const char *kv_type, double worst, double rms)
{
    char path[512];
    snprintf(path, sizeof path, TINY("%s"), name);
    check(path, name, kv_type, worst, rms);
}

static void logits_are_transformers(void **state)
{
    (void)state;
    static const char *const names[] = {"llama", "mistral", "qwen2",   "qwen3", "gemma3",
                                        "phi3",  "olmo2",   "smollm3", "gpt2"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        check_tiny(names[i], "f32", 1e-5, 1e-5);
}

/* Beyond its original context LongRoPE has other factors. */
static void long_contexts_have_their_factors(void **state)
{
    (void)state;
    check(TINY("phi3"), "phi3_long", "f32", 1e-5, 1e-5);
}

/* Quantized matrices take quantized activations; llama.cpp is 3.2e-2 and 4.1e-2 from Transformers on these files. */
static void quantized_models_are_near(void **state)
{
    (void)state;
    check_tiny("llama_q8_0", "f32", 6e-2, 3e-2);
    check_tiny("qwen2_q4_0", "f32", 8e-2, 4e-2);
}

static void smaller_caches_are_near(void **state)
{
    (void)state;
    static const char *const names[] = {"llama", "gemma3", "phi3"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        check_tiny(names[i], "f16", 2e-3, 1e-3);
        check_tiny(names[i], "q8_0", 5e-2, 2e-2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logits_are_transformers),
        cmocka_unit_test(long_contexts_have_their_factors),
        cmocka_unit_test(quantized_models_are_near),
        cmocka_unit_test(smaller_caches_are_near),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
