/* rendered.h - what the tests of templates share: one call from source to text and marks. */
#ifndef TESTS_TEXT_RENDERED_H
#define TESTS_TEXT_RENDERED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "text/template.h"

struct rendered {
    andiron_status status;
    andiron_error error;
    char *text, *marks; /* [n] and a zero byte; marks: 'M' markup, 'c' content */
    size_t n;
};

/* Parse, run, join the pieces; checks what always holds: a status has its sentence, neighbouring pieces differ. */
struct rendered render(struct span source, const struct template_input *input);
/* With variables from JSON, single quotes for double ones; NULL: none. */
struct rendered render_json(const char *source, const char *json);
void rendered_free(struct rendered *r);

/* The text is `expected`, and so are the marks unless `marks` is NULL. */
void check_text(const char *source, const char *json, const char *expected);
void check_marks(const char *source, const char *json, const char *expected, const char *marks);
/* It fails with `status` and a sentence that holds `words`. */
void check_fails(const char *source, const char *json, andiron_status status, const char *words);
/* The file tests/golden/NAME, whole. */
char *golden(const char *name, size_t *n);

#endif
