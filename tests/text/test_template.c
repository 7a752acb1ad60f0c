/* test_template.c - what the golden files do not hold: mistakes and their sentences, the variables a template starts
 * with, odd bytes, and what jinja2 has that we have not. */
#include "rendered.h"
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void mistakes_are_named_at_their_line(void **state)
{
    (void)state;
    static const struct {
        const char *source, *words;
    } mistakes[] = {
        {"a\n{{ 1 + }}", "line 2: expected an expression, found '}}'"},
        {"{{ 1", "line 1: expected '}}', found the end of the template"},
        {"\n\n{% if x %}a", "line 3: expected endif, found the end of the template"},
        {"{% for x in y %}{% endif %}", "expected a tag, found 'endif'"},
        {"{% for in y %}{% endfor %}", "expected 'in', found 'y'"},
        {"{% for x of y %}{% endfor %}", "expected 'in', found 'of'"},
        {"{% for loop in y %}{% endfor %}", "cannot be called 'loop'"},
        {"{% for x in y recursive %}{% endfor %}", "recursive loops are not supported"},
        {"{% wish %}", "expected a tag, found 'wish'"},
        {"{% include 'x' %}", "{% include %} is not supported"},
        {"{% extends 'x' %}", "{% extends %} is not supported"},
        {"{% break %}", "'break' outside a loop"},
        {"{% for x in y %}{% macro m() %}{% continue %}{% endmacro %}{% endfor %}", "'continue' outside a loop"},
        {"{% set true = 1 %}", "cannot assign to 'true'"},
        {"{% set 1 = 1 %}", "expected a name, found a number"},
        {"{% macro m(a=1, b) %}{% endmacro %}", "without default after one with a default"},
        {"{% call 1 %}{% endcall %}", "expected a call"},
        {"{{ f(a=1, 2) }}", "may not follow"},
        {"{{ 'a }}", "a string that does not end"},
        {"{{ '\\xq' }}", "a malformed escape"},
        {"{{ a ! b }}", "a character that means nothing"},
        {"{{ (a] }}", "a closing bracket without its opening one"},
        {"{# a", "a comment that does not end"},
        {"{% raw %}a", "{% raw %} without {% endraw %}"},
        {"{{ 99999999999999999999 }}", "a number beyond 64 bits"},
        {"{{ a is b is c }}", "tests cannot be chained"},
        {"{{ a[1:2, 3] }}", "a slice in a tuple is not supported"},
        {"\xff", "not UTF-8"},
    };
    for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++)
        check_fails(mistakes[i].source, NULL, ANDIRON_E_FORMAT, mistakes[i].words);
}

static void failures_are_named_at_their_line(void **state)
{
    (void)state;
    static const struct {
        const char *source, *words;
    } failures[] = {
        {"a\n\n{{ nope.x }}", "line 3: 'nope' is undefined"},
        {"{{ nope['x'] }}", "'nope' is undefined"},
        {"{{ nope() }}", "'nope' is undefined"},
        {"{{ nope + 1 }}", "'nope' is undefined"},
        {"{{ {}.x.y }}", "'x' is undefined"},
        {"{{ 1 + 'a' }}", "does not take a int and a str"},
        {"{{ 1 < 'a' }}", "a int and a str have no order"},
        {"{{ 1 // 0 }}", "division by zero"},
        {"{{ 1 % 0 }}{{ 1 / 0 }}", "division by zero"},
        {"{{ 9223372036854775807 + 1 }}", "a number beyond 64 bits"},
        {"{{ 2 ** 64 }}", "a number beyond 64 bits"},
        {"{{ -9223372036854775807 * 2 }}", "a number beyond 64 bits"},
        {"{{ 3[1:] }}", "a int cannot be sliced"},
        {"{{ [1]['a':] }}", "a slice needs integers"},
        {"{{ [1][::0] }}", "step zero"},
        {"{% for x in 3 %}{% endfor %}", "a int cannot be iterated"},
        {"{% for a, b in [(1, 2, 3)] %}{% endfor %}", "too many values to unpack"},
        {"{% set a, b = [1] %}", "not enough values to unpack"},
        {"{{ 3() }}", "a int cannot be called"},
        {"{{ 1|wish }}", "there is no filter 'wish'"},
        {"{{ 1 is wish }}", "there is no test 'wish'"},
        {"{{ 'a'|replace('b') }}", "replace needs 2 arguments"},
        {"{{ 'a'|upper(1) }}", "upper takes at most 0 arguments"},
        {"{{ 'a'|trim(wish=1) }}", "unexpected argument 'wish'"},
        {"{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}", "macro 'm' takes at most 1 arguments"},
        {"{% macro m(a) %}{% endmacro %}{{ m(b=2) }}", "macro 'm': unexpected argument 'b'"},
        {"{% set ns = {} %}{% set ns.a = 1 %}", "only of a namespace"},
        {"{{ {[]: 1} }}", "a list cannot be a key"},
        {"{{ nope|tojson }}", "a Undefined cannot be written as JSON"},
        {"{{ '%d' % 'a' }}", "%d needs an integer, not a str"},
        {"{{ '%s %s' % 'a' }}", "not enough arguments"},
        {"{{ '{}'.format() }}", "too few arguments"},
        {"{{ '{'.format() }}", "a single brace"},
        {"{{ [1].append(2) }}", "'append' is undefined"}, /* the sandbox is immutable */
        {"{{ 'a'.index('b') }}", "not found"},
        {"{{ lipsum() }}", "lipsum is not supported"},
    };
    for (size_t i = 0; i < sizeof failures / sizeof *failures; i++)
        check_fails(failures[i].source, NULL, ANDIRON_E_FORMAT, failures[i].words);
}

