/* vocab.c - the metadata of a GGUF file's vocabulary, checked and laid out as the tokenizer wants it. */
#include "engine/vocab.h"
#include "base/error.h"
#include "files/json.h"
#include "text/tokenizer_hf.h"
#include <string.h>

static andiron_status no_room(size_t bytes, andiron_error *error)
{
    return error_memory(error, bytes, "the vocabulary");
}

/* An array of strings as spans into the file. `n` 0 and no list where the key is absent. */
static andiron_status read_texts(const struct gguf *file, const char *key, struct arena *arena, const struct span **out,
                                 size_t *n, andiron_error *error)
{
    const struct gguf_value *v = gguf_find(file, key);
    *out = NULL;
    *n = 0;
    if (!v)
        return ANDIRON_OK;
    if (v->type != GGUF_ARRAY || v->item_type != GGUF_STRING)
        return error_set(error, ANDIRON_E_FORMAT, "%s: %s is no array of strings", gguf_path(file), key);
    struct span *texts = arena_alloc(arena, v->n, sizeof *texts);
    if (!texts)
        return no_room(v->n * sizeof *texts, error);
    size_t cursor = 0;
    while (*n < v->n && gguf_next_text(v, &cursor, &texts[*n]))
        ++*n;
    *out = texts;
    return ANDIRON_OK;
}

/* The array of numbers that goes with the tokens, or NULL where the key is absent. */
static andiron_status find_numbers(const struct gguf *file, const char *key, size_t n_tokens,
                                   const struct gguf_value **out, andiron_error *error)
{
    const struct gguf_value *v = *out = gguf_find(file, key);
    double first;
    if (!v)
        return ANDIRON_OK;
    if (v->type != GGUF_ARRAY || v->n != n_tokens || (v->n && !gguf_item_f64(v, 0, &first)))
        return error_set(error, ANDIRON_E_FORMAT, "%s: %s is no array of %zu numbers, one for each token",
                         gguf_path(file), key, n_tokens);
    return ANDIRON_OK;
}

static andiron_status read_scores(struct tokenizer_source *s, const struct gguf *file, struct arena *arena,
                                  andiron_error *error)
{
    const struct gguf_value *v;
    andiron_status status = find_numbers(file, "tokenizer.ggml.scores", s->n_tokens, &v, error);
    if (status || !v)
        return status;
    float *scores = arena_alloc(arena, s->n_tokens, sizeof *scores);
    if (!scores)
        return no_room(s->n_tokens * sizeof *scores, error);
    if (v->item_type == GGUF_F32) {
        memcpy(scores, v->bytes.p, s->n_tokens * sizeof *scores);
    } else {
        for (size_t i = 0; i < s->n_tokens; i++) {
            double score = 0;
            gguf_item_f64(v, i, &score);
            scores[i] = (float)score;
        }
    }
    s->scores = scores;
    return ANDIRON_OK;
}

static andiron_status read_kinds(struct tokenizer_source *s, const struct gguf *file, struct arena *arena,
                                 andiron_error *error)
{
    const struct gguf_value *v;
    andiron_status status = find_numbers(file, "tokenizer.ggml.token_type", s->n_tokens, &v, error);
    if (status || !v)
        return status;
    uint8_t *kinds = arena_alloc(arena, s->n_tokens, 1);
    if (!kinds)
        return no_room(s->n_tokens, error);
    for (size_t i = 0; i < s->n_tokens; i++) {
        double kind = 0;
        gguf_item_f64(v, i, &kind);
        kinds[i] = kind >= TOKEN_NORMAL && kind <= TOKEN_BYTE ? (uint8_t)kind : 0; /* the tokenizer tells what 0 is */
    }
    s->kinds = kinds;
    return ANDIRON_OK;
}

