/* hf_keys.c - numbers, texts and lists of config.json under the keys that a definition's lines give them. */
#include "base/error.h"
#include "engine/hf_internal.h"
#include <stdio.h>
#include <string.h>

/* A list of texts, 1 where one is `yes`. */
void hf_put_list(struct hf_model *m, const char *key, const json_t *list, const char *yes)
{
    const size_t n = json_array_size(list);
    hf_put_array(m, key, GGUF_U32, n);
    for (size_t i = 0; i < n; i++) {
        const char *item = json_string_value(json_array_get(list, i));
        hf_put_number(m, item && !strcmp(item, yes), 4);
    }
}

/* A list's numbers: counts, where all are. */
static void put_numbers(struct hf_model *m, const char *key, const json_t *list)
{
    const size_t n = json_array_size(list);
    bool counts = true;
    for (size_t i = 0; i < n && counts; i++) {
        const json_t *x = json_array_get(list, i);
        counts = json_is_integer(x) && json_integer_value(x) >= 0 && json_integer_value(x) <= INT32_MAX;
    }
    hf_put_array(m, key, counts ? GGUF_U32 : GGUF_F64, n);
    for (size_t i = 0; i < n; i++) {
        const double x = json_number_value(json_array_get(list, i));
        if (counts) {
            hf_put_number(m, (uint64_t)x, 4);
            continue;
        }
        uint64_t bits;
        memcpy(&bits, &x, sizeof bits);
        hf_put_number(m, bits, sizeof bits);
    }
}

static void put_one_list(struct hf_model *m, const char *path, const char *by, const char *key)
{
    const json_t *list = json_at(m->config, path);
    if (!json_is_array(list) || json_array_size(list) == 0 || json_array_size(list) > HF_LAYERS_MAX)
        return;
    if (by[0])
        hf_put_list(m, key, list, by);
    else
        put_numbers(m, key, list);
}

/* A count, by one number or the product or sum of two. */
static andiron_status put_whole(struct hf_model *m, const char *key, const json_t *a, const json_t *b, bool sum,
                                andiron_error *error)
{
    const uint64_t first = (uint64_t)json_integer_value(a), second = b ? (uint64_t)json_integer_value(b) : !sum,
                   n = sum ? first + second : first * second;
    char what[HF_NAME_BYTES + 60];
    snprintf(what, sizeof what, "expected a %s, %s, to be below 2^31", sum ? "sum" : "product", key);
    if (n > INT32_MAX)
        return hf_wrong(m, what, error);
    hf_put_u32(m, key, n);
    return ANDIRON_OK;
}

static void put_value(struct hf_model *m, const char *key, const json_t *value, unsigned words)
{
    const double x = json_number_value(value);
    if (json_is_string(value))
        hf_put_string(m, key, (struct span){json_string_value(value), json_string_length(value)});
    else if (json_is_boolean(value))
        hf_put_u32(m, key, json_is_true(value));
    else
        hf_put_f64(m, key, words & ARCH_INVERSE_ROOT && x > 0 ? 1 / __builtin_sqrt(x) : x);
}

static enum gguf_value_type type_of(const struct arch_line *line)
{
    return line->words & ARCH_REAL    ? GGUF_F32
           : line->words & ARCH_TRUTH ? GGUF_BOOL
           : line->words & ARCH_TEXT  ? GGUF_STRING
                                      : GGUF_U32;
}

/* A null, which put_value() takes for 0, where there is one in place of a value. */
static const json_t *or_null(const struct hf_model *m, const char *path, const json_t *value)
{
    const json_t *given = json_at(m->config, path);
    return json_is_null(given) ? given : value;
}

/* What config.json says under its key here, if it does. */
static andiron_status put_one(struct hf_model *m, const struct arch_line *line, const char *key, andiron_error *error)
{
    char path[HF_NAME_BYTES], by[HF_NAME_BYTES];
    const json_t *value = NULL, *factor = NULL;
    const enum gguf_value_type type = type_of(line);
    if (!hf_copy(path, line->from) || !hf_copy(by, line->by))
        return ANDIRON_OK;
    if (line->words & ARCH_LIST) {
        put_one_list(m, path, by, key);
        return ANDIRON_OK;
    }
    andiron_status s = hf_value(m, path, type, &value, error);
    if (!s && value && by[0])
        s = hf_value(m, by, type, &factor, error);
    if (!s && (line->words & (ARCH_NULL_IS_0 | ARCH_TRUTH)))
        value = or_null(m, path, value);
    if (s || !value || (by[0] && !factor))
        return s;
    if (type == GGUF_U32)
        return put_whole(m, key, value, factor, line->words & ARCH_SUM, error);
    put_value(m, key, value, line->words);
    return ANDIRON_OK;
}

bool hf_is_put(const struct hf_model *m, const char *key)
{
    const size_t n = strlen(key);
    const char *rest = m->keys.data, *end = rest + m->keys.n;
    for (size_t length; rest < end; rest += length + 1) {
        length = strlen(rest);
        if (length == n && !memcmp(rest, key, n))
            return true;
    }
    return false;
}

bool hf_said(const struct hf_model *m, const char *key, double *out)
{
    const struct arch_line *line;
    for (size_t at = 0; (line = hf_next_line(m, ARCH_CONFIG, &at));)
        if (line->from.n == 0 && span_is(line->to, key)) {
            *out = line->number;
            return true;
        }
    return false;
}

/* Of experts nothing where there are none. */
static void put_said(struct hf_model *m, const struct arch_line *line, const char *key)
{
    if (!strncmp(key, "expert_", 7) && !m->n_experts_said)
        return;
    if (line->words & ARCH_REAL)
        hf_put_f64(m, key, line->number);
    else
        hf_put_u32(m, key, (uint64_t)line->number);
}

/* Of lines with one key the first that config.json has; then what the definition says where it has none. What was put
 * before holds. Layers that config.json does not count are counted by their tensors. */
andiron_status hf_put_keys(struct hf_model *m, andiron_error *error)
{
    char key[HF_NAME_BYTES];
    const struct arch_line *line;
    andiron_status s = ANDIRON_OK;
    for (int said = 0; said < 2; said++)
        for (size_t at = 0; !s && (line = hf_next_line(m, ARCH_CONFIG, &at));) {
            if ((line->from.n == 0) != said || !hf_copy(key, line->to) || hf_is_put(m, key) ||
                !strcmp(key, "activation") /* hf_model.c's */ ||
                ((line->words & ARCH_ALONE) && m->config != hf_config(m->dir)))
                continue;
            if (said)
                put_said(m, line, key);
            else
                s = put_one(m, line, key, error);
        }
    if (!s && m->n_layers && !hf_is_put(m, "block_count"))
        hf_put_u32(m, "block_count", m->n_layers);
    return s;
}
