/* test_imports.c - logits of tiny imported models (GGUF files that carry their definition) against Transformers'
 * (tools/oracle/make_imports.py): all tokens in one step, one by one, and in a few pieces; a model that reads whole
 * texts, or gives a text one vector, in one step. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "rows.h"

#define IMPORTS SOURCE_DIR "/tests/golden/imports"

static const double limit = 2e-5;
static const andiron_model_options small_steps = {.n_threads = 1, .max_step_tokens = 64};

static void logits_are_transformers(void **state)
{
    (void)state;
    size_t n_right = 0, n_wrong = 0;
    DIR *dir = opendir(IMPORTS);
    assert_non_null(dir);
    for (struct dirent *d; (d = readdir(dir)) != NULL;) {
        const size_t n = strlen(d->d_name);
        char model[512], golden[512];
        if (n <= 5 || strcmp(d->d_name + n - 5, ".gguf") != 0)
            continue;
        snprintf(model, sizeof model, IMPORTS "/%s", d->d_name);
        snprintf(golden, sizeof golden, IMPORTS "/%.*s.bin", (int)(n - 5), d->d_name);
        *(golden_right(model, golden, &small_steps, limit) ? &n_right : &n_wrong) += 1;
    }
    closedir(dir);
    print_message("%zu right, %zu wrong\n", n_right, n_wrong);
    assert_int_equal(n_wrong, 0);
    assert_true(n_right >= 25);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(logits_are_transformers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
