/* tokenizer_hf.c - tokenizer.json read into a tokenizer: its vocabulary, its special tokens, and the steps of the other
 * files. */
#include "text/tokenizer_hf.h"
#include "base/alloc.h"
#include "base/error.h"
#include "text/tokenizer_hf_internal.h"

enum { MAX_AFFIX = 64, MAX_ENDS = 64, MAX_WORDPIECE_BYTES = 512 };

/* ---- small things ---- */

struct span hf_keep(struct hf *h, struct span text)
{
    return (struct span){arena_text(&h->arena, text.n ? text.p : "", text.n), text.n};
}

const char *hf_type(const json_t *component)
{
    const char *type = json_string_value(json_object_get(component, "type"));
    return type ? type : "";
}

andiron_status hf_refuse(andiron_error *error, const char *part, const char *what)
{
    return error_set(error, ANDIRON_E_SUPPORT, "tokenizer.json: the %s is not supported: %.200s", part,
                     *what ? what : "it has no type");
}

andiron_status hf_broken(andiron_error *error, const char *part, const char *what)
{
    return error_set(error, ANDIRON_E_FORMAT, "tokenizer.json: %s %s", part, what);
}

void hf_close(struct hf *h)
{
    if (!h)
        return;
    hf_regex_close(h);
    arena_reset(&h->arena);
    alloc_free(h);
}

/* ---- the vocabulary ---- */

struct reader {
    struct hf *h;
    struct tokenizer_source source;
    struct span *texts;
    uint8_t *kinds;
    andiron_error *error;
    int32_t ends[MAX_ENDS];
};

static andiron_status no_room(const struct reader *r, size_t bytes)
{
    return error_memory(r->error, bytes, "the vocabulary");
}

/* Room for ids up to the highest of the vocabulary and the added tokens. */
static andiron_status make_room(struct reader *r, const json_t *vocab)
{
    json_int_t highest = -1;
    size_t n_listed = r->h->n_added + (json_is_array(vocab) ? json_array_size(vocab) : json_object_size(vocab));
    const char *key;
    json_t *value;
    if (json_is_array(vocab))
        highest = (json_int_t)json_array_size(vocab) - 1;
    json_object_foreach((json_t *)(uintptr_t)vocab, key, value)
    {
        if (!json_is_integer(value) || json_integer_value(value) < 0)
            return hf_broken(r->error, "model", "has a token without a usable id");
        highest = json_integer_value(value) > highest ? json_integer_value(value) : highest;
    }
    for (size_t i = 0; i < r->h->n_added; i++)
        highest = r->h->added[i].id > highest ? r->h->added[i].id : highest;
    if (highest < 0)
        return hf_broken(r->error, "model", "has no tokens");
    if (highest >= HF_MAX_TOKENS || (size_t)highest > n_listed * 16 + 65536)
        return hf_broken(r->error, "model", "has an id that is too high");
    size_t n = (size_t)highest + 1;
    r->source.n_tokens = n;
    r->source.texts = r->texts = arena_alloc(&r->h->arena, n, sizeof *r->texts);
    r->source.kinds = r->kinds = arena_alloc(&r->h->arena, n, 1);
    r->h->in_model = arena_alloc(&r->h->arena, n, 1);
    if (!r->texts || !r->kinds || !r->h->in_model)
        return no_room(r, n * (sizeof *r->texts + 2));
    for (size_t i = 0; i < n; i++) {
        r->texts[i] = (struct span){"", 0};
        r->kinds[i] = TOKEN_NORMAL;
    }
    return ANDIRON_OK;
}

static andiron_status put_token(struct reader *r, size_t id, struct span text)
{
    if (r->h->in_model[id])
        return error_set(r->error, ANDIRON_E_SUPPORT, "tokenizer.json: two tokens have the id %zu", id);
    r->h->in_model[id] = true;
    r->texts[id] = hf_keep(r->h, text);
    return r->texts[id].p ? ANDIRON_OK : no_room(r, text.n);
}

static andiron_status read_vocab(struct reader *r, const json_t *vocab)
{
    andiron_status status = make_room(r, vocab);
    const char *key;
    json_t *value;
    for (size_t i = 0; !status && json_is_array(vocab) && i < json_array_size(vocab); i++) {
        struct span text = hf_text_of(json_array_get(json_array_get(vocab, i), 0));
        status = text.p ? put_token(r, i, text) : hf_broken(r->error, "model", "has a token that is no text");
    }
    if (status || !json_is_object(vocab))
        return status;
    json_object_foreach((json_t *)(uintptr_t)vocab, key, value)
    {
        status = put_token(r, (size_t)json_integer_value(value), span_of(key));
        if (status)
            return status;
    }
    return ANDIRON_OK;
}

