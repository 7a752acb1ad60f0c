/* test_definitions.c - every built-in definition over a tiny model of its architecture: it expands, uses every tensor,
 * and declares the caches and windows that Transformers has. The numbers are tests/engine/test_golden.c's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "../engine/models.h"
#include "base/alloc.h"
#include "fake_source.h"
#include "file_source.h"

/* Expand the built-in definition of the file's architecture, over one of its own or `definition`. */
static andiron_status expand_file(struct file_source *s, const char *definition, struct graph *g, andiron_error *e)
{
    struct arch *a;
    struct span text;
    const char *file;
    assert_true(arch_builtin(NULL, span_of(definition ? definition : s->architecture), &text, &file));
    andiron_status status = arch_open(&a, text, file, arch_builtin, NULL, e);
    if (!status)
        status = arch_expand(a, &s->source, &s->arena, g, e);
    arch_close(a);
    return status;
}

static void open_and_expand(const char *path, struct file_source *s, struct graph *g)
{
    andiron_error e = {0};
    if (!file_source_open(s, path, &e) || expand_file(s, NULL, g, &e)) {
        print_error("%s: %s\n", path, e.text);
        fail();
    }
}

static void check_used(const char *path, const struct file_source *s)
{
    for (size_t i = 0; i < gguf_n_tensors(s->file); i++)
        if (!s->used[i]) {
            print_error("%s: %s is not used\n", path, s->weights[i].name);
            fail();
        }
}

static const struct {
    const char *name;
    size_t n_caches;
    uint32_t n_heads, head_size, window; /* of the first layer's cache */
} models[] = {
    {"llama", 2, 2, 16, 0},   {"mistral", 2, 2, 16, 7}, {"qwen2", 2, 2, 16, 0},      {"qwen3", 2, 1, 32, 0},
    {"gemma3", 7, 2, 16, 6},  {"phi3", 2, 2, 16, 10},   {"olmo2", 2, 2, 16, 0},      {"olmo3", 5, 2, 16, 8},
    {"smollm3", 5, 2, 16, 0}, {"gpt2", 2, 4, 16, 0},    {"llama_q8_0", 2, 2, 16, 0}, {"qwen2_q4_0", 2, 2, 16, 0},
};

static uint32_t window_of(const struct graph *g, size_t cache)
{
    for (size_t i = 0; i < g->n_nodes; i++)
        if (g->nodes[i].op == OP_attend && g->nodes[i].arg[3].number == (double)cache)
            return (uint32_t)g->nodes[i].arg[5].number;
    return UINT32_MAX;
}

static void every_definition_expands_over_its_model(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        char path[512];
        struct file_source s;
        struct graph g;
        snprintf(path, sizeof path, TINY("%s"), models[i].name);
        open_and_expand(path, &s, &g);
        check_used(path, &s);
        assert_int_equal(g.n_caches, models[i].n_caches);
        assert_int_equal(g.caches[0].n_heads, models[i].n_heads);
        assert_int_equal(g.caches[0].hd_k, models[i].head_size);
        assert_int_equal(window_of(&g, 0), models[i].window);
        assert_int_equal(g.n_ctx_train, 128);
        assert_int_equal(g.n_positions_max, !strcmp(models[i].name, "gpt2") ? 128 : 0);
        assert_int_equal(shape_items(g.nodes[g.output].shape), 128);
        file_source_close(&s);
    }
}

/* Blocks, or names, for others to use: no graph. */
static bool is_library(const char *name)
{
    static const char *const names[] = {"bounded", "dsa",       "folder", "hyper",    "kda", "mhc",
                                        "mla",     "per_layer", "pooled", "sinusoid", "ssm"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(name, names[i]))
            return true;
    return false;
}

