/* hf_vocabulary.c - vocabularies of folders without tokenizer.json: a SentencePiece model and vocab.txt as lists of
 * tokens, vocab.json and merges.txt as a tokenizer.json. */
#include "engine/hf_tokenizer.h"
#include "files/spiece.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

#define MARK "\342\226\201" /* of a space */

enum { MAX_ADDED = 65536 };

static bool has_languages(const struct hf_parts *p) { return p->kind->order && p->kind->order->languages; }

/* ---- a vocabulary as a list ---- */

/* A token that nothing leads to. */
static bool name_unused(struct hf_parts *p, size_t i)
{
    char name[32];
    const int n = snprintf(name, sizeof name, "[PAD%zu]", i);
    p->texts[i] = (struct span){arena_text(&p->m->arena, name, (size_t)n), (size_t)n};
    p->kinds[i] = TOKEN_UNUSED;
    return p->texts[i].p != NULL;
}

/* Room for n tokens and those that were added to them. */
static andiron_status make_lists(struct hf_parts *p, size_t n)
{
    json_int_t highest = (json_int_t)n - 1;
    for (size_t i = 0; i < json_array_size(p->added); i++) {
        const json_int_t id = json_integer_value(json_object_get(json_array_get(p->added, i), "id"));
        highest = id > highest ? id : highest;
    }
    if (highest < 0 || (size_t)highest >= n + MAX_ADDED)
        return error_set(p->error, ANDIRON_E_FORMAT, "%s: the vocabulary has %zu tokens, and an added one the id %lld",
                         hf_path(p->m->dir), n, (long long)highest);
    struct tokenizer_source *s = p->out;
    s->n_tokens = (size_t)highest < p->n_least ? p->n_least : (size_t)highest + 1;
    s->texts = p->texts = arena_alloc(&p->m->arena, s->n_tokens, sizeof *p->texts);
    s->scores = p->scores = arena_alloc(&p->m->arena, s->n_tokens, sizeof *p->scores);
    s->kinds = p->kinds = arena_alloc(&p->m->arena, s->n_tokens, 1);
    if (!p->texts || !p->scores || !p->kinds)
        return hf_no_vocabulary(p);
    for (size_t i = 0; i < s->n_tokens; i++) {
        p->texts[i] = (struct span){"", 0};
        p->kinds[i] = TOKEN_NORMAL;
        if (i >= n && !name_unused(p, i))
            return hf_no_vocabulary(p);
    }
    return ANDIRON_OK;
}

static int32_t find(const struct hf_parts *p, struct span text)
{
    for (size_t i = 0; text.n && i < p->out->n_tokens; i++)
        if (span_same(p->texts[i], text))
            return (int32_t)i;
    return -1;
}

static void mark(struct hf_parts *p, int32_t id, enum token_kind kind)
{
    if (id >= 0 && p->kinds[id] != TOKEN_UNKNOWN && p->kinds[id] != TOKEN_BYTE)
        p->kinds[id] = kind;
}

/* Added tokens, and those with a role, in the lists. */
static andiron_status put_special(struct hf_parts *p)
{
    struct tokenizer_source *s = p->out;
    for (size_t i = 0; i < json_array_size(p->added); i++) {
        const json_t *one = json_array_get(p->added, i), *text = json_object_get(one, "content");
        const json_int_t id = json_integer_value(json_object_get(one, "id"));
        if (id < 0)
            continue;
        p->texts[id].p = arena_text(&p->m->arena, json_string_value(text), json_string_length(text));
        p->texts[id].n = json_string_length(text);
        if (!p->texts[id].p)
            return hf_no_vocabulary(p);
        mark(p, (int32_t)id, json_is_true(json_object_get(one, "special")) ? TOKEN_CONTROL : TOKEN_USER_DEFINED);
    }
    s->unknown = s->unknown >= 0 ? s->unknown : find(p, hf_named_token(p, "unk_token", p->kind->unknown));
    s->bos = find(p, has_languages(p) ? hf_language(p) : hf_named_token(p, hf_role(p, false), p->kind->first));
    s->eos = s->sep = find(p, hf_named_token(p, hf_role(p, true), p->kind->last));
    s->padding = find(p, hf_named_token(p, "pad_token", NULL));
    s->eot = s->eom = -1;
    mark(p, s->unknown, TOKEN_UNKNOWN);
    const int32_t controls[] = {s->bos, s->eos, s->padding, find(p, hf_named_token(p, "mask_token", NULL))};
    for (size_t i = 0; i < sizeof controls / sizeof *controls; i++)
        mark(p, controls[i], TOKEN_CONTROL);
    return ANDIRON_OK;
}

