/* tokenizer_gguf_json.c - vocabularies that a GGUF file calls "bert" (WordPiece), "t5" (Unigram) and "whitespace" (BPE
 * of characters within words), as the tokenizer.json that they came from, with the steps that all such files have. */
#include "base/alloc.h"
#include "base/error.h"
#include "text/tokenizer_hf.h"
#include "text/tokenizer_hf_internal.h"
#include <math.h>

#define MARK "\342\226\201"

bool tokenizer_is_of_words(struct span model)
{
    return span_is(model, "bert") || span_is(model, "t5") || span_is(model, "whitespace");
}

static andiron_status no_room(const struct tokenizer_source *s, andiron_error *error)
{
    return error_memory(error, s->n_tokens * 64, "the vocabulary");
}

static bool is_kind(const struct tokenizer_source *s, size_t id, enum token_kind kind)
{
    return s->kinds && s->kinds[id] == kind;
}

/* Can it be the key of an object? */
static bool is_key(struct span text) { return text.n && !memchr(text.p, 0, text.n) && hf_is_whole(text); }

/* A word's beginning has the mark of a space in the file, and what goes on has none; control tokens stand as they are,
 * and files that do not tell them have them in brackets. */
static bool add_word(const struct tokenizer_source *s, size_t id, struct buffer *out)
{
    const struct span text = s->texts[id];
    const bool bare = is_kind(s, id, TOKEN_CONTROL) || is_kind(s, id, TOKEN_USER_DEFINED) || id == (size_t)s->unknown ||
                      (text.n > 2 && text.p[0] == '[' && text.p[text.n - 1] == ']');
    if (spm_is_mark(text.p, text.n) && text.n > 3)
        return buffer_add(out, text.p + 3, text.n - 3);
    return (bare || buffer_add_text(out, "##")) && buffer_add_span(out, text);
}

/* The token's text there, zero-terminated. What cannot be one, or is another's too, gets a name with a space, which no
 * word has. */
static bool put_text(const struct tokenizer_source *s, size_t id, bool words, const json_t *seen, struct buffer *out)
{
    out->n = 0;
    const bool fit = is_key(s->texts[id]) && (words ? add_word(s, id, out) : buffer_add_span(out, s->texts[id])) &&
                     buffer_add(out, "", 1) && !json_object_get(seen, out->data);
    if (fit)
        return true;
    out->n = 0;
    return buffer_printf(out, "unusable %zu", id) && buffer_add(out, "", 1);
}

/* Null: no text becomes the token. */
static json_t *score_of(float score)
{
    return isinf(score) ? json_null() : json_real(isnan(score) ? 0 : (double)score);
}

/* What the package does not know: pieces without an id, which stand behind the others. */
static json_t *nameless(const struct tokenizer_source *s)
{
    json_t *list = json_array();
    bool ok = list != NULL;
    for (size_t i = 0; ok && i < s->n_nameless; i++)
        ok = !is_key(s->nameless[i]) ||
             !json_array_append_new(
                 list, json_pack("[s%, o]", s->nameless[i].p, s->nameless[i].n, score_of(s->nameless_scores[i])));
    if (!ok)
        json_decref(list);
    return ok ? list : NULL;
}

/* Texts to ids, or in a list with their scores. words: they are WordPiece's. */
static json_t *vocabulary(const struct tokenizer_source *s, bool words, bool scored)
{
    json_t *seen = json_object(), *list = scored ? json_array() : json_incref(seen);
    struct buffer text;
    buffer_init(&text, 1 << 20);
    bool ok = seen && list;
    for (size_t id = 0; ok && id < s->n_tokens; id++)
        ok = put_text(s, id, words, seen, &text) &&
             !json_object_set_new(seen, text.data, json_integer((json_int_t)id)) &&
             (!scored ||
              !json_array_append_new(list, json_pack("[s, o]", text.data, score_of(s->scores ? s->scores[id] : 0))));
    buffer_reset(&text);
    json_decref(seen);
    if (!ok)
        json_decref(list);
    return ok ? list : NULL;
}

/* Control and user-defined tokens, found in texts as wholes. */
static json_t *added_list(const struct tokenizer_source *s)
{
    json_t *list = json_array();
    bool ok = list != NULL;
    for (size_t id = 0; ok && id < s->n_tokens; id++) {
        const bool control = is_kind(s, id, TOKEN_CONTROL) || is_kind(s, id, TOKEN_UNKNOWN);
        if (is_key(s->texts[id]) && (control || is_kind(s, id, TOKEN_USER_DEFINED)))
            ok = !json_array_append_new(list, json_pack("{s:I, s:s%, s:b}", "id", (json_int_t)id, "content",
                                                        s->texts[id].p, s->texts[id].n, "special", control));
    }
    if (!ok)
        json_decref(list);
    return ok ? list : NULL;
}

