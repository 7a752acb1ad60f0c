/* hf_tokenizer.c - a folder's tokenizer: tokenizer.json, or the files that older ones have in its place, a
 * SentencePiece model, vocab.json and merges.txt, or vocab.txt, with the steps of the class that Transformers has for
 * them. */
#include "engine/hf_tokenizer.h"
#include "text/tokenizer_hf.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VOCABULARY_MAX = 64 << 20 };

/* ---- classes ---- */

static const struct hf_reordering xlm = {3, 4, {"<s>", "<pad>", "</s>", "<unk>"}, NULL},
                                  mbart50 = {3, 4, {"<s>", "<pad>", "</s>", "<unk>"}, ""}, m2m = {0, 0, {""}, "__"},
                                  pegasus = {2, 105, {"<pad>", "</s>", "<mask_1>", "<mask_2>"}, NULL},
                                  camembert = {
                                      1, 5, {"<s>NOTUSED", "<pad>", "</s>NOTUSED", "<unk>", "<unk>NOTUSED"}, NULL};

#define END "<|endoftext|>"

#define REPLACE(kind, what, by) \
    "{\"type\": \"Replace\", \"pattern\": {\"" kind "\": \"" what "\"}, \"content\": \"" by "\"}"
#define QUOTES REPLACE("String", "``", "\\\"") ", " REPLACE("String", "''", "\\\"")
#define PLAIN \
    "{\"type\": \"NFKD\", \"unless\": \"keep_accents\"}, {\"type\": \"StripAccents\", \"unless\": \"keep_accents\"}"
#define ONE_SPACE REPLACE("Regex", " {2,}", " ")
#define METASPACE "{\"type\": \"Metaspace\", \"replacement\": \"\342\226\201\", \"prepend_scheme\": \"always\"}"

/* Of Transformers' classes. "if", "unless": what tokenizer_config.json says; "usual" where it does not. */
static const struct hf_steps
    of_albert = {"[" QUOTES ", " PLAIN ", {\"type\": \"Lowercase\", \"if\": "
                 "\"do_lower_case\", \"usual\": true}, {\"type\": \"Precompiled\"}]",
                 "[{\"type\": \"WhitespaceSplit\"}, " METASPACE "]", NULL, false},
    of_xlnet = {"[" QUOTES ", {\"type\": \"NFKD\"}, {\"type\": \"StripAccents\"}, {\"type\": "
                "\"Lowercase\", \"if\": \"do_lower_case\"}, {\"type\": \"Precompiled\"}]",
                "[{\"type\": \"WhitespaceSplit\"}, " METASPACE "]", NULL, true},
    of_bigbird = {"[" REPLACE("Regex", " {2,}", "\342\226\201") "]", "[" METASPACE "]", NULL, false},
    of_deberta = {"[{\"type\": \"Lowercase\", \"if\": \"do_lower_case\"}, " REPLACE(
                      "Regex", "\\\\s{2,}|[\\n\\r\\t]",
                      " ") ", {\"type\": \"NFC\"}, {\"type\": \"Strip\", \"strip_left\": false, "
                           "\"strip_right\": true}]",
                  "[{\"type\": \"Punctuation\", \"behavior\": \"Isolated\", \"if\": "
                  "\"split_by_punct\"}, " METASPACE "]",
                  "[MASK]", false},
    of_pegasus = {"[{\"type\": \"Precompiled\"}, " ONE_SPACE "]", "[" METASPACE "]", NULL, false};

