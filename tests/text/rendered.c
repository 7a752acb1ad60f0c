/* rendered.c - see rendered.h. */
#include "rendered.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void join_pieces(struct rendered *r, const struct template_output *o)
{
    for (size_t i = 0; i < template_n_pieces(o); i++)
        r->n += template_piece_at(o, i).text.n;
    r->text = calloc(1, r->n + 1);
    r->marks = calloc(1, r->n + 1);
    assert_non_null(r->text);
    assert_non_null(r->marks);
    size_t at = 0;
    for (size_t i = 0; i < template_n_pieces(o); i++) {
        struct template_piece piece = template_piece_at(o, i);
        assert_true(piece.text.n > 0);
        assert_true(i == 0 || piece.markup != template_piece_at(o, i - 1).markup);
        memcpy(r->text + at, piece.text.p, piece.text.n);
        memset(r->marks + at, piece.markup ? 'M' : 'c', piece.text.n);
        at += piece.text.n;
    }
}

struct rendered render(struct span source, const struct template_input *input)
{
    struct rendered r = {0};
    struct chat_template *t = NULL;
    struct template_output *o = NULL;
    char *exact = malloc(source.n ? source.n : 1); /* a sanitizer sees one byte too far */
    assert_non_null(exact);
    if (source.n)
        memcpy(exact, source.p, source.n);
    r.status = template_open(&t, (struct span){exact, source.n}, &r.error);
    free(exact);
    assert_int_equal(t != NULL, r.status == ANDIRON_OK);
    if (!r.status)
        r.status = template_run(t, input, &o, &r.error);
    assert_int_equal(o != NULL, r.status == ANDIRON_OK);
    assert_int_equal(r.error.status, r.status);
    if (o)
        join_pieces(&r, o);
    template_output_close(o);
    template_close(t);
    return r;
}

struct rendered render_json(const char *source, const char *json)
{
    char *copy = strdup(json ? json : "");
    assert_non_null(copy);
    for (char *p = copy; *p; p++)
        *p = *p == '\'' ? '"' : *p;
    const struct template_input input = {.extra_json = span_of(copy), .now_s = 1700000000};
    struct rendered r = render(span_of(source), &input);
    free(copy);
    return r;
}

void rendered_free(struct rendered *r)
{
    free(r->text);
    free(r->marks);
}

void check_marks(const char *source, const char *json, const char *expected, const char *marks)
{
    struct rendered r = render_json(source, json);
    if (r.status)
        print_error("%s\n  fails: %s\n", source, r.error.text);
    assert_int_equal(r.status, ANDIRON_OK);
    if (strcmp(r.text, expected) != 0 || (marks && strcmp(r.marks, marks) != 0))
        print_error("%s\n  gives    \"%s\"\n           \"%s\"\n", source, r.text, r.marks);
    assert_string_equal(r.text, expected);
    if (marks)
        assert_string_equal(r.marks, marks);
    rendered_free(&r);
}

void check_text(const char *source, const char *json, const char *expected)
{
    check_marks(source, json, expected, NULL);
}

void check_fails(const char *source, const char *json, andiron_status status, const char *words)
{
    struct rendered r = render_json(source, json);
    if (r.status != status || !strstr(r.error.text, words))
        print_error("%.200s\n  gives %d \"%s\"\n  where \"%s\" was expected\n", source, r.status,
                    r.status ? r.error.text : r.text, words);
    assert_int_equal(r.status, status);
    assert_non_null(strstr(r.error.text, words));
    assert_null(strchr(r.error.text, '\n'));
    rendered_free(&r);
}

char *golden(const char *name, size_t *n)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/tests/golden/%s", SOURCE_DIR, name);
    FILE *f = fopen(path, "rb");
    if (!f)
        print_error("%s cannot be opened\n", path);
    assert_non_null(f);
    fseek(f, 0, SEEK_END);
    long size = ftell(f);
    rewind(f);
    char *p = calloc(1, (size_t)size + 1);
    assert_non_null(p);
    *n = fread(p, 1, (size_t)size, f);
    assert_int_equal(*n, size);
    fclose(f);
    return p;
}
