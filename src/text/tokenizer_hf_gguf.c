/* tokenizer_hf_gguf.c - a tokenizer.json said as a GGUF file says it: byte-level BPE as "gpt2" with the name of its
 * pre-tokenizer, BPE that came of SentencePiece as "llama" with scores; the other kinds by tokenizer_hf_say.c. What
 * cannot be said so is refused. */
#include "base/error.h"
#include "text/tokenizer_hf.h"
#include "text/tokenizer_hf_internal.h"
#include "text/tokenizer_pre.h"
#include <stdio.h>

struct speaker {
    const struct tokenizer *t;
    const struct hf *h;
    const json_t *root;
    struct arena *arena;
    struct tokenizer_source *out;
    andiron_error *error;
};

static andiron_status refuse(const struct speaker *s, const char *what)
{
    return error_set(s->error, ANDIRON_E_SUPPORT, "tokenizer.json: a GGUF file cannot say %s", what);
}

static andiron_status no_room(const struct speaker *s, size_t bytes)
{
    return error_memory(s->error, bytes, "the vocabulary");
}

/* ---- the name of a pre-tokenizer ---- */

#define GPT2 "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+\n"
#define LLAMA3(digits)                                                         \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}" digits \
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+\n"
#define CASED(end, digits)                                                                                            \
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+" end                   \
    "|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*" end "|\\p{N}" digits \
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+\n"
#define EACH_DIGIT "<digit>\n"

/* Steps as `steps_of` writes them, and their name in GGUF. */
static const struct {
    const char *steps, *name;
} pres[] = {
    {GPT2, "gpt-2"},
    {EACH_DIGIT GPT2, "smollm"},
    {LLAMA3("{1,3}"), "llama-bpe"},
    {LLAMA3("{1,3}"), "smaug-bpe"}, /* the same without ignore_merges */
    {LLAMA3(""), "qwen2"},
    {"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*"
     "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+\n",
     "qwen35"},
    {CASED("(?i:'s|'t|'re|'ve|'m|'ll|'d)?", "{1,3}"), "gpt-4o"},
    {CASED("", ""), "tekken"},
    {"'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*|\\s*[\\r\\n]"
     "|\\s+(?!\\S)|\\s+\n",
     "bailingmoe"},
    {"\\p{N}{1,3}\n[一-龥぀-ゟ゠-ヿ]+\n"
     "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
     "| ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+\n",
     "deepseek-v3"},
    {"[\\r\\n]\n\\s?\\p{L}+\n\\s?\\p{P}+\n[一-龥ࠀ-一가-퟿]+\n" EACH_DIGIT, "deepseek-coder"},
    {"<punctuation>\n" GPT2 "<digits>\n[0-9][0-9][0-9]\n", "falcon"},
    {"<punctuation>\n" GPT2 "[0-9][0-9][0-9]\n", "falcon"},
    {" ?[^(\\s|[.,!?…。，、।۔،])]+\n", "bloom"},
};

static bool is(const json_t *o, const char *key, bool usual)
{
    const json_t *v = json_object_get(o, key);
    return json_is_boolean(v) ? json_is_true(v) : usual;
}

/* A pattern as one line; a quotation mark needs no backslash. */
static bool put_pattern(struct buffer *out, struct span regex)
{
    for (size_t i = 0; i < regex.n; i++)
        if (regex.p[i] == '\\' && i + 1 < regex.n && regex.p[i + 1] == '"')
            continue;
        else if (regex.p[i] == '\n' || regex.p[i] == '\r')
            buffer_add(out, regex.p[i] == '\n' ? "\\n" : "\\r", 2);
        else
            buffer_add(out, regex.p + i, 1);
    return buffer_add(out, "\n", 1);
}

