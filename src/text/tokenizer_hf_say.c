/* tokenizer_hf_say.c - vocabularies of words (WordPiece) and of pieces by probability (Unigram) said as GGUF files say
 * them, "bert" and "t5", where their steps are those that such files stand for (tokenizer_gguf_json.c). */
#include "base/error.h"
#include "text/tokenizer_hf_internal.h"

#define MARK "\342\226\201"

static andiron_status refuse(andiron_error *error, const char *what)
{
    return error_set(error, ANDIRON_E_SUPPORT, "tokenizer.json: a GGUF file cannot say %s", what);
}

static bool is_true(const json_t *o, const char *key, bool usual)
{
    const json_t *v = json_object_get(o, key);
    return json_is_boolean(v) ? json_is_true(v) : usual;
}

/* ---- words ---- */

andiron_status hf_say_words(const struct tokenizer *t, const json_t *root, struct tokenizer_source *out,
                            andiron_error *error)
{
    const struct hf *h = t->hf;
    const json_t *norm = json_object_get(root, "normalizer");
    if (strcmp(hf_type(norm), "BertNormalizer") || !is_true(norm, "clean_text", true) ||
        !is_true(norm, "handle_chinese_chars", true) || !span_is(h->prefix, "##") ||
        strcmp(hf_type(json_object_get(root, "pre_tokenizer")), "BertPreTokenizer"))
        return refuse(error, "WordPiece with other steps than BERT's");
    if (h->n_before != 1 || h->n_behind != 1)
        return refuse(error, "WordPiece without one token before a text and one behind it");
    out->model = span_of("bert");
    out->pre = span_of("default");
    out->lowercase = is_true(norm, "lowercase", true);
    out->strip_accents = is_true(norm, "strip_accents", out->lowercase != 0);
    out->bos = h->before[0];
    out->sep = h->behind[0];
    out->add_bos = 1;
    out->add_eos = 0;
    return ANDIRON_OK;
}

/* A word's beginning gets the mark of a space, and what goes on loses its prefix; texts: [out->n_tokens]. */
andiron_status hf_mark_words(const struct tokenizer_source *out, struct span *texts, struct arena *arena,
                             andiron_error *error)
{
    for (size_t i = 0; i < out->n_tokens; i++) {
        const struct span text = texts[i];
        if (out->kinds[i] != TOKEN_NORMAL)
            continue;
        if (text.n > 2 && !memcmp(text.p, "##", 2)) {
            texts[i] = (struct span){text.p + 2, text.n - 2};
            continue;
        }
        char *p = arena_alloc(arena, text.n + 3, 1);
        if (!p)
            return error_memory(error, text.n, "the vocabulary");
        memcpy(p, MARK, 3);
        memcpy(p + 3, text.p, text.n);
        texts[i] = (struct span){p, text.n + 3};
    }
    return ANDIRON_OK;
}

/* ---- pieces by probability ---- */

/* The map of characters alone, or and then one space for each run of them. */
static bool norms_are_known(const struct hf *h, struct tokenizer_source *out)
{
    size_t n = h->n_norms;
    const struct hf_norm *last = n ? &h->norms[n - 1] : NULL;
    out->remove_extra_whitespaces = 0;
    if (last && last->kind == HF_NORM_REPLACE_REGEX && (span_is(last->to, " ") || span_is(last->to, MARK))) {
        out->remove_extra_whitespaces = 1;
        n--;
    }
    if (n == 1 && h->norms[0].kind == HF_NORM_CHARSMAP)
        out->charsmap = hf_charsmap_bytes(h->norms[0].charsmap);
    return n == 0 || (n == 1 && h->norms[0].kind == HF_NORM_CHARSMAP);
}

/* Words at spaces, then Metaspace; or Metaspace alone. */
static bool splits_are_known(const struct hf *h, struct tokenizer_source *out)
{
    const struct hf_split *s = h->splits;
    size_t n = h->n_splits;
    if (n && s->kind == HF_SPLIT_SPACE && s->behavior == HF_REMOVED) {
        out->remove_extra_whitespaces = 1;
        s++;
        n--;
    }
    if (n < 1 || n > 2 || s->kind != HF_PUT_MARKS || !span_is(s->text, MARK))
        return false;
    out->add_space_prefix = s->prepend != 0;
    return n == 1 || s[1].kind == HF_SPLIT_TEXT;
}

andiron_status hf_say_unigrams(const struct tokenizer *t, const json_t *root, struct tokenizer_source *out,
                               struct arena *arena, andiron_error *error)
{
    const json_t *vocab = json_object_get(json_object_get(root, "model"), "vocab");
    float *scores = arena_alloc(arena, t->source.n_tokens, sizeof *scores);
    if (!scores)
        return error_memory(error, t->source.n_tokens * sizeof *scores, "the vocabulary");
    if (!norms_are_known(t->hf, out) || !splits_are_known(t->hf, out) || t->hf->byte_fallback || t->hf->unknown < 0)
        return refuse(error, "Unigram with these steps");
    for (size_t i = 0; i < t->source.n_tokens; i++)
        scores[i] = (float)json_number_value(json_array_get(json_array_get(vocab, i), 1));
    out->model = span_of("t5");
    out->pre = span_of("default");
    out->scores = scores;
    return ANDIRON_OK;
}