static const struct hf_class classes[] = {
    {"T5Tokenizer", "t5 mt5 umt5", FILES_SPIECE, NULL, "</s>", "<unk>", {0, 1}, NULL, 100, false, NULL},
    {"LlamaTokenizer", "llama mistral mixtral", FILES_SPIECE, "<s>", "</s>", "<unk>", {-1, 0}, NULL, 0, false, NULL},
    {"GemmaTokenizer",
     "gemma gemma2 gemma3_text",
     FILES_SPIECE,
     "<bos>",
     "<eos>",
     "<unk>",
     {-1, 0},
     NULL,
     0,
     false,
     NULL},
    {"XLMRobertaTokenizer", "xlm-roberta", FILES_SPIECE, "<s>", "</s>", "<unk>", {1, 1}, &xlm, 0, false, NULL},
    {"CamembertTokenizer", "camembert", FILES_SPIECE, "<s>", "</s>", "<unk>", {1, 1}, &camembert, 0, false, NULL},
    {"MBart50Tokenizer", "", FILES_SPIECE, "en_XX", "</s>", "<unk>", {1, 1}, &mbart50, 0, false, NULL},
    {"MarianTokenizer", "marian", FILES_NAMED, NULL, "</s>", "<unk>", {0, 1}, NULL, 0, false, NULL},
    {"M2M100Tokenizer", "m2m_100", FILES_NAMED, "en", "</s>", "<unk>", {1, 1}, &m2m, 0, false, NULL},
    {"GPT2Tokenizer", "gpt2 gpt_neo gptj opt", FILES_BYTES, END, END, END, {0, 0}, NULL, 0, false, NULL},
    {"CodeGenTokenizer", "codegen phi", FILES_BYTES, END, END, END, {0, 0}, NULL, 0, false, NULL},
    {"Qwen2Tokenizer", "qwen2 qwen2_moe qwen3 qwen3_moe", FILES_BYTES, NULL, END, END, {0, 0}, NULL, 0, true, NULL},
    {"RobertaTokenizer", "roberta data2vec-text", FILES_BYTES, "<s>", "</s>", "<unk>", {1, 1}, NULL, 0, false, NULL},
    {"BertTokenizer", "bert ernie", FILES_WORDS, "[CLS]", "[SEP]", "[UNK]", {1, 1}, NULL, 0, false, NULL},
    {"DistilBertTokenizer", "distilbert", FILES_WORDS, "[CLS]", "[SEP]", "[UNK]", {1, 1}, NULL, 0, false, NULL},
    {"ElectraTokenizer", "electra", FILES_WORDS, "[CLS]", "[SEP]", "[UNK]", {1, 1}, NULL, 0, false, NULL},
    {"MPNetTokenizer", "mpnet", FILES_WORDS, "<s>", "</s>", "[UNK]", {1, 1}, NULL, 0, false, NULL},
    {"AlbertTokenizer", "albert", FILES_SPIECE, "[CLS]", "[SEP]", "<unk>", {1, 1}, NULL, 0, false, &of_albert},
    {"FNetTokenizer", "fnet", FILES_SPIECE, "[CLS]", "[SEP]", "<unk>", {1, 1}, NULL, 0, false, &of_albert},
    {"XLNetTokenizer", "xlnet", FILES_SPIECE, "<cls>", "<sep>", "<unk>", {1, 1}, NULL, 0, false, &of_xlnet},
    {"BigBirdTokenizer", "big_bird", FILES_SPIECE, "[CLS]", "[SEP]", "<unk>", {1, 1}, NULL, 0, false, &of_bigbird},
    {"DebertaV2Tokenizer", "deberta-v2", FILES_SPIECE, "[CLS]", "[SEP]", "[UNK]", {1, 1}, NULL, 0, false, &of_deberta},
    {"PegasusTokenizer", "pegasus", FILES_SPIECE, NULL, "</s>", "<unk>", {0, 1}, &pegasus, 0, false, &of_pegasus},
};

static andiron_status find_class(struct hf_parts *p)
{
    struct span name = {0}, type = {0};
    json_at_text(p->m->config, "model_type", &type);
    if (json_at_text(p->config, "tokenizer_class", &name) && span_ends(name, "Fast"))
        name.n -= strlen("Fast");
    for (size_t i = 0; i < sizeof classes / sizeof *classes && !p->kind; i++)
        if (name.n ? span_is(name, classes[i].name) : hf_is_one_of(span_of(classes[i].types), type))
            p->kind = &classes[i];
    if (p->kind)
        return ANDIRON_OK;
    name = name.n ? name : type;
    return error_set(p->error, ANDIRON_E_SUPPORT,
                     "%s: there is no tokenizer.json, and the tokenizer of \"%.*s\" is not read from other files; make "
                     "one with Transformers: AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR)",
                     hf_path(p->m->dir), (int)(name.n < 80 ? name.n : 80), name.p);
}

