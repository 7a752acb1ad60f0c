/* test_arena.c - arenas and the door to the heap below them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/arena.h"
#include <stdbool.h>
#include <string.h>

static bool all_zero(const void *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (((const char *)p)[i])
            return false;
    return true;
}

static void zeroed_memory_is_aligned(void **state)
{
    (void)state;
    for (size_t n = 0; n < 300; n++) {
        char *p = alloc_zeroed(n, 3);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 64, 0);
        assert_true(all_zero(p, n * 3));
        memset(p, 1, n * 3);
        alloc_free(p);
    }
    assert_null(alloc_zeroed(SIZE_MAX, 2));
    assert_null(alloc_zeroed(SIZE_MAX / 2, 2));
    assert_null(alloc_zeroed(SIZE_MAX, 1));
    alloc_free(NULL);
}

static void resizing_keeps_bytes(void **state)
{
    (void)state;
    char *p = NULL;
    for (size_t n = 1; n < 100000; n = n * 3 + 1) {
        char *q = alloc_resize(p, n);
        assert_non_null(q);
        assert_int_equal((uintptr_t)q % 16, 0);
        for (size_t i = 0; i < n / 3; i++)
            assert_int_equal(q[i], (char)i);
        for (size_t i = 0; i < n; i++)
            q[i] = (char)i;
        p = q;
    }
    assert_null(alloc_resize(p, SIZE_MAX));
    assert_int_equal(p[5], 5);
    alloc_free(p);
}

static void allocations_fail_when_told(void **state)
{
    (void)state;
    uint64_t before = alloc_count();
    alloc_fail_after(1);
    void *a = alloc_zeroed(1, 1), *b = alloc_zeroed(1, 1), *c = alloc_resize(NULL, 1);
    assert_non_null(a);
    assert_null(b);
    assert_non_null(c); /* once */
    alloc_fail_after(0);
    assert_null(alloc_resize(c, 5));
    alloc_fail_after(-1);
    assert_int_equal(alloc_count() - before, 4);
    alloc_free(a);
    alloc_free(c);
}

static void items_do_not_overlap(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 64 << 20);
    enum { N = 2000 };
    static unsigned char *item[N];
    for (size_t i = 0; i < N; i++) {
        size_t n = i * 7 % 300 + (i % 500 == 499 ? 100000 : 0);
        item[i] = arena_alloc(&a, n, 1);
        assert_non_null(item[i]);
        assert_int_equal((uintptr_t)item[i] % (n >= 64 ? 64 : 16), 0);
        assert_true(all_zero(item[i], n));
        memset(item[i], (int)(i % 255 + 1), n);
    }
    for (size_t i = 0; i < N; i++)
        for (size_t k = 0; k < i * 7 % 300; k++)
            assert_int_equal(item[i][k], i % 255 + 1);
    assert_true(a.used_bytes <= a.max_bytes);
    arena_reset(&a);
    assert_int_equal(a.used_bytes, 0);
    assert_int_equal(a.max_bytes, 64 << 20);
    assert_non_null(arena_alloc(&a, 1, 1)); /* usable again */
    arena_reset(&a);
    arena_reset(&a);
}

static void the_maximum_holds(void **state)
{
    (void)state;
    for (size_t max = 0; max < 70000; max += 997) {
        struct arena a;
        arena_init(&a, max);
        size_t taken = 0;
        while (arena_alloc(&a, 100, 1))
            taken += 100;
        assert_true(taken <= max);
        assert_true(a.used_bytes <= max);
        assert_true(taken + 64 * 128 + max / 4 >= max * 3 / 4); /* and most of it can be used */
        arena_reset(&a);
    }
    struct arena a;
    arena_init(&a, SIZE_MAX);
    assert_null(arena_alloc(&a, SIZE_MAX, 2));
    assert_null(arena_alloc(&a, SIZE_MAX, 1));
    assert_null(arena_alloc(&a, SIZE_MAX / 2 + 1, 1));
    assert_null(arena_text(&a, "x", SIZE_MAX));
    assert_non_null(arena_alloc(&a, 0, 8));
    arena_reset(&a);
}

static void text_is_copied(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 1 << 20);
    char *t = arena_text(&a, "hello world", 5), *empty = arena_text(&a, NULL, 0);
    assert_string_equal(t, "hello");
    assert_string_equal(empty, "");
    arena_reset(&a);
}

static void failing_allocations(void **state)
{
    (void)state;
    for (int64_t n = 0; n < 12; n++) {
        struct arena a;
        size_t n_given = 0;
        arena_init(&a, 64 << 20);
        alloc_fail_after(n);
        for (int i = 0; i < 10; i++)
            n_given += arena_alloc(&a, 5 << 20, 1) != NULL; /* a block each */
        alloc_fail_after(-1);
        assert_int_equal(n_given, n < 10 ? 9 : 10);
        arena_reset(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zeroed_memory_is_aligned),   cmocka_unit_test(resizing_keeps_bytes),
        cmocka_unit_test(allocations_fail_when_told), cmocka_unit_test(items_do_not_overlap),
        cmocka_unit_test(the_maximum_holds),          cmocka_unit_test(text_is_copied),
        cmocka_unit_test(failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
