/* test_error.c - sentences that are safe to print, and the log. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/log.h"
#include <stdlib.h>
#include <string.h>

static void a_sentence_is_kept(void **state)
{
    (void)state;
    andiron_error e;
    memset(&e, 0xee, sizeof e);
    assert_int_equal(error_set(&e, ANDIRON_E_IO, "%s: byte %d", "file", 7), ANDIRON_E_IO);
    assert_int_equal(e.status, ANDIRON_E_IO);
    assert_string_equal(e.text, "file: byte 7");
    assert_int_equal(error_set(NULL, ANDIRON_E_FULL, "%s", "nobody listens"), ANDIRON_E_FULL);
    assert_int_equal(error_memory(&e, 1234, "a test"), ANDIRON_E_MEMORY);
    assert_string_equal(e.text, "out of memory: 1234 bytes for a test");
}

static void hostile_bytes_become_question_marks(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"\033[2Jx", "?[2Jx"},
        {"a\nb\tc\177", "a?b?c?"},
        {"gr\303\274\303\237e \342\202\254 \360\237\230\200", "gr\303\274\303\237e \342\202\254 \360\237\230\200"},
        {"\303", "?"},
        {"\303(", "?("},
        {"\342\202x", "??x"},
        {"\360\237\230", "???"},
        {"\200\277", "??"},
        {"\302\233[2J", "??[2J"}, /* C1: CSI */
        {"\302\240", "\302\240"},
        {"\300\233", "??"}, /* ESC in two bytes */
        {"\370\210\200\200\200\377", "??????"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        andiron_error e;
        error_set(&e, ANDIRON_E_FORMAT, "%s", cases[i].in);
        assert_string_equal(e.text, cases[i].out);
    }
}

/* However long the text, it is cut, ends in a zero byte and holds no broken character. */
static void long_text_is_cut(void **state)
{
    (void)state;
    struct {
        andiron_error e;
        char guard[8];
    } x;
    char text[700];
    for (size_t start = 0; start < 4; start++) {
        memset(&x, 0x55, sizeof x);
        memset(text, 'a', sizeof text);
        for (size_t i = start; i + 3 < sizeof text; i += 3)
            memcpy(text + i, "\342\202\254", 3);
        text[sizeof text - 1] = 0;
        error_set(&x.e, ANDIRON_E_FORMAT, "%s", text);
        size_t n = strlen(x.e.text);
        assert_int_equal(n, sizeof x.e.text - 1);
        assert_memory_equal(x.guard, "UUUUUUUU", 8);
        for (size_t i = start; i + 3 <= n; i += 3)
            assert_memory_equal(x.e.text + i, "\342\202\254", 3);
        for (size_t i = n - (n - start) % 3; i < n; i++)
            assert_int_equal(x.e.text[i], '?');
    }
}

static char said[64];
static int n_said;
static void listen(void *user, andiron_log_level level, const char *line)
{
    assert_ptr_equal(user, said);
    assert_int_equal(level, ANDIRON_LOG_WARN);
    strncpy(said, line, sizeof said - 1);
    n_said++;
}

static void the_log_calls_back(void **state)
{
    (void)state;
    log_say(ANDIRON_LOG_WARN, "nobody %s", "listens");
    andiron_set_log(listen, said);
    log_say(ANDIRON_LOG_WARN, "%d of %s", 3, "these");
    assert_string_equal(said, "3 of these");
    andiron_set_log(NULL, NULL);
    log_say(ANDIRON_LOG_WARN, "silence");
    assert_int_equal(n_said, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sentence_is_kept),
        cmocka_unit_test(hostile_bytes_become_question_marks),
        cmocka_unit_test(long_text_is_cut),
        cmocka_unit_test(the_log_calls_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
