/* hf_tokenizer.c - a folder's tokenizer: tokenizer.json, or the files that older ones have in its place, a
 * SentencePiece model, vocab.json and merges.txt, or vocab.txt, with the steps of the class that Transformers has for
 * them. */
#include "base/error.h"
#include "engine/hf_internal.h"
#include "files/spiece.h"
#include "text/tokenizer_hf.h"
#include <stdlib.h>
#include <string.h>

#define MARK "\342\226\201" /* of a space */

enum { VOCABULARY_MAX = 64 << 20, MAX_ADDED = 65536 };

/* ---- classes ---- */

enum files { FILES_SPIECE, FILES_BYTES, FILES_WORDS };
/* Pieces of the model after the first `dropped` follow what fairseq had in front; the mask is the last. */
struct reordering {
    size_t dropped, n_before;
    const char *before[5];
};
static const struct reordering xlm = {3, 4, {"<s>", "<pad>", "</s>", "<unk>"}},
                               camembert = {1, 5, {"<s>NOTUSED", "<pad>", "</s>NOTUSED", "<unk>", "<unk>NOTUSED"}};

struct class
{
    const char *name;  /* in tokenizer_config.json; "Fast" may follow */
    const char *types; /* model_types that have it where nothing is said */
    enum files files;
    const char *first, *last, *unknown; /* tokens; the first two stand around a text: */
    int around[2];                      /* 1: always, 0: where asked for, -1: unless said otherwise */
    const struct reordering *order;
    int n_extra; /* sentinels at the end */
    bool of_qwen;
};

static const struct class classes[] = {
    {"T5Tokenizer", "t5 mt5 umt5", FILES_SPIECE, NULL, "</s>", "<unk>", {0, 1}, NULL, 100, false},
    {"LlamaTokenizer", "llama mistral mixtral", FILES_SPIECE, "<s>", "</s>", "<unk>", {-1, 0}, NULL, 0, false},
    {"GemmaTokenizer", "gemma gemma2 gemma3_text", FILES_SPIECE, "<bos>", "<eos>", "<unk>", {-1, 0}, NULL, 0, false},
    {"XLMRobertaTokenizer", "xlm-roberta", FILES_SPIECE, "<s>", "</s>", "<unk>", {1, 1}, &xlm, 0, false},
    {"CamembertTokenizer", "camembert", FILES_SPIECE, "<s>", "</s>", "<unk>", {1, 1}, &camembert, 0, false},
    {"GPT2Tokenizer",
     "gpt2 gpt_neo gptj opt gpt_bigcode starcoder2",
     FILES_BYTES,
     "<|endoftext|>",
     "<|endoftext|>",
     "<|endoftext|>",
     {0, 0},
     NULL,
     0,
     false},
    {"CodeGenTokenizer",
     "codegen phi",
     FILES_BYTES,
     "<|endoftext|>",
     "<|endoftext|>",
     "<|endoftext|>",
     {0, 0},
     NULL,
     0,
     false},
    {"Qwen2Tokenizer",
     "qwen2 qwen2_moe qwen3 qwen3_moe",
     FILES_BYTES,
     NULL,
     "<|endoftext|>",
     "<|endoftext|>",
     {0, 0},
     NULL,
     0,
     true},
    {"RobertaTokenizer", "roberta data2vec-text", FILES_BYTES, "<s>", "</s>", "<unk>", {1, 1}, NULL, 0, false},
    {"BertTokenizer", "bert ernie", FILES_WORDS, "[CLS]", "[SEP]", "[UNK]", {1, 1}, NULL, 0, false},
    {"DistilBertTokenizer", "distilbert", FILES_WORDS, "[CLS]", "[SEP]", "[UNK]", {1, 1}, NULL, 0, false},
    {"ElectraTokenizer", "electra", FILES_WORDS, "[CLS]", "[SEP]", "[UNK]", {1, 1}, NULL, 0, false},
    {"MPNetTokenizer", "mpnet", FILES_WORDS, "<s>", "</s>", "[UNK]", {1, 1}, NULL, 0, false},
};

struct parts {
    struct hf_model *m;
    const struct class *class;
    json_t *config, *special, *ids; /* tokenizer_config.json, special_tokens_map.json, added_tokens.json */
    json_t *added;                  /* as tokenizer.json lists them */
    struct tokenizer_source *out;
    size_t n_least; /* tokens */
    struct span *texts;
    float *scores;
    uint8_t *kinds;
    andiron_error *error;
};

