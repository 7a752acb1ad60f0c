/* vocabulary.c - small vocabularies for tests: read from a GGUF, or made from lists. */
#include "vocabulary.h"
#include <stdlib.h>

static void no_ids(struct tokenizer_source *s)
{
    s->bos = s->eos = s->eot = s->eom = s->unknown = s->sep = s->padding = -1;
    s->add_bos = s->add_eos = s->add_space_prefix = s->remove_extra_whitespaces = -1;
}

static struct span *read_list(const struct gguf *file, const char *key, size_t *n)
{
    const struct gguf_value *v = gguf_find(file, key);
    size_t cursor = 0;
    *n = v ? v->n : 0;
    struct span *list = calloc(*n + 1, sizeof *list);
    for (size_t i = 0; i < *n && gguf_next_text(v, &cursor, &list[i]); i++)
        ;
    return list;
}

bool vocabulary_read(struct vocabulary *v, const char *path)
{
    andiron_error error;
    *v = (struct vocabulary){0};
    if (gguf_open(&v->file, path, &error))
        return false;
    struct tokenizer_source *s = &v->source;
    no_ids(s);
    gguf_get_text(v->file, "tokenizer.ggml.model", &s->model);
    gguf_get_text(v->file, "tokenizer.ggml.pre", &s->pre);
    s->texts = v->texts = read_list(v->file, "tokenizer.ggml.tokens", &s->n_tokens);
    s->merges = v->merges = read_list(v->file, "tokenizer.ggml.merges", &s->n_merges);
    const struct gguf_value *kinds = gguf_find(v->file, "tokenizer.ggml.token_type");
    const struct gguf_value *scores = gguf_find(v->file, "tokenizer.ggml.scores");
    v->kinds = calloc(s->n_tokens + 1, 1);
    v->scores = calloc(s->n_tokens + 1, sizeof *v->scores);
    for (size_t i = 0; i < s->n_tokens; i++) {
        double kind = 1, score = 0;
        if (kinds)
            gguf_item_f64(kinds, i, &kind);
        if (scores)
            gguf_item_f64(scores, i, &score);
        v->kinds[i] = (uint8_t)kind;
        v->scores[i] = (float)score;
    }
    s->kinds = v->kinds;
    s->scores = v->scores;
    return true;
}

static struct span *make_list(const char *const *texts, size_t *n)
{
    for (*n = 0; texts && texts[*n];)
        ++*n;
    struct span *list = calloc(*n + 1, sizeof *list);
    for (size_t i = 0; i < *n; i++)
        list[i] = span_of(texts[i]);
    return list;
}

void vocabulary_make(struct vocabulary *v, const char *model, const char *const *tokens, const char *kinds,
                     const char *const *merges)
{
    *v = (struct vocabulary){0};
    struct tokenizer_source *s = &v->source;
    no_ids(s);
    s->model = span_of(model);
    s->texts = v->texts = make_list(tokens, &s->n_tokens);
    s->merges = v->merges = make_list(merges, &s->n_merges);
    v->kinds = calloc(s->n_tokens + 1, 1);
    v->scores = calloc(s->n_tokens + 1, sizeof *v->scores);
    for (size_t i = 0; i < s->n_tokens; i++) {
        v->kinds[i] = kinds ? (uint8_t)(kinds[i] - '0') : TOKEN_NORMAL;
        v->scores[i] = -(float)i;
    }
    s->kinds = v->kinds;
    s->scores = v->scores;
}

void vocabulary_free(struct vocabulary *v)
{
    gguf_close(v->file);
    free(v->texts);
    free(v->merges);
    free(v->scores);
    free(v->kinds);
}