/* Does this token stand around a text? */
static bool stands_around(const struct hf_parts *p, bool last)
{
    const int usual = p->kind->around[last];
    bool is = usual != 0;
    if (usual != 1)
        json_at_bool(p->config, last ? "add_eos_token" : "add_bos_token", &is);
    return is;
}

/* ---- SentencePiece ---- */

/* Tokens that a class has behind its n pieces: sentinels, languages, the mask. */
static andiron_status add_behind(struct hf_parts *p, const struct hf_reordering *o, size_t n)
{
    uint64_t n_extra = (uint64_t)p->kind->n_extra;
    json_at_u64(p->config, "extra_ids", &n_extra);
    if (n_extra > MAX_ADDED)
        return error_set(p->error, ANDIRON_E_FORMAT, "%s: tokenizer_config.json: expected extra_ids of at most %d",
                         hf_path(p->m->dir), MAX_ADDED);
    for (uint64_t i = 0; i < n_extra; i++) {
        char name[32];
        snprintf(name, sizeof name, "<extra_id_%u>", (unsigned)(n_extra - 1 - i));
        if (!hf_is_added(p, name) && !hf_add_token(p, (json_int_t)(n + i), name, true))
            return hf_no_vocabulary(p);
    }
    const andiron_status s = has_languages(p) ? hf_add_languages(p, n) : ANDIRON_OK;
    const json_int_t mask = (json_int_t)(n + (has_languages(p) ? json_array_size(p->added) : 0));
    if (!s && o->n_before && !p->kind->steps && !hf_is_added(p, "<mask>") && !hf_add_token(p, mask, "<mask>", true))
        return hf_no_vocabulary(p);
    return s;
}

/* A token of the class's behind its pieces, unless one of them is it. */
static andiron_status add_mask(struct hf_parts *p, const struct spiece *s, const char *text)
{
    bool is = hf_is_added(p, text);
    for (size_t i = 0; i < s->n_pieces && !is; i++)
        is = span_is(s->texts[i], text);
    return is || hf_add_token(p, (json_int_t)s->n_pieces, text, true) ? ANDIRON_OK : hf_no_vocabulary(p);
}

static bool name_before(struct hf_parts *p, const struct hf_reordering *o, size_t i)
{
    char name[32];
    const bool named = i < sizeof o->before / sizeof *o->before && o->before[i];
    if (!named)
        snprintf(name, sizeof name, "<unk_%zu>", i - 2);
    p->texts[i] = named ? span_of(o->before[i])
                        : (struct span){arena_text(&p->m->arena, name, strlen(name)), strlen(name)};
    return p->texts[i].p != NULL;
}

static andiron_status put_pieces(struct hf_parts *p, const struct spiece *s)
{
    static const struct hf_reordering as_it_is = {0};
    const struct hf_reordering *o = p->kind->order ? p->kind->order : &as_it_is;
    if (s->n_pieces < o->dropped)
        return error_set(p->error, ANDIRON_E_FORMAT, "%s: the vocabulary is too small for its class %s",
                         hf_path(p->m->dir), p->kind->name);
    const size_t shift = o->n_before - o->dropped, n = s->n_pieces + shift;
    andiron_status status = add_behind(p, o, n);
    if (!status && p->kind->steps && p->kind->steps->behind)
        status = add_mask(p, s, p->kind->steps->behind);
    if (!status)
        status = make_lists(p, n);
    if (status)
        return status;
    for (size_t i = 0; i < o->n_before; i++) {
        if (!name_before(p, o, i))
            return hf_no_vocabulary(p);
        p->kinds[i] = span_is(p->texts[i], p->kind->unknown) ? TOKEN_UNKNOWN : TOKEN_CONTROL;
        p->out->unknown = p->kinds[i] == TOKEN_UNKNOWN ? (int32_t)i : p->out->unknown;
    }
    for (size_t i = o->dropped; i < s->n_pieces; i++) {
        p->texts[i + shift] = s->texts[i];
        p->scores[i + shift] = s->scores[i];
        p->kinds[i + shift] = s->kinds[i];
    }
    return ANDIRON_OK;
}

/* A vocabulary's texts, ids of vocab.json; no text becomes one, until a piece is it. Those of languages are found as
 * wholes. */