static andiron_status no_room(const struct parts *p) { return error_memory(p->error, 1 << 20, "the vocabulary"); }

static andiron_status find_class(struct parts *p)
{
    struct span name = {0}, type = {0};
    json_at_text(p->m->config, "model_type", &type);
    if (json_at_text(p->config, "tokenizer_class", &name) && span_ends(name, "Fast"))
        name.n -= strlen("Fast");
    for (size_t i = 0; i < sizeof classes / sizeof *classes && !p->class; i++)
        if (name.n ? span_is(name, classes[i].name) : hf_is_one_of(span_of(classes[i].types), type))
            p->class = &classes[i];
    if (p->class)
        return ANDIRON_OK;
    name = name.n ? name : type;
    return error_set(p->error, ANDIRON_E_SUPPORT,
                     "%s: there is no tokenizer.json, and the tokenizer of \"%.*s\" is not read from other files; make "
                     "one with Transformers: AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR)",
                     hf_path(p->m->dir), (int)(name.n < 80 ? name.n : 80), name.p);
}

/* ---- special tokens ---- */

/* A token by its role, as the folder says, or as the class does. */
static struct span named(const struct parts *p, const char *role, const char *usual)
{
    const json_t *const places[] = {p->config, p->special};
    struct span text = {0};
    for (size_t i = 0; i < 2 && !text.n; i++) {
        const json_t *v = json_object_get(places[i], role);
        json_at_text(json_is_object(v) ? json_object_get(v, "content") : v, "", &text);
    }
    return text.n || !usual ? text : span_of(usual);
}

static const char *first_role(const struct parts *p)
{
    return p->class->files == FILES_WORDS || p->class->order ? "cls_token" : "bos_token";
}

static const char *last_role(const struct parts *p)
{
    return p->class->files == FILES_WORDS || p->class->order ? "sep_token" : "eos_token";
}

static bool add(struct parts *p, json_int_t id, const char *text, bool special)
{
    return !json_array_append_new(p->added, json_pack("{s:I, s:s, s:b, s:b}", "id", id, "content", text, "special",
                                                      special, "normalized", !special));
}

static bool is_added(const struct parts *p, const char *text)
{
    for (size_t i = 0; i < json_array_size(p->added); i++) {
        const char *content = json_string_value(json_object_get(json_array_get(p->added, i), "content"));
        if (content && !strcmp(content, text))
            return true;
    }
    return false;
}

/* Is the text a token with a role? */
static bool has_role(const struct parts *p, const char *text)
{
    static const char *const roles[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                        "pad_token", "cls_token", "mask_token"};
    const json_t *more = json_object_get(p->special, "additional_special_tokens");
    bool is = false;
    for (size_t i = 0; i < sizeof roles / sizeof *roles && !is; i++)
        is = span_is(named(p, roles[i], NULL), text);
    for (size_t i = 0; i < json_array_size(more) && !is; i++) {
        const json_t *v = json_array_get(more, i);
        const char *content = json_string_value(json_is_object(v) ? json_object_get(v, "content") : v);
        is = content && !strcmp(content, text);
    }
    return is;
}

/* Tokens beyond the vocabulary, or with a meaning: tokenizer_config.json's, then added_tokens.json's. */
static andiron_status list_added(struct parts *p)
{
    const char *key;
    json_t *value;
    p->added = json_array();
    json_object_foreach(json_object_get(p->config, "added_tokens_decoder"), key, value)
    {
        json_t *copy = json_copy(value);
        const json_int_t id = strtol(key, NULL, 10);
        if (!json_is_string(json_object_get(value, "content")) || id < 0 ||
            json_object_set_new(copy, "id", json_integer(id)) || json_array_append_new(p->added, copy))
            return error_set(p->error, ANDIRON_E_FORMAT,
                             "%s: tokenizer_config.json: added_tokens_decoder has a token without a text",
                             hf_path(p->m->dir));
    }
    json_object_foreach(p->ids, key, value)
    {
        if (json_is_integer(value) && !is_added(p, key) && !add(p, json_integer_value(value), key, has_role(p, key)))
            return no_room(p);
    }
    return p->added ? ANDIRON_OK : no_room(p);
}

/* ---- a vocabulary as a list ---- */

