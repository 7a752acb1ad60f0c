/* test_checked.c - arithmetic that says when it overflows; spans. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/checked.h"
#include "base/span.h"

static void sums_and_products(void **state)
{
    (void)state;
    static const uint64_t at[] = {0,         1, 2, 3, 0x7fffffff, 0xffffffff, 0x100000000, 1ull << 63, UINT64_MAX - 1,
                                  UINT64_MAX};
    for (size_t i = 0; i < 10; i++)
        for (size_t k = 0; k < 10; k++) {
            uint64_t out;
            unsigned __int128 sum = (unsigned __int128)at[i] + at[k], product = (unsigned __int128)at[i] * at[k];
            assert_int_equal(checked_add(at[i], at[k], &out), sum <= UINT64_MAX);
            assert_true(sum > UINT64_MAX || out == (uint64_t)sum);
            assert_int_equal(checked_mul(at[i], at[k], &out), product <= UINT64_MAX);
            assert_true(product > UINT64_MAX || out == (uint64_t)product);
        }
}

static void rounding_up(void **state)
{
    (void)state;
    uint64_t out;
    for (uint64_t unit = 1; unit <= 64; unit *= 2)
        for (uint64_t a = 0; a < 300; a++) {
            assert_true(checked_align(a, unit, &out));
            assert_true(out >= a && out < a + unit && out % unit == 0);
        }
    assert_true(checked_align(UINT64_MAX - 31, 32, &out));
    assert_true(out == UINT64_MAX - 31);
    assert_false(checked_align(UINT64_MAX - 30, 32, &out));
    assert_false(checked_align(UINT64_MAX, 2, &out));
}

static void within(void **state)
{
    (void)state;
    assert_true(checked_within(0, 0, 0));
    assert_true(checked_within(10, 0, 10));
    assert_true(checked_within(0, 10, 10));
    assert_true(checked_within(3, 7, 10));
    assert_false(checked_within(3, 8, 10));
    assert_false(checked_within(11, 0, 10));
    assert_false(checked_within(UINT64_MAX, 2, 10));
    assert_false(checked_within(2, UINT64_MAX, 10));
}

static void spans(void **state)
{
    (void)state;
    struct span zero = {"a\0b", 3}, none = {NULL, 0};
    assert_true(span_is(span_of("abc"), "abc"));
    assert_false(span_is(span_of("abc"), "ab"));
    assert_false(span_is(span_of("ab"), "abc"));
    assert_false(span_is(zero, "a"));
    assert_true(span_is(none, ""));
    assert_true(span_same(none, span_of("")));
    assert_true(span_same(zero, (struct span){"a\0b", 3}));
    assert_false(span_same(zero, (struct span){"a\0c", 3}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(sums_and_products), cmocka_unit_test(rounding_up),
                                       cmocka_unit_test(within), cmocka_unit_test(spans)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
