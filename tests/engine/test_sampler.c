/* test_sampler.c - each filter and penalty against what its definition says, on small vocabularies. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "engine/engine.h"

enum { N = 6, DRAWS = 20000 };
static const float logits[N] = {2.0f, 1.0f, 3.0f, 0.0f, 3.0f, -1.0f}; /* best: 2 and 4, then 0, 1, 3, 5 */

/* Enough of a model for a sampler. */
static struct andiron_model model;

static int make_model(void **state)
{
    (void)state;
    model.plan = (struct plan *)&model; /* only compared with NULL */
    model.n_vocab = N;
    return kernels_choose(&model.kernels, NULL, NULL);
}

static void count_draws(const andiron_sampler_options *options, unsigned count[N])
{
    andiron_sampler *s = NULL;
    assert_int_equal(andiron_sampler_open(&s, &model, options, NULL), ANDIRON_OK);
    for (int i = 0; i < N; i++)
        count[i] = 0;
    for (int i = 0; i < DRAWS; i++)
        count[andiron_sampler_next(s, logits)]++;
    andiron_sampler_close(s);
}

static void assert_kept(const andiron_sampler_options *options, unsigned kept)
{
    unsigned count[N];
    count_draws(options, count);
    for (unsigned i = 0; i < N; i++)
        assert_int_equal(count[i] > 0, (kept >> i) & 1);
}

static void greedy_takes_the_lowest_of_equals(void **state)
{
    (void)state;
    assert_kept(&(andiron_sampler_options){0}, 1u << 2);
}

static void temperature_draws_by_softmax(void **state)
{
    (void)state;
    unsigned count[N];
    double total = 0;
    andiron_sampler_options o = {.temperature = 2.0f, .seed = 5};
    count_draws(&o, count);
    for (int i = 0; i < N; i++)
        total += exp((double)logits[i] / 2);
    for (int i = 0; i < N; i++)
        assert_true(fabs(count[i] / (double)DRAWS - exp((double)logits[i] / 2) / total) < 0.015);
}

static void filters_keep_what_they_say(void **state)
{
    (void)state;
    assert_kept(&(andiron_sampler_options){.temperature = 1, .top_k = 1}, 1u << 2);
    assert_kept(&(andiron_sampler_options){.temperature = 1, .top_k = 3}, 1u << 2 | 1u << 4 | 1u << 0);
    /* probabilities: 2 and 4: 0.380 each, 0: 0.140, 1: 0.051, 3: 0.019, 5: 0.007 (scaled to 0.977 above) */
    assert_kept(&(andiron_sampler_options){.temperature = 1, .top_p = 0.5f}, 1u << 2 | 1u << 4);
    assert_kept(&(andiron_sampler_options){.temperature = 1, .top_p = 0.85f}, 1u << 2 | 1u << 4 | 1u << 0);
    assert_kept(&(andiron_sampler_options){.temperature = 1, .min_p = 0.3f}, 1u << 2 | 1u << 4 | 1u << 0);
    assert_kept(&(andiron_sampler_options){.temperature = 1, .min_p = 0.05f, .top_k = 4},
                1u << 2 | 1u << 4 | 1u << 0 | 1u << 1);
    assert_kept(&(andiron_sampler_options){.temperature = 1, .top_k = 3, .top_p = 0.5f}, 1u << 2 | 1u << 4);
    assert_kept(&(andiron_sampler_options){.temperature = 1, .top_p = 0.999f, .min_p = 0.9f}, 1u << 2 | 1u << 4);
}

static void bias_moves_and_forbids(void **state)
{
    (void)state;
    const andiron_logit_bias bias[] = {{2, -INFINITY}, {4, -INFINITY}, {5, 4.5f}};
    assert_kept(&(andiron_sampler_options){.bias = bias, .n_bias = 3}, 1u << 5);
    assert_kept(&(andiron_sampler_options){.temperature = 1, .bias = bias, .n_bias = 2},
                1u << 0 | 1u << 1 | 1u << 3 | 1u << 5);
}