/* A token that nothing leads to. */
static bool name_unused(struct parts *p, size_t i)
{
    char name[32];
    const int n = snprintf(name, sizeof name, "[PAD%zu]", i);
    p->texts[i] = (struct span){arena_text(&p->m->arena, name, (size_t)n), (size_t)n};
    p->kinds[i] = TOKEN_UNUSED;
    return p->texts[i].p != NULL;
}

/* Room for n tokens and those that were added to them. */
static andiron_status make_lists(struct parts *p, size_t n)
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
        return no_room(p);
    for (size_t i = 0; i < s->n_tokens; i++) {
        p->texts[i] = (struct span){"", 0};
        p->kinds[i] = TOKEN_NORMAL;
        if (i >= n && !name_unused(p, i))
            return no_room(p);
    }
    return ANDIRON_OK;
}

static int32_t find(const struct parts *p, struct span text)
{
    for (size_t i = 0; text.n && i < p->out->n_tokens; i++)
        if (span_same(p->texts[i], text))
            return (int32_t)i;
    return -1;
}

static void mark(struct parts *p, int32_t id, enum token_kind kind)
{
    if (id >= 0 && p->kinds[id] != TOKEN_UNKNOWN && p->kinds[id] != TOKEN_BYTE)
        p->kinds[id] = kind;
}

/* Added tokens, and those with a role, in the lists. */
static andiron_status put_special(struct parts *p)
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
            return no_room(p);
        mark(p, (int32_t)id, json_is_true(json_object_get(one, "special")) ? TOKEN_CONTROL : TOKEN_USER_DEFINED);
    }
    s->unknown = s->unknown >= 0 ? s->unknown : find(p, named(p, "unk_token", p->class->unknown));
    s->bos = find(p, named(p, first_role(p), p->class->first));
    s->eos = s->sep = find(p, named(p, last_role(p), p->class->last));
    s->padding = find(p, named(p, "pad_token", NULL));
    s->eot = s->eom = -1;
    mark(p, s->unknown, TOKEN_UNKNOWN);
    const int32_t controls[] = {s->bos, s->eos, s->padding, find(p, named(p, "mask_token", NULL))};
    for (size_t i = 0; i < sizeof controls / sizeof *controls; i++)
        mark(p, controls[i], TOKEN_CONTROL);
    return ANDIRON_OK;
}

/* Does this token stand around a text? */
static bool stands_around(const struct parts *p, bool last)
{
    const int usual = p->class->around[last];
    bool is = usual != 0;
    if (usual != 1)
        json_at_bool(p->config, last ? "add_eos_token" : "add_bos_token", &is);
    return is;
}

/* ---- SentencePiece ---- */

static andiron_status put_pieces(struct parts *p, const struct spiece *s)
{
    static const struct reordering as_it_is = {0};
    const struct reordering *o = p->class->order ? p->class->order : &as_it_is;
    uint64_t n_extra = (uint64_t)p->class->n_extra;
    json_at_u64(p->config, "extra_ids", &n_extra);
    if (s->n_pieces < o->dropped || n_extra > MAX_ADDED)
        return error_set(p->error, ANDIRON_E_FORMAT, "%s: the vocabulary is too small for its class %s",
                         hf_path(p->m->dir), p->class->name);
    const size_t shift = o->n_before - o->dropped, n = s->n_pieces + shift;
    for (uint64_t i = 0; i < n_extra; i++) {
        char name[32];
        snprintf(name, sizeof name, "<extra_id_%u>", (unsigned)(n_extra - 1 - i));
        if (!is_added(p, name) && !add(p, (json_int_t)(n + i), name, true))
            return no_room(p);
    }
    if (o->n_before && !is_added(p, "<mask>") && !add(p, (json_int_t)n, "<mask>", true))
        return no_room(p);
    const andiron_status status = make_lists(p, n);
    if (status)
        return status;
    for (size_t i = 0; i < o->n_before; i++) {
        p->texts[i] = span_of(o->before[i]);
        p->kinds[i] = span_is(p->texts[i], p->class->unknown) ? TOKEN_UNKNOWN : TOKEN_CONTROL;
        p->out->unknown = p->kinds[i] == TOKEN_UNKNOWN ? (int32_t)i : p->out->unknown;
    }
    for (size_t i = o->dropped; i < s->n_pieces; i++) {
        p->texts[i + shift] = s->texts[i];
        p->scores[i + shift] = s->scores[i];
        p->kinds[i + shift] = s->kinds[i];
    }
    return ANDIRON_OK;
}

