/* test_template_safety.c - no template hangs, exhausts or breaks the process, and no message becomes markup. */
#include "base/alloc.h"
#include "rendered.h"
#include <jansson.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* `before`, `part` n times, `after`. The caller frees. */
static char *repeated(const char *before, const char *part, size_t n, const char *after)
{
    size_t b = strlen(before), p = strlen(part), a = strlen(after);
    char *s = malloc(b + n * p + a + 1);
    assert_non_null(s);
    memcpy(s, before, b);
    for (size_t i = 0; i < n; i++)
        memcpy(s + b + i * p, part, p);
    memcpy(s + b + n * p, after, a + 1);
    return s;
}

/* Refused with `words`, or rendered where `words` is NULL. */
static void check_large(const char *before, const char *part, size_t n, const char *after, const char *words)
{
    char *source = repeated(before, part, n, after);
    if (words) {
        check_fails(source, NULL, ANDIRON_E_FORMAT, words);
    } else {
        struct rendered r = render_json(source, NULL);
        if (r.status)
            print_error("%.60s...: %s\n", source, r.error.text);
        assert_int_equal(r.status, ANDIRON_OK);
        rendered_free(&r);
    }
    free(source);
}

static void sources_are_bounded(void **state)
{
    (void)state;
    check_large("", "a", 1 << 20, "", NULL);
    check_large("", "a", (1 << 20) + 1, "", "bytes, more than the");
    check_large("", "{{1}}", 40000, "", NULL);
    check_large("", "{{1}}", 60000, "", "more than 100000 nodes");
    check_large("{{", "a", 1000, "}}", NULL);
    check_large("{{", "a", 1001, "}}", "a name of more than 1000 bytes");
    check_large("{{ 1", " + 1", 120, "}}", NULL);
    check_large("{{ 1", " + 1", 121, "}}", "more than 120 operators");
    check_large("{{ 1", " or 1", 1000, "}}", "more than 120 times 'or'");
    check_large("{{ 1", " if 1", 1000, "}}", "too many conditions");
    check_large("{{", "1", 100, "}}", "too many digits");
    check_large("{{ a", ".b", 90000, "}}", "nested more than 500 deep");
    check_large("{{ 1", " ~ 1", 40000, "}}", NULL);
    check_large("{{ ", "'a' ", 200000, "}}", NULL);
    static const char *const openings[] = {"(", "[", "{1:", "not ", "-", "a(", "a[", "a|b(", "1 if 1 else "};
    for (size_t i = 0; i < sizeof openings / sizeof *openings; i++)
        check_large("{{ ", openings[i], 50000, "", "nested more than 120 deep");
    static const char *const tags[] = {"{% if 1 %}", "{% for x in y %}",   "{% macro m() %}", "{% set x %}",
                                       "{% with %}", "{% filter upper %}", "{% call m() %}",  "{% generation %}"};
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++)
        check_large("", tags[i], 20000, "", "nested more than 120 deep");
    check_large("{% raw %}", "{% ", 300000, "", "without {% endraw %}");
    check_large("", "{#", 300000, "", "a comment that does not end");
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* How much slower than a plain build this one may be: sanitizers and valgrind set it. */
static double patience(void)
{
    const char *p = getenv("ANDIRON_TEST_PATIENCE");
    return p ? strtod(p, NULL) : 1;
}