static andiron_status put_names(struct hf_parts *p, json_t *vocab)
{
    const char *name;
    json_t *id;
    json_object_foreach(vocab, name, id)
    {
        const json_int_t i = json_integer_value(id);
        const size_t n = strlen(name);
        if (!json_is_integer(id) || i < 0 || (size_t)i >= p->out->n_tokens)
            return error_set(p->error, ANDIRON_E_FORMAT, "%s/vocab.json: the token \"%.60s\" has no id below %zu",
                             hf_path(p->m->dir), name, p->out->n_tokens);
        p->texts[i] = (struct span){arena_text(&p->m->arena, name, n), n};
        p->scores[i] = -INFINITY;
        if (!p->texts[i].p)
            return hf_no_vocabulary(p);
        if (n > 4 && !strncmp(name, ">>", 2) && !strcmp(name + n - 2, "<<"))
            p->kinds[i] = TOKEN_USER_DEFINED;
    }
    return ANDIRON_OK;
}

/* Pieces under the ids that their texts have there, or without one. */
static andiron_status name_pieces(struct hf_parts *p, const struct spiece *s, const json_t *vocab)
{
    char name[HF_NAME_BYTES];
    struct span *texts = arena_alloc(&p->m->arena, s->n_pieces + 1, sizeof *texts);
    float *scores = arena_alloc(&p->m->arena, s->n_pieces + 1, sizeof *scores);
    if (!texts || !scores)
        return hf_no_vocabulary(p);
    p->out->nameless = texts;
    p->out->nameless_scores = scores;
    for (size_t i = 0; i < s->n_pieces; i++) {
        const json_t *id = hf_copy(name, s->texts[i]) ? json_object_get(vocab, name) : NULL;
        const bool is_text = s->kinds[i] == TOKEN_NORMAL || s->kinds[i] == TOKEN_USER_DEFINED;
        if (is_text && id)
            p->scores[json_integer_value(id)] = s->scores[i];
        if (!is_text || id)
            continue;
        texts[p->out->n_nameless] = s->texts[i];
        scores[p->out->n_nameless++] = s->scores[i];
    }
    return ANDIRON_OK;
}

static andiron_status put_pieces_by_names(struct hf_parts *p, const struct spiece *s)
{
    json_t *vocab = NULL;
    andiron_status status = hf_read_json(p->m->dir, "vocab.json", &vocab, p->error);
    const size_t n = json_object_size(vocab);
    if (!status && n == 0)
        status = error_set(p->error, ANDIRON_E_FORMAT, "%s: expected a vocab.json with a %s's tokens",
                           hf_path(p->m->dir), p->kind->name);
    if (!status && has_languages(p))
        status = hf_add_languages(p, n);
    if (!status)
        status = make_lists(p, n);
    if (!status)
        status = put_names(p, vocab);
    if (!status)
        status = name_pieces(p, s, vocab);
    p->out->unknown = -1;
    json_decref(vocab);
    return status;
}

/* User-defined tokens are found in texts as they are written. */
static andiron_status write_spaces(struct hf_parts *p)
{
    for (size_t i = 0; i < p->out->n_tokens; i++) {
        struct span *text = &p->texts[i];
        if (p->kinds[i] != TOKEN_USER_DEFINED || !memmem(text->p, text->n, MARK, 3))
            continue;
        char *out = arena_alloc(&p->m->arena, text->n, 1);
        if (!out)
            return hf_no_vocabulary(p);
        size_t n = 0;
        for (size_t at = 0; at < text->n;) {
            const bool mark = text->n - at >= 3 && !memcmp(text->p + at, MARK, 3);
            out[n++] = mark ? ' ' : text->p[at];
            at += mark ? 3 : 1;
        }
        *text = (struct span){out, n};
    }
    return ANDIRON_OK;
}

/* Steps without those whose condition does not hold. */
static json_t *chosen(const struct hf_parts *p, const char *text, bool has_map)
{
    json_t *list = json_loads(text, 0, NULL);
    for (size_t i = json_array_size(list); i-- > 0;) {
        json_t *step = json_array_get(list, i);
        const char *yes = json_string_value(json_object_get(step, "if")),
                   *no = json_string_value(json_object_get(step, "unless"));
        bool on = json_is_true(json_object_get(step, "usual"));
        if (yes || no)
            json_at_bool(p->config, yes ? yes : no, &on);
        const bool is_map = span_is(span_of(json_string_value(json_object_get(step, "type"))), "Precompiled");
        if ((yes && !on) || (no && on) || (is_map && !has_map))
            json_array_remove(list, i);
    }
    return list;
}

