/* test_json.c - JSON of unknown origin: what is read, what is refused, and Python's dialect. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "files/json.h"
#include <math.h>

static const struct json_limits small = {1000, 1 << 16, 4};

static json_t *read_text(const char *text)
{
    json_t *root = NULL;
    andiron_error e = {0};
    if (json_read(&root, span_of(text), "x.json", &small, &e))
        print_error("%s\n", e.text);
    assert_non_null(root);
    return root;
}

static void refused(struct span text, const char *words)
{
    json_t *root = NULL;
    andiron_error e = {0};
    assert_int_not_equal(json_read(&root, text, "x.json", &small, &e), ANDIRON_OK);
    assert_null(root);
    if (!strstr(e.text, words))
        print_error("got \"%s\" where \"%s\" was expected\n", e.text, words);
    assert_non_null(strstr(e.text, words));
    assert_non_null(strstr(e.text, "x.json"));
}

static void paths(void **state)
{
    (void)state;
    json_t *root = read_text(
        "{\"a\": {\"factor\": 8.5, \"n\": [1, {\"x\": \"t\\u0000u\"}, true]}, \"b\": null, \"c\": -1}");
    uint64_t u = 7;
    double f = 7;
    bool yes = false;
    struct span text = {0};
    assert_true(json_at_f64(root, "a.factor", &f) && f == 8.5);
    assert_true(json_at_f64(root, "a.n.0", &f) && f == 1);
    assert_true(json_at_u64(root, "a.n.0", &u) && u == 1);
    assert_true(json_at_text(root, "a.n.1.x", &text) && text.n == 3 && !memcmp(text.p, "t\0u", 3));
    assert_true(json_at_bool(root, "a.n.2", &yes) && yes);
    assert_true(json_is_null(json_at(root, "b")));
    assert_ptr_equal(json_at(root, ""), root);
    static const char *const absent[] = {"d",     "a.d",    "b.d",  "c.0",           "a.n.3",
                                         "a.n.x", "a.n.-1", "a..n", "a.n.9999999999"};
    for (size_t i = 0; i < sizeof absent / sizeof *absent; i++)
        assert_null(json_at(root, absent[i]));
    u = 7;
    assert_false(json_at_u64(root, "a.factor", &u) || json_at_u64(root, "c", &u) || json_at_u64(root, "a.n.2", &u));
    assert_false(json_at_f64(root, "a.n.2", &f) || json_at_f64(root, "b", &f) || json_at_f64(NULL, "", &f));
    assert_false(json_at_bool(root, "c", &yes) || json_at_text(root, "c", &text));
    assert_int_equal(u, 7);
    json_decref(root);
}

static void python_dialect(void **state)
{
    (void)state;
    json_t *root = read_text("{\"a\": NaN, \"b\": [0.0, Infinity, -Infinity], \"c\": 1000000000000000019884624838656, "
                             "\"d\": \"NaN \\\" Infinity\", \"e\": 9007199254740993}");
    double f = 0;
    uint64_t u = 0;
    struct span text;
    assert_false(json_at_f64(root, "a", &f));
    assert_true(json_at_f64(root, "b.1", &f) && isinf(f) && f > 0);
    assert_true(json_at_f64(root, "b.2", &f) && isinf(f) && f < 0);
    assert_true(json_at_f64(root, "c", &f) && f > 0.99e30 && f < 1.01e30);
    assert_true(json_at_text(root, "d", &text) && span_is(text, "NaN \" Infinity"));
    assert_true(json_at_u64(root, "e", &u) && u == 9007199254740993u);
    json_decref(root);
}

static void refusals(void **state)
{
    (void)state;
    refused(span_of(""), "no valid JSON");
    refused(span_of("{\"a\": 1, \"a\": 2}"), "no valid JSON");
    refused(span_of("{\"a\": 1"), "no valid JSON");
    refused(span_of("{\"a\": 1}x"), "no valid JSON");
    refused(span_of("\"\xff\""), "no valid JSON");
    refused(span_of("\"\\ud800\""), "no valid JSON");
    refused(span_of("\"a\\"), "no valid JSON");
    refused(span_of("[[[[[1]]]]]"), "nested 5 deep");
    refused(span_of("{\"a\": 1e999}"), "no valid JSON");
    refused((struct span){"[1,\0 2]", 7}, "no valid JSON");
    char many[1200];
    memset(many, '[', sizeof many);
    refused((struct span){many, sizeof many}, "at most 0 MiB");
    for (size_t i = 0; i < 900; i++)
        many[i] = i % 3 == 0 ? '[' : i % 3 == 1 ? ']' : ',';
    many[0] = '[', many[1] = '[', many[2] = ']';
    struct json_limits tight = small;
    tight.max_memory = 20000;
    json_t *root = NULL;
    andiron_error e = {0};
    assert_int_equal(json_read(&root, (struct span){many, 900}, "x.json", &tight, &e), ANDIRON_E_MEMORY);
    memory_limit(100);
    assert_int_equal(json_read(&root, span_of("{\"a\": [1]}"), "x.json", &small, &e), ANDIRON_E_MEMORY);
    memory_limit(SIZE_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths),
        cmocka_unit_test(python_dialect),
        cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
