/* hf_options.c - what config.json says in ways of one type: heads, and options that are not covered and so refused. */
#include "base/error.h"
#include "engine/hf_internal.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

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

bool hf_truth(const struct hf_model *m, const char *path, bool *out)
{
    const json_t *value = json_at(m->config, path);
    if (!json_is_boolean(value) && !json_is_null(value) && !json_is_number(value))
        return false;
    *out = json_is_true(value) || json_number_value(value) != 0;
    return true;
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
    bool multi = m->folder.words & ARCH_KEYS_BY_WORDS, grouped = !multi;
    hf_truth(m, "new_decoder_architecture", &grouped);
    hf_truth(m, "multi_query", &multi);
    *n = first_number(config, all, 3);
    *n_kv = grouped ? first_number(config, shared, 2) : multi ? 1 : *n;
    if (*n_kv == 0)
        *n_kv = *n;
    return *n > 0 && *n <= UINT16_MAX && *n_kv <= *n && *n % *n_kv == 0;
}

/* ---- options ---- */

static bool is_as_expected(const json_t *given, const struct arch_line *line)
{
    const bool is_bool = json_is_boolean(given);
    const double value = line->number;
    if (line->to.n)
        return span_same((struct span){json_string_value(given), json_string_length(given)}, line->to);
    const double x = is_bool ? json_is_true(given) : json_number_value(given);
    return (is_bool || json_is_number(given)) && (line->is_truth ? (x != 0) == (value != 0) : x == value);
}

static andiron_status check_line(const struct hf_model *m, const struct arch_line *line, andiron_error *error)
{
    char path[HF_NAME_BYTES], wanted[64];
    const json_t *given = hf_copy(path, line->from) ? json_at(m->config, path) : NULL;
    if (!given || json_is_null(given) || is_as_expected(given, line))
        return ANDIRON_OK;
    if (line->to.n)
        snprintf(wanted, sizeof wanted, "\"%.*s\"", (int)(line->to.n < 60 ? line->to.n : 60), line->to.p);
    else
        snprintf(wanted, sizeof wanted, "%g", line->number);
    return error_set(error, ANDIRON_E_SUPPORT,
                     "%s: config.json: a model of type %s with %s other than %s is not covered", hf_path(m->dir),
                     m->folder.type, path,
                     !line->is_truth     ? wanted
                     : line->number != 0 ? "true"
                                         : "false");
}

static bool has_value(const struct hf_model *m, struct span path)
{
    char name[HF_NAME_BYTES];
    const json_t *value = path.n && hf_copy(name, path) ? json_at(m->config, name) : NULL;
    return value && !json_is_null(value);
}

/* What a folder of this type has to say, since what Transformers takes instead is not covered. */
static andiron_status check_need(const struct hf_model *m, const struct arch_line *line, andiron_error *error)
{
    const char * or = line->by.n ? " or " : "";
    if (has_value(m, line->from) || has_value(m, line->by))
        return ANDIRON_OK;
    return error_set(error, ANDIRON_E_SUPPORT,
                     "%s: config.json: a model of type %s without %.*s%s%.*s is not covered, add what Transformers "
                     "takes where it is absent",
                     hf_path(m->dir), m->folder.type, (int)line->from.n, line->from.p, or, (int)line->by.n, line->by.p);
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
    const struct arch_line *line;
    for (size_t at = 0; (line = hf_next_line(m, ARCH_EXPECT, &at));) {
        const andiron_status s = check_line(m, line, error);
        if (s)
            return s;
    }
    for (size_t at = 0; (line = hf_next_line(m, ARCH_NEED, &at));) {
        const andiron_status s = check_need(m, line, error);
        if (s)
            return s;
    }
    return check_numbers(m, error);
}
