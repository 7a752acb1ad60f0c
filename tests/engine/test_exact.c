/* test_exact.c - the real models' next-token distributions against exact ones (tools/oracle/compare_exact.py): no
 * further away than llama.cpp on the same file, and a perplexity within 0.3 % of its. */
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

/* The golden file: this, then tokens i32 [n_chunks][n], then for each scored position ids u32 [n_kept] and exact
 * log-probabilities f32 [n_kept], then `struct figures`. */
struct head {
    uint32_t n_chunks, n, first, n_kept;
};
struct figures {
    double kl, perplexity, exact_perplexity; /* llama.cpp's, and the exact one */
};

struct golden {
    struct head head;
    andiron_token *tokens;
    char *positions;
    struct figures figures;
};

static void *read_items(FILE *f, size_t n, size_t item_bytes)
{
    void *p = calloc(n, item_bytes);
    if (!p || fread(p, item_bytes, n, f) != n)
        fail_msg("the golden file ends early");
    return p;
}

static size_t position_bytes(const struct golden *g) { return g->head.n_kept * 2 * sizeof(uint32_t); }

static void read_golden(struct golden *g, const char *path)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    assert_int_equal(fread(&g->head, sizeof g->head, 1, f), 1);
    g->tokens = read_items(f, (size_t)g->head.n_chunks * g->head.n, sizeof *g->tokens);
    g->positions = read_items(f, (size_t)g->head.n_chunks * (g->head.n - g->head.first), position_bytes(g));
    assert_int_equal(fread(&g->figures, sizeof g->figures, 1, f), 1);
    fclose(f);
}

static double log_of_sum(const float *x, size_t n)
{
    double most = -INFINITY, sum = 0;
    for (size_t i = 0; i < n; i++)
        most = (double)x[i] > most ? (double)x[i] : most;
    for (size_t i = 0; i < n; i++)
        sum += exp((double)x[i] - most);
    return most + log(sum);
}

/* D(exact || ours) over the kept tokens and all others as one. */
static double kl_of(const struct golden *g, const char *position, const float *logits, double total)
{
    double kl = 0, rest_p = 1, rest_q = 1;
    for (size_t i = 0; i < g->head.n_kept; i++) {
        uint32_t id;
        float lp;
        memcpy(&id, position + i * sizeof id, sizeof id);
        memcpy(&lp, position + (g->head.n_kept + i) * sizeof id, sizeof lp);
        double p = exp((double)lp), lq = (double)logits[id] - total;
        kl += p * ((double)lp - lq);
        rest_p -= p;
        rest_q -= exp(lq);
    }
    rest_p = rest_p > 1e-12 ? rest_p : 1e-12;
    rest_q = rest_q > 1e-12 ? rest_q : 1e-12;
    return kl + rest_p * (log(rest_p) - log(rest_q));
}

struct sums {
    double kl, loss;
    size_t n_kl, n_loss;
};

static void run_chunk(andiron_model *model, const struct golden *g, size_t chunk, size_t n_vocab, struct sums *sums)
{
    andiron_session *session;
    andiron_batch *batch;
    const andiron_session_options options = {.n_ctx = g->head.n};
    const andiron_token *tokens = g->tokens + chunk * g->head.n;
    assert_int_equal(andiron_session_open(&session, model, &options, NULL), ANDIRON_OK);
    assert_int_equal(andiron_batch_open(&batch, model, NULL), ANDIRON_OK);
    for (size_t i = 0; i < g->head.n; i++)
        assert_int_equal(andiron_batch_add(batch, session, tokens[i], i >= g->head.first, NULL), ANDIRON_OK);
    assert_int_equal(andiron_batch_run(batch, NULL), ANDIRON_OK);
    for (size_t i = g->head.first; i < g->head.n; i++) {
        const float *logits = andiron_batch_logits(batch, i);
        assert_non_null(logits);
        const double total = log_of_sum(logits, n_vocab);
        const size_t position = chunk * (g->head.n - g->head.first) + i - g->head.first;
        sums->kl += kl_of(g, g->positions + position * position_bytes(g), logits, total);
        sums->n_kl++;
        if (i + 1 < g->head.n) {
            sums->loss += total - (double)logits[tokens[i + 1]];
            sums->n_loss++;
        }
    }
    andiron_batch_close(batch);
    andiron_session_close(session);
}

static void check(const char *path, const char *golden_path)
{
    struct golden g;
    struct sums sums = {0};
    andiron_model *model;
    andiron_model_info info;
    andiron_error e = {0};
    if (access(path, R_OK) || getenv("ANDIRON_TESTS_EMULATED"))
        skip();
    read_golden(&g, golden_path);
    if (andiron_model_open(&model, path, NULL, &e))
        fail_msg("%s", e.text);
    andiron_model_get_info(model, &info);
    for (size_t chunk = 0; chunk < g.head.n_chunks; chunk++)
        run_chunk(model, &g, chunk, info.n_vocab, &sums);
    andiron_model_close(model);
    free(g.tokens);
    free(g.positions);
    double kl = sums.kl / (double)sums.n_kl, perplexity = exp(sums.loss / (double)sums.n_loss);
    print_message("mean KL %.6g (llama.cpp %.6g), perplexity %.4f (llama.cpp %.4f, exact %.4f)\n", kl, g.figures.kl,
                  perplexity, g.figures.perplexity, g.figures.exact_perplexity);
    assert_true(kl <= g.figures.kl);
    const double off = fabs(perplexity / g.figures.exact_perplexity - 1);
    assert_true(fabs(perplexity / g.figures.perplexity - 1) <= 0.003 ||
                off <= fabs(g.figures.perplexity / g.figures.exact_perplexity - 1));
}

static void smollm2_is_as_exact_as_llama_cpp(void **state)
{
    (void)state;
    check(SMOLLM2, SOURCE_DIR "/tests/golden/exact/smollm2.bin");
}

static void gemma3_is_as_exact_as_llama_cpp(void **state)
{
    (void)state;
    check(GEMMA3, SOURCE_DIR "/tests/golden/exact/gemma3_270m.bin");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(smollm2_is_as_exact_as_llama_cpp),
        cmocka_unit_test(gemma3_is_as_exact_as_llama_cpp),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
