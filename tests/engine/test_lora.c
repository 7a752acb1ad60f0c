/* test_lora.c - LoRA adapters against llama.cpp (tests/golden/lora, by tools/oracle/make_lora.py), and what is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "models.h"
#include "rows.h"
#include "spec.h"

static char folder[] = "/tmp/test_lora_XXXXXX";

/* The file that a spec stands for, in the folder. */
static const char *write_model(const char *spec_path, const char *name)
{
    static char paths[32][64];
    static size_t at;
    char *path = paths[at++ % 32];
    struct spec spec;
    struct buffer file;
    spec_to_gguf(spec_path, &spec, &file);
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(file.data, 1, file.n, f), file.n);
    fclose(f);
    buffer_reset(&file);
    return path;
}

static const char *write_text(const char *text)
{
    char path[64];
    snprintf(path, sizeof path, "%s/spec.txt", folder);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    return write_model(path, "other.gguf");
}

static andiron_status open_with(andiron_model **out, const char *model, const andiron_lora *loras, size_t n,
                                andiron_error *e)
{
    const andiron_model_options options = {.n_threads = 1, .max_step_tokens = 64, .loras = loras, .n_loras = n};
    return andiron_model_open(out, model, &options, e);
}

static void logits_are_llama_cpps(void **state)
{
    static const struct {
        const char *name;
        double limit;
    } cases[] = {{"llama", 1e-5}, {"qwen3moe", 1e-5}, {"phi3.plain", 1e-5}, {"mamba2", 1e-5}, {"gpt2", 1e-3}};
    static const size_t steps[] = {64, 1, 5};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[512];
        struct golden g;
        andiron_error e = {0};
        andiron_model *model;
        snprintf(path, sizeof path, SOURCE_DIR "/tests/golden/archs/%s.txt", cases[i].name);
        const char *base = write_model(path, "base.gguf");
        snprintf(path, sizeof path, SOURCE_DIR "/tests/golden/lora/%s.txt", cases[i].name);
        const char *adapter = write_model(path, "adapter.gguf");
        snprintf(path, sizeof path, SOURCE_DIR "/tests/golden/lora/%s.bin", cases[i].name);
        golden_open(&g, path);
        const andiron_lora one[] = {{adapter, 0.7f}}, two[] = {{adapter, 0.5f}, {adapter, 0.2f}},
                           none[] = {{adapter, 0}};
        if (open_with(&model, base, one, 1, &e))
            fail_msg("%s: %s", cases[i].name, e.text);
        for (size_t k = 0; k < 3; k++) {
            const double far = golden_distance(&g, model, steps[k], &e);
            print_message("%-10s in steps of %zu: %.1e\n", cases[i].name, steps[k], far);
            assert_true(far >= 0 && far <= cases[i].limit);
        }
        andiron_model_close(model);
        assert_int_equal(open_with(&model, base, two, 2, &e), ANDIRON_OK); /* together they are as much */
        assert_true(golden_distance(&g, model, 64, &e) <= cases[i].limit);
        andiron_model_close(model);
        assert_int_equal(open_with(&model, base, none, 1, &e), ANDIRON_OK);
        assert_true(golden_distance(&g, model, 64, &e) > 0.1);
        andiron_model_close(model);
        golden_close(&g);
    }
}

#define ADAPTER "kv general.type str adapter\nkv adapter.type str lora\nkv adapter.lora.alpha f32 4.0\n"
#define LLAMA "kv general.architecture str llama\n" ADAPTER

