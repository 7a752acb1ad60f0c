/* test_utf8_stream.c - bytes are held back until they are whole characters; broken ones become U+FFFD. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/random.h"
#include "text/utf8_stream.h"

#define FFFD "\xEF\xBF\xBD"

/* The stream's answer when `text` comes in parts of `part` bytes. */
static void check(const char *text, size_t n, size_t part, const char *want)
{
    struct utf8_stream s = {0};
    struct buffer out;
    buffer_init(&out, 1 << 16);
    for (size_t at = 0; at < n; at += part)
        assert_true(utf8_stream_put(&s, (struct span){text + at, n - at < part ? n - at : part}, &out));
    assert_true(utf8_stream_end(&s, &out));
    assert_int_equal(out.n, strlen(want));
    assert_memory_equal(out.data ? out.data : "", want, out.n);
    buffer_reset(&out);
}

static void broken_characters(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"plain", "plain"},
        {"gr\xC3\xBC\xC3\x9F \xE2\x82\xAC \xF0\x9F\x98\x80", "gr\xC3\xBC\xC3\x9F \xE2\x82\xAC \xF0\x9F\x98\x80"},
        /* Unicode 15, tables 3-8 to 3-11 */
        {"\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41", FFFD FFFD FFFD FFFD FFFD FFFD FFFD FFFD "A"},
        {"\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41", FFFD FFFD FFFD FFFD FFFD FFFD FFFD FFFD "A"},
        {"\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42", FFFD FFFD FFFD FFFD FFFD "A" FFFD FFFD "B"},
        {"\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41", FFFD FFFD FFFD FFFD "A"},
        {"\xF4\x8F\xBF\xBF|\xEE\x80\x80|\xED\x9F\xBF", "\xF4\x8F\xBF\xBF|\xEE\x80\x80|\xED\x9F\xBF"},
        {"\xE2\x82", FFFD},
        {"\xC3\xC3\xA9", FFFD "\xC3\xA9"},
        {"\xF0\x9F\x98", FFFD},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t part = 1; part < 12; part++)
            check(cases[i].in, strlen(cases[i].in), part, cases[i].out);
}

static void nothing_is_given_early(void **state)
{
    (void)state;
    struct utf8_stream s = {0};
    struct buffer out;
    buffer_init(&out, 64);
    static const char smile[] = "\xF0\x9F\x98\x80";
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(out.n, 0);
        assert_true(utf8_stream_put(&s, (struct span){smile + i, 1}, &out));
    }
    assert_int_equal(out.n, 4);
    buffer_reset(&out);
}

static void parts_do_not_matter(void **state)
{
    (void)state;
    struct random r;
    random_init(&r, 5);
    static const uint8_t leads[] = {0x41, 0x80, 0xBF, 0xC2, 0xE0, 0xA0, 0xED, 0x9F, 0xF0, 0x90, 0xF4, 0x8F, 0xFF};
    for (size_t round = 0; round < 2000; round++) {
        char text[24];
        size_t n = random_below(&r, sizeof text + 1);
        for (size_t i = 0; i < n; i++)
            text[i] = (char)leads[random_below(&r, sizeof leads)];
        struct utf8_stream s = {0};
        struct buffer whole;
        buffer_init(&whole, 1 << 10);
        utf8_stream_put(&s, (struct span){text, n}, &whole);
        utf8_stream_end(&s, &whole);
        buffer_add(&whole, "", 1);
        check(text, n, 1 + random_below(&r, 5), whole.data);
        buffer_reset(&whole);
    }
}

static void a_full_buffer_is_told(void **state)
{
    (void)state;
    struct utf8_stream s = {0};
    struct buffer out;
    buffer_init(&out, 2);
    assert_false(utf8_stream_put(&s, (struct span){"abc", 3}, &out));
    buffer_reset(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(broken_characters),
        cmocka_unit_test(nothing_is_given_early),
        cmocka_unit_test(parts_do_not_matter),
        cmocka_unit_test(a_full_buffer_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