/* What stands around a text; -1: nothing. */
static json_t *around(int32_t before, int32_t behind, int32_t last)
{
    static const char *const names[] = {"b", "e", "l"};
    const int32_t ids[] = {before, behind, last};
    json_t *single = json_array(), *known = json_object();
    bool ok = single && known;
    for (size_t i = 0; ok && i < 3; i++) {
        if (i == 1)
            ok = !json_array_append_new(single, json_pack("{s:{s:s}}", "Sequence", "id", "A"));
        if (ok && ids[i] >= 0)
            ok = !json_array_append_new(single, json_pack("{s:{s:s}}", "SpecialToken", "id", names[i])) &&
                 !json_object_set_new(known, names[i], json_pack("{s:[i]}", "ids", (int)ids[i]));
    }
    return json_pack("{s:s, s:o, s:o}", "type", "TemplateProcessing", "single", single, "special_tokens", known);
}

static json_t *words(const struct tokenizer_source *s)
{
    const bool lower = s->lowercase != 0, strips = s->strip_accents < 0 ? lower : s->strip_accents != 0;
    return json_pack("{s:{s:s, s:b, s:b, s:b, s:b}, s:{s:s}, s:{s:s}, s:o, s:o, s:{s:s, s:i, s:s, s:o}}", "normalizer",
                     "type", "BertNormalizer", "clean_text", 1, "handle_chinese_chars", 1, "strip_accents", strips,
                     "lowercase", lower, "pre_tokenizer", "type", "BertPreTokenizer", "decoder", "type", "WordPiece",
                     "post_processor", around(s->bos, s->sep, -1), "added_tokens", added_list(s), "model", "type",
                     "WordPiece", "unk_id", (int)s->unknown, "continuing_subword_prefix", "##", "vocab",
                     vocabulary(s, true, false));
}

/* Of tokens that make a token; no text meets others. */
static bool is_merge(const json_t *tokens, struct buffer *whole, struct span merge)
{
    const char *space = merge.n > 1 ? memchr(merge.p + 1, ' ', merge.n - 1) : NULL;
    if (!space || !is_key(merge))
        return false;
    const size_t left = (size_t)(space - merge.p), right = merge.n - left - 1;
    whole->n = 0;
    return json_object_getn(tokens, merge.p, left) && json_object_getn(tokens, space + 1, right) &&
           buffer_add(whole, merge.p, left) && buffer_add(whole, space + 1, right) &&
           json_object_getn(tokens, whole->data, whole->n);
}

static json_t *merge_list(const struct tokenizer_source *s, const json_t *tokens)
{
    json_t *list = json_array();
    struct buffer whole;
    buffer_init(&whole, 1 << 20);
    bool ok = list != NULL;
    for (size_t i = 0; ok && i < s->n_merges; i++)
        ok = !is_merge(tokens, &whole, s->merges[i]) ||
             !json_array_append_new(list, json_stringn(s->merges[i].p, s->merges[i].n));
    buffer_reset(&whole);
    if (!ok)
        json_decref(list);
    return ok ? list : NULL;
}

/* White space parts words and is left out, and so is what is unknown. */
static json_t *bare_words(const struct tokenizer_source *s)
{
    json_t *tokens = vocabulary(s, false, false);
    json_t *lower = s->lowercase > 0 ? json_pack("[{s:s}]", "type", "Lowercase") : json_array();
    return json_pack("{s:{s:s, s:o}, s:{s:s}, s:o, s:o, s:{s:s, s:o, s:o}}", "normalizer", "type", "Sequence",
                     "normalizers", lower, "pre_tokenizer", "type", "WhitespaceSplit", "post_processor",
                     around(s->add_bos > 0 ? s->bos : -1, s->add_eos > 0 ? s->eos : -1, -1), "added_tokens",
                     added_list(s), "model", "type", "BPE", "vocab", tokens, "merges",
                     tokens ? merge_list(s, tokens) : NULL);
}

static json_t *base64(struct span bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    struct buffer text;
    buffer_init(&text, SIZE_MAX);
    for (size_t i = 0; i < bytes.n; i += 3) {
        uint32_t bits = 0;
        const size_t n = bytes.n - i < 3 ? bytes.n - i : 3;
        for (size_t k = 0; k < 3; k++)
            bits = bits << 8 | (k < n ? (uint8_t)bytes.p[i + k] : 0);
        for (size_t k = 0; k <= n; k++)
            buffer_add(&text, &digits[bits >> (18 - 6 * k) & 63], 1);
    }
    json_t *out = text.failed ? NULL : json_stringn(text.data, text.n);
    buffer_reset(&text);
    return out;
}

static json_t *replace(const char *what, const char *kind, const char *by)
{
    return json_pack("{s:s, s:{s:s}, s:s}", "type", "Replace", "pattern", kind, what, "content", by);
}

