/* test_hf_packed.c - folders whose weights are packed (tools/oracle/make_hf_packed.py): each number of each matrix is
 * the one that the format means, in the expected type; logits against Transformers'. And mutants. */
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

#include "files.h"
#include "rows.h"

#define MODELS SOURCE_DIR "/tests/golden/hf_packed"

/* Block types meet activations of 8 bits, as those of a GGUF file do; their weights are exact all the same. */
static const double limit = 2e-5, limit_blocks = 5e-2;
static const andiron_model_options small_steps = {.n_threads = 1, .max_step_tokens = 64};

/* FNV-1a over the 32-bit words of a tensor's numbers. */
static uint64_t sum_of(const andiron_model *model, const struct gguf_tensor *t)
{
    const struct type_info *info = type_info(t->type);
    const uint64_t n = t->dims[0] * t->dims[1] * t->dims[2];
    uint64_t h = 0xcbf29ce484222325;
    float *x = malloc(n * sizeof *x);
    assert_non_null(x);
    for (uint64_t r = 0; r < n / t->dims[0]; r++)
        kernels_dequantize(&model->kernels, t->type)(
            x + r * t->dims[0], gguf_row(t, r, t->dims[0] / info->block_items * info->block_bytes), t->dims[0]);
    for (uint64_t i = 0; i < n; i++) {
        uint32_t word;
        memcpy(&word, &x[i], sizeof word);
        h = (h ^ word) * 0x100000001b3;
    }
    free(x);
    return h;
}

/* How many tensors of weights.txt are not what it says; *blocks: some are of a block type. */
static size_t wrong_weights(const andiron_model *model, const char *name, bool *blocks)
{
    char path[512], tensor[128], type[16];
    unsigned long long sum;
    size_t n_wrong = 0, n = 0;
    snprintf(path, sizeof path, MODELS "/%s/weights.txt", name);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    for (; fscanf(f, "%127s %15s %llx", tensor, type, &sum) == 3; n++) {
        const struct gguf_tensor *t = gguf_find_tensor(model->file, tensor);
        assert_non_null(t);
        const bool right = sum_of(model, t) == sum, as_said = !strcmp(type_info(t->type)->name, type);
        if (!right || !as_said)
            print_error("%s: %s is %s; numbers %s\n", name, tensor, type_info(t->type)->name,
                        right ? "right" : "wrong");
        n_wrong += !right || !as_said;
        *blocks = *blocks || type_info(t->type)->block_items > 1;
    }
    fclose(f);
    return n ? n_wrong : 1;
}

static bool right(const char *name)
{
    static const size_t steps[] = {64, 1, 5};
    char path[1024];
    struct golden g;
    andiron_error e = {0};
    andiron_model *model;
    bool all = true, blocks = false;
    snprintf(path, sizeof path, MODELS "/%s", name);
    if (andiron_model_open(&model, path, &small_steps, &e)) {
        print_error("%-20s %s\n", name, e.text);
        return false;
    }
    const size_t n_wrong = wrong_weights(model, name, &blocks);
    double far[3] = {0};
    snprintf(path, sizeof path, MODELS "/%s/golden.bin", name);
    golden_open(&g, path);
    for (size_t i = 0; i < 3; i++) {
        far[i] = golden_distance(&g, model, steps[i], &e);
        all = all && far[i] >= 0 && far[i] <= (blocks ? limit_blocks : limit);
    }
    print_message("%-16s %zu wrong matrices; logits: one step %.1e, one by one %.1e, in fives %.1e%s%s\n", name,
                  n_wrong, far[0], far[1], far[2], all ? "" : " - too far ", all ? "" : e.text);
    golden_close(&g);
    andiron_model_close(model);
    return all && n_wrong == 0;
}

static void packed_weights_are_what_they_mean(void **state)
{
    (void)state;
    golden_folder(MODELS, right, 30);
}

/* ---- folders that are wrong ---- */

