/* test_stop.c - stop strings over growing text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "engine/stop.h"

static const char *const stops[] = {"END", "</s>", "\n\n"};

static struct stop held(const char *text)
{
    struct stop s = {stops, 3, {0}};
    buffer_init(&s.held, 1 << 10);
    buffer_add_text(&s.held, text);
    return s;
}

static void finds_the_earliest(void **state)
{
    (void)state;
    size_t at = 99;
    struct stop s = held("ab</s>cEND");
    assert_true(stop_found(&s, &at));
    assert_int_equal(at, 2);
    buffer_reset(&s.held);
    s = held("nothing here, EN D");
    assert_false(stop_found(&s, &at));
    buffer_reset(&s.held);
}

static void holds_back_what_may_become_one(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t pending;
    } cases[] = {{"abc", 0}, {"abcE", 1}, {"abcEN", 2}, {"abcENX", 0}, {"x</s", 3},
                 {"x\n", 1}, {"", 0},     {"E", 1},     {"<E", 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct stop s = held(cases[i].text);
        assert_int_equal(stop_pending(&s), cases[i].pending);
        buffer_reset(&s.held);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(finds_the_earliest),
                                       cmocka_unit_test(holds_back_what_may_become_one)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