/* Spaces as SentencePiece has them: U+0020 alone is one, and a text is one word. */
static bool put_spaces(const struct tokenizer_source *s, json_t *norms)
{
    const bool merges = s->remove_extra_whitespaces != 0, prefix = s->add_space_prefix != 0;
    return (!merges || (!json_array_append_new(norms, replace(" {2,}", "Regex", " ")) &&
                        !json_array_append_new(norms, replace("\\A | \\z", "Regex", "")))) &&
           (!prefix || !json_array_append_new(norms, json_pack("{s:s, s:s}", "type", "Prepend", "prepend", MARK))) &&
           !json_array_append_new(norms, replace(" ", "String", MARK));
}

/* Spaces as the package has them, which cuts a text into words. */
static bool put_words(const struct tokenizer_source *s, json_t *steps)
{
    return (s->remove_extra_whitespaces == 0 ||
            !json_array_append_new(steps, json_pack("{s:s}", "type", "WhitespaceSplit"))) &&
           !json_array_append_new(steps, json_pack("{s:s, s:s, s:s}", "type", "Metaspace", "replacement", MARK,
                                                   "prepend_scheme", s->add_space_prefix == 0 ? "never" : "always"));
}

/* The file's map of characters, where steps have one. */
static void put_map(const struct tokenizer_source *s, json_t *norms)
{
    json_t *step;
    size_t i;
    json_array_foreach(norms, i, step)
    {
        if (span_is(span_of(json_string_value(json_object_get(step, "type"))), "Precompiled"))
            json_object_set_new(step, "precompiled_charsmap", base64(s->charsmap));
    }
}

static void put_usual(const struct tokenizer_source *s, json_t *steps, json_t *norms)
{
    bool ok = steps && norms;
    if (ok && s->charsmap.n)
        ok = !json_array_append_new(norms, json_pack("{s:s, s:o, s:b}", "type", "Precompiled", "precompiled_charsmap",
                                                     base64(s->charsmap), "longest", s->as_spiece));
    if (ok && s->as_spiece)
        put_spaces(s, norms);
    else if (ok)
        put_words(s, steps);
}

/* Spaces in a row are one, where the file does not say otherwise, and one stands before a text. */
static json_t *unigrams(const struct tokenizer_source *s)
{
    json_t *given = s->steps ? json_loads(s->steps, 0, NULL) : NULL,
           *steps = given ? json_incref(json_object_get(given, "pretokenizers")) : json_array(),
           *norms = given ? json_incref(json_object_get(given, "normalizers")) : json_array();
    const int32_t bos = s->add_bos > 0 ? s->bos : -1;
    if (given)
        put_map(s, norms);
    else
        put_usual(s, steps, norms);
    json_decref(given);
    return json_pack("{s:{s:s, s:o}, s:{s:s, s:o}, s:{s:s, s:s}, s:o, s:o, s:{s:s, s:i, s:o, s:o?}}", "normalizer",
                     "type", "Sequence", "normalizers", norms, "pre_tokenizer", "type", "Sequence", "pretokenizers",
                     steps, "decoder", "type", "Metaspace", "replacement", MARK, "post_processor",
                     around(s->bos_last ? -1 : bos, s->add_eos != 0 ? s->eos : -1, s->bos_last ? bos : -1),
                     "added_tokens", added_list(s), "model", "type", "Unigram", "unk_id", (int)s->unknown, "vocab",
                     vocabulary(s, false, true), "nameless", s->as_spiece ? nameless(s) : NULL);
}

andiron_status tokenizer_open_of_words(struct tokenizer **out, const struct tokenizer_source *source,
                                       andiron_error *error)
{
    *out = NULL;
    if (source->n_tokens == 0 || source->n_tokens > HF_MAX_TOKENS)
        return error_set(error, ANDIRON_E_FORMAT, "a vocabulary of %zu tokens cannot be used", source->n_tokens);
    const bool bare = span_is(source->model, "whitespace");
    if (!bare && (source->unknown < 0 || (size_t)source->unknown >= source->n_tokens))
        return error_set(error, ANDIRON_E_FORMAT,
                         "the vocabulary has no token for what it does not know (tokenizer.ggml.unknown_token_id)");
    json_t *root = bare ? bare_words(source) : span_is(source->model, "bert") ? words(source) : unigrams(source);
    json_t *ids = json_pack("{s:i, s:i, s:i, s:i}", "bos_token_id", (int)source->bos, "eos_token_id", (int)source->eos,
                            "pad_token_id", (int)source->padding, "sep_token_id", (int)source->sep);
    andiron_status status = root && ids
                                ? tokenizer_hf_open(
                                      out, &(struct tokenizer_hf_source){.tokenizer = root, .model_config = ids}, error)
                                : no_room(source, error);
    json_decref(root);
    json_decref(ids);
    return status;
}
