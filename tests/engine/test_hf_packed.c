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
    for (uint64_t at = 0; at < n; at += t->dims[0])
        kernels_dequantize(&model->kernels, t->type)(
            x + at, (const char *)t->data + at / info->block_items * info->block_bytes, t->dims[0]);
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
    char path[512];
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
    size_t n_right = 0, n_wrong = 0;
    DIR *dir = opendir(MODELS);
    assert_non_null(dir);
    for (struct dirent *d; (d = readdir(dir)) != NULL;)
        if (d->d_name[0] != '.')
            *(right(d->d_name) ? &n_right : &n_wrong) += 1;
    closedir(dir);
    print_message("%zu right, %zu wrong\n", n_right, n_wrong);
    assert_int_equal(n_wrong, 0);
    assert_true(n_right >= 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packed_weights_are_what_they_mean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