static andiron_status put_added(struct reader *r)
{
    for (size_t i = 0; i < r->h->n_added; i++) {
        const struct hf_added *a = &r->h->added[i];
        if (r->texts[a->id].n && !span_same(r->texts[a->id], a->content))
            return error_set(r->error, ANDIRON_E_SUPPORT,
                             "tokenizer.json: the added token \"%.100s\" has the id %d of another token", a->content.p,
                             (int)a->id);
        r->texts[a->id] = a->content;
        r->kinds[a->id] = a->special ? TOKEN_CONTROL : TOKEN_USER_DEFINED;
    }
    return ANDIRON_OK;
}

/* ---- the model ---- */

static struct span affix(struct hf *h, const json_t *model, const char *key)
{
    struct span text = hf_text_of(json_object_get(model, key));
    return text.p ? hf_keep(h, text) : (struct span){"", 0};
}

/* Older files name no type. */
static bool find_model(const json_t *model, enum hf_model *out)
{
    static const char *const names[] = {"BPE", "WordPiece", "WordLevel", "Unigram"};
    const char *type = hf_type(model);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(type, names[i])) {
            *out = (enum hf_model)i;
            return true;
        }
    *out = json_object_get(model, "merges") ? HF_BPE : HF_WORDPIECE;
    return !*type && (json_object_get(model, "merges") || json_object_get(model, "max_input_chars_per_word"));
}

static andiron_status read_model(struct reader *r, const json_t *model)
{
    struct hf *h = r->h;
    const json_t *vocab = json_object_get(model, "vocab"), *most = json_object_get(model, "max_input_chars_per_word");
    if (!find_model(model, &h->model))
        return hf_refuse(r->error, "model", hf_type(model));
    if (h->model == HF_UNIGRAM ? !json_is_array(vocab) : !json_is_object(vocab))
        return hf_broken(r->error, "model", "has no vocabulary of its kind");
    h->fuse_unknown = json_is_true(json_object_get(model, "fuse_unk"));
    h->byte_fallback = json_is_true(json_object_get(model, "byte_fallback"));
    h->ignore_merges = json_is_true(json_object_get(model, "ignore_merges"));
    h->max_word = json_is_integer(most) && json_integer_value(most) >= 0 ? (uint64_t)json_integer_value(most) : 100;
    h->prefix = affix(h, model, "continuing_subword_prefix");
    h->suffix = affix(h, model, "end_of_word_suffix");
    if (!h->prefix.p || !h->suffix.p)
        return no_room(r, 64);
    if (h->model == HF_WORDPIECE && !json_is_string(json_object_get(model, "continuing_subword_prefix")))
        h->prefix = span_of("##");
    if (h->prefix.n > MAX_AFFIX || h->suffix.n > MAX_AFFIX)
        return hf_refuse(r->error, "model", "a prefix or suffix of more than 64 bytes");
    return read_vocab(r, vocab);
}

/* ---- special tokens ---- */

static int32_t find_added(const struct reader *r, struct span text)
{
    for (size_t i = 0; text.n && i < r->h->n_added; i++)
        if (span_same(r->h->added[i].content, text))
            return r->h->added[i].id;
    return -1;
}

/* A text, or an object with the text as its "content". */
static int32_t named_id(const struct reader *r, const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    struct span text = hf_text_of(json_is_object(v) ? json_object_get(v, "content") : v);
    return find_added(r, text);
}

static void add_end(struct reader *r, const json_t *v)
{
    json_int_t id = json_is_integer(v) ? json_integer_value(v) : -1;
    if (id < 0 || (size_t)id >= r->source.n_tokens || r->source.n_ends == MAX_ENDS)
        return;
    r->ends[r->source.n_ends++] = (int32_t)id;
}

static void add_ends(struct reader *r, const json_t *config)
{
    const json_t *v = json_object_get(config, "eos_token_id");
    add_end(r, v);
    for (size_t i = 0; i < json_array_size(v); i++)
        add_end(r, json_array_get(v, i));
}

static int32_t config_id(const struct reader *r, const json_t *config, const char *key)
{
    const json_t *v = json_object_get(config, key);
    json_int_t id = json_is_integer(v) ? json_integer_value(v) : -1;
    return id >= 0 && (size_t)id < r->source.n_tokens ? (int32_t)id : -1;
}

static void read_ids(struct reader *r, const struct tokenizer_hf_source *s)
{
    const struct {
        const char *name, *number;
        int32_t *id;
    } ids[] = {
        {"bos_token", "bos_token_id", &r->source.bos},
        {"eos_token", "eos_token_id", &r->source.eos},
        {"pad_token", "pad_token_id", &r->source.padding},
        {"sep_token", "sep_token_id", &r->source.sep},
    };
    add_ends(r, s->generation);
    add_ends(r, s->model_config);
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        int32_t id = named_id(r, s->config, ids[i].name);
        id = id >= 0 ? id : named_id(r, s->special, ids[i].name);
        id = id >= 0 ? id : config_id(r, s->generation, ids[i].number);
        *ids[i].id = id >= 0 ? id : config_id(r, s->model_config, ids[i].number);
    }
    if (r->source.eos < 0 && r->source.n_ends)
        r->source.eos = r->ends[0];
    r->source.ends = r->ends;
    r->source.eot = r->source.eom = -1;
    r->source.unknown = r->h->unknown;
}