static void others_are_refused(void **state)
{
    static const struct {
        const char *spec;
        andiron_status status;
        const char *words;
    } cases[] = {
        {"kv general.architecture str llama\n", ANDIRON_E_SUPPORT, "is no LoRA adapter"},
        {"kv general.architecture str gpt2\n" ADAPTER, ANDIRON_E_ARGUMENT, "for another architecture than llama"},
        {LLAMA "kv adapter.alora.invocation_tokens u32[] 1 2\n", ANDIRON_E_SUPPORT, "aLoRA"},
        {LLAMA "tensor blk.9.attn_q.weight.lora_a 1 0 64 2\ntensor blk.9.attn_q.weight.lora_b 1 0 2 64\n",
         ANDIRON_E_SUPPORT, "\"blk.9.attn_q.weight.lora_a\" is for a tensor that this model has not"},
        {LLAMA "tensor blk.0.attn_q.weight.lora_a 1 0 64 2\n", ANDIRON_E_SUPPORT, "attn_q.weight.lora_a"},
        {LLAMA "tensor blk.0.attn_norm.weight.lora_a 1 0 64 2\ntensor blk.0.attn_norm.weight.lora_b 1 0 2 64\n",
         ANDIRON_E_SUPPORT, "attn_norm.weight.lora_a"},
        {LLAMA "tensor blk.0.attn_q.weight.lora_a 1 0 64 2\ntensor blk.0.attn_q.weight.lora_b 1 0 2 1\n",
         ANDIRON_E_FORMAT, "of another model"},
        {LLAMA "tensor blk.0.attn_q.weight.lora_a 1 0 64 2\ntensor blk.0.attn_q.weight.lora_b 1 0 3 64\n",
         ANDIRON_E_FORMAT, "rows of 2 numbers"},
        {LLAMA "tensor blk.0.attn_q.weight.lora_a 1 0 32 2\ntensor blk.0.attn_q.weight.lora_b 1 0 2 64\n",
         ANDIRON_E_FORMAT, "table of tokens"},
    };
    (void)state;
    const char *base = write_model(SOURCE_DIR "/tests/golden/archs/llama.txt", "base.gguf");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        andiron_error e = {0};
        andiron_model *model;
        const andiron_lora lora = {write_text(cases[i].spec), 1};
        const andiron_status s = open_with(&model, base, &lora, 1, &e);
        if (s != cases[i].status || !strstr(e.text, cases[i].words))
            fail_msg("case %zu: %d \"%s\"", i, s, e.text);
    }
    andiron_error e = {0};
    andiron_model *model;
    const andiron_lora missing = {"/nowhere/at/all.gguf", 1}, many[17] = {{"", 1}};
    assert_int_equal(open_with(&model, base, &missing, 1, &e), ANDIRON_E_IO);
    assert_int_equal(open_with(&model, base, many, 17, &e), ANDIRON_E_ARGUMENT);
}

static void a_folder_with_other_rows_is_refused(void **state)
{
    andiron_error e = {0};
    andiron_model *model;
    const andiron_lora lora = {write_model(SOURCE_DIR "/tests/golden/lora/llama.txt", "adapter.gguf"), 1};
    (void)state;
    assert_int_equal(open_with(&model, SOURCE_DIR "/tests/golden/hf_models/llama", &lora, 1, &e), ANDIRON_E_SUPPORT);
    assert_non_null(strstr(e.text, "andiron convert the folder"));
}

/* A table of tokens that gives the scores, too. */
static void a_tied_table_is_refused(void **state)
{
    andiron_error e = {0};
    andiron_model *model;
    const char *base = write_model(SOURCE_DIR "/tests/golden/archs/llama.tied.txt", "base.gguf");
    const andiron_lora lora = {write_text(LLAMA "tensor token_embd.weight.lora_a 1 0 2 64\n"
                                                "tensor token_embd.weight.lora_b 1 0 2 64\n"),
                               1};
    (void)state;
    assert_int_equal(open_with(&model, base, &lora, 1, &e), ANDIRON_E_FORMAT);
    assert_non_null(strstr(e.text, "where that gives the scores, too"));
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    static const char *const names[] = {"base.gguf", "adapter.gguf", "other.gguf", "spec.txt"};
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        char path[64];
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logits_are_llama_cpps),
        cmocka_unit_test(others_are_refused),
        cmocka_unit_test(a_folder_with_other_rows_is_refused),
        cmocka_unit_test(a_tied_table_is_refused),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
