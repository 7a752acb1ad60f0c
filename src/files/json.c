/* json.c - untrusted JSON: looked over once, tamed where Python's dialect needs it, then given to jansson. */
#include "files/json.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/memory.h"
#include <math.h>

const struct json_limits json_config_limits = {16u << 20, 256u << 20, 64};
const struct json_limits json_vocab_limits = {256u << 20, (size_t)2 << 30, 64};

/* What jansson takes for one of each, with the heap's own bytes, rounded up. */
enum { OBJECT_BYTES = 288, ARRAY_BYTES = 144, KEY_BYTES = 96, VALUE_BYTES = 80 };
/* Stands for Infinity, which jansson cannot read: no measured quantity comes near. */
#define INFINITE_TEXT "1.7e308"
static const double infinite = 1.7e308;

/* ---- looking over ---- */

struct scan {
    struct span text;
    size_t at, depth, deepest, memory;
    struct buffer out; /* the text for jansson */
};

static void copy_string(struct scan *s)
{
    size_t begin = s->at++;
    while (s->at < s->text.n && s->text.p[s->at] != '"')
        s->at += s->text.p[s->at] == '\\' ? 2 : 1;
    s->at = s->at < s->text.n ? s->at + 1 : s->text.n;
    buffer_add(&s->out, s->text.p + begin, s->at - begin);
    s->memory += VALUE_BYTES + (s->at - begin);
}

static bool is_word(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '+' ||
           c == '.' || c == '_';
}

/* An integer that jansson's 64 bits cannot hold. */
static bool is_long_integer(struct span word)
{
    static const char most[] = "9223372036854775807";
    if (word.n && word.p[0] == '-')
        word = (struct span){word.p + 1, word.n - 1};
    for (size_t i = 0; i < word.n; i++)
        if (word.p[i] < '0' || word.p[i] > '9')
            return false;
    return word.n > sizeof most - 1 || (word.n == sizeof most - 1 && memcmp(word.p, most, word.n) > 0);
}

static void copy_word(struct scan *s)
{
    size_t begin = s->at;
    while (s->at < s->text.n && is_word(s->text.p[s->at]))
        s->at++;
    struct span word = {s->text.p + begin, s->at - begin};
    s->memory += VALUE_BYTES;
    if (span_is(word, "NaN"))
        buffer_add_text(&s->out, "null");
    else if (span_is(word, "Infinity"))
        buffer_add_text(&s->out, INFINITE_TEXT);
    else if (span_is(word, "-Infinity"))
        buffer_add_text(&s->out, "-" INFINITE_TEXT);
    else
        buffer_add_span(&s->out, word);
    if (is_long_integer(word))
        buffer_add_text(&s->out, ".0");
}

static void copy_sign(struct scan *s)
{
    char c = s->text.p[s->at++];
    buffer_add(&s->out, &c, 1);
    s->memory += c == '{' ? OBJECT_BYTES : c == '[' ? ARRAY_BYTES : c == ':' ? KEY_BYTES : 0;
    if (c == '{' || c == '[')
        s->depth++;
    else if (c == '}' || c == ']')
        s->depth -= s->depth > 0;
    s->deepest = s->depth > s->deepest ? s->depth : s->deepest;
}

static void look_over(struct scan *s)
{
    while (s->at < s->text.n && !s->out.failed) {
        char c = s->text.p[s->at];
        if (c == '"')
            copy_string(s);
        else if (is_word(c))
            copy_word(s);
        else
            copy_sign(s);
    }
}

/* ---- reading ---- */

static andiron_status hand_over(json_t **out, const struct scan *s, const char *name, const struct json_limits *limits,
                                andiron_error *error)
{
    json_error_t e = {0};
    if (s->out.failed)
        return error_memory(error, s->text.n, name);
    if (s->deepest > limits->max_depth)
        return error_set(error, ANDIRON_E_FORMAT, "%s: is nested %zu deep; at most %zu is read", name, s->deepest,
                         limits->max_depth);
    if (s->memory > limits->max_memory || s->memory > memory_available_bytes())
        return error_set(error, ANDIRON_E_MEMORY,
                         "%s: its values would take about %zu MiB of memory, more than allowed", name, s->memory >> 20);
    *out = json_loadb(s->out.data ? s->out.data : "", s->out.n,
                      JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_ANY, &e);
    if (*out)
        return ANDIRON_OK;
    if (json_error_code(&e) == json_error_out_of_memory)
        return error_memory(error, s->memory, name);
    return error_set(error, ANDIRON_E_FORMAT, "%s: is no valid JSON: line %d, column %d: %s", name, e.line, e.column,
                     e.text);
}

andiron_status json_read(json_t **out, struct span text, const char *name, const struct json_limits *limits,
                         andiron_error *error)
{
    *out = NULL;
    if (text.n > limits->max_bytes)
        return error_set(error, ANDIRON_E_FORMAT, "%s: has %zu MiB; at most %zu MiB are read", name, text.n >> 20,
                         limits->max_bytes >> 20);
    struct scan s = {.text = text};
    buffer_init(&s.out, text.n * 3 + 64);
    look_over(&s);
    andiron_status status = hand_over(out, &s, name, limits, error);
    buffer_reset(&s.out);
    return status;
}

/* ---- asking ---- */

/* The item of an array that a part of a path names, or NULL. */
static const json_t *item_of(const json_t *array, struct span part)
{
    size_t i = 0;
    if (part.n == 0 || part.n > 9)
        return NULL;
    for (size_t k = 0; k < part.n; k++) {
        if (part.p[k] < '0' || part.p[k] > '9')
            return NULL;
        i = i * 10 + (size_t)(part.p[k] - '0');
    }
    return json_array_get(array, i);
}

const json_t *json_at(const json_t *root, const char *path)
{
    while (root && *path) {
        size_t n = strcspn(path, ".");
        root = json_is_array(root) ? item_of(root, (struct span){path, n}) : json_object_getn(root, path, n);
        path += n + (path[n] == '.');
    }
    return root;
}

bool json_at_u64(const json_t *root, const char *path, uint64_t *out)
{
    const json_t *v = json_at(root, path);
    if (!json_is_integer(v) || json_integer_value(v) < 0)
        return false;
    *out = (uint64_t)json_integer_value(v);
    return true;
}

bool json_at_f64(const json_t *root, const char *path, double *out)
{
    const json_t *v = json_at(root, path);
    if (!json_is_number(v))
        return false;
    double x = json_number_value(v);
    *out = x >= infinite ? (double)INFINITY : x <= -infinite ? -(double)INFINITY : x;
    return true;
}

bool json_at_bool(const json_t *root, const char *path, bool *out)
{
    const json_t *v = json_at(root, path);
    if (!json_is_boolean(v))
        return false;
    *out = json_is_true(v);
    return true;
}

bool json_at_text(const json_t *root, const char *path, struct span *out)
{
    const json_t *v = json_at(root, path);
    if (!json_is_string(v))
        return false;
    *out = (struct span){json_string_value(v), json_string_length(v)};
    return true;
}