/* ---- special tokens ---- */

/* A token by its role, as the folder says, or as the class does. */
struct span hf_named_token(const struct hf_parts *p, const char *role, const char *usual)
{
    const json_t *const places[] = {p->config, p->special};
    struct span text = {0};
    for (size_t i = 0; i < 2 && !text.n; i++) {
        const json_t *v = json_object_get(places[i], role);
        json_at_text(json_is_object(v) ? json_object_get(v, "content") : v, "", &text);
    }
    return text.n || !usual ? text : span_of(usual);
}

struct span hf_language(const struct hf_parts *p)
{
    const struct span code = hf_named_token(p, "src_lang", p->kind->first);
    const char *around = p->kind->order->languages;
    char text[HF_NAME_BYTES], name[HF_NAME_BYTES + 8];
    if (!hf_copy(text, code))
        return (struct span){0};
    const int n = snprintf(name, sizeof name, "%s%s%s", around, text, around);
    return (struct span){arena_text(&p->m->arena, name, (size_t)n), (size_t)n};
}

const char *hf_role(const struct hf_parts *p, bool last)
{
    const bool of_text = p->kind->files == FILES_WORDS || p->kind->order || p->kind->steps;
    return last ? (of_text ? "sep_token" : "eos_token") : of_text ? "cls_token" : "bos_token";
}

bool hf_add_token(struct hf_parts *p, json_int_t id, const char *text, bool special)
{
    return !json_array_append_new(p->added, json_pack("{s:I, s:s, s:b, s:b}", "id", id, "content", text, "special",
                                                      special, "normalized", !special));
}

bool hf_is_added(const struct hf_parts *p, const char *text)
{
    for (size_t i = 0; i < json_array_size(p->added); i++) {
        const char *content = json_string_value(json_object_get(json_array_get(p->added, i), "content"));
        if (content && !strcmp(content, text))
            return true;
    }
    return false;
}

/* Is the text a token with a role? */
static bool has_role(const struct hf_parts *p, const char *text)
{
    static const char *const roles[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                        "pad_token", "cls_token", "mask_token"};
    const json_t *more = json_object_get(p->special, "additional_special_tokens");
    bool is = false;
    for (size_t i = 0; i < sizeof roles / sizeof *roles && !is; i++)
        is = span_is(hf_named_token(p, roles[i], NULL), text);
    for (size_t i = 0; i < json_array_size(more) && !is; i++) {
        const json_t *v = json_array_get(more, i);
        const char *content = json_string_value(json_is_object(v) ? json_object_get(v, "content") : v);
        is = content && !strcmp(content, text);
    }
    return is;
}

/* Tokens beyond the vocabulary, or with a meaning: tokenizer_config.json's, then added_tokens.json's. */
static andiron_status list_added(struct hf_parts *p)
{
    const char *key;
    json_t *value;
    p->added = json_array();
    json_object_foreach(json_object_get(p->config, "added_tokens_decoder"), key, value)
    {
        const json_int_t id = strtol(key, NULL, 10);
        if (!json_is_string(json_object_get(value, "content")) || id < 0)
            return error_set(p->error, ANDIRON_E_FORMAT,
                             "%s: tokenizer_config.json: added_tokens_decoder has a token without a text",
                             hf_path(p->m->dir));
        json_t *copy = json_copy(value);
        if (json_object_set_new(copy, "id", json_integer(id)) || json_array_append(p->added, copy)) {
            json_decref(copy);
            return hf_no_vocabulary(p);
        }
        json_decref(copy);
    }
    json_object_foreach(p->ids, key, value)
    {
        if (json_is_integer(value) && !hf_is_added(p, key) &&
            !hf_add_token(p, json_integer_value(value), key, has_role(p, key)))
            return hf_no_vocabulary(p);
    }
    return p->added ? ANDIRON_OK : hf_no_vocabulary(p);
}

