/* hf_folder.c - which definition tells of a folder's model_type, and what it says of names. */
#include "base/error.h"
#include "engine/engine.h"
#include "engine/hf_internal.h"
#include <string.h>

const struct arch_line *hf_next_line(const struct hf_model *m, enum arch_verb verb, size_t *at)
{
    while (*at < m->folder.n)
        if (m->folder.lines[(*at)++]->verb == verb)
            return m->folder.lines[*at - 1];
    return NULL;
}

bool hf_copy(char to[HF_NAME_BYTES], struct span text)
{
    if (text.n >= HF_NAME_BYTES)
        return false;
    if (text.n)
        memcpy(to, text.p, text.n);
    to[text.n] = 0;
    return true;
}

struct span hf_next_word(struct span *words)
{
    while (words->n && *words->p == ' ')
        *words = (struct span){words->p + 1, words->n - 1};
    struct span word = {words->p, 0};
    while (word.n < words->n && word.p[word.n] != ' ')
        word.n++;
    *words = (struct span){words->p + word.n, words->n - word.n};
    return word;
}

bool hf_is_one_of(struct span words, struct span word)
{
    for (struct span at; (at = hf_next_word(&words)).n;)
        if (span_same(at, word))
            return true;
    return false;
}

/* The definition of `name` with the user's folder and file before those built in; NULL: there is none. */
static andiron_status open_definition(struct hf_model *m, const char *name, const andiron_model_options *options,
                                      andiron_error *error)
{
    struct definition_text text;
    andiron_status s = definition_find(&text, name, options, error);
    if (!s && text.file)
        s = arch_open(&m->arch, text.text, text.file, arch_builtin, NULL, error);
    m->is_builtin = !text.mapping.data;
    m->text = (struct span){s || !text.file ? NULL : arena_text(&m->arena, text.text.p, text.text.n), text.text.n};
    if (!s && text.file && !m->text.p)
        s = error_memory(error, text.text.n, "a definition");
    definition_done(&text);
    return s;
}

/* Does a line before number n read this key? */
static bool is_read(const struct hf_model *m, size_t n, struct span key)
{
    for (size_t i = 0; i < n; i++) {
        const struct arch_line *line = m->folder.lines[i];
        if ((line->verb == ARCH_CONFIG && (span_same(line->from, key) || span_same(line->by, key))) ||
            (line->verb == ARCH_HEED && hf_is_one_of(line->from, key)))
            return true;
    }
    return false;
}

/* Keys that a folder of this type has in vain are taken out, so that nothing reads them. */
static void drop_ignored(struct hf_model *m)
{
    const struct arch_line *line;
    for (size_t at = 0; (line = hf_next_line(m, ARCH_IGNORE, &at));) {
        struct span words = line->from;
        for (struct span key; (key = hf_next_word(&words)).n;)
            if (!is_read(m, at - 1, key))
                json_object_deln((json_t *)(uintptr_t)m->config, key.p, key.n);
    }
}

/* m->folder for one type of config's; its type stays NULL where no definition tells of it. */
static andiron_status find_type(struct hf_model *m, const json_t *config, struct span type,
                                const andiron_model_options *options, andiron_error *error)
{
    char name[HF_NAME_BYTES];
    if (m->arch || type.n == 0 || !hf_copy(name, type))
        return ANDIRON_OK;
    const char *builtin = arch_builtin_of_folder(type);
    andiron_status s = open_definition(m, builtin ? builtin : name, options, error);
    if (!s && m->arch)
        s = arch_find_folder(m->arch, type, &m->folder, error);
    if (s || !m->folder.type) {
        arch_close(m->arch);
        m->arch = NULL;
        return s;
    }
    m->config = config;
    m->architecture = arch_name(m->arch);
    drop_ignored(m);
    return ANDIRON_OK;
}

/* The class that the folder was saved from; empty: it does not say. */
static struct span class_of(const json_t *config)
{
    const json_t *word = json_array_get(json_at(config, "architectures"), 0);
    return (struct span){json_string_value(word), json_string_length(word)};
}

andiron_status hf_find_folder(struct hf_model *m, const andiron_model_options *options, andiron_error *error)
{
    struct span type = {0}, of_text = {0};
    const json_t *config = hf_config(m->dir), *text = json_at(config, "text_config");
    if (!json_at_text(config, "model_type", &type))
        return hf_wrong(m, "expected model_type, got none", error);
    if (json_is_object(text))
        json_at_text(text, "model_type", &of_text);
    andiron_status s = find_type(m, config, class_of(config), options, error);
    if (!s) /* of a model of parts one is text */
        s = find_type(m, text, of_text, options, error);
    if (!s)
        s = find_type(m, config, type, options, error);
    if (s || m->arch)
        return s;
    return error_set(error, ANDIRON_E_SUPPORT,
                     "%s: config.json: no definition has a folder line for the model_type \"%.*s\"; import the folder "
                     "(docs/import.md), or give a definition with --arch FILE (docs/adding-an-architecture.md)",
                     hf_path(m->dir), (int)(type.n < 80 ? type.n : 80), type.p);
}

andiron_status hf_check_class(const struct hf_model *m, andiron_error *error)
{
    static const char *const of_texts[] = {"ForMultipleChoice", "ForNextSentencePrediction",
                                           "ForSequenceClassification"};
    const struct span name = class_of(hf_config(m->dir));
    bool scores = false;
    for (size_t i = 0; i < sizeof of_texts / sizeof *of_texts; i++)
        scores = scores || span_ends(name, of_texts[i]);
    if (!scores || !(m->folder.words & ARCH_ENCODER) || span_is(name, m->folder.type) || m->n_tensors == 0 ||
        hf_scores_texts(m))
        return ANDIRON_OK;
    return error_set(error, ANDIRON_E_SUPPORT,
                     "%s: config.json: no definition has a folder line for the class %.*s; import the folder "
                     "(docs/import.md)",
                     hf_path(m->dir), (int)(name.n < 80 ? name.n : 80), name.p);
}
