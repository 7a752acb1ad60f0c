/* test_random.c - the generators against published outputs, and that draws are fair. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/random.h"

/* xoshiro256** from the state 1, 2, 3, 4 (as in the rand_xoshiro crate's tests), and splitmix64 from 0 and 1234567. */
static void published_outputs(void **state)
{
    (void)state;
    static const uint64_t stream[] = {11520u,
                                      0u,
                                      1509978240u,
                                      1215971899390074240u,
                                      1216172134540287360u,
                                      607988272756665600u,
                                      16172922978634559625u,
                                      8476171486693032832u,
                                      10595114339597558777u,
                                      2904607092377533576u};
    struct random r = {{1, 2, 3, 4}};
    for (size_t i = 0; i < 10; i++)
        assert_true(random_u64(&r) == stream[i]);
    random_init(&r, 0);
    assert_true(r.s[0] == 0xe220a8397b1dcdafu && r.s[1] == 0x6e789e6aa1b965f4u && r.s[2] == 0x06c45d188009454fu);
    random_init(&r, 1234567);
    assert_true(r.s[0] == 6457827717110365317u && r.s[1] == 3203168211198807973u);
    random_init(&r, 42); /* both together, by a second implementation in Python */
    assert_true(random_u64(&r) == 1546998764402558742u && random_u64(&r) == 6990951692964543102u);
}

static void units_fill_their_interval(void **state)
{
    (void)state;
    struct random r;
    random_init(&r, 7);
    enum { N = 100000, BINS = 20 };
    size_t bin[BINS] = {0};
    for (size_t i = 0; i < N; i++) {
        double x = random_unit(&r);
        assert_true(x >= 0 && x < 1);
        bin[(size_t)(x * BINS)]++;
    }
    for (size_t i = 0; i < BINS; i++) /* 5,000 expected, standard deviation 69 */
        assert_in_range(bin[i], 5000 - 350, 5000 + 350);
}

static void bounds_are_kept_without_bias(void **state)
{
    (void)state;
    struct random r;
    random_init(&r, 8);
    static const uint64_t bounds[] = {1, 2, 3, 7, 1000, 1ull << 32, (1ull << 63) + 1, UINT64_MAX};
    for (size_t i = 0; i < 8; i++)
        for (size_t k = 0; k < 2000; k++)
            assert_true(random_below(&r, bounds[i]) < bounds[i]);
    /* A plain remainder would give the lower half of [0, 3 * 2^62) two draws of three; fair is one of two. */
    size_t n_low = 0;
    for (size_t k = 0; k < 40000; k++)
        n_low += random_below(&r, 3ull << 62) < 3ull << 61;
    assert_in_range(n_low, 20000 - 600, 20000 + 600);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(published_outputs), cmocka_unit_test(units_fill_their_interval),
                                       cmocka_unit_test(bounds_are_kept_without_bias)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
