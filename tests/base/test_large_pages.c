/* test_large_pages.c - a mapped file moved into large pages keeps its bytes and its place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/large_pages.h"
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

enum { LARGE = 2 << 20 };

static unsigned char byte_at(size_t i) { return (unsigned char)(i * 2654435761u >> 24 ^ i); }

/* A file of n bytes, mapped; it has no name any more. */
static const unsigned char *mapped_file(size_t n)
{
    static unsigned char buffer[1 << 16];
    FILE *f = tmpfile();
    assert_non_null(f);
    for (size_t at = 0; at < n; at += sizeof buffer) {
        const size_t now = n - at < sizeof buffer ? n - at : sizeof buffer;
        for (size_t i = 0; i < now; i++)
            buffer[i] = byte_at(at + i);
        assert_int_equal(fwrite(buffer, 1, now, f), now);
    }
    assert_int_equal(fflush(f), 0);
    const unsigned char *p = mmap(NULL, n, PROT_READ, MAP_PRIVATE, fileno(f), 0);
    assert_true(p != MAP_FAILED);
    fclose(f);
    return p;
}

static void check_bytes(const unsigned char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] != byte_at(i))
            fail_msg("byte %zu of %zu is %d", i, n, p[i]);
}

static void test_bytes_stay(void **state)
{
    static const size_t sizes[] = {1, LARGE - 1, LARGE, 2 * LARGE + 4097, 40 * LARGE + 1};
    struct pool *pool;
    (void)state;
    assert_int_equal(pool_open(&pool, 3, NULL), ANDIRON_OK);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const unsigned char *p = mapped_file(sizes[i]);
        for (int twice = 0; twice < 2; twice++) {
            struct moving how = {.all = true, .most = UINT64_MAX};
            assert_int_equal(move_to_large_pages(p, sizes[i], &how, pool, NULL), ANDIRON_OK);
            check_bytes(p, sizes[i]);
            assert_true(how.moved <= sizes[i] && how.moved + 2 * (uint64_t)LARGE > sizes[i]);
        }
        assert_int_equal(munmap((void *)(uintptr_t)p, sizes[i]), 0);
    }
    pool_close(pool);
}

/* A block within the file: what is around it stays as well. */
static void test_part_of_a_mapping(void **state)
{
    const size_t n = 6 * LARGE;
    struct pool *pool;
    struct moving how = {.all = true, .most = UINT64_MAX};
    (void)state;
    assert_int_equal(pool_open(&pool, 2, NULL), ANDIRON_OK);
    const unsigned char *p = mapped_file(n);
    assert_int_equal(move_to_large_pages(p + LARGE + 5, 4 * LARGE - 10, &how, pool, NULL), ANDIRON_OK);
    check_bytes(p, n);
    assert_in_range(how.moved, 2 * LARGE, 3 * LARGE);
    munmap((void *)(uintptr_t)p, n);
    pool_close(pool);
}

/* Two large pages of the middle are moved, though more were to; then what lies in small pages on both sides, or nothing
 * where the system does not tell. */
static void test_small_pages_alone(void **state)
{
    const size_t n = 40 * LARGE;
    struct pool *pool;
    struct moving two = {.all = true, .most = 3 * LARGE - 1}, small = {.most = UINT64_MAX};
    (void)state;
    assert_int_equal(pool_open(&pool, 3, NULL), ANDIRON_OK);
    const unsigned char *p = mapped_file(n), *middle = p + (LARGE - (uintptr_t)p % LARGE) % LARGE + 9 * LARGE;
    assert_int_equal(move_to_large_pages(middle, 20 * LARGE, &two, pool, NULL), ANDIRON_OK);
    assert_int_equal(two.moved, 2 * LARGE);
    assert_int_equal(move_to_large_pages(p, n, &small, pool, NULL), ANDIRON_OK);
    check_bytes(p, n);
    assert_true(small.moved == 0 || small.moved == 38 * LARGE || small.moved == 37 * LARGE);
    const uint64_t before = small.moved;
    assert_int_equal(move_to_large_pages(p, n, &small, pool, NULL), ANDIRON_OK);
    assert_int_equal(small.moved, before);
    check_bytes(p, n);
    munmap((void *)(uintptr_t)p, n);
    pool_close(pool);
}

/* A file that no large page could hold any of leaves nothing open behind. */
static void test_too_small_a_file(void **state)
{
    struct moving small = {.most = UINT64_MAX};
    struct pool *pool;
    (void)state;
    assert_int_equal(pool_open(&pool, 2, NULL), ANDIRON_OK);
    const unsigned char *p = mapped_file(5000);
    const int before = dup(0);
    close(before);
    assert_int_equal(move_to_large_pages(p, 5000, &small, pool, NULL), ANDIRON_OK);
    const int after = dup(0);
    close(after);
    assert_int_equal(after, before);
    assert_int_equal(small.moved, 0);
    munmap((void *)(uintptr_t)p, 5000);
    pool_close(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_stay),
        cmocka_unit_test(test_part_of_a_mapping),
        cmocka_unit_test(test_small_pages_alone),
        cmocka_unit_test(test_too_small_a_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