static andiron_status put_steps(struct hf_parts *p, const struct hf_steps *steps)
{
    json_t *all = json_pack("{s:o, s:o}", "normalizers", chosen(p, steps->normalizers, p->out->charsmap.n > 0),
                            "pretokenizers", chosen(p, steps->pre_tokenizers, false));
    const size_t n = all ? json_dumpb(all, NULL, 0, 0) : 0;
    char *text = n ? arena_alloc(&p->m->arena, n + 1, 1) : NULL; /* zeroed */
    p->out->steps = text && json_dumpb(all, text, n, 0) == n ? text : NULL;
    p->out->bos_last = steps->first_is_last;
    json_decref(all);
    return p->out->steps ? ANDIRON_OK : hf_no_vocabulary(p);
}

static bool is_covered(const struct hf_parts *p, const struct spiece *s)
{
    if (s->model == SPIECE_BPE)
        return p->kind->files == FILES_SPIECE && !s->charsmap.n && !s->merges_spaces && !p->kind->steps;
    return s->model == SPIECE_UNIGRAM;
}

andiron_status hf_read_pieces(struct hf_parts *p, struct span file, const char *name)
{
    struct spiece s;
    struct tokenizer_source *out = p->out;
    andiron_status status = spiece_read(&s, file, name, &p->m->arena, p->error);
    if (status)
        return status;
    const bool merges = s.model == SPIECE_BPE, named = p->kind->files == FILES_NAMED;
    if (!is_covered(p, &s))
        return error_set(p->error, ANDIRON_E_SUPPORT, "%s/%s: %s is not covered", hf_path(p->m->dir), name,
                         merges ? "BPE over changed characters or spaces, or ids of a vocab.json,"
                                : "a vocabulary of words or characters");
    out->model = span_of(merges ? "llama" : "t5");
    out->unknown = p->kind->order ? -1 : s.unknown;
    out->charsmap = s.charsmap;
    out->add_space_prefix = s.dummy_prefix;
    out->remove_extra_whitespaces = s.merges_spaces;
    out->as_spiece = named || has_languages(p);
    status = named ? put_pieces_by_names(p, &s) : put_pieces(p, &s);
    if (!status)
        status = put_special(p);
    if (!status && merges)
        status = write_spaces(p);
    if (!status && p->kind->steps)
        status = put_steps(p, p->kind->steps);
    out->add_bos = stands_around(p, false) && out->bos >= 0;
    out->add_eos = stands_around(p, true) && out->eos >= 0;
    return status;
}

/* ---- lines ---- */

/* The next line, taken off, without its end. */
static bool next_line(struct span *text, struct span *line)
{
    const char *end = text->n ? memchr(text->p, '\n', text->n) : NULL;
    const size_t n = end ? (size_t)(end - text->p) : text->n, skip = n + (end != NULL);
    const bool is = text->n > 0;
    *line = (struct span){text->p, n && text->p[n - 1] == '\r' ? n - 1 : n};
    *text = (struct span){text->p + skip, text->n - skip};
    return is;
}

/* ---- WordPiece ---- */

/* Words as a GGUF file has them: a beginning is marked, what goes on is not. */
static struct span marked(struct hf_parts *p, struct span text)
{
    char *out = arena_alloc(&p->m->arena, text.n + 3, 1);
    if (!out)
        return (struct span){0};
    memcpy(out, MARK, 3);
    memcpy(out + 3, text.p, text.n);
    return (struct span){out, text.n + 3};
}

static andiron_status mark_words(struct hf_parts *p)
{
    for (size_t i = 0; i < p->out->n_tokens; i++) {
        struct span *text = &p->texts[i];
        if (p->kinds[i] != TOKEN_NORMAL || text->n == 0 ||
            (text->n > 2 && text->p[0] == '[' && text->p[text->n - 1] == ']'))
            continue;
        *text = text->n > 1 && text->p[0] == '#' && text->p[1] == '#' ? (struct span){text->p + 2, text->n - 2}
                                                                      : marked(p, *text);
        if (!text->p)
            return hf_no_vocabulary(p);
    }
    return ANDIRON_OK;
}

andiron_status hf_read_words(struct hf_parts *p, struct span file)
{
    struct tokenizer_source *out = p->out;
    bool lower = true, chinese = true, strips = false, basic = true;
    size_t n = 0;
    struct span line;
    json_at_bool(p->config, "do_lower_case", &lower);
    json_at_bool(p->config, "tokenize_chinese_chars", &chinese);
    json_at_bool(p->config, "do_basic_tokenize", &basic);
    out->strip_accents = json_at_bool(p->config, "strip_accents", &strips) ? strips : lower;
    if (!chinese || !basic)
        return error_set(p->error, ANDIRON_E_SUPPORT, "%s: tokenizer_config.json: %s other than true is not covered",
                         hf_path(p->m->dir), chinese ? "do_basic_tokenize" : "tokenize_chinese_chars");
    for (struct span rest = file; next_line(&rest, &line);)
        n++;
    andiron_status s = make_lists(p, n);
    for (size_t i = 0; !s && next_line(&file, &line); i++)
        p->texts[i] = line;
    out->scores = NULL;
    out->model = span_of("bert");
    out->lowercase = lower;
    if (!s)
        s = put_special(p);
    return s ? s : mark_words(p);
}