static bool put_split(struct buffer *out, const json_t *o)
{
    const struct span behavior = hf_text_of(json_object_get(o, "behavior")),
                      regex = hf_text_of(json_object_get(json_object_get(o, "pattern"), "Regex"));
    const bool inverted = is(o, "invert", false);
    if (!regex.p || !(inverted ? span_is(behavior, "Removed") : span_is(behavior, "Isolated")))
        return false;
    return put_pattern(out, regex);
}

/* The steps of a pre-tokenizer, a line each. False: there is one that GGUF has no word for. */
static bool steps_of(const json_t *o, unsigned depth, struct buffer *out)
{
    const char *type = hf_type(o);
    const json_t *list = json_object_get(o, "pretokenizers");
    if (!strcmp(type, "Split"))
        return put_split(out, o);
    if (!strcmp(type, "ByteLevel"))
        return !is(o, "add_prefix_space", true) && (!is(o, "use_regex", true) || buffer_add_text(out, GPT2));
    if (!strcmp(type, "Digits"))
        return buffer_add_text(out, is(o, "individual_digits", false) ? EACH_DIGIT : "<digits>\n");
    if (!strcmp(type, "Punctuation"))
        return span_is(hf_text_of(json_object_get(o, "behavior")), "Contiguous") &&
               buffer_add_text(out, "<punctuation>\n");
    bool all = !strcmp(type, "Sequence") && depth < 8;
    for (size_t i = 0; all && i < json_array_size(list); i++)
        all = steps_of(json_array_get(list, i), depth + 1, out);
    return all;
}

static bool find_pre(struct speaker *s)
{
    struct buffer steps;
    buffer_init(&steps, 1 << 16);
    const bool known = steps_of(json_object_get(s->root, "pre_tokenizer"), 0, &steps);
    for (size_t i = 0; known && !s->out->pre.p && i < sizeof pres / sizeof *pres; i++) {
        const struct pre_name *name = pre_find(span_of(pres[i].name));
        if (span_is(buffer_span(&steps), pres[i].steps) && name &&
            !(name->flags & PRE_IGNORE_MERGES) == !s->h->ignore_merges)
            s->out->pre = span_of(pres[i].name);
    }
    buffer_reset(&steps);
    return s->out->pre.p != NULL;
}

/* ---- byte-level BPE ---- */

static bool spells_bytes(const struct hf *h)
{
    size_t n = 0;
    for (size_t i = 0; i < h->n_splits; i++)
        n += h->splits[i].kind == HF_PUT_BYTES;
    return n == 1;
}

static andiron_status put_merges(struct speaker *s)
{
    const struct hf *h = s->h;
    struct span *merges = arena_alloc(s->arena, h->n_merges, sizeof *merges);
    for (size_t i = 0; merges && i < h->n_merges; i++) {
        const struct span left = s->t->source.texts[h->merges[i].left], right = s->t->source.texts[h->merges[i].right];
        char *p = arena_alloc(s->arena, left.n + 1 + right.n, 1);
        if (!p)
            return no_room(s, left.n + right.n);
        memcpy(p, left.p, left.n);
        p[left.n] = ' ';
        memcpy(p + left.n + 1, right.p, right.n);
        merges[i] = (struct span){p, left.n + 1 + right.n};
    }
    s->out->merges = merges;
    s->out->n_merges = h->n_merges;
    return merges ? ANDIRON_OK : no_room(s, h->n_merges * sizeof *merges);
}

static andiron_status say_bytes(struct speaker *s)
{
    const struct hf *h = s->h;
    s->out->model = span_of("gpt2");
    if (h->n_norms > 1 || (h->n_norms && (h->norms[0].kind != HF_NORM_FORM || h->norms[0].options != 1)))
        return refuse(s, "byte-level BPE with a normalizer other than NFC");
    if (h->prefix.n || h->suffix.n)
        return refuse(s, "BPE with a prefix or suffix of words' parts");
    if (!find_pre(s))
        return refuse(s, "this pre-tokenizer: its patterns, with this ignore_merges, have no known name "
                         "(tokenizer.ggml.pre)");
    return put_merges(s);
}