static int32_t find_in_model(const struct reader *r, struct span text)
{
    for (size_t i = 0; i < r->source.n_tokens; i++)
        if (r->h->in_model[i] && span_same(r->texts[i], text))
            return (int32_t)i;
    return -1;
}

static andiron_status find_unknown(struct reader *r, const json_t *model)
{
    const json_t *number = json_object_get(model, "unk_id");
    struct span name = hf_text_of(json_object_get(model, "unk_token"));
    r->h->unknown = -1;
    if (json_is_integer(number) && json_integer_value(number) >= 0 &&
        (size_t)json_integer_value(number) < r->source.n_tokens)
        r->h->unknown = (int32_t)json_integer_value(number);
    if (r->h->unknown < 0 && name.n)
        r->h->unknown = find_in_model(r, name);
    if (r->h->unknown < 0 && name.n)
        return hf_broken(r->error, "model", "names an unk_token that is not in its vocabulary");
    if (r->h->unknown < 0 && (r->h->model == HF_WORDPIECE || r->h->model == HF_WORDLEVEL))
        return hf_refuse(r->error, "model", "words without an unk_token");
    if (r->h->unknown >= 0 && r->kinds[r->h->unknown] == TOKEN_CONTROL)
        r->kinds[r->h->unknown] = TOKEN_UNKNOWN;
    return ANDIRON_OK;
}

/* ---- opening ---- */

static andiron_status check_around(const struct reader *r)
{
    const struct hf *h = r->h;
    for (size_t i = 0; i < h->n_before + h->n_behind; i++) {
        int32_t id = i < h->n_before ? h->before[i] : h->behind[i - h->n_before];
        if ((size_t)id >= r->source.n_tokens)
            return hf_broken(r->error, "post-processor", "names an id past the vocabulary's end");
    }
    return ANDIRON_OK;
}

static andiron_status read_all(struct reader *r, const struct tokenizer_hf_source *s)
{
    const json_t *root = s->tokenizer, *model = json_object_get(root, "model");
    struct hf *h = r->h;
    if (!json_is_object(root) || !json_is_object(model))
        return hf_broken(r->error, "the file", "has no model");
    andiron_status status = hf_added_read(h, json_object_get(root, "added_tokens"), r->error);
    if (!status)
        status = read_model(r, model);
    if (!status)
        status = put_added(r);
    if (!status)
        status = find_unknown(r, model);
    if (!status)
        status = hf_norm_open(h, json_object_get(root, "normalizer"), r->error);
    if (!status)
        status = hf_split_open(h, json_object_get(root, "pre_tokenizer"), r->error);
    if (!status)
        status = hf_post_open(h, json_object_get(root, "post_processor"), r->error);
    if (!status)
        status = hf_decode_open(h, json_object_get(root, "decoder"), r->error);
    if (!status)
        status = check_around(r);
    if (!status)
        read_ids(r, s);
    return status;
}

/* What needs the table of tokens. */
static andiron_status finish(struct tokenizer *t, const json_t *model, andiron_error *error)
{
    if (t->hf->model == HF_WORDPIECE && t->longest > MAX_WORDPIECE_BYTES)
        return hf_refuse(error, "model", "WordPiece with tokens of more than 512 bytes");
    hf_find_bytes(t);
    andiron_status status = hf_added_build(t, error);
    if (!status && t->hf->model == HF_BPE)
        status = hf_bpe_open(t, model, error);
    if (!status && t->hf->model == HF_UNIGRAM)
        status = hf_unigram_open(t, model, error);
    return status;
}

andiron_status tokenizer_hf_open(struct tokenizer **out, const struct tokenizer_hf_source *source, andiron_error *error)
{
    struct reader r = {.error = error, .h = alloc_zeroed(1, sizeof *r.h)};
    *out = NULL;
    if (!r.h)
        return error_memory(error, sizeof *r.h, "a tokenizer");
    arena_init(&r.h->arena, SIZE_MAX);
    r.source.model = span_of("hf");
    r.source.add_bos = r.source.add_eos = r.source.add_space_prefix = r.source.remove_extra_whitespaces = 0;
    struct tokenizer *t = NULL;
    andiron_status status = read_all(&r, source);
    if (status)
        hf_close(r.h);
    else
        status = tokenizer_open_steps(&t, &r.source, r.h, error);
    if (!status)
        status = finish(t, json_object_get(source->tokenizer, "model"), error);
    if (status)
        tokenizer_close(t);
    else
        *out = t;
    return status;
}