/* ---- byte-level BPE ---- */

static json_t *merges_of(struct span file)
{
    json_t *list = json_array();
    struct span line;
    for (bool first = true; list && next_line(&file, &line); first = false)
        if (line.n && !(first && line.p[0] == '#') && json_array_append_new(list, json_stringn(line.p, line.n))) {
            json_decref(list);
            list = NULL;
        }
    return list;
}

static json_t *pre_tokenizer_of(const struct hf_parts *p)
{
    static const char pattern[] = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| "
                                  "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
    bool prefix = false;
    json_at_bool(p->config, "add_prefix_space", &prefix);
    json_t *bytes = json_pack("{s:s, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", prefix, "use_regex",
                              !p->kind->of_qwen);
    if (!p->kind->of_qwen)
        return bytes;
    return json_pack("{s:s, s:[{s:s, s:{s:s}, s:s, s:b}, o]}", "type", "Sequence", "pretokenizers", "type", "Split",
                     "pattern", "Regex", pattern, "behavior", "Isolated", "invert", 0, bytes);
}

/* What stands around a text, as TemplateProcessing; a null where nothing does. */
static json_t *around_of(const struct hf_parts *p, const json_t *vocab)
{
    json_t *single = json_array(), *known = json_object();
    for (int last = 0; last < 2; last++) {
        const struct span text = hf_named_token(p, hf_role(p, last), last ? p->kind->last : p->kind->first);
        const json_t *id = text.n ? json_object_getn(vocab, text.p, text.n) : NULL;
        if (last)
            json_array_append_new(single, json_pack("{s:{s:s}}", "Sequence", "id", "A"));
        if (!stands_around(p, last) || !json_is_integer(id))
            continue;
        json_array_append_new(single, json_pack("{s:{s:s}}", "SpecialToken", "id", last ? "e" : "b"));
        json_object_set_new(known, last ? "e" : "b", json_pack("{s:[I]}", "ids", json_integer_value(id)));
    }
    return json_pack("{s:s, s:o, s:o}", "type", "TemplateProcessing", "single", single, "special_tokens", known);
}

/* Tokens of the vocabulary that have a role are found as wholes, too. */
static bool add_roles(struct hf_parts *p, const json_t *vocab)
{
    const struct span roles[] = {hf_named_token(p, "bos_token", p->kind->first),
                                 hf_named_token(p, "eos_token", p->kind->last),
                                 hf_named_token(p, "unk_token", p->kind->unknown),
                                 hf_named_token(p, "pad_token", NULL),
                                 hf_named_token(p, "cls_token", NULL),
                                 hf_named_token(p, "sep_token", NULL),
                                 hf_named_token(p, "mask_token", NULL)};
    char text[HF_NAME_BYTES];
    bool ok = true;
    for (size_t i = 0; i < sizeof roles / sizeof *roles && ok; i++) {
        const json_t *id = roles[i].n && hf_copy(text, roles[i]) ? json_object_get(vocab, text) : NULL;
        if (json_is_integer(id) && !hf_is_added(p, text))
            ok = hf_add_token(p, json_integer_value(id), text, true);
    }
    return ok;
}

andiron_status hf_read_bytes(struct hf_parts *p, struct span merges, json_t **root)
{
    json_t *vocab = NULL;
    andiron_status s = hf_read_json(p->m->dir, "vocab.json", &vocab, p->error);
    if (s)
        return s;
    json_t *list = json_is_object(vocab) && add_roles(p, vocab) ? merges_of(merges) : NULL;
    if (list)
        *root = json_pack("{s:{s:s, s:O, s:o}, s:o, s:o, s:{s:s}, s:O, s:o?}", "model", "type", "BPE", "vocab", vocab,
                          "merges", list, "pre_tokenizer", pre_tokenizer_of(p), "post_processor", around_of(p, vocab),
                          "decoder", "type", "ByteLevel", "added_tokens", p->added, "normalizer",
                          p->kind->of_qwen ? json_pack("{s:s}", "type", "NFC") : NULL);
    if (!*root)
        s = json_is_object(vocab)
                ? hf_no_vocabulary(p)
                : error_set(p->error, ANDIRON_E_FORMAT, "%s/vocab.json: is no object of tokens", hf_path(p->m->dir));
    json_decref(vocab);
    return s;
}