/* What the kind of tokenizer says where the file names none of its special tokens. */
static void usual_ids(struct tokenizer_source *s)
{
    static const struct {
        const char *model;
        int32_t bos, eos, unknown, sep, padding;
    } usual[] = {{"llama", 1, 2, 0, -1, -1},
                 {"bert", 101, -1, 100, 102, 0},
                 {"t5", -1, 1, 2, -1, 0},
                 {"rwkv", -1, -1, -1, -1, -1},
                 {"plamo2", 1, 2, 0, -1, 3}};
    s->bos = s->eos = 11;
    s->eot = s->eom = s->sep = s->padding = s->unknown = -1;
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
        if (span_is(s->model, usual[i].model)) {
            s->bos = usual[i].bos;
            s->eos = usual[i].eos;
            s->unknown = usual[i].unknown;
            s->sep = usual[i].sep;
            s->padding = usual[i].padding;
        }
    int32_t *const ids[] = {&s->bos, &s->eos, &s->unknown, &s->sep, &s->padding};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        *ids[i] = (size_t)*ids[i] < s->n_tokens ? *ids[i] : -1;
}

static void read_ids(struct tokenizer_source *s, const struct gguf *file)
{
    const struct {
        const char *key;
        int32_t *id;
    } ids[] = {
        {"tokenizer.ggml.bos_token_id", &s->bos},
        {"tokenizer.ggml.eos_token_id", &s->eos},
        {"tokenizer.ggml.eot_token_id", &s->eot},
        {"tokenizer.ggml.eom_token_id", &s->eom},
        {"tokenizer.ggml.unknown_token_id", &s->unknown},
        {"tokenizer.ggml.seperator_token_id", &s->sep}, /* so spelled in the specification */
        {"tokenizer.ggml.padding_token_id", &s->padding},
    };
    usual_ids(s);
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        uint64_t id;
        if (gguf_get_u64(file, ids[i].key, &id))
            *ids[i].id = id < s->n_tokens && id <= INT32_MAX ? (int32_t)id : -1;
    }
}

static void read_flags(struct tokenizer_source *s, const struct gguf *file)
{
    const struct {
        const char *key;
        int *flag;
    } flags[] = {
        {"tokenizer.ggml.add_bos_token", &s->add_bos},
        {"tokenizer.ggml.add_eos_token", &s->add_eos},
        {"tokenizer.ggml.add_space_prefix", &s->add_space_prefix},
        {"tokenizer.ggml.remove_extra_whitespaces", &s->remove_extra_whitespaces},
        {"tokenizer.ggml.normalizer.lowercase", &s->lowercase},
        {"tokenizer.ggml.normalizer.strip_accents", &s->strip_accents},
    };
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        bool given;
        *flags[i].flag = gguf_get_bool(file, flags[i].key, &given) ? given : -1;
    }
}

static andiron_status read_charsmap(struct tokenizer_source *s, const struct gguf *file, andiron_error *error)
{
    static const char key[] = "tokenizer.ggml.precompiled_charsmap";
    const struct gguf_value *v = gguf_find(file, key);
    if (!v)
        return ANDIRON_OK;
    if (v->type != GGUF_ARRAY || (v->item_type != GGUF_U8 && v->item_type != GGUF_I8))
        return error_set(error, ANDIRON_E_FORMAT, "%s: %s is no array of bytes", gguf_path(file), key);
    s->charsmap = v->bytes;
    return ANDIRON_OK;
}

/* An imported file carries the documents of the Hugging Face folder (tokenizer.huggingface.json: ggml/docs/gguf.md; the
 * others are andiron's). */
static andiron_status open_carried(struct tokenizer **out, const struct gguf *file, struct span tokenizer,
                                   andiron_error *error)
{
    static const char *const keys[] = {"tokenizer.huggingface.json", "tokenizer.huggingface.config",
                                       "tokenizer.huggingface.special", "tokenizer.huggingface.generation",
                                       "tokenizer.huggingface.model_config"};
    json_t *read[5] = {0};
    andiron_status s = json_read(&read[0], tokenizer, keys[0], &json_vocab_limits, error);
    for (size_t i = 1; i < 5 && !s; i++) {
        struct span text;
        if (gguf_get_text(file, keys[i], &text))
            s = json_read(&read[i], text, keys[i], &json_config_limits, error);
    }
    if (!s)
        s = tokenizer_hf_open(out, &(struct tokenizer_hf_source){read[0], read[1], read[2], read[3], read[4]}, error);
    for (size_t i = 0; i < 5; i++)
        json_decref(read[i]);
    return s;
}