/* Inside loops without end: each must meet a budget, soon. */
static void runs_end_soon(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "x",
        "{{ 0.1234567890123456 }}",
        "{{ '%.300f' % 1e308 }}",
        "{{ 1e308|round(20) }}",
        "{{ '1.2e-300'|float }}",
        "{{ s.strip()[0] }}",
        "{{ s.strip()|length }}",
        "{% if s < s %}{% endif %}",
        "{% if s == s.strip() %}{% endif %}",
        "{{ s|truncate(1000000) }}",
        "{{ ('a b' ~ u)|truncate(15000000) }}",
        "{{ u.removeprefix(u) }}",
        "{{ s.rfind('z') }}",
        "{{ s.count('z') }}",
        "{% set s = s ~ s %}",
        "{% set k = [1] * 100 %}",
        "{{ s.zzz }}",
        "{{ nope }}",
        "{{ range(100000)|sum }}",
        "{{ range(100000)|sort|length }}",
        "{{ s.rsplit('zz')|length }}",
        "{{ s|e|length }}",
        "{{ s|tojson|length }}",
        "{{ s is lower }}",
        "{{ u in u }}",
        "{{ strftime_now('%A') }}",
        "{{ '%(998)s' % d }}",
        "{{ d[u] }}",
        "{{ (1, 2) in {(1, 2): 1} }}",
        "{% set m %}{{ s }}{% endset %}",
        "{{ d|tojson(sort_keys=true)|length }}",
        "{{ u|urlencode|length }}",
        "{{ s.center(30000000)|length }}",
        "{{ d|dictsort|length }}",
        "{{ s|title|length }}",
    };
    const size_t every = patience() > 1 ? 5 : 1; /* an instrumented build tries some only */
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i += every) {
        char source[600];
        snprintf(source, sizeof source,
                 "{%% set s = 'a\xC3\xA9' * 1000000 %%}{%% set u = 'ab' * 8000000 %%}"
                 "{%% set d = dict(range(2000)|map('string')|batch(2)) %%}"
                 "{%% for i in range(100000) %%}{%% for j in range(100000) %%}%s{%% endfor %%}{%% endfor %%}",
                 bodies[i]);
        double before = seconds();
        check_fails(source, NULL, ANDIRON_E_FORMAT, "more than ");
        double took = seconds() - before;
        if (took > 2 * patience())
            print_error("%s: %.1f s\n", bodies[i], took);
        assert_true(took <= 2 * patience());
    }
}

static void runs_are_bounded(void **state)
{
    (void)state;
    check_fails("{% for i in range(100001) %}{% endfor %}", NULL, ANDIRON_E_FORMAT, "a range of more than 100000");
    check_fails("{{ 'a' * 40000000 }}", NULL, ANDIRON_E_FORMAT, "more than 10000000 steps");
    check_fails("{% set ns = namespace(s='a') %}{% for i in range(99) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}", NULL,
                ANDIRON_E_FORMAT, "a text of more than 32 MiB");
    check_fails("{% set ns = namespace(l=[1]) %}{% for i in range(99) %}{% set ns.l = ns.l + ns.l %}{% endfor %}", NULL,
                ANDIRON_E_FORMAT, "more than 256 MiB");
    check_fails("{{ '%99999d' % 1 }}", NULL, ANDIRON_E_FORMAT, "more than 10000");
    check_fails("{{ '{:99999}'.format(1) }}", NULL, ANDIRON_E_FORMAT, "too wide");
    check_fails("{{ 1|round(400) }}", NULL, ANDIRON_E_FORMAT, "at most 20 digits");
    check_large("{{ 'a'", "|upper", 90000, "}}", "nested more than 500 deep");
    char *json = repeated("{'a':", "[", 100000, "");
    check_fails("x", json, ANDIRON_E_ARGUMENT, "nested more than 500 deep");
    free(json);
}

/* What nests as deep as it may, on a stack as small as any thread's. NULL, or the template that was not refused: cmocka
 * asserts in its own thread only. */
static void *run_deep(void *unused)
{
    (void)unused;
    static const char *const deep[] = {
        "{% macro m(x) %}{{ m(x) }}{% endmacro %}{{ m(1) }}",
        "{% macro m(x=m()) %}{{ m(x) }}{% endmacro %}{{ m() }}",
        "{% macro m() %}{% call m() %}{{ caller() }}{% endcall %}{% endmacro %}{{ m() }}",
        "{% macro m() %}{% for a, (b, c) in m() %}{% endfor %}{% endmacro %}{{ m() }}",
        "{% macro m(x) %}{% for i in [1] %}{% with %}{% filter upper %}{% set y %}{{ [{'a': -(2 ** (m(x)|length))}] "
        "}}{% endset %}{% endfilter %}{% endwith %}{% endfor %}{% endmacro %}{{ m(1) }}",
        "{% set ns = namespace() %}{% set ns.a = [{'a': ns}] %}{{ ns }}",
        "{% set ns = namespace(a=1) %}{% for i in range(999) %}{% set ns.a = [{'a': ns.a}] %}{% endfor %}"
        "{{ ns.a|tojson }}",
        "{% set ns = namespace(a=1, b=1) %}{% for i in range(999) %}{% set ns.a = [ns.a] %}{% set ns.b = [ns.b] %}"
        "{% endfor %}{{ ns.a == ns.b or ns.a < ns.b }}",
    };
    const struct template_input input = {0};
    for (size_t i = 0; i < sizeof deep / sizeof *deep; i++) {
        struct chat_template *t = NULL;
        struct template_output *o = NULL;
        andiron_error e = {0};
        andiron_status s = template_open(&t, span_of(deep[i]), &e);
        if (!s)
            s = template_run(t, &input, &o, &e);
        template_output_close(o);
        template_close(t);
        if (s != ANDIRON_E_FORMAT || !strstr(e.text, "nested more than 500 deep"))
            return (void *)(uintptr_t)deep[i];
    }
    return NULL;
}

