/* test_blocks.c - what weights mean, against the gguf package and ggml: golden/kernels/blocks.bin has random blocks of
 * each type and the floats that they make (tools/oracle/make_blocks.py). Every level of this machine dequantizes them
 * to the same bits.
 *
 *     test_blocks [FILE] */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "kernels/kernels.h"
#include <string.h>

static const char *path = SOURCE_DIR "/tests/golden/kernels/blocks.bin";

static void read_whole(void *to, size_t n, FILE *f) { assert_int_equal(fread(to, 1, n, f), n); }

static void check_record(const struct kernels *k, const uint32_t head[3], FILE *f)
{
    const struct type_info *info = type_info(head[0]);
    assert_non_null(info);
    assert_int_equal(head[1] / info->block_items * info->block_bytes, head[2]);
    uint8_t *blocks = alloc_zeroed(head[2], 1);
    float *expected = alloc_zeroed(head[1], sizeof *expected), *y = alloc_zeroed(head[1], sizeof *y);
    assert_true(blocks && expected && y);
    read_whole(blocks, head[2], f);
    read_whole(expected, head[1] * sizeof *expected, f);
    const dequantize_fn dequantize = kernels_dequantize(k, head[0]);
    assert_non_null(dequantize);
    dequantize(y, blocks, head[1]);
    for (size_t i = 0; i < head[1]; i++)
        if (memcmp(&y[i], &expected[i], sizeof *y))
            fail_msg("%s: %s: item %zu is %a, not %a", k->cpu, info->name, i, (double)y[i], (double)expected[i]);
    alloc_free(blocks);
    alloc_free(expected);
    alloc_free(y);
}

static void check_level(const char *cpu)
{
    struct kernels k;
    andiron_error e;
    assert_int_equal(kernels_choose(&k, cpu, &e), ANDIRON_OK);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    bool seen[TYPE_LIMIT] = {false};
    uint32_t head[3];
    while (fread(head, sizeof head, 1, f) == 1) {
        assert_true(head[0] < TYPE_LIMIT);
        check_record(&k, head, f);
        seen[head[0]] = true;
    }
    fclose(f);
    for (uint32_t type = 0; type < TYPE_LIMIT; type++)
        if (type_info(type) && type_info(type)->runs && !seen[type])
            fail_msg("%s has no blocks of %s", path, type_info(type)->name);
}

static void blocks_mean_what_the_oracles_say(void **state)
{
    (void)state;
    for (const struct level *l = kernel_levels; l->cpu; l++)
        if (l->present())
            check_level(l->cpu);
}

/* A type runs where it has a product and a dequantization, and only there. */
static void types_that_run_have_kernels(void **state)
{
    (void)state;
    struct kernels k;
    andiron_error e;
    assert_int_equal(kernels_choose(&k, NULL, &e), ANDIRON_OK);
    for (uint32_t type = 0; type < TYPE_LIMIT; type++) {
        const bool runs = type_info(type) && type_info(type)->runs;
        assert_int_equal(runs, kernels_mul(&k, type) != NULL);
        assert_int_equal(runs, kernels_dequantize(&k, type) != NULL);
    }
}

int main(int argc, char **argv)
{
    if (argc > 1)
        path = argv[1];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_mean_what_the_oracles_say),
        cmocka_unit_test(types_that_run_have_kernels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
