/* test_lora.c - LoRA adapters against llama.cpp (tests/golden/lora, by tools/oracle/make_lora.py) and against PEFT, and
 * what is refused. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
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
    } cases[] = {{"llama", 1e-5},  {"qwen3moe", 1e-5}, {"phi3.plain", 1e-5},
                 {"mamba2", 1e-5}, {"gpt2", 1e-3},     {"gemma4", 1e-3}};
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
         ANDIRON_E_FORMAT, "of another model"},
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

#define HF SOURCE_DIR "/tests/golden/hf_models/"
#define PEFT SOURCE_DIR "/tests/golden/peft/"

/* How far a model with an adapter is from the golden rows; it must open. */
static double distance_with(const char *base, const char *quant, const char *adapter, const struct golden *g)
{
    const andiron_lora lora = {adapter, 1};
    const andiron_model_options options = {
        .n_threads = 1, .max_step_tokens = 64, .loras = &lora, .n_loras = 1, .quant = quant, .cache_dir = folder};
    andiron_error e = {0};
    andiron_model *model;
    if (andiron_model_open(&model, base, &options, &e))
        fail_msg("%s with %s: %s", base, adapter, e.text);
    const double far = golden_distance(g, model, 64, &e), one_by_one = golden_distance(g, model, 1, &e);
    andiron_model_close(model);
    print_message("%s, quantized as %s: %.1e, one by one %.1e\n", base, quant ? quant : "it is", far, one_by_one);
    return far > one_by_one ? far : one_by_one;
}

/* tests/golden/peft, by tools/oracle/make_peft.py: on the folder as it is, and on the file that --quant makes of it. */
static void logits_are_pefts(void **state)
{
    static const char *const names[] = {"llama", "gemma3_text", "gpt2"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char base[512], adapter[512], path[512];
        struct golden g;
        snprintf(base, sizeof base, HF "%s", names[i]);
        snprintf(adapter, sizeof adapter, PEFT "%s", names[i]);
        snprintf(path, sizeof path, PEFT "%s/golden.bin", names[i]);
        golden_open(&g, path);
        assert_true(distance_with(base, NULL, adapter, &g) <= 2e-5);
        assert_true(distance_with(base, "f32", adapter, &g) <= 2e-5);
        golden_close(&g);
    }
}

static void what_a_peft_folder_asks_for_is_refused(void **state)
{
    static const struct {
        const char *base, *config, *words;
    } cases[] = {
        {HF "llama", "{\"peft_type\": \"IA3\"}", "peft_type of LORA"},
        {HF "llama", "{\"peft_type\": \"LORA\", \"lora_alpha\": 6, \"use_dora\": true}", "use_dora is not covered"},
        {HF "llama", "{\"peft_type\": \"LORA\", \"bias\": \"all\"}", "biases of an adapter"},
        {HF "llama", "{\"peft_type\": \"LORA\"}", "lora_alpha"},
        {HF "llama", "{\"peft_type\": \"LORA\", \"lora_alpha\": 6, \"alpha_pattern\": {\"q\": 3}}", "alpha_pattern"},
        {HF "llama", "{\"peft_type\": \"LORA\", \"lora_alpha\": 6}", "adapter_model.safetensors"}, /* there is none */
        {TINY("llama"), "{}", "goes with a Hugging Face folder"},
    };
    char dir[64], path[96];
    (void)state;
    snprintf(dir, sizeof dir, "%s/adapter", folder);
    snprintf(path, sizeof path, "%s/adapter_config.json", dir);
    assert_int_equal(mkdir(dir, 0700), 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const andiron_lora lora = {dir, 1};
        andiron_error e = {0};
        andiron_model *model;
        FILE *f = fopen(path, "wb");
        assert_non_null(f);
        fputs(cases[i].config, f);
        fclose(f);
        assert_true(open_with(&model, cases[i].base, &lora, 1, &e));
        if (!strstr(e.text, cases[i].words))
            fail_msg("case %zu: \"%s\"", i, e.text);
    }
    unlink(path);
    rmdir(dir);
    const andiron_lora other = {PEFT "gpt2", 1};
    andiron_error e = {0};
    andiron_model *model;
    assert_true(open_with(&model, HF "llama", &other, 1, &e));
    assert_non_null(strstr(e.text, "is no lora_A or lora_B of a matrix of this model"));
}

/* Rows of an adapter's file stand in pairs, those of the folder in halves: the same as on the folder's file. */
static void a_file_goes_with_a_folder(void **state)
{
    const char *adapter = write_text(LLAMA "tensor blk.0.attn_q.weight.lora_a 1 0 32 2\n"
                                           "tensor blk.0.attn_q.weight.lora_b 1 0 2 32\n"
                                           "tensor blk.1.attn_k.weight.lora_a 1 0 32 2\n"
                                           "tensor blk.1.attn_k.weight.lora_b 1 0 2 16\n");
    struct golden g;
    andiron_error e = {0};
    andiron_model *model;
    (void)state;
    golden_open(&g, HF "llama/golden.bin");
    const andiron_lora lora = {adapter, 1};
    const andiron_model_options options = {
        .n_threads = 1, .max_step_tokens = 64, .loras = &lora, .n_loras = 1, .quant = "f32", .cache_dir = folder};
    assert_int_equal(andiron_model_open(&model, HF "llama", &options, &e), ANDIRON_OK);
    andiron_session *s;
    assert_int_equal(andiron_session_open(&s, model, &(andiron_session_options){.n_ctx = 32, .kv_type = "f32"}, &e), 0);
    for (size_t i = 0; i < g.n_tokens; i++) {
        assert_int_equal(andiron_session_append(s, g.tokens + i, 1, &e), ANDIRON_OK);
        memcpy(g.rows + i * g.n_columns, andiron_session_logits(s), g.n_columns * sizeof *g.rows);
    }
    andiron_session_close(s);
    andiron_model_close(model);
    assert_true(distance_with(HF "llama", NULL, adapter, &g) <= 2e-5);
    golden_close(&g);
    golden_open(&g, HF "llama/golden.bin");
    assert_true(distance_with(HF "llama", NULL, adapter, &g) > 0.05); /* it is not left out */
    golden_close(&g);
}

/* Of a table of tokens that gives the scores, too, only the rows that are read have it. */
static void a_tied_table_is_adapted_where_it_is_read(void **state)
{
    andiron_error e = {0};
    andiron_model *model;
    const char *base = write_model(SOURCE_DIR "/tests/golden/archs/llama.tied.txt", "base.gguf");
    const andiron_lora lora = {write_text(LLAMA "tensor token_embd.weight.lora_a 1 0 2 64\n"
                                                "tensor token_embd.weight.lora_b 1 0 2 64\n"),
                               1};
    (void)state;
    if (open_with(&model, base, &lora, 1, &e))
        fail_msg("%s", e.text);
    andiron_model_close(model);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_quantized(void)
{
    char path[512];
    snprintf(path, sizeof path, "%s/quant", folder);
    DIR *dir = opendir(path);
    for (struct dirent *d; dir && (d = readdir(dir)) != NULL;)
        if (d->d_name[0] != '.')
            unlinkat(dirfd(dir), d->d_name, 0);
    return !dir || closedir(dir) || rmdir(path);
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
    return remove_quantized() || rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logits_are_llama_cpps),     cmocka_unit_test(others_are_refused),
        cmocka_unit_test(logits_are_pefts),          cmocka_unit_test(what_a_peft_folder_asks_for_is_refused),
        cmocka_unit_test(a_file_goes_with_a_folder), cmocka_unit_test(a_tied_table_is_adapted_where_it_is_read),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
