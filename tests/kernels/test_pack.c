/* test_pack.c - numbers as weights: the bytes of gguf.quants.quantize (tools/oracle/make_pack.py); of K-quants, no more
 * than 1.02 times the squared error of ggml's (tools/oracle/check_pack_k.py --write). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/pack.h"

static struct kernels kernels;

static uint32_t read_u32(FILE *f)
{
    uint32_t x = 0;
    assert_int_equal(fread(&x, 4, 1, f), 1);
    return x;
}

static void bytes_are_the_package_s(void **state)
{
    (void)state;
    FILE *f = fopen(SOURCE_DIR "/tests/golden/kernels/pack.bin", "rb");
    assert_non_null(f);
    const size_t n = read_u32(f);
    float *x = malloc(n * sizeof *x);
    unsigned char *expected = malloc(n * 4), *got = malloc(n * 4);
    assert_true(x && expected && got);
    assert_int_equal(fread(x, sizeof *x, n, f), n);
    for (int i = 0; i < 7; i++) {
        const uint32_t type = read_u32(f), bytes = read_u32(f);
        assert_true(pack_can(type) && bytes <= 4 * n);
        assert_int_equal(fread(expected, 1, bytes, f), bytes);
        pack_row(&kernels, type, x, n, got);
        if (memcmp(expected, got, bytes))
            fail_msg("%s differs", type_info(type)->name);
    }
    fclose(f);
    free(x);
    free(expected);
    free(got);
}

static double squared_error(uint32_t type, const float *x, size_t n, void *packed, float *back)
{
    double sum = 0;
    pack_row(&kernels, type, x, n, packed);
    kernels_dequantize(&kernels, type)(back, packed, n);
    for (size_t i = 0; i < n; i++)
        sum += ((double)x[i] - (double)back[i]) * ((double)x[i] - (double)back[i]);
    return sum;
}

/* Rows of one kind of number each, and ggml's error in each row of each type. */
static void errors_are_no_worse_than_ggml_s(void **state)
{
    (void)state;
    FILE *f = fopen(SOURCE_DIR "/tests/golden/kernels/pack_k.bin", "rb");
    assert_non_null(f);
    const size_t rows = read_u32(f), width = read_u32(f);
    float *x = malloc(rows * width * sizeof *x), *back = malloc(width * sizeof *back);
    unsigned char *packed = malloc(width * 4);
    assert_true(x && back && packed);
    assert_int_equal(fread(x, sizeof *x, rows * width, f), rows * width);
    for (int i = 0; i < 5; i++) {
        const uint32_t type = read_u32(f);
        for (size_t row = 0; row < rows; row++) {
            double theirs = 0;
            assert_int_equal(fread(&theirs, sizeof theirs, 1, f), 1);
            const double ours = squared_error(type, x + row * width, width, packed, back);
            if (!(ours <= 1.02 * theirs))
                fail_msg("%s, row %zu: %g times ggml's error", type_info(type)->name, row, ours / theirs);
        }
    }
    fclose(f);
    free(x);
    free(back);
    free(packed);
}

static void others_are_refused(void **state)
{
    (void)state;
    assert_true(pack_can(TYPE_F32));
    assert_true(pack_can(TYPE_Q6_K));
    assert_false(pack_can(TYPE_IQ4_NL));
    assert_false(pack_can(TYPE_LIMIT));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(bytes_are_the_package_s),
                                       cmocka_unit_test(errors_are_no_worse_than_ggml_s),
                                       cmocka_unit_test(others_are_refused)};
    if (kernels_choose(&kernels, NULL, NULL))
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
