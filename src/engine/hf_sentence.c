/* hf_sentence.c - what sentence-transformers put behind a model, as modules.json lists it: the pooling of a text's rows
 * to one, and Dense parts, matrices in folders of their own that the result is multiplied with. */
#include "base/error.h"
#include "engine/hf_internal.h"
#include <stdio.h>
#include <string.h>

enum { POOLING_KINDS = POOLING_LAST + 1 }; /* none, and those that sentence-transformers has words for */

/* ---- pooling ---- */

static uint32_t pooling_kind(const json_t *config)
{
    static const char *const modes[POOLING_KINDS] = {"", "pooling_mode_mean_tokens", "pooling_mode_cls_token",
                                                     "pooling_mode_lasttoken"},
                             *const words[POOLING_KINDS] = {"", "mean", "cls", "lasttoken"};
    struct span word = {0};
    json_at_text(config, "pooling_mode", &word);
    for (uint32_t i = 1; i < POOLING_KINDS; i++) {
        bool is = span_is(word, words[i]);
        json_at_bool(config, modes[i], &is);
        if (is)
            return i;
    }
    return 0;
}

static andiron_status put_pooling(struct hf_model *m, uint32_t *kind, andiron_error *error)
{
    json_t *config = NULL;
    double said;
    *kind = 0;
    if (hf_scores_texts(m)) {
        hf_put_u32(m, "pooling_type", POOLING_RANK);
        return ANDIRON_OK;
    }
    if (hf_said(m, "pooling_type", &said))
        return ANDIRON_OK;
    andiron_status s = hf_read_json(m->dir, "1_Pooling/config.json", &config, error);
    if (config && (*kind = pooling_kind(config)) != 0)
        hf_put_u32(m, "pooling_type", *kind);
    else if (config)
        s = hf_wrong(m, "expected 1_Pooling/config.json to ask for the mean, the first token or the last", error);
    json_decref(config);
    return s;
}

/* ---- Dense parts ---- */

static andiron_status not_covered(const struct hf_model *m, const char *folder, const char *why, andiron_error *error)
{
    return error_set(error, ANDIRON_E_SUPPORT,
                     "%s: modules.json: the Dense part %.60s %s is not covered; import the folder (docs/import.md)",
                     hf_path(m->dir), folder, why);
}

/* Its activation works on each number of the pooled row, which is that of the rows only where the pooling picks one. */
static andiron_status put_activation(struct hf_model *m, const char *folder, const char *stem, const json_t *config,
                                     uint32_t pooling, andiron_error *error)
{
    struct span act = span_of("torch.nn.modules.activation.Tanh"); /* as the library's default */
    char key[32];
    json_at_text(config, "activation_function", &act);
    if (span_ends(act, ".Identity"))
        return ANDIRON_OK;
    if (!span_ends(act, ".Tanh") || pooling <= POOLING_MEAN)
        return not_covered(m, folder,
                           pooling <= POOLING_MEAN ? "with an activation after a mean" : "with its activation", error);
    snprintf(key, sizeof key, "%s_activation", stem);
    hf_put_string(m, key, span_of("tanh"));
    return ANDIRON_OK;
}

static andiron_status take_matrix(struct hf_model *m, const char *folder, const char *stem, andiron_error *error)
{
    static const char *const parts[] = {"weight", "bias"};
    struct safetensors **file = &m->dense[m->n_dense];
    char name[HF_NAME_BYTES];
    andiron_status s = hf_open_part(m->dir, folder, file, error);
    m->n_dense += !s;
    for (size_t i = 0; i < 2 && !s; i++) {
        snprintf(name, sizeof name, "linear.%s", parts[i]);
        const struct safetensors_tensor *t = safetensors_find(*file, name);
        snprintf(name, sizeof name, "%s.%s", stem, parts[i]);
        if (t && t->n_shape == 2 - i)
            s = hf_take_plain(m, name, t, error);
        else if (t || i == 0)
            s = not_covered(m, folder, "without a matrix linear.weight, or with a linear.bias that is no vector",
                            error);
    }
    return s;
}

static andiron_status take_dense(struct hf_model *m, size_t number, const char *folder, uint32_t pooling,
                                 andiron_error *error)
{
    json_t *config = NULL;
    char path[HF_NAME_BYTES], stem[16], key[32];
    static const char *const sizes[][2] = {{"in_features", "in"}, {"out_features", "out"}};
    if (number == HF_DENSE_PARTS)
        return not_covered(m, folder, "as a third one", error);
    if (snprintf(path, sizeof path, "%s/config.json", folder) >= HF_NAME_BYTES)
        return not_covered(m, folder, "of so long a name", error);
    snprintf(stem, sizeof stem, "dense_%zu", number + 2); /* llama.cpp counts so */
    andiron_status s = hf_read_json(m->dir, path, &config, error);
    bool residual = false;
    struct span reads = span_of("sentence_embedding");
    json_at_bool(config, "use_residual", &residual);
    json_at_text(config, "module_input_name", &reads);
    if (!s && (residual || !span_is(reads, "sentence_embedding")))
        s = not_covered(m, folder, residual ? "with a residual" : "of each token", error);
    if (!s)
        s = put_activation(m, folder, stem, config, pooling, error);
    for (size_t i = 0; i < 2 && !s; i++) {
        uint64_t n;
        snprintf(key, sizeof key, "%s_feat_%s", stem, sizes[i][1]);
        if (json_at_u64(config, sizes[i][0], &n) && n <= INT32_MAX)
            hf_put_u32(m, key, n);
    }
    json_decref(config);
    return s || m->n_tensors == 0 ? s : take_matrix(m, folder, stem, error);
}

andiron_status hf_put_sentence(struct hf_model *m, andiron_error *error)
{
    json_t *modules = NULL;
    uint32_t pooling;
    size_t n = 0;
    andiron_status s = put_pooling(m, &pooling, error);
    if (!s)
        s = hf_read_json(m->dir, "modules.json", &modules, error);
    for (size_t i = 0; i < json_array_size(modules) && !s; i++) {
        const json_t *module = json_array_get(modules, i);
        const char *type = json_string_value(json_object_get(module, "type")),
                   *path = json_string_value(json_object_get(module, "path"));
        if (type && strstr(type, ".Dense"))
            s = take_dense(m, n++, path ? path : "", pooling, error);
    }
    json_decref(modules);
    return s;
}
