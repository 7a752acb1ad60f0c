/* test_buffer.c - growing bytes and their maximum. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/buffer.h"

static void bytes_are_added(void **state)
{
    (void)state;
    struct buffer b;
    buffer_init(&b, 1 << 20);
    assert_null(b.data);
    assert_true(buffer_add_text(&b, "one"));
    assert_true(buffer_add(&b, "\0x", 2));
    assert_true(buffer_add_span(&b, span_of("two")));
    assert_true(buffer_printf(&b, "-%d-%s", 42, "three"));
    assert_int_equal(b.n, 17);
    assert_memory_equal(b.data, "one\0xtwo-42-three", 18);
    assert_true(span_same(buffer_span(&b), (struct span){"one\0xtwo-42-three", 17}));
    buffer_reset(&b);
    assert_null(b.data);
    assert_int_equal(b.n, 0);
    assert_true(buffer_add(&b, NULL, 0));
    assert_string_equal(b.data, "");
    buffer_reset(&b);
}

static void growth_keeps_what_is_there(void **state)
{
    (void)state;
    struct buffer b;
    buffer_init(&b, 1 << 20);
    for (int i = 0; i < 10000; i++)
        assert_true(buffer_printf(&b, "%05d", i));
    assert_int_equal(b.n, 50000);
    assert_memory_equal(b.data + 9999 * 5, "09999", 6);
    assert_memory_equal(b.data + 777 * 5, "00777", 5);
    buffer_reset(&b);
}

/* Whatever the maximum: exactly that many bytes fit, then failure sticks. */
static void the_maximum_is_exact(void **state)
{
    (void)state;
    for (size_t max = 0; max < 200; max++) {
        struct buffer b;
        buffer_init(&b, max);
        for (size_t i = 0; i < max; i++)
            assert_true(buffer_add(&b, "x", 1));
        assert_int_equal(b.n, max);
        assert_true(b.capacity <= max + 1);
        assert_false(buffer_add(&b, "y", 1));
        assert_true(b.failed);
        assert_false(buffer_add(&b, "", 0)); /* sticky */
        assert_false(buffer_printf(&b, "%s", ""));
        assert_int_equal(b.n, max);
        buffer_reset(&b);
        assert_false(b.failed);
        assert_int_equal(buffer_printf(&b, "%s", "0123456789"), max >= 10);
        buffer_reset(&b);
    }
    struct buffer b;
    buffer_init(&b, SIZE_MAX);
    assert_true(buffer_add_text(&b, "no maximum"));
    assert_false(buffer_add(&b, "x", SIZE_MAX));
    buffer_reset(&b);
}

static void failing_allocations(void **state)
{
    (void)state;
    bool whole = false;
    int64_t n = 0;
    for (; !whole && n < 100; n++) {
        struct buffer b;
        buffer_init(&b, 1 << 20);
        alloc_fail_after(n);
        for (int i = 0; i < 1000; i++)
            buffer_add_text(&b, "0123456789");
        alloc_fail_after(-1);
        whole = !b.failed;
        assert_int_equal(whole, b.n == 10000);
        for (size_t i = 0; i < b.n; i++)
            assert_int_equal(b.data[i], '0' + (char)(i % 10));
        buffer_reset(&b);
    }
    assert_true(n > 3 && n < 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_added),
        cmocka_unit_test(growth_keeps_what_is_there),
        cmocka_unit_test(the_maximum_is_exact),
        cmocka_unit_test(failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
