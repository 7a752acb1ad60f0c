/* test_largest.c - the largest of many numbers, against their meaning taken at its word. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/kernels.h"

enum { MOST = 20000 };

static struct kernels kernels;
static float x[MOST];
static uint32_t got[LARGEST_MOST];

/* A number is one of them if fewer than k are above it, or as large and before it. */
static void check(size_t n, size_t k)
{
    const size_t n_got = kernels.largest(got, x, n, k);
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        size_t before = 0;
        for (size_t j = 0; j < n && before < k; j++)
            before += x[j] > x[i] || (x[j] == x[i] && j < i);
        if (before == k || !(x[i] > -INFINITY))
            continue;
        assert_true(at < n_got);
        assert_int_equal(got[at++], i);
    }
    assert_int_equal(at, n_got);
}

static void check_all(void)
{
    static const size_t n[] = {1, 15, 16, 17, 700, 2048, 3001, MOST}, k[] = {1, 3, 512, LARGEST_MOST};
    for (size_t i = 0; i < sizeof n / sizeof *n; i++)
        for (size_t j = 0; j < sizeof k / sizeof *k; j++)
            check(n[i], k[j]);
}

static void numbers_in_no_order(void **state)
{
    (void)state;
    uint32_t random = 1;
    for (size_t i = 0; i < MOST; i++) {
        random = random * 1664525 + 1013904223;
        x[i] = (float)(random >> 8) / 0x1p20f - 8.0f;
    }
    check_all();
    for (size_t i = 0; i < MOST; i++) /* many equal ones */
        x[i] = floorf(x[i]);
    check_all();
}

static void rising_falling_and_equal(void **state)
{
    (void)state;
    for (size_t i = 0; i < MOST; i++)
        x[i] = (float)i - 5000.0f;
    check_all();
    for (size_t i = 0; i < MOST; i++)
        x[i] = -x[i];
    check_all();
    for (size_t i = 0; i < MOST; i++)
        x[i] = i % 2 ? 0.0f : -0.0f;
    check_all();
}

static void what_is_no_number(void **state)
{
    (void)state;
    for (size_t i = 0; i < MOST; i++)
        x[i] = i % 3 == 0 ? -INFINITY : i % 3 == 1 ? NAN : i % 50 == 2 ? INFINITY : (float)(i % 999);
    check_all();
    for (size_t i = 0; i < MOST; i++)
        x[i] = i % 2 ? -INFINITY : NAN;
    check_all();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_in_no_order),
        cmocka_unit_test(rising_falling_and_equal),
        cmocka_unit_test(what_is_no_number),
    };
    int failed = 0;
    for (const struct level *l = kernel_levels; l->cpu; l++)
        if (kernels_choose(&kernels, l->cpu, NULL) == ANDIRON_OK)
            failed += cmocka_run_group_tests_name(l->cpu, tests, NULL, NULL);
    return failed;
}
