/* hf_options.c - what config.json says in ways of one type: heads, and options that are not covered and so refused. */
#include "base/error.h"
#include "engine/hf_internal.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *types, *path, *words;
    double value; /* of a truth 1 or 0 */
} expected[] = {
#define EXPECT(types, path, value) {types, path, #value, value},
#include "engine/hf_names.def"
};

bool hf_is_one_of(const char *words, struct span word)
{
    if (!words[0])
        return true;
    for (const char *at = words; *at; at += strspn(at, " ")) {
        const size_t n = strcspn(at, " ");
        if (span_same((struct span){at, n}, word))
            return true;
        at += n;
    }
    return false;
}

const json_t *hf_text_config(const struct hf_dir *dir)
{
    static const char of_parts[] = "gemma3 gemma4 mistral3 qwen3_5 qwen3_5_moe glm5_next qwen4_exp";
    const json_t *config = hf_config(dir), *text = json_at(config, "text_config");
    struct span type;
    return json_is_object(text) && json_at_text(config, "model_type", &type) && hf_is_one_of(of_parts, type) ? text
                                                                                                             : config;
}

/* ---- values ---- */

/* The one value of a list of values that are all the same; what is no list is itself. */
static const json_t *only_value(const json_t *value)
{
    const json_t *first = json_array_get(value, 0);
    for (size_t i = 1; i < json_array_size(value); i++)
        if (!json_equal(first, json_array_get(value, i)))
            return value;
    return first ? first : value;
}

static const char *kind_of(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT: return "an object";
    case JSON_ARRAY: return "a list";
    case JSON_STRING: return "a text";
    case JSON_TRUE: return "true";
    case JSON_FALSE: return "false";
    case JSON_NULL: return "null";
    default: return "another number";
    }
}

static bool is_kind(const json_t *value, enum gguf_value_type type)
{
    switch (type) {
    case GGUF_F32: return json_is_number(value);
    case GGUF_BOOL: return json_is_boolean(value);
    case GGUF_STRING: return json_is_string(value);
    default: return json_is_integer(value) && json_integer_value(value) >= 0 && json_integer_value(value) <= INT32_MAX;
    }
}

andiron_status hf_value(const struct hf_model *m, const char *path, enum gguf_value_type type, const json_t **out,
                        andiron_error *error)
{
    const json_t *value = only_value(json_at(m->config, path));
    *out = value && is_kind(value, type) ? value : NULL;
    if (!value || json_is_null(value) || *out)
        return ANDIRON_OK;
    return error_set(error, ANDIRON_E_FORMAT, "%s: config.json: expected %s to be %s, got %s", hf_path(m->dir), path,
                     type == GGUF_F32      ? "a number"
                     : type == GGUF_BOOL   ? "true or false"
                     : type == GGUF_STRING ? "a text"
                                           : "a whole number from 0 to 2^31 - 1",
                     kind_of(value));
}

/* ---- heads ---- */

static uint64_t first_number(const json_t *config, const char *const names[], size_t n)
{
    uint64_t x = 0;
    for (size_t i = 0; i < n && x == 0; i++)
        json_at_u64(config, names[i], &x);
    return x;
}

bool hf_heads(const struct hf_model *m, uint64_t *n, uint64_t *n_kv)
{
    static const char *const all[] = {"num_attention_heads", "n_head", "n_heads"}, *const shared[] = {
                                                                                       "num_kv_heads",
                                                                                       "num_key_value_heads"};
    const json_t *config = m->config;
    bool multi = m->kind->flags & HF_KV_WORDS, grouped = !multi;
    json_at_bool(config, "new_decoder_architecture", &grouped);
    json_at_bool(config, "multi_query", &multi);
    *n = first_number(config, all, 3);
    *n_kv = grouped ? first_number(config, shared, 2) : multi ? 1 : *n;
    if (*n_kv == 0)
        *n_kv = *n;
    return *n > 0 && *n <= UINT16_MAX && *n_kv <= *n && *n % *n_kv == 0;
}

/* ---- options ---- */

static bool is_as_expected(const json_t *given, double value)
{
    const bool is_bool = json_is_boolean(given);
    return (is_bool || json_is_number(given)) && (is_bool ? json_is_true(given) : json_number_value(given)) == value;
}

/* The bounds of a state space's steps: none above, and none below. */
static bool bounds_nothing(const json_t *limit)
{
    const json_t *low = json_array_get(limit, 0), *high = json_array_get(limit, 1);
    return !limit || json_is_null(limit) ||
           (json_is_number(low) && json_number_value(low) == 0 &&
            (json_is_object(high) || (json_is_number(high) && json_number_value(high) > 1e30)));
}

/* What positions are made of: numbers, wherever they stand. */
static andiron_status check_numbers(const struct hf_model *m, andiron_error *error)
{
    static const char *const places[] = {"",
                                         "rope_scaling.",
                                         "rope_parameters.",
                                         "rope_parameters.full_attention.",
                                         "rope_parameters.sliding_attention.",
                                         "rope_parameters.main.",
                                         "rope_parameters.compress."};
    static const char *const names[] = {"rope_theta",
                                        "factor",
                                        "beta_fast",
                                        "beta_slow",
                                        "low_freq_factor",
                                        "high_freq_factor",
                                        "attention_factor",
                                        "mscale",
                                        "mscale_all_dim",
                                        "alpha",
                                        "partial_rotary_factor",
                                        "original_max_position_embeddings"};
    char path[128];
    const json_t *value;
    andiron_status s = ANDIRON_OK;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        for (size_t j = 0; j < sizeof names / sizeof *names && !s; j++) {
            snprintf(path, sizeof path, "%s%s", places[i], names[j]);
            s = hf_value(m, path, GGUF_F32, &value, error);
        }
    return s;
}

andiron_status hf_check_options(const struct hf_model *m, andiron_error *error)
{
    const json_t *config = m->config;
    const struct span type = span_of(m->kind->model_type);
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        const json_t *given = json_at(config, expected[i].path);
        if (given && !json_is_null(given) && hf_is_one_of(expected[i].types, type) &&
            !is_as_expected(given, expected[i].value))
            return error_set(error, ANDIRON_E_SUPPORT,
                             "%s: config.json: a model of type %s with %s other than %s is not covered",
                             hf_path(m->dir), m->kind->model_type, expected[i].path, expected[i].words);
    }
    if (!bounds_nothing(json_at(config, "time_step_limit")))
        return error_set(error, ANDIRON_E_SUPPORT,
                         "%s: config.json: a time_step_limit other than [0, Infinity] is not "
                         "covered",
                         hf_path(m->dir));
    return check_numbers(m, error);
}