static andiron_token next_after(const andiron_sampler_options *o, const andiron_token *before, size_t n)
{
    andiron_sampler *s = NULL;
    assert_int_equal(andiron_sampler_open(&s, &model, o, NULL), ANDIRON_OK);
    for (size_t i = 0; i < n; i++)
        andiron_sampler_accept(s, before[i]);
    andiron_token t = andiron_sampler_next(s, logits);
    andiron_sampler_close(s);
    return t;
}

static void penalties_lower_recent_tokens(void **state)
{
    (void)state;
    const andiron_token both[] = {2, 4, 4};
    assert_int_equal(next_after(&(andiron_sampler_options){.repeat_penalty = 2}, both, 3), 0);
    assert_int_equal(next_after(&(andiron_sampler_options){.presence_penalty = 1.5f}, both, 3), 0);
    assert_int_equal(next_after(&(andiron_sampler_options){.frequency_penalty = 0.6f}, both, 3), 2); /* 4 came twice */
    assert_int_equal(next_after(&(andiron_sampler_options){.presence_penalty = 0.5f}, both, 3), 2);
    /* a window of one forgets all but the last */
    assert_int_equal(next_after(&(andiron_sampler_options){.presence_penalty = 1.5f, .penalty_window = 1}, both, 3), 2);
}

static void the_seed_decides(void **state)
{
    (void)state;
    andiron_sampler *a, *b;
    andiron_sampler_options o = {.temperature = 1, .seed = 42};
    assert_int_equal(andiron_sampler_open(&a, &model, &o, NULL), ANDIRON_OK);
    assert_int_equal(andiron_sampler_open(&b, &model, &o, NULL), ANDIRON_OK);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(andiron_sampler_next(a, logits), andiron_sampler_next(b, logits));
    andiron_sampler_close(a);
    andiron_sampler_close(b);
}

static void bad_options_are_refused(void **state)
{
    (void)state;
    const andiron_logit_bias outside = {N, 1};
    const andiron_sampler_options bad[] = {
        {.temperature = -1},          {.temperature = NAN},           {.top_p = 2}, {.min_p = -1}, {.top_k = -1},
        {.repeat_penalty = INFINITY}, {.bias = &outside, .n_bias = 1}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        andiron_sampler *s;
        andiron_error e = {0};
        assert_int_equal(andiron_sampler_open(&s, &model, &bad[i], &e), ANDIRON_E_ARGUMENT);
        assert_non_null(strchr(e.text, ' '));
    }
}

static void strange_scores_give_a_token(void **state)
{
    (void)state;
    const float strange[][N] = {{NAN, NAN, NAN, NAN, NAN, NAN},
                                {-INFINITY, -INFINITY, -INFINITY, -INFINITY, -INFINITY, -INFINITY},
                                {INFINITY, 0, INFINITY, 0, 0, NAN},
                                {NAN, 1, 2, NAN, -INFINITY, 0}};
    for (size_t i = 0; i < 4; i++) {
        andiron_sampler *s;
        andiron_sampler_options o = {.temperature = 1, .top_k = 3, .top_p = 0.9f, .min_p = 0.1f};
        assert_int_equal(andiron_sampler_open(&s, &model, &o, NULL), ANDIRON_OK);
        for (int j = 0; j < 10; j++) {
            andiron_token t = andiron_sampler_next(s, strange[i]);
            assert_true(t >= 0 && t < N);
        }
        andiron_sampler_close(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greedy_takes_the_lowest_of_equals), cmocka_unit_test(temperature_draws_by_softmax),
        cmocka_unit_test(filters_keep_what_they_say),        cmocka_unit_test(bias_moves_and_forbids),
        cmocka_unit_test(penalties_lower_recent_tokens),     cmocka_unit_test(the_seed_decides),
        cmocka_unit_test(bad_options_are_refused),           cmocka_unit_test(strange_scores_give_a_token),
    };
    return cmocka_run_group_tests(tests, make_model, NULL);
}