/* User-defined tokens are found in texts as they are written. */
static andiron_status write_spaces(struct parts *p)
{
    for (size_t i = 0; i < p->out->n_tokens; i++) {
        struct span *text = &p->texts[i];
        if (p->kinds[i] != TOKEN_USER_DEFINED || !memmem(text->p, text->n, MARK, 3))
            continue;
        char *out = arena_alloc(&p->m->arena, text->n, 1);
        if (!out)
            return no_room(p);
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

static andiron_status read_pieces(struct parts *p, struct span file, const char *name)
{
    struct spiece s;
    struct tokenizer_source *out = p->out;
    andiron_status status = spiece_read(&s, file, name, &p->m->arena, p->error);
    if (status)
        return status;
    const bool merges = s.model == SPIECE_BPE;
    if ((!merges && s.model != SPIECE_UNIGRAM) || (merges && (s.charsmap.n || s.merges_spaces)))
        return error_set(p->error, ANDIRON_E_SUPPORT, "%s/%s: %s is not covered", hf_path(p->m->dir), name,
                         merges ? "BPE over changed characters or spaces" : "a vocabulary of words or characters");
    out->model = span_of(merges ? "llama" : "t5");
    out->unknown = p->class->order ? -1 : s.unknown;
    out->charsmap = s.charsmap;
    out->add_space_prefix = s.dummy_prefix;
    out->remove_extra_whitespaces = s.merges_spaces;
    status = put_pieces(p, &s);
    if (!status)
        status = put_special(p);
    if (!status && merges)
        status = write_spaces(p);
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
static struct span marked(struct parts *p, struct span text)
{
    char *out = arena_alloc(&p->m->arena, text.n + 3, 1);
    if (!out)
        return (struct span){0};
    memcpy(out, MARK, 3);
    memcpy(out + 3, text.p, text.n);
    return (struct span){out, text.n + 3};
}

static andiron_status mark_words(struct parts *p)
{
    for (size_t i = 0; i < p->out->n_tokens; i++) {
        struct span *text = &p->texts[i];
        if (p->kinds[i] != TOKEN_NORMAL || text->n == 0 ||
            (text->n > 2 && text->p[0] == '[' && text->p[text->n - 1] == ']'))
            continue;
        *text = text->n > 1 && text->p[0] == '#' && text->p[1] == '#' ? (struct span){text->p + 2, text->n - 2}
                                                                      : marked(p, *text);
        if (!text->p)
            return no_room(p);
    }
    return ANDIRON_OK;
}

static andiron_status read_words(struct parts *p, struct span file)
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

static json_t *pre_tokenizer_of(const struct parts *p)
{
    static const char pattern[] = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| "
                                  "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
    bool prefix = false;
    json_at_bool(p->config, "add_prefix_space", &prefix);
    json_t *bytes = json_pack("{s:s, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", prefix, "use_regex",
                              !p->class->of_qwen);
    if (!p->class->of_qwen)
        return bytes;
    return json_pack("{s:s, s:[{s:s, s:{s:s}, s:s, s:b}, o]}", "type", "Sequence", "pretokenizers", "type", "Split",
                     "pattern", "Regex", pattern, "behavior", "Isolated", "invert", 0, bytes);
}

/* What stands around a text, as TemplateProcessing; a null where nothing does. */
static json_t *around_of(const struct parts *p, const json_t *vocab)
{
    json_t *single = json_array(), *known = json_object();
    for (int last = 0; last < 2; last++) {
        const struct span text = named(p, last ? last_role(p) : first_role(p), last ? p->class->last : p->class->first);
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
static bool add_roles(struct parts *p, const json_t *vocab)
{
    const struct span roles[] = {named(p, "bos_token", p->class->first),
                                 named(p, "eos_token", p->class->last),
                                 named(p, "unk_token", p->class->unknown),
                                 named(p, "pad_token", NULL),
                                 named(p, "cls_token", NULL),
                                 named(p, "sep_token", NULL),
                                 named(p, "mask_token", NULL)};
    char text[HF_NAME_BYTES];
    bool ok = true;
    for (size_t i = 0; i < sizeof roles / sizeof *roles && ok; i++) {
        const json_t *id = roles[i].n && hf_copy(text, roles[i]) ? json_object_get(vocab, text) : NULL;
        if (json_is_integer(id) && !is_added(p, text))
            ok = add(p, json_integer_value(id), text, true);
    }
    return ok;
}

static andiron_status read_bytes(struct parts *p, struct span merges, json_t **root)
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
                          p->class->of_qwen ? json_pack("{s:s}", "type", "NFC") : NULL);
    if (!*root)
        s = json_is_object(vocab)
                ? no_room(p)
                : error_set(p->error, ANDIRON_E_FORMAT, "%s/vocab.json: is no object of tokens", hf_path(p->m->dir));
    json_decref(vocab);
    return s;
}

/* ---- the folder ---- */

/* A file that lives as long as the model; NULL: it is absent. */
static andiron_status read_kept(struct parts *p, const char *name, struct span *out)
{
    struct buffer text;
    bool found = false;
    buffer_init(&text, VOCABULARY_MAX);
    andiron_status s = hf_read_text(p->m->dir, name, &text, &found, p->error);
    *out = (struct span){0};
    if (!s && found)
        *out = (struct span){arena_text(&p->m->arena, text.n ? text.data : "", text.n), text.n};
    if (!s && found && !out->p)
        s = no_room(p);
    buffer_reset(&text);
    return s;
}

/* The first of these files that is there; *which is its number. */
static andiron_status find_file(struct parts *p, struct span *file, size_t *which, const char *const *names, size_t n)
{
    andiron_status s = ANDIRON_OK;
    for (*which = 0; *which < n; ++*which) {
        s = read_kept(p, names[*which], file);
        if (s || file->p)
            break;
    }
    return s;
}

static andiron_status read_parts(struct parts *p, json_t **root)
{
    static const char *const names[] = {"spiece.model", "tokenizer.model", "sentencepiece.bpe.model", "merges.txt",
                                        "vocab.txt"};
    struct span file;
    size_t which;
    andiron_status s = find_file(p, &file, &which, names, sizeof names / sizeof *names);
    if (s || !file.p)
        return s;
    s = find_class(p);
    const enum files files = which < 3 ? FILES_SPIECE : which == 3 ? FILES_BYTES : FILES_WORDS;
    if (!s && p->class->files != files)
        s = error_set(p->error, ANDIRON_E_FORMAT, "%s: the files of a %s are not those that are here (%s)",
                      hf_path(p->m->dir), p->class->name, names[which]);
    if (!s)
        s = list_added(p);
    if (s)
        return s;
    return files == FILES_SPIECE  ? read_pieces(p, file, names[which])
           : files == FILES_BYTES ? read_bytes(p, file, root)
                                  : read_words(p, file);
}

andiron_status hf_read_vocabulary(struct hf_model *m, size_t n_tokens, json_t **root, struct tokenizer_source *out,
                                  andiron_error *error)
{
    struct parts p = {.m = m, .out = out, .n_least = n_tokens, .error = error};
    *out = (struct tokenizer_source){.unknown = -1};
    andiron_status s = hf_read_json(m->dir, "tokenizer.json", root, error);
    if (s || *root)
        return s;
    s = hf_read_json(m->dir, "tokenizer_config.json", &p.config, error);
    if (!s)
        s = hf_read_json(m->dir, "special_tokens_map.json", &p.special, error);
    if (!s)
        s = hf_read_json(m->dir, "added_tokens.json", &p.ids, error);
    if (!s)
        s = read_parts(&p, root);
    json_decref(p.config);
    json_decref(p.special);
    json_decref(p.ids);
    json_decref(p.added);
    return s;
}

andiron_status hf_model_tokenizer(struct hf_model *m, struct tokenizer **out, andiron_error *error)
{
    static const char *const names[] = {"tokenizer_config.json", "special_tokens_map.json", "generation_config.json"};
    json_t *read[3] = {0}, *root = NULL;
    struct tokenizer_source source;
    *out = NULL;
    andiron_status s = hf_read_vocabulary(m, 0, &root, &source, error);
    for (size_t i = 0; i < 3 && root && !s; i++)
        s = hf_read_json(m->dir, names[i], &read[i], error);
    if (!s && root)
        s = tokenizer_hf_open(out, &(struct tokenizer_hf_source){root, read[0], read[1], read[2], hf_config(m->dir)},
                              error);
    else if (!s && source.n_tokens)
        s = tokenizer_open(out, &source, error);
    for (size_t i = 0; i < 3; i++)
        json_decref(read[i]);
    json_decref(root);
    return s;
}