/* The parser at its deepest. */
static void *parse_deep(void *unused)
{
    (void)unused;
    static const char *const parts[][2] = {{"{{ ", "("},       {"{{ ", "[1 if 1 else "}, {"{{ ", "{1: not "},
                                           {"", "{% if 1 %}"}, {"{{ ", "a|b("},          {"{{ ", "a["}};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        char source[4000];
        int at = snprintf(source, sizeof source, "%s", parts[i][0]);
        for (int n = 0; n < 200; n++)
            at += snprintf(source + at, sizeof source - (size_t)at, "%s", parts[i][1]);
        struct chat_template *t = NULL;
        andiron_error e = {0};
        if (!template_open(&t, span_of(source), &e) || !strstr(e.text, "nested more than 120 deep"))
            return (void *)(uintptr_t)parts[i][1];
    }
    return NULL;
}

static void nesting_fits_small_stacks(void **state)
{
    (void)state;
    void *(*const functions[])(void *) = {run_deep, parse_deep};
    for (size_t i = 0; i < 2; i++) {
        pthread_attr_t attributes;
        pthread_t thread;
        void *failed;
        assert_int_equal(pthread_attr_init(&attributes), 0);
        assert_int_equal(pthread_attr_setstacksize(&attributes, patience() > 1 ? 4 << 20 : 256 << 10), 0);
        assert_int_equal(pthread_create(&thread, &attributes, functions[i], NULL), 0);
        pthread_join(thread, &failed);
        pthread_attr_destroy(&attributes);
        if (failed)
            print_error("%s\n", (const char *)failed);
        assert_null(failed);
    }
}

static void each_allocation_may_fail(void **state)
{
    (void)state;
    static const char source[] =
        "{% macro m(x, y=2) %}{{ x|upper }}{{ varargs }}{% endmacro %}{% for i in range(300) %}{{ m(a, i) "
        "}}{{ [i, {'k': a}]|tojson }}{% set b = a * 50 %}{{ '%5d' % i ~ b[1:] }}{% endfor %}";
    const struct template_input input = {.extra_json = span_of("{\"a\": \"xy\", \"b\": [1, {\"c\": 2.5}]}")};
    andiron_status s = ANDIRON_E_MEMORY;
    int64_t n;
    for (n = 0; s == ANDIRON_E_MEMORY && n < 1000; n++) {
        struct chat_template *t = NULL;
        struct template_output *o = NULL;
        andiron_error e = {0};
        alloc_fail_after(n);
        s = template_open(&t, span_of(source), &e);
        if (!s)
            s = template_run(t, &input, &o, &e);
        alloc_fail_after(-1);
        assert_true(s == ANDIRON_OK || s == ANDIRON_E_MEMORY);
        assert_int_equal(e.status, s);
        assert_true(!s || strstr(e.text, "out of memory"));
        assert_int_equal(o != NULL, s == ANDIRON_OK);
        template_output_close(o);
        template_close(t);
    }
    assert_in_range(n, 8, 999);
}

/* ---- marks ---- */