/* Languages' tokens, which stand behind the n others of a vocabulary in the order in which they are listed. */
andiron_status hf_add_languages(struct hf_parts *p, size_t n)
{
    const json_t *const places[] = {p->config, p->special};
    size_t n_all = 0;
    for (size_t i = 0; i < 2 && !n_all; i++) {
        const json_t *list = json_object_get(places[i], "additional_special_tokens");
        n_all = json_array_size(list);
        for (size_t k = 0; k < n_all; k++) {
            const json_t *v = json_array_get(list, k);
            const char *text = json_string_value(json_is_object(v) ? json_object_get(v, "content") : v);
            if (text && !hf_is_added(p, text) && !hf_add_token(p, (json_int_t)(n + k), text, true))
                return hf_no_vocabulary(p);
        }
    }
    return json_array_size(p->added)
               ? ANDIRON_OK
               : error_set(p->error, ANDIRON_E_FORMAT,
                           "%s: special_tokens_map.json: expected additional_special_tokens, the languages of a %s",
                           hf_path(p->m->dir), p->kind->name);
}

/* ---- the folder ---- */

/* A file that lives as long as the model; NULL: it is absent. */
static andiron_status read_kept(struct hf_parts *p, const char *name, struct span *out)
{
    struct buffer text;
    bool found = false;
    buffer_init(&text, VOCABULARY_MAX);
    andiron_status s = hf_read_text(p->m->dir, name, &text, &found, p->error);
    *out = (struct span){0};
    if (!s && found)
        *out = (struct span){arena_text(&p->m->arena, text.n ? text.data : "", text.n), text.n};
    if (!s && found && !out->p)
        s = hf_no_vocabulary(p);
    buffer_reset(&text);
    return s;
}

/* The first of these files that is there; *which is its number. */
static andiron_status find_file(struct hf_parts *p, struct span *file, size_t *which, const char *const *names,
                                size_t n)
{
    andiron_status s = ANDIRON_OK;
    for (*which = 0; *which < n; ++*which) {
        s = read_kept(p, names[*which], file);
        if (s || file->p)
            break;
    }
    return s;
}

static andiron_status read_parts(struct hf_parts *p, json_t **root)
{
    static const char *const names[] = {"spiece.model", "tokenizer.model", "sentencepiece.bpe.model",
                                        "spm.model",    "source.spm",      "merges.txt",
                                        "vocab.txt"};
    enum { BYTES = 5 };
    struct span file;
    size_t which;
    andiron_status s = find_file(p, &file, &which, names, sizeof names / sizeof *names);
    if (s || !file.p)
        return s;
    s = find_class(p);
    const enum hf_files files = which < BYTES ? FILES_SPIECE : which == BYTES ? FILES_BYTES : FILES_WORDS;
    if (!s && p->kind->files != files && !(files == FILES_SPIECE && p->kind->files == FILES_NAMED))
        s = error_set(p->error, ANDIRON_E_FORMAT, "%s: the files of a %s are not those that are here (%s)",
                      hf_path(p->m->dir), p->kind->name, names[which]);
    if (!s)
        s = list_added(p);
    if (s)
        return s;
    return files == FILES_SPIECE  ? hf_read_pieces(p, file, names[which])
           : files == FILES_BYTES ? hf_read_bytes(p, file, root)
                                  : hf_read_words(p, file);
}

andiron_status hf_read_vocabulary(struct hf_model *m, size_t n_tokens, json_t **root, struct tokenizer_source *out,
                                  andiron_error *error)
{
    struct hf_parts p = {.m = m, .out = out, .n_least = n_tokens, .error = error};
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
    static const char *const names[] = {"tokenizer_config.json", "special_tokens_map.json"};
    json_t *read[2] = {0}, *root = NULL;
    struct tokenizer_source source;
    *out = NULL;
    andiron_status s = hf_read_vocabulary(m, 0, &root, &source, error);
    for (size_t i = 0; i < 2 && root && !s; i++)
        s = hf_read_json(m->dir, names[i], &read[i], error);
    if (!s && root)
        s = tokenizer_hf_open(
            out, &(struct tokenizer_hf_source){root, read[0], read[1], m->generation, hf_config(m->dir)}, error);
    else if (!s && source.n_tokens)
        s = tokenizer_open(out, &source, error);
    for (size_t i = 0; i < 2; i++)
        json_decref(read[i]);
    json_decref(root);
    return s;
}