andiron_status vocab_open(struct tokenizer **out, const struct gguf *file, struct arena *arena, andiron_error *error)
{
    struct tokenizer_source s = {0};
    struct span text;
    *out = NULL;
    if (gguf_get_text(file, "tokenizer.huggingface.json", &text))
        return open_carried(out, file, text, error);
    if (!gguf_get_text(file, "tokenizer.ggml.model", &s.model))
        return gguf_get_text(file, "andiron.arch", &text)
                   ? ANDIRON_OK
                   : error_set(error, ANDIRON_E_FORMAT,
                               "%s: the file has no tokenizer (tokenizer.ggml.model is missing)", gguf_path(file));
    if (span_is(s.model, "none") || span_is(s.model, "no_vocab") || span_is(s.model, "test"))
        return ANDIRON_OK; /* the last: of llama.cpp's own test models; its tokens have no texts */
    gguf_get_text(file, "tokenizer.ggml.pre", &s.pre);
    gguf_get_text(file, "general.name", &s.name);
    andiron_status status = read_texts(file, "tokenizer.ggml.tokens", arena, &s.texts, &s.n_tokens, error);
    if (!status && s.n_tokens == 0)
        status = error_set(error, ANDIRON_E_FORMAT,
                           "%s: the file has no tokens (tokenizer.ggml.tokens is missing or empty)", gguf_path(file));
    if (!status)
        status = read_texts(file, "tokenizer.ggml.merges", arena, &s.merges, &s.n_merges, error);
    if (!status)
        status = read_scores(&s, file, arena, error);
    if (!status)
        status = read_kinds(&s, file, arena, error);
    if (!status)
        status = read_charsmap(&s, file, error);
    if (status)
        return status;
    read_ids(&s, file);
    read_flags(&s, file);
    return tokenizer_open(out, &s, error);
}

/* ---- chats ---- */

/* The rendered pieces as one text with runs. False: out of memory. */
static bool join_pieces(const struct template_output *rendered, struct buffer *text, struct buffer *runs)
{
    for (size_t i = 0; i < template_n_pieces(rendered); i++) {
        struct template_piece piece = template_piece_at(rendered, i);
        struct tokenizer_run run = {piece.text.n, piece.markup};
        if (!buffer_add_span(text, piece.text) || !buffer_add(runs, &run, sizeof run))
            return false;
    }
    return true;
}

/* One BOS in front is enough. */
static void drop_second_bos(struct buffer *ids, size_t start, andiron_token bos)
{
    andiron_token *first = (andiron_token *)(void *)(ids->data + start);
    size_t n = (ids->n - start) / sizeof *first;
    if (n < 2 || first[1] != bos)
        return;
    memmove(first + 1, first + 2, (n - 2) * sizeof *first);
    ids->n -= sizeof *first;
}

andiron_status vocab_encode_chat(const struct tokenizer *t, const struct template_output *rendered, struct buffer *ids,
                                 andiron_error *error)
{
    struct buffer text, runs;
    const size_t start = ids->n;
    const andiron_token bos = tokenizer_added_bos(t);
    buffer_init(&text, SIZE_MAX);
    buffer_init(&runs, SIZE_MAX);
    andiron_status status = ANDIRON_OK;
    if (!join_pieces(rendered, &text, &runs) || (bos >= 0 && !buffer_add(ids, &bos, sizeof bos)))
        status = error_memory(error, text.n, "a rendered chat");
    if (!status)
        status = tokenizer_encode_runs(t, buffer_span(&text), (const struct tokenizer_run *)(const void *)runs.data,
                                       runs.n / sizeof(struct tokenizer_run), 0, ids, error);
    if (!status && bos >= 0)
        drop_second_bos(ids, start, bos);
    buffer_reset(&text);
    buffer_reset(&runs);
    return status;
}
