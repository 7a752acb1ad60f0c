/* test_golden.c - logits of tiny models against Transformers' (tools/oracle/make_tiny.py), through the public header:
 * all tokens in one step, one by one, and in a few pieces. Every tests/golden/NAME.bin is run, on NAME.gguf or, if
 * there is none, on the file named by what stands before the last "_"; a model whose definition is an example runs with
 * that. */
#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

/* The model of a golden file, and its definition where that is not built in. */
static void find_model(const char *name, char path[512], char definition[512])
{
    char model[256];
    snprintf(model, sizeof model, "%s", name);
    snprintf(path, 512, SOURCE_DIR "/tests/golden/%s.gguf", model);
    if (access(path, R_OK) && strrchr(model, '_')) {
        *strrchr(model, '_') = 0;
        snprintf(path, 512, SOURCE_DIR "/tests/golden/%s.gguf", model);
    }
    snprintf(definition, 512, SOURCE_DIR "/examples/%s.arch", model);
}

static void check(const char *name, const char *kv_type, double worst, double rms)
{
    andiron_error e = {0};
    andiron_model *model;
    andiron_model_info info;
    struct golden g;
    char path[512], definition[512];
    static const size_t steps[] = {1024, 1, 5};
    golden_open(&g, name);
    find_model(name, path, definition);
    const andiron_model_options options = {
        .n_threads = 2, .max_step_tokens = 128, .arch_path = access(definition, R_OK) ? NULL : definition};
    must(andiron_model_open(&model, path, &options, &e), &e);
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

/* Quantized matrices take quantized activations; llama.cpp is 3.2e-2 and 4.1e-2 from Transformers on these files. */
static void logits_are_transformers(void **state)
{
    (void)state;
    size_t n = 0;
    DIR *dir = opendir(SOURCE_DIR "/tests/golden");
    assert_non_null(dir);
    for (struct dirent *d; (d = readdir(dir)) != NULL;) {
        char name[256];
        size_t length = strlen(d->d_name);
        if (length < 5 || strcmp(d->d_name + length - 4, ".bin"))
            continue;
        snprintf(name, sizeof name, "%.*s", (int)length - 4, d->d_name);
        bool quantized = strstr(name, "_q") != NULL;
        check(name, "f32", quantized ? 8e-2 : 1e-5, quantized ? 4e-2 : 1e-5);
        n++;
    }
    closedir(dir);
    assert_true(n >= 14);
}

static void smaller_caches_are_near(void **state)
{
    (void)state;
    static const char *const names[] = {"llama", "gemma3", "phi3"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        check(names[i], "f16", 2e-3, 1e-3);
        check(names[i], "q8_0", 5e-2, 2e-2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logits_are_transformers),
        cmocka_unit_test(smaller_caches_are_near),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
