/* test_pack.c - numbers as weights: the bytes of gguf.quants.quantize (tools/oracle/make_pack.py). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/pack.h"

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
        pack_row(type, x, n, got);
        if (memcmp(expected, got, bytes))
            fail_msg("%s differs", type_info(type)->name);
    }
    fclose(f);
    free(x);
    free(expected);
    free(got);
}

static void others_are_refused(void **state)
{
    (void)state;
    assert_true(pack_can(TYPE_F32));
    assert_false(pack_can(TYPE_Q6_K));
    assert_false(pack_can(TYPE_LIMIT));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(bytes_are_the_package_s), cmocka_unit_test(others_are_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