enum { ROOM = 1 << 19 };

static size_t read_file(const char *folder, const char *name, char *data)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t n = fread(data, 1, ROOM, f);
    assert_true(n < ROOM);
    fclose(f);
    return n;
}

static const char *const files[] = {"config.json", "model.safetensors"};

/* A folder for copies, beside nothing of worth. */
static void begin(char folder[32])
{
    snprintf(folder, 32, "/tmp/test_packed_XXXXXX");
    assert_non_null(mkdtemp(folder));
}

static void end(const char *folder)
{
    char path[1024];
    for (size_t i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, files[i]);
        unlink(path);
    }
    rmdir(folder);
}

/* A copy of a case with `from` become `to` wherever it stands in one file is refused with these words. */
static void refused(const char *name, const char *file, const char *from, const char *to, const char *words)
{
    static char data[ROOM];
    char folder[32], path[512];
    andiron_model *model = NULL;
    andiron_error e = {0};
    size_t n_found = 0;
    begin(folder);
    snprintf(path, sizeof path, MODELS "/%s", name);
    assert_int_equal(strlen(from), strlen(to));
    for (size_t i = 0; i < 2; i++) {
        size_t n = read_file(path, files[i], data);
        for (char *at = data; !strcmp(files[i], file) && (at = memmem(at, (size_t)(data + n - at), from, strlen(from)));
             at += strlen(to), n_found++)
            memcpy(at, to, strlen(to));
        file_write(folder, files[i], data, n);
    }
    andiron_status s = andiron_model_open(&model, folder, &small_steps, &e);
    end(folder);
    if (!n_found || !s || !strstr(e.text, words))
        fail_msg("%s, \"%s\": got \"%s\" where \"%s\" was expected", name, from, e.text, words);
    andiron_model_close(model);
}

static void unknown_formats_are_refused_by_name(void **state)
{
    (void)state;
    refused("awq", "config.json", "\"awq\"", "\"hqq\"", "quant_method \"hqq\"");
    refused("awq", "config.json", "\"gemm\"", "\"gemv\"", "version \"gemv\"");
    refused("awq", "config.json", "\"bits\": 4", "\"bits\": 8", "8 bits; of AWQ 4");
    refused("gptq", "config.json", "\"bits\": 4", "\"bits\": 3", "3 bits; of GPTQ 2, 4 and 8");
    refused("gptq_v2", "config.json", "\"gptq_v2\"", "\"gptq_v9\"", "checkpoint_format \"gptq_v9\"");
    refused("ct_int4", "config.json", "\"pack-quantized\"", "\"nope-quantized\"", "format \"nope-quantized\"");
    refused("gptq", "config.json", "\"group_size\": 32", "\"group_size\": -2", "expected a group_size");
    refused("fp8_block", "config.json", "\"weight_block_size\"", "\"weight_block_sise\"",
            "fit no bits and group or block");
}

