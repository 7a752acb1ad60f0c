/* rows.h - golden rows of logits, and how far a model is from them. */
#ifndef TESTS_ENGINE_ROWS_H
#define TESTS_ENGINE_ROWS_H

#include "engine/engine.h"

/* A file: u32 tokens, u32 columns, i32 ids, f32 rows: one for each token, or one for the text. */
struct golden {
    uint32_t n_tokens, n_columns;
    int32_t *tokens;
    float *rows; /* [n_tokens][n_columns] */
    double largest;
    bool is_vector;        /* one row, as andiron_session_embed gives it */
    const int32_t *source; /* borrowed; what a model that reads a source reads; NULL: the first five tokens */
    size_t n_source;
};

void golden_open(struct golden *g, const char *path); /* fails the test where there is none */
void golden_close(struct golden *g);
/* Run the tokens in steps of `step`; the largest difference, of the largest number; negative: *e tells why not. */
double golden_distance(const struct golden *g, andiron_model *model, size_t step, andiron_error *e);

/* Open a model and run its golden tokens: in one step, one by one, in fives. Does all of it lie within limit? It says
 * what it saw. */
bool golden_right(const char *model_path, const char *golden_path, const andiron_model_options *options, double limit);
/* `right` is asked of each entry of the folder; fails the test where one is not, or fewer than so many are. */
void golden_folder(const char *path, bool (*right)(const char *name), size_t at_least);

#endif