/* ---- BPE that came of SentencePiece ---- */

static bool is_mark(struct span text) { return text.n == 3 && spm_is_mark(text.p, text.n); }

static bool marks_spaces(const struct hf_norm *n)
{
    return n->kind == HF_NORM_REPLACE && span_is(n->from, " ") && is_mark(n->to);
}

static bool cuts_at_spaces(const struct hf_split *x) /* of which none are left */
{
    return x->kind == HF_SPLIT_TEXT && span_is(x->text, " ");
}

/* Are the steps those of SentencePiece, and does it put a space before a text? */
static bool is_pieces(const struct hf *h, int *prefix)
{
    const struct hf_norm *n = h->norms;
    if (!h->byte_fallback || h->ignore_merges || h->prefix.n || h->suffix.n)
        return false;
    if (h->n_norms == 0) {
        *prefix = h->splits[0].prepend != 0;
        return h->n_splits == 1 && h->splits[0].kind == HF_PUT_MARKS && is_mark(h->splits[0].text);
    }
    *prefix = n[0].kind == HF_NORM_PREPEND && is_mark(n[0].to);
    return h->n_norms == 1 + (size_t)*prefix && marks_spaces(&n[*prefix]) &&
           (h->n_splits == 0 || (h->n_splits == 1 && cuts_at_spaces(&h->splits[0])));
}

static size_t ways_to_split(const struct speaker *s, struct span text)
{
    size_t n = 0;
    for (size_t at = 1; at < text.n; at++) {
        if (((uint8_t)text.p[at] & 0xC0) == 0x80)
            continue;
        const int32_t left = tokenizer_find(s->t, (struct span){text.p, at}),
                      right = tokenizer_find(s->t, (struct span){text.p + at, text.n - at});
        n += left >= 0 && right >= 0 && s->h->in_model[left] && s->h->in_model[right];
    }
    return n;
}

/* Pieces have a score each, so that the merges which give a token must follow each other, and be all there are. */
static andiron_status put_scores(struct speaker *s)
{
    const struct hf *h = s->h;
    const size_t n = s->t->source.n_tokens;
    float *scores = arena_alloc(s->arena, n, sizeof *scores);
    uint32_t *count = arena_alloc(s->arena, n, sizeof *count);
    if (!scores || !count)
        return no_room(s, n * 8);
    for (size_t i = 0; i < n; i++)
        scores[i] = -(float)h->n_merges;
    for (size_t i = 0; i < h->n_merges; i++) {
        const int32_t id = h->merges[i].id;
        if (count[id]++ == 0)
            scores[id] = -(float)i;
        else if (h->merges[i - 1].id != id && s->t->kinds[id] == TOKEN_NORMAL)
            return refuse(s, "these merges: they are not in the order of SentencePiece's scores");
    }
    for (size_t i = 0; i < n; i++)
        if (s->t->kinds[i] == TOKEN_NORMAL && h->in_model[i] && ways_to_split(s, s->t->source.texts[i]) != count[i])
            return refuse(s, "these merges: pieces of SentencePiece would be merged in other ways");
    s->out->scores = scores;
    return ANDIRON_OK;
}

static andiron_status say_pieces(struct speaker *s)
{
    s->out->model = span_of("llama");
    s->out->pre = span_of("default");
    for (size_t b = 0; b < 256; b++)
        if (s->h->bytes[b] < 0)
            return refuse(s, "a vocabulary that spells in bytes and lacks some of them");
    return put_scores(s);
}

/* ---- the whole ---- */