static void shapes_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    const char *tensors = "model.safetensors";
    refused("gptq", "config.json", "\"bits\": 4", "\"bits\": 8", "down_proj.qweight\" has scales that fit no bits");
    refused("gptq", "config.json", "\"group_size\": 32", "\"group_size\": 16", "fit no bits and group or block");
    refused("awq", "config.json", "\"group_size\": 32", "\"group_size\": 48", "fit no bits and group or block");
    refused("ct_int4_zeros", "config.json", "\"num_bits\": 4", "\"num_bits\": 8", "fit no bits and group or block");
    refused("ct_int4_zeros", tensors, "weight_zero_point", "weight_zero_paint", "fit no bits and group or block");
    refused("ct_int4", tensors, "q_proj.weight_scale", "q_proj.weight_skale", "q_proj.weight_packed\" has no scales");
    refused("ct_int4", tensors, "q_proj.weight_shape", "q_proj.weight_shade", "weight_shade\" is not known");
    refused("ct_int8", "config.json", "\"int\"", "\"itn\"", "fit no bits and group or block");
    refused("gptq", tensors, "q_proj.qzeros", "q_proj.qseros", "does not fit its weight_shape, qzeros or quant_state");
    refused("gptq", tensors, "q_proj.qweight", "q_proj.qwaight", "q_proj.qwaight\" is not known");
    refused("fp8_block", tensors, "weight_scale_inv", "activation_scale", "has no scales of F32, F16 or BF16");
    refused("fp8_block", "config.json", "\"fp8\"", "\"awq\"", "0 bits; of AWQ 4");
    refused("mxfp4", tensors, "down_proj_scales", "down_proj_skales", "down_proj_blocks\" has no scales");
    refused("mxfp4", tensors, "down_proj_blocks", "down_proj_blacks", "down_proj_blacks\" is not known");
    refused("ct_nvfp4", tensors, "global_scale", "glabal_scale", "has scales, but is of no packed type");
    refused("modelopt_nvfp4", tensors, "down_proj.weight_scale_2", "down_proj.weight_scale_3",
            "has scales, but is of no packed type");
    refused("bnb_nf4", tensors, "nested_quant_map", "nested_quant_mop", "nested_quant_mop\" is not known");
    refused("bnb_nf4", tensors, "\"blocksize\": 32", "\"blocksize\": 40", "quant_state; download");
    refused("bnb_nf4_plain", tensors, "\"blocksize\": 32", "\"blocksize\": 16", "fit no bits and group or block");
    refused("bnb_nf4", tensors, "\"shape\": [64, 64]", "\"shape\": [65, 64]", "quant_state; download");
    refused("bnb_int8", tensors, "down_proj.SCB", "down_proj.SCX", "down_proj.SCX\" is not known");
}

static uint32_t next(uint32_t *seed)
{
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 8;
}

/* Digits and letters of config.json, of the header, and any bits of the data become others: opened or refused. */
static void mutants_of(const char *name, uint32_t seed)
{
    static char data[2][ROOM], copy[ROOM];
    char folder[32], path[512];
    size_t n[2];
    begin(folder);
    snprintf(path, sizeof path, MODELS "/%s", name);
    for (size_t i = 0; i < 2; i++)
        file_write(folder, files[i], data[i], n[i] = read_file(path, files[i], data[i]));
    const size_t header = 8 + (uint8_t)data[1][0] + ((size_t)(uint8_t)data[1][1] << 8);
    assert_true(header < n[1]);
    for (size_t k = 0; k < 60; k++) {
        andiron_model *model = NULL;
        andiron_error e = {0};
        const size_t file = k % 3 > 0, size = k % 3 == 1 ? header : n[file];
        memcpy(copy, data[file], n[file]);
        for (size_t c = 0; c < 1 + k % 4;) {
            const size_t at = next(&seed) % size;
            if (k % 3 == 2 || (copy[at] >= '0' && copy[at] <= '9')) {
                copy[at] = k % 3 == 2 ? (char)next(&seed) : (char)('0' + next(&seed) % 10);
                c++;
            }
        }
        file_write(folder, files[file], copy, n[file]);
        if (!andiron_model_open(&model, folder, &small_steps, &e))
            andiron_model_close(model);
        else
            assert_true(e.text[0] != 0);
        file_write(folder, files[file], data[file], n[file]);
    }
    end(folder);
}

static void mutants_are_opened_or_refused(void **state)
{
    (void)state;
    uint32_t seed = 1;
    DIR *dir = opendir(MODELS);
    assert_non_null(dir);
    for (struct dirent *d; (d = readdir(dir)) != NULL;)
        if (d->d_name[0] != '.')
            mutants_of(d->d_name, seed++);
    closedir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packed_weights_are_what_they_mean),
        cmocka_unit_test(unknown_formats_are_refused_by_name),
        cmocka_unit_test(shapes_that_do_not_fit_are_refused),
        cmocka_unit_test(mutants_are_opened_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