static void every_built_in_definition_has_its_model_and_logits(void **state)
{
    (void)state;
    for (size_t i = 0; arch_builtin_name(i); i++) {
        const char *name = arch_builtin_name(i);
        char model[512], logits[512], spec[512], values[512], folder[512], imported[512];
        snprintf(model, sizeof model, TINY("%s"), name);
        snprintf(logits, sizeof logits, SOURCE_DIR "/tests/golden/%s.bin", name);
        snprintf(spec, sizeof spec, SOURCE_DIR "/tests/golden/archs/%s.txt", name);
        snprintf(values, sizeof values, SOURCE_DIR "/tests/golden/archs/%s.bin", name);
        snprintf(folder, sizeof folder, SOURCE_DIR "/tests/golden/hf_models/%s/golden.bin", name);
        snprintf(imported, sizeof imported, SOURCE_DIR "/tests/golden/imports/%s.bin", name);
        if (!is_library(name) && (access(model, R_OK) || access(logits, R_OK)) &&
            (access(spec, R_OK) || access(values, R_OK)) && access(folder, R_OK) && access(imported, R_OK))
            fail_msg("%s has no tiny model; see docs/adding-an-architecture.md", name);
    }
}

static size_t n_ropes(const struct graph *g, int32_t layer, double *base, double *linear)
{
    size_t n = 0;
    for (size_t i = 0; i < g->n_nodes; i++)
        if (g->nodes[i].op == OP_rope && g->nodes[i].layer == layer) {
            *base = g->nodes[i].arg[2].number;
            *linear = g->nodes[i].arg[6].number;
            n++;
        }
    return n;
}

static void layers_that_differ_do(void **state)
{
    (void)state;
    struct file_source s;
    struct graph g;
    double base = 0, linear = 0;
    open_and_expand(TINY("gemma3"), &s, &g);
    for (int32_t l = 0; l < 7; l++) {
        assert_int_equal(window_of(&g, (size_t)l), l == 5 ? 0 : 6);
        assert_int_equal(n_ropes(&g, l, &base, &linear), 2);
        assert_true(base == (l == 5 ? 1e6 : 1e4) && linear == (l == 5 ? 8 : 1));
    }
    file_source_close(&s);
    open_and_expand(TINY("smollm3"), &s, &g);
    for (int32_t l = 0; l < 5; l++)
        assert_int_equal(n_ropes(&g, l, &base, &linear), l == 3 ? 0 : 2);
    file_source_close(&s);
    open_and_expand(TINY("olmo3"), &s, &g);
    for (size_t l = 0; l < 5; l++)
        assert_int_equal(window_of(&g, (size_t)l), l == 3 ? 0 : 8);
    file_source_close(&s);
}

static void the_wrong_definition_is_an_error_with_its_place(void **state)
{
    (void)state;
    struct file_source s;
    struct graph g;
    andiron_error e = {0};
    assert_true(file_source_open(&s, TINY("llama"), &e));
    assert_int_equal(expand_file(&s, "bitnet", &g, &e), ANDIRON_E_FORMAT);
    assert_true(error_is(e.text, "llama.arch:N: rmsnorm: the file has no tensor \"blk.0.attn_sub_norm.weight\""));
    assert_int_equal(expand_file(&s, "gpt2", &g, &e), ANDIRON_E_FORMAT);
    assert_true(error_is(e.text, "gpt2.arch:N: embed: the file has no tensor \"position_embd.weight\""));
    file_source_close(&s);
}

static void real_models_use_every_tensor(void **state)
{
    (void)state;
    static const char *const paths[] = {SMOLLM2, GEMMA3};
    size_t n = 0;
    for (size_t i = 0; i < 2; i++) {
        struct file_source s;
        struct graph g;
        if (access(paths[i], R_OK))
            continue;
        n++;
        open_and_expand(paths[i], &s, &g);
        check_used(paths[i], &s);
        file_source_close(&s);
    }
    if (!n)
        skip();
}

static void failing_allocations_are_errors(void **state)
{
    (void)state;
    andiron_error e = {0};
    for (int64_t i = 0;; i++) {
        struct file_source s;
        struct graph g;
        assert_true(file_source_open(&s, TINY("gemma3"), &e));
        alloc_fail_after(i);
        andiron_status status = expand_file(&s, NULL, &g, &e);
        alloc_fail_after(-1);
        file_source_close(&s);
        if (!status)
            break;
        assert_int_equal(status, ANDIRON_E_MEMORY);
        assert_true(i < 1000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_definition_expands_over_its_model),
        cmocka_unit_test(every_built_in_definition_has_its_model_and_logits),
        cmocka_unit_test(layers_that_differ_do),
        cmocka_unit_test(the_wrong_definition_is_an_error_with_its_place),
        cmocka_unit_test(real_models_use_every_tensor),
        cmocka_unit_test(failing_allocations_are_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