/* What stands around a text is at most one BOS before and one EOS behind it. */
static andiron_status put_around(struct speaker *s)
{
    const struct hf *h = s->h;
    struct tokenizer_source *o = s->out;
    if (h->n_before > 1 || h->n_behind > 1)
        return refuse(s, "more than one token before or behind a text");
    o->add_bos = h->n_before == 1;
    o->add_eos = h->n_behind == 1;
    if (o->add_bos)
        o->bos = h->before[0];
    if (o->add_eos && o->eos >= 0 && o->eos != h->behind[0])
        return refuse(s, "a token behind a text that is not the one that ends it");
    if (o->add_eos)
        o->eos = h->behind[0];
    return ANDIRON_OK;
}

/* As many as the model has rows for. Added tokens past them cannot be used, and are left out. */
static andiron_status put_tokens(struct speaker *s, size_t n)
{
    const struct tokenizer *t = s->t;
    for (size_t i = n; i < t->source.n_tokens; i++)
        if (s->h->in_model[i])
            return refuse(s, "more tokens than the model has rows for");
    struct span *texts = arena_alloc(s->arena, n, sizeof *texts);
    uint8_t *kinds = arena_alloc(s->arena, n, 1);
    if (!texts || !kinds)
        return no_room(s, n * sizeof *texts);
    for (size_t i = 0; i < n; i++) {
        if (i < t->source.n_tokens && t->source.texts[i].n) {
            texts[i] = t->source.texts[i];
            kinds[i] = t->kinds[i];
            continue;
        }
        char name[32];
        const int length = snprintf(name, sizeof name, "[PAD%zu]", i);
        texts[i] = (struct span){arena_text(s->arena, name, (size_t)length), (size_t)length};
        kinds[i] = TOKEN_UNUSED;
        if (!texts[i].p)
            return no_room(s, n * sizeof name);
    }
    for (size_t b = 0; s->h->byte_fallback && b < 256; b++)
        if (s->h->bytes[b] >= 0 && (size_t)s->h->bytes[b] < n)
            kinds[s->h->bytes[b]] = TOKEN_BYTE;
    s->out->texts = texts;
    s->out->kinds = kinds;
    s->out->n_tokens = n;
    return s->h->model == HF_WORDPIECE ? hf_mark_words(s->out, texts, s->arena, s->error) : ANDIRON_OK;
}

/* Scores for as many tokens as there are. */
static andiron_status fit_scores(struct speaker *s)
{
    const size_t n = s->out->n_tokens, had = s->t->source.n_tokens;
    float *scores = arena_alloc(s->arena, n, sizeof *scores);
    if (!scores)
        return no_room(s, n * sizeof *scores);
    for (size_t i = 0; i < n; i++)
        scores[i] = i < had ? s->out->scores[i] : -(float)s->h->n_merges;
    s->out->scores = scores;
    return ANDIRON_OK;
}

static andiron_status say_model(struct speaker *s)
{
    switch (s->h->model) {
    case HF_WORDPIECE: return hf_say_words(s->t, s->root, s->out, s->error);
    case HF_UNIGRAM: return hf_say_unigrams(s->t, s->root, s->out, s->arena, s->error);
    case HF_WORDLEVEL: return refuse(s, "a vocabulary of the kind WordLevel");
    default: break;
    }
    if (spells_bytes(s->h))
        return say_bytes(s);
    return is_pieces(s->h, &s->out->add_space_prefix) ? say_pieces(s) : refuse(s, "BPE with these steps");
}

andiron_status tokenizer_hf_say(const struct tokenizer *t, const json_t *root, size_t n_tokens, struct arena *arena,
                                struct tokenizer_source *out, andiron_error *error)
{
    struct speaker s = {t, t->hf, root, arena, out, error};
    *out = t->source;
    out->pre = (struct span){NULL, 0};
    out->scores = NULL;
    out->add_space_prefix = 0;
    out->unknown = s.h->unknown;
    andiron_status status = say_model(&s);
    if (!status && s.h->model != HF_WORDPIECE)
        status = put_around(&s);
    if (!status)
        status = put_tokens(&s, n_tokens ? n_tokens : t->source.n_tokens);
    return status || !out->scores ? status : fit_scores(&s);
}