static void marks_follow_every_byte(void **state)
{
    (void)state;
    static const char json[] = "{'c':'Con tent','n':7,'l':['p','q'],'d':{'k':'v'}, 'f':'{:*<3}%d'}";
    static const struct {
        const char *source, *text, *marks;
    } cases[] = {
        {"<a>{{ c }}</a>", "<a>Con tent</a>", "MMMccccccccMMMM"},
        {"{{ '<' + c + '>' }}", "<Con tent>", "MccccccccM"},
        {"{{ '<' ~ c ~ n ~ '>' }}", "<Con tent7>", "MccccccccMM"},
        {"{{ ('<' + c + '>')[1:4] }}{{ ('<' + c)[:2] }}{{ ('<' + c)[::-7] }}", "Con<CtC", "cccMccc"},
        {"{{ ('<b>' + c)|upper }}", "<B>CON TENT", "MMMcccccccc"},
        {"{{ ('<b>' + c)|replace('n', '<n>') }}", "<b>Co<n> te<n>t", "MMMccMMMcccMMMc"},
        {"{{ ' <b> '|trim + (' ' + c)|trim }}", "<b>Con tent", "MMMcccccccc"},
        {"{{ ('<b>,' + c).split(',')|join('|') }}", "<b>|Con tent", "MMMMcccccccc"},
        {"{{ l|join('<s>') }}", "p<s>q", "cMMMc"},
        {"{{ '<%s>' % c }}{{ '<{}>'.format(c) }}", "<Con tent><Con tent>", "MccccccccMMccccccccM"},
        {"{{ '%-4s|%d' % (l[0], n) }}", "p   |7", "cMMMMM"},
        {"{{ c % () }}{{ f.format('<') }}", "Con tent<**%d", "ccccccccccccc"}, /* what content formats is content */
        {"{{ (f ~ '<x>').format(1) }}", "1**%d<x>", "cccccccc"},
        {"{{ '%c' % 60 }}", "<", "c"}, /* the number may be a message's */
        {"{{ [c, '<b>'] }}", "['Con tent', '<b>']", "ccccccccccccccccccc"},
        {"{{ ['<b>'] }}{{ ['<b>']|tojson }}", "['<b>'][\"<b>\"]", "MMMMMMMMMMMMMM"},
        {"{{ d|tojson }}", "{\"k\": \"v\"}", "cccccccccc"},
        {"{{ {'<b>': c}|tojson }}", "{\"<b>\": \"Con tent\"}", "ccccccccccccccccccc"},
        {"{% set x %}<b>{{ c }}{% endset %}{{ x }}", "<b>Con tent", "MMMcccccccc"},
        {"{% macro m(x) %}<{{ x }}>{% endmacro %}{{ m(l[1]) }}", "<q>", "McM"},
        {"{% filter upper %}<b>{{ l[0] }}{% endfilter %}", "<B>P", "MMMc"},
        {"{{ c|indent(1) }}{{ ('a\\n' ~ l[0])|indent(2) }}", "Con tenta\n  p", "ccccccccMMMMc"},
        {"{{ l[0].center(5, '<') }}{{ '<'.center(3, l[0]) }}", "<<p<<p<p", "MMcMMcMc"},
        {"{{ ('<b>' ~ l[0])|list|join }}", "<b>p", "MMMc"},
        {"{{ l[0]|default('<d>') }}{{ nope|default('<d>') }}", "p<d>", "cMMM"},
        {"{{ c|length }}{{ true }}{{ none }}", "8TrueNone", "MMMMMMMMM"},
        {"{{ strftime_now('%Y') }}{{ strftime_now(l[0]) }}", "2023p", "MMMMc"},
        {"{{ '<b>'|safe + l[0] }}{{ ('<' ~ l[0])|e }}", "<b>p&lt;p", "MMMcccccc"},
        {"{{ d.items()|list }}{{ d }}", "[('k', 'v')]{'k': 'v'}", "cccccccccccccccccccccc"},
        {"{{ bos_token }}", "", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_marks(cases[i].source, json, cases[i].text, cases[i].marks);
}

static void usual_roles_are_markup(void **state)
{
    (void)state;
    const andiron_message messages[] = {{"user", "user"}, {"end", "x"}};
    const struct template_input input = {
        .messages = messages, .n_messages = 2, .bos_token = span_of("<s>"), .eos_token = span_of("</s>")};
    static const char source[] =
        "{{ bos_token }}{% for m in messages %}{{ '<|' + m.role + '|>' + m.content + eos_token }}{% "
        "endfor %}";
    struct rendered r = render(span_of(source), &input);
    assert_string_equal(r.text, "<s><|user|>user</s><|end|>x</s>");
    assert_string_equal(r.marks, "MMMMMMMMMMMccccMMMMMMcccMMcMMMM");
    rendered_free(&r);
    check_marks("{{ messages[0].role }}{{ messages[1].role }}{{ role }}",
                "{'messages':[{'role':'tool','content':'tool'},{'role':'im_end'}],'role':'user'}", "toolim_enduser",
                "MMMMcccccccccc");
}

/* In every golden template and conversation: a byte that stands in messages only is never markup. */
static void no_message_becomes_markup(void **state)
{
    (void)state;
    size_t n, n_found = 0;
    char *text = golden("templates.json", &n);
    json_t *root = json_loadb(text, n, JSON_DISABLE_EOF_CHECK, NULL), *variables, *of_family;
    const char *family, *name;
    assert_non_null(root);
    json_object_foreach(json_object_get(root, "cases"), family, of_family)
    {
        char file[256];
        snprintf(file, sizeof file, "templates/%s.jinja", family);
        size_t n_source;
        char *source = golden(file, &n_source);
        json_object_foreach(json_object_get(root, "conversations"), name, variables)
        {
            /* Each 'e' of a message made a byte that no template has. */
            char *json = json_dumps(json_object_get(variables, "messages"), JSON_ENSURE_ASCII), whole[16384];
            for (char *p = strstr(json, "\"content\": \""); p; p = strstr(p + 1, "\"content\": \""))
                for (p += 12; *p && *p != '"'; p += 1 + (*p == '\\'))
                    *p = *p == 'e' ? '\x7f' : *p;
            assert_true(snprintf(whole, sizeof whole, "{\"messages\":%s,\"add_generation_prompt\":true}", json) <
                        16384);
            const struct template_input input = {.extra_json = span_of(whole), .now_s = 1700000000};
            struct rendered r = render((struct span){source, n_source}, &input);
            for (size_t i = 0; i < r.n; i++) {
                n_found += r.text[i] == '\x7f';
                assert_true(r.text[i] != '\x7f' || r.marks[i] == 'c');
            }
            rendered_free(&r);
            free(json);
        }
        free(source);
    }
    assert_in_range(n_found, 500, 1000000);
    json_decref(root);
    free(text);
}

/* ---- threads ---- */

static void *run_often(void *t)
{
    const andiron_message messages[] = {{"user", "a"}, {"assistant", "b"}};
    for (int i = 0; i < 200; i++) {
        struct template_output *o = NULL;
        andiron_error e = {0};
        const struct template_input input = {.messages = messages, .n_messages = 2};
        if (template_run(t, &input, &o, &e) || template_n_pieces(o) != 5)
            return t;
        template_output_close(o);
    }
    return NULL;
}

static void a_template_is_run_by_threads_at_once(void **state)
{
    (void)state;
    struct chat_template *t = NULL;
    andiron_error e = {0};
    pthread_t threads[3];
    static const char source[] =
        "{% for m in messages %}{{ '\xC3\xA9<'|length }}{{ '\xC3\xA9<'[1:] ~ m.content }}{% endfor %}.";
    assert_int_equal(template_open(&t, span_of(source), &e), ANDIRON_OK);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_often, t), 0);
    for (int i = 0; i < 3; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    template_close(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sources_are_bounded),
        cmocka_unit_test(runs_end_soon),
        cmocka_unit_test(runs_are_bounded),
        cmocka_unit_test(nesting_fits_small_stacks),
        cmocka_unit_test(each_allocation_may_fail),
        cmocka_unit_test(marks_follow_every_byte),
        cmocka_unit_test(usual_roles_are_markup),
        cmocka_unit_test(no_message_becomes_markup),
        cmocka_unit_test(a_template_is_run_by_threads_at_once),
    };
    setenv("TZ", "UTC", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