static void a_template_can_refuse(void **state)
{
    (void)state;
    check_fails("{{ raise_exception('Roles must ' ~ 'alternate') }}", NULL, ANDIRON_E_ARGUMENT, "Roles must alternate");
    check_fails("{{ raise_exception('a\nb\x1b[0m') }}", NULL, ANDIRON_E_ARGUMENT, "a?b?[0m"); /* one safe sentence */
    check_text("{{ raise_exception('x') if false }}ok", NULL, "ok");
}

static void variables_come_as_json(void **state)
{
    (void)state;
    check_text("{{ a }} {{ b.c[1] }} {{ d }} {{ e }} {{ f }}",
               " { 'a' : 'x\\u00e9\\ud83d\\ude00\\n' , 'b':{'c':[1,-2.5e1]}, 'd':null,\n'e':true, 'f':'\\ud800' } ",
               "x\xC3\xA9\xF0\x9F\x98\x80\n -25.0 None True \xEF\xBF\xBD");
    check_text("{{ a }}{{ a|length }}", "{'a':1,'a':'last'}", "last4");
    check_text("{{ tools }}{{ documents }}{{ add_generation_prompt }}[{{ bos_token }}]{{ messages }}", NULL,
               "NoneNoneFalse[][]");
    check_text("{{ bos_token }}{{ messages[0] }}", "{'bos_token':'B','messages':[7]}", "B7");
    static const char *const bad[] = {"[1]",         "7",
                                      "{",           "{'a'}",
                                      "{'a':}",      "{'a':1",
                                      "{'a':1,}",    "nul",
                                      "{'a':'\\q'}", "{'a':'\\u12'}",
                                      "{'a':1} x",   "{'a':tru}",
                                      "{'a':'x",     "{a:1}",
                                      "{'a':[1 2]}", "{'a':99999999999999999999}",
                                      "{'a':--1}",   "{'a':'\n'}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        check_fails("x", bad[i], ANDIRON_E_ARGUMENT, "chat template: ");
}

static void odd_bytes_pass_through(void **state)
{
    (void)state;
    const andiron_message messages[] = {{.role = "user", .content = "a\xff\xC3\xA9\xE2\x82"}, {0}};
    const struct template_input input = {.messages = messages, .n_messages = 2};
    static const char source[] =
        "{{ messages[0].content }}|{{ messages[0].content|length }}|{{ messages[0].content|upper }}|"
        "{{ messages[0].content[::-1] }}|{{ messages[1].role ~ messages[1].content }}";
    struct rendered r = render(span_of(source), &input);
    assert_int_equal(r.status, ANDIRON_OK);
    assert_string_equal(r.text, "a\xff\xC3\xA9\xE2\x82|5|A\xff\xC3\x89\xE2\x82|\x82\xE2\xC3\xA9\xff"
                                "a|");
    rendered_free(&r);
    static const char zeros[] = "a\0b{{ 'c\0d' ~ '\\0' }}{# \0 #}{{ 'x\0y'|title }}{{ '\0'|urlencode }}";
    r = render((struct span){zeros, sizeof zeros - 1}, &input);
    assert_int_equal(r.status, ANDIRON_OK);
    assert_int_equal(r.n, 13);
    assert_memory_equal(r.text, "a\0bc\0d\0X\0y%00", 13);
    rendered_free(&r);
    static const char zero_name[] = "{{ a\0b }}";
    r = render((struct span){zero_name, sizeof zero_name - 1}, &input);
    assert_int_equal(r.status, ANDIRON_E_FORMAT);
    rendered_free(&r);
}

static void time_is_given_or_the_clock(void **state)
{
    (void)state;
    check_text("{{ strftime_now('%Y-%m-%d %H:%M:%S %j %% %f %-d %q %') }}", NULL,
               "2023-11-14 22:13:20 318 % 000000 14 %q %");
    const struct template_input input = {.now_s = 0};
    struct rendered r = render(span_of("{{ strftime_now('%Y')|int > 2024 }}"), &input);
    assert_string_equal(r.text, "True");
    rendered_free(&r);
}

/* Numbers have a point, whatever the program has set. */
static void the_locale_does_not_matter(void **state)
{
    (void)state;
    static const char *const with_comma[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "de_DE", "fr_FR"};
    const char *set = NULL;
    for (size_t i = 0; i < 4 && !set; i++)
        set = setlocale(LC_ALL, with_comma[i]);
    char text[8];
    snprintf(text, sizeof text, "%.1f", 1.5);
    if (!set || strcmp(text, "1,5") != 0) {
        setlocale(LC_ALL, "C");
        skip();
    }
    check_text(
        "{{ 1.5 + a }} {{ '%.2f' % 1.5 }} {{ '2.5'|float }} {{ 2.25|round(1) }} {{ 1e-7 }} {{ strftime_now('%B') }}",
        "{'a':0.25}", "1.75 1.50 2.5 2.2 1e-07 November");
    snprintf(text, sizeof text, "%.1f", 1.5);
    assert_string_equal(text, "1,5"); /* and is left as it was */
    setlocale(LC_ALL, "C");
}

static void line_endings_are_made_one(void **state)
{
    (void)state;
    check_text("a\r\nb\rc\n", NULL, "a\nb\nc");
    check_text("a\n\n", NULL, "a\n");
    check_text("", NULL, "");
    check_text("\n", NULL, "");
    check_text("{% if 1 %}\r\n  x\r\n{% endif %}\r\n", NULL, "  x\n");
}

static void a_template_is_used_again(void **state)
{
    (void)state;
    struct chat_template *t = NULL;
    andiron_error e = {0};
    assert_int_equal(template_open(&t,
                                   span_of("{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 "
                                           "%}{% endfor %}{{ ns.n }}"),
                                   &e),
                     ANDIRON_OK);
    const andiron_message messages[3] = {{"user", "a"}, {"user", "b"}, {"user", "c"}};
    for (size_t n = 0; n <= 3; n++) {
        struct template_output *o = NULL;
        const struct template_input input = {.messages = messages, .n_messages = n};
        assert_int_equal(template_run(t, &input, &o, &e), ANDIRON_OK);
        assert_int_equal(template_n_pieces(o), 1);
        assert_int_equal(template_piece_at(o, 0).text.p[0], '0' + n);
        template_output_close(o);
    }
    template_close(t);
    template_close(NULL);
    template_output_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mistakes_are_named_at_their_line),
        cmocka_unit_test(failures_are_named_at_their_line),
        cmocka_unit_test(a_template_can_refuse),
        cmocka_unit_test(variables_come_as_json),
        cmocka_unit_test(odd_bytes_pass_through),
        cmocka_unit_test(time_is_given_or_the_clock),
        cmocka_unit_test(the_locale_does_not_matter),
        cmocka_unit_test(line_endings_are_made_one),
        cmocka_unit_test(a_template_is_used_again),
    };
    setenv("TZ", "UTC", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
