/* rows.c - golden rows of logits. */
#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "rows.h"

void golden_open(struct golden *g, const char *path)
{
    uint32_t head[2];
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    assert_int_equal(fread(head, sizeof *head, 2, f), 2);
    *g = (struct golden){.n_tokens = head[0], .n_columns = head[1]};
    assert_true(g->n_tokens > 0 && g->n_tokens < 1024 && g->n_columns > 0 && g->n_columns < 8192);
    size_t n = (size_t)g->n_tokens * g->n_columns;
    g->tokens = malloc(g->n_tokens * sizeof *g->tokens);
    g->rows = malloc(n * sizeof *g->rows);
    assert_true(g->tokens && g->rows);
    assert_int_equal(fread(g->tokens, sizeof *g->tokens, g->n_tokens, f), g->n_tokens);
    const size_t n_read = fread(g->rows, sizeof *g->rows, n, f);
    assert_int_equal(fgetc(f), EOF);
    g->is_vector = n_read == g->n_columns && g->n_tokens > 1;
    if (!g->is_vector)
        assert_int_equal(n_read, n);
    fclose(f);
    float largest = 0; /* gcc 12 for aarch64 fails on a reduction by fmax here */
    for (size_t i = 0; i < n_read; i++)
        if (fabsf(g->rows[i]) > largest)
            largest = fabsf(g->rows[i]);
    g->largest = (double)largest;
}

void golden_close(struct golden *g)
{
    free(g->tokens);
    free(g->rows);
}

/* The largest difference of a row, at least `far`. */
static double row_distance(const float *row, const float *want, size_t n, double far)
{
    for (size_t k = 0; k < n; k++) {
        const double d = fabs((double)row[k] - (double)want[k]);
        far = d <= far ? far : d; /* NaN becomes the largest */
    }
    return far;
}

/* The text's one vector. */
static double vector_distance(const struct golden *g, andiron_model *model, andiron_error *e)
{
    andiron_session *session = NULL;
    const andiron_session_options options = {.n_ctx = g->n_tokens, .kv_type = "f32"};
    float *out = calloc(g->n_columns, sizeof *out);
    assert_non_null(out);
    andiron_status s = andiron_session_open(&session, model, &options, e);
    if (!s)
        s = andiron_session_embed(session, g->tokens, g->n_tokens, ANDIRON_POOLING_MODEL, true, out, e);
    const double far = row_distance(out, g->rows, g->n_columns, 0);
    free(out);
    andiron_session_close(session);
    return s ? -1 : far / g->largest;
}

enum { N_SOURCE = 5 };

static andiron_status read_source(const struct golden *g, const andiron_model *model, andiron_session *session,
                                  andiron_error *e)
{
    if (!model->graph.reads_source)
        return ANDIRON_OK;
    return g->source ? andiron_session_read_source(session, g->source, g->n_source, e)
                     : andiron_session_read_source(session, g->tokens, N_SOURCE, e);
}

double golden_distance(const struct golden *g, andiron_model *model, size_t step, andiron_error *e)
{
    andiron_session *session = NULL;
    andiron_batch *batch = NULL;
    double far = 0;
    if (g->is_vector)
        return vector_distance(g, model, e);
    const andiron_session_options options = {.n_ctx = g->n_tokens, .kv_type = "f32"};
    andiron_status s = andiron_session_open(&session, model, &options, e);
    if (!s)
        s = andiron_batch_open(&batch, model, e);
    if (!s)
        s = read_source(g, model, session, e);
    for (size_t at = 0; !s && at < g->n_tokens; at += step) {
        size_t n = g->n_tokens - at < step ? g->n_tokens - at : step;
        andiron_batch_clear(batch);
        for (size_t i = 0; !s && i < n; i++)
            s = andiron_batch_add(batch, session, g->tokens[at + i], true, e);
        if (!s)
            s = andiron_batch_run(batch, e);
        for (size_t i = 0; !s && i < n; i++) {
            const float *row = andiron_batch_logits(batch, i), *want = g->rows + (at + i) * g->n_columns;
            far = row_distance(row, want, g->n_columns, far);
        }
    }
    andiron_batch_close(batch);
    andiron_session_close(session);
    return s ? -1 : far / g->largest;
}

bool golden_right(const char *model_path, const char *golden_path, const andiron_model_options *options, double limit)
{
    static const size_t steps[] = {64, 1, 5};
    const char *name = strrchr(model_path, '/') + 1;
    struct golden g;
    andiron_error e = {0};
    andiron_model *model;
    double far[3] = {0};
    if (andiron_model_open(&model, model_path, options, &e)) {
        print_error("%-20s %s\n", name, e.text);
        return false;
    }
    golden_open(&g, golden_path);
    bool all = true;
    for (size_t i = 0; i < (model->graph.whole_texts || g.is_vector ? 1 : 3); i++) {
        far[i] = golden_distance(&g, model, steps[i], &e);
        all = all && far[i] >= 0 && far[i] <= limit;
    }
    print_message("%-20s one step %.1e, one by one %.1e, in fives %.1e%s%s\n", name, far[0], far[1], far[2],
                  all ? "" : " - too far ", all ? "" : e.text);
    golden_close(&g);
    andiron_model_close(model);
    return all;
}

void golden_folder(const char *path, bool (*right)(const char *name), size_t at_least)
{
    size_t n_right = 0, n_wrong = 0;
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (struct dirent *d; (d = readdir(dir)) != NULL;)
        if (d->d_name[0] != '.')
            *(right(d->d_name) ? &n_right : &n_wrong) += 1;
    closedir(dir);
    print_message("%zu right, %zu wrong\n", n_right, n_wrong);
    assert_int_equal(n_wrong, 0);
    assert_true(n_right >= at_least);
}
