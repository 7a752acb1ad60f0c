/* test_template_golden.c - templates give what jinja2 gives (tools/oracle/make_templates.py wrote it down). */
#include "rendered.h"
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static json_t *load(const char *name)
{
    size_t n;
    char *text = golden(name, &n);
    json_error_t e;
    json_t *root = json_loadb(text, n, JSON_DISABLE_EOF_CHECK, &e);
    if (!root)
        print_error("%s: %s\n", name, e.text);
    assert_non_null(root);
    free(text);
    return root;
}

static struct rendered render_with(struct span source, json_t *variables)
{
    char *json = json_dumps(variables, 0);
    assert_non_null(json);
    const struct template_input input = {.extra_json = span_of(json), .now_s = 1700000000};
    struct rendered r = render(source, &input);
    free(json);
    return r;
}

/* A text, {"raised": message} or {"failed": why}: whether that is what happened. */
static bool as_expected(const struct rendered *r, json_t *expected)
{
    json_t *raised = json_object_get(expected, "raised");
    if (json_is_string(expected))
        return !r->status && !strcmp(r->text, json_string_value(expected));
    if (raised)
        return r->status == ANDIRON_E_ARGUMENT && !strcmp(r->error.text, json_string_value(raised));
    return r->status == ANDIRON_E_FORMAT;
}

static void tell(const char *family, const char *case_name, const struct rendered *r, json_t *expected)
{
    char *text = json_dumps(expected, JSON_ENCODE_ANY);
    print_error("%s, %s\n  expected %s\n  gives    %d %s\n", family, case_name, text, r->status,
                r->status ? r->error.text : r->text);
    free(text);
}

static void families_render_as_in_jinja2(void **state)
{
    (void)state;
    json_t *root = load("templates.json"), *cases = json_object_get(root, "cases"), *of_template, *expected;
    json_t *conversations = json_object_get(root, "conversations");
    const char *family, *name;
    size_t n_cases = 0, n_wrong = 0;
    json_object_foreach(cases, family, of_template)
    {
        char file[256];
        size_t n;
        snprintf(file, sizeof file, "templates/%s.jinja", family);
        char *source = golden(file, &n);
        json_object_foreach(of_template, name, expected)
        {
            struct rendered r = render_with((struct span){source, n}, json_object_get(conversations, name));
            bool good = as_expected(&r, expected);
            if (!good)
                tell(family, name, &r, expected);
            n_wrong += !good;
            n_cases++;
            rendered_free(&r);
        }
        free(source);
    }
    assert_int_equal(n_wrong, 0);
    assert_in_range(n_cases, 300, 100000);
    json_decref(root);
}

static void constructs_render_as_in_jinja2(void **state)
{
    (void)state;
    json_t *root = load("template_constructs.json"), *cases = json_object_get(root, "cases"), *expected;
    const char *source;
    size_t n_cases = 0, n_wrong = 0;
    json_object_foreach(cases, source, expected)
    {
        struct rendered r = render_with(span_of(source), json_object_get(root, "variables"));
        bool good = as_expected(&r, expected);
        if (!good)
            tell("construct", source, &r, expected);
        n_wrong += !good;
        n_cases++;
        rendered_free(&r);
    }
    assert_int_equal(n_wrong, 0);
    assert_in_range(n_cases, 700, 100000);
    json_decref(root);
}

/* The messages of a conversation as the public interface gives them; false: some have more than role and content. */
static bool as_messages(json_t *messages, andiron_message *out, size_t capacity)
{
    assert_true(json_array_size(messages) <= capacity);
    for (size_t i = 0; i < json_array_size(messages); i++) {
        json_t *m = json_array_get(messages, i), *content = json_object_get(m, "content");
        if (json_object_size(m) != 2 || !json_is_string(content))
            return false;
        out[i].role = json_string_value(json_object_get(m, "role"));
        out[i].content = json_string_value(content);
    }
    return true;
}

/* What is given by struct template_input alone equals what is given as JSON, but for the marks of BOS and EOS. */
static void messages_do_as_well_as_json(void **state)
{
    (void)state;
    json_t *root = load("templates.json"), *variables;
    json_t *llama3 = json_object_get(json_object_get(root, "cases"), "llama3");
    const char *name;
    size_t n, n_tried = 0;
    char *source = golden("templates/llama3.jinja", &n);
    json_object_foreach(json_object_get(root, "conversations"), name, variables)
    {
        andiron_message messages[16];
        json_t *list = json_object_get(variables, "messages");
        if (!as_messages(list, messages, 16))
            continue;
        const struct template_input input = {
            .messages = messages,
            .n_messages = json_array_size(list),
            .add_generation_prompt = json_is_true(json_object_get(variables, "add_generation_prompt")),
            .bos_token = span_of("<s>"),
            .eos_token = span_of("</s>"),
        };
        struct rendered r = render((struct span){source, n}, &input);
        assert_int_equal(r.status, ANDIRON_OK);
        assert_string_equal(r.text, json_string_value(json_object_get(llama3, name)));
        assert_memory_equal(r.marks, "MMM", 3);
        rendered_free(&r);
        n_tried++;
    }
    assert_in_range(n_tried, 5, 100);
    free(source);
    json_decref(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(families_render_as_in_jinja2),
        cmocka_unit_test(constructs_render_as_in_jinja2),
        cmocka_unit_test(messages_do_as_well_as_json),
    };
    setenv("TZ", "UTC", 1); /* the golden dates */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
