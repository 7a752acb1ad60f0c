/* test_archs.c - logits of a tiny model of each architecture against llama.cpp's (tools/oracle/peer_archs.py): all
 * tokens in one step, one by one, and in a few pieces. Each tests/golden/archs/NAME.txt is a model, NAME.bin what
 * llama.cpp computes with it. A model whose architecture has no definition in arch/ is counted and skipped. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "rows.h"
#include "spec.h"

static const double limit = 1e-3; /* llama.cpp takes GELU from a table of 16-bit numbers */

/* What cannot be compared; APART in tools/oracle/peer_variants.py and docs/models.md tell why. */
static bool stands_apart(const char *name)
{
    static const char *const names[] = {"phimoe", "hunyuan_vl", "qwen4exp", "wavtokenizer-dec"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(name, names[i]))
            return true;
    return false;
}

enum outcome { SKIPPED, RIGHT, WRONG };

static enum outcome compare(const char *name, const struct golden *g, andiron_model *model, bool whole)
{
    static const size_t steps[] = {1024, 1, 5};
    double far[3] = {0};
    andiron_error e = {0};
    andiron_model_info info;
    andiron_model_get_info(model, &info);
    if (info.n_vocab != g->n_columns) {
        print_error("%-20s has rows of %zu, not %u\n", name, (size_t)info.n_vocab, g->n_columns);
        return WRONG;
    }
    bool right = true;
    for (size_t i = 0; i < (whole ? 1 : 3); i++) {
        far[i] = golden_distance(g, model, steps[i], &e);
        right = right && far[i] >= 0 && far[i] <= limit; /* NaN is not */
    }
    print_message("%-20s one step %.1e, one by one %.1e, in fives %.1e%s%s\n", name, far[0], far[1], far[2],
                  right ? "" : " - too far ", right ? "" : e.text);
    return right ? RIGHT : WRONG;
}

static enum outcome check(const char *name)
{
    char path[512];
    struct spec spec;
    struct buffer file;
    struct golden g;
    andiron_error e = {0};
    andiron_model *model;
    snprintf(path, sizeof path, SOURCE_DIR "/tests/golden/archs/%s.txt", name);
    spec_to_gguf(path, &spec, &file);
    snprintf(path, sizeof path, SOURCE_DIR "/arch/%s.arch", spec.architecture);
    const bool apart = stands_apart(name);
    if (apart || access(path, R_OK)) {
        print_message("%-20s skipped: %s\n", name, apart ? "not to be compared" : "no definition in arch/");
        buffer_reset(&file);
        return SKIPPED;
    }
    snprintf(path, sizeof path, SOURCE_DIR "/tests/golden/archs/%s.bin", name);
    golden_open(&g, path);
    g.source = spec.source;
    g.n_source = spec.n_source;
    enum outcome outcome = WRONG;
    const struct model_source source = {.bytes = {file.data, file.n}};
    const andiron_model_options options = {.n_threads = 1, .max_step_tokens = 256};
    if (model_open_source(&model, &source, &options, &e))
        print_error("%-20s %s\n", name, e.text);
    else
        outcome = compare(name, &g, model, spec.whole);
    andiron_model_close(model);
    golden_close(&g);
    buffer_reset(&file);
    return outcome;
}

static void logits_are_llama_cpps(void **state)
{
    (void)state;
    size_t n[3] = {0};
    DIR *dir = opendir(SOURCE_DIR "/tests/golden/archs");
    assert_non_null(dir);
    for (struct dirent *d; (d = readdir(dir)) != NULL;) {
        char name[256];
        size_t length = strlen(d->d_name);
        if (length < 5 || strcmp(d->d_name + length - 4, ".txt"))
            continue;
        snprintf(name, sizeof name, "%.*s", (int)length - 4, d->d_name);
        n[check(name)]++;
    }
    closedir(dir);
    print_message("%zu right, %zu wrong, %zu without a definition\n", n[RIGHT], n[WRONG], n[SKIPPED]);
    assert_int_equal(n[WRONG], 0);
    assert_true(n[RIGHT] >= 213);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(logits_are_llama_cpps)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
