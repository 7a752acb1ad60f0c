/* hf_model.c - Hugging Face's dialect of a model: what config.json says as metadata. Tensors: hf_weights.c. */
#include "base/alloc.h"
#include "base/error.h"
#include "base/memory.h"
#include "engine/hf_internal.h"
#include "kernels/math.h"
#include "text/tokenizer_hf.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { HEADER_MAX = 64 << 20, TEMPLATE_MAX = 4 << 20, PATH_MAX_BYTES = 160, LAYERS_MAX = 4096 };

static const struct hf_kind kinds[] = {
#define MODEL(type, arch, act, flags) {type, arch, act, flags},
#define KEY(path, key, kind)
#define TENSOR(from, to)
#define LAYER(from, to)
#define EXPERT(before, after, to)
#include "engine/hf_names.def"
#undef MODEL
#undef KEY
};

static const struct {
    const char *path, *key;
    enum gguf_value_type type;
} keys[] = {
#define MODEL(type, arch, act, flags)
#define KEY(path, key, kind) {path, key, GGUF_##kind},
#include "engine/hf_names.def"
#undef MODEL
#undef KEY
#undef TENSOR
#undef LAYER
#undef EXPERT
};

/* ---- metadata as a GGUF file has it ---- */

static void put(struct hf_model *m, const void *p, size_t n) { m->full = m->full || !buffer_add(&m->header, p, n); }

static void put_number(struct hf_model *m, uint64_t x, size_t n) { put(m, &x, n); } /* little-endian machines */

static void put_text(struct hf_model *m, struct span text)
{
    put_number(m, text.n, 8);
    put(m, text.p, text.n);
}

/* Begin a value; "general.x" and "tokenizer.x" are whole keys, others the architecture's. */
static void put_key(struct hf_model *m, const char *key, enum gguf_value_type type)
{
    char full[256];
    bool whole = !strncmp(key, "general.", 8) || !strncmp(key, "tokenizer.", 10);
    snprintf(full, sizeof full, "%s%s%s", whole ? "" : m->kind->architecture, whole ? "" : ".", key);
    put_text(m, span_of(full));
    put_number(m, type, 4);
    m->n_values++;
}

static void put_u32(struct hf_model *m, const char *key, uint64_t x)
{
    put_key(m, key, GGUF_U32);
    put_number(m, x, 4);
}

static void put_f64(struct hf_model *m, const char *key, double x)
{
    put_key(m, key, GGUF_F64);
    put(m, &x, sizeof x);
}

static void put_string(struct hf_model *m, const char *key, struct span text)
{
    put_key(m, key, GGUF_STRING);
    put_text(m, text);
}

/* ---- config.json ---- */

static andiron_status wrong(const struct hf_model *m, const char *what, andiron_error *error)
{
    return error_set(error, ANDIRON_E_SUPPORT, "%s: config.json: %s", hf_path(m->dir), what);
}

/* A number by the first of two paths that has one. */
static bool number_at(const struct hf_model *m, const char *path, const char *or_path, double *out)
{
    return json_at_f64(hf_config(m->dir), path, out) || (or_path && json_at_f64(hf_config(m->dir), or_path, out));
}

static andiron_status find_kind(struct hf_model *m, andiron_error *error)
{
    struct span type = {0}, act = {0};
    const json_t *config = hf_config(m->dir);
    if (!json_at_text(config, "model_type", &type))
        return wrong(m, "expected model_type, got none", error);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds && !m->kind; i++)
        if (span_is(type, kinds[i].model_type))
            m->kind = &kinds[i];
    if (!m->kind)
        return error_set(
            error, ANDIRON_E_SUPPORT,
            "%s: config.json: the model_type \"%.*s\" is not known here; convert the folder to a GGUF file",
            hf_path(m->dir), (int)(type.n < 80 ? type.n : 80), type.p);
    if (!json_at_text(config, "hidden_activation", &act))
        json_at_text(config, "hidden_act", &act);
    if (act.n && !span_is(act, m->kind->act))
        return error_set(error, ANDIRON_E_SUPPORT, "%s: config.json: expected hidden_act to be %s, got \"%.*s\"",
                         hf_path(m->dir), m->kind->act, (int)(act.n < 80 ? act.n : 80), act.p);
    return hf_packing_read(m, error);
}

static andiron_status put_keys(struct hf_model *m, andiron_error *error)
{
    char what[160];
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        uint64_t n;
        double x;
        if (keys[i].type == GGUF_F32) {
            if (json_at_f64(hf_config(m->dir), keys[i].path, &x))
                put_f64(m, keys[i].key, x);
        } else if (keys[i].type == GGUF_BOOL) {
            bool yes;
            if (json_at_bool(hf_config(m->dir), keys[i].path, &yes))
                put_u32(m, keys[i].key, yes);
        } else if (json_at_u64(hf_config(m->dir), keys[i].path, &n)) {
            snprintf(what, sizeof what, "expected %s to be below 2^31, got %" PRIu64, keys[i].path, n);
            if (n > INT32_MAX)
                return wrong(m, what, error);
            put_u32(m, keys[i].key, n);
        }
    }
    return ANDIRON_OK;
}

/* Experts in groups; a topk_method of "greedy" has none. */
static andiron_status put_groups(struct hf_model *m, andiron_error *error)
{
    struct span method = span_of("noaux_tc");
    uint64_t n = 0, used = 0;
    json_at_text(hf_config(m->dir), "topk_method", &method);
    if (span_is(method, "greedy") || !json_at_u64(hf_config(m->dir), "n_group", &n) || n <= 1)
        return ANDIRON_OK;
    if (!span_is(method, "noaux_tc"))
        return wrong(m, "expected a topk_method of greedy or noaux_tc", error);
    json_at_u64(hf_config(m->dir), "topk_group", &used);
    if (n > UINT16_MAX || used > UINT16_MAX)
        return wrong(m, "expected n_group and topk_group to be below 65536", error);
    put_u32(m, "expert_group_count", n);
    put_u32(m, "expert_group_used_count", used);
    return ANDIRON_OK;
}

/* A list's items as 0 or 1. */
static void put_list(struct hf_model *m, const char *key, const json_t *list, const char *yes)
{
    const size_t n = json_array_size(list);
    put_key(m, key, GGUF_ARRAY);
    put_number(m, GGUF_U32, 4);
    put_number(m, n, 8);
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(list, i);
        bool is = json_is_string(item) ? yes && !strcmp(json_string_value(item), yes)
                                       : json_is_true(item) || (json_is_integer(item) && json_integer_value(item) != 0);
        put_number(m, is, 4);
    }
}

static void put_layers(struct hf_model *m)
{
    const json_t *config = hf_config(m->dir), *types = json_at(config, "layer_types"),
                 *rope = json_at(config, "no_rope_layers"); /* 1: has it, in spite of the name */
    uint64_t window;
    bool used = true;
    double scalar;
    json_at_bool(config, "use_sliding_window", &used);
    if (used && json_at_u64(config, "sliding_window", &window) && window <= INT32_MAX)
        put_u32(m, "attention.sliding_window", window);
    if (json_is_array(types) && json_array_size(types) <= LAYERS_MAX)
        put_list(m, "attention.sliding_window_pattern", types, "sliding_attention");
    else if (m->kind->flags & HF_WINDOWED)
        put_u32(m, "attention.sliding_window_pattern", 1);
    if (json_is_array(rope) && json_array_size(rope) <= LAYERS_MAX)
        put_list(m, "rope.layers", rope, NULL);
    if (json_at_f64(config, "kv_lora_rank", &scalar))
        put_f64(m, "attention.latent_epsilon", 1e-6); /* what Transformers has, whatever rms_norm_eps is */
    if (m->kind->flags & HF_SIGMOID)
        put_u32(m, "expert_gating_func", 2);
    if (number_at(m, "query_pre_attn_scalar", NULL, &scalar) && scalar > 0)
        put_f64(m, "attention.scale", 1 / __builtin_sqrt(scalar));
}

/* ---- rotary positions ---- */

/* A number of the rope's parameters, wherever this version of the format keeps them. */
static bool rope_number(const struct hf_model *m, const char *name, double *out)
{
    static const char *const places[] = {"rope_parameters.full_attention.", "rope_parameters.", "rope_scaling."};
    char path[PATH_MAX_BYTES];
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s%s", places[i], name);
        if (json_at_f64(hf_config(m->dir), path, out))
            return true;
    }
    return false;
}

static struct span rope_type(const struct hf_model *m)
{
    static const char *const places[] = {"rope_parameters.full_attention.rope_type", "rope_parameters.rope_type",
                                         "rope_scaling.rope_type", "rope_scaling.type"};
    struct span type = span_of("default");
    for (size_t i = 0; i < 4; i++)
        if (json_at_text(hf_config(m->dir), places[i], &type))
            break;
    return type;
}

static bool head_size(const struct hf_model *m, double *out)
{
    double width = 0, heads = 0;
    if (number_at(m, "head_dim", NULL, out))
        return true;
    if (!number_at(m, "hidden_size", NULL, &width) || !number_at(m, "num_attention_heads", NULL, &heads) || heads < 1)
        return false;
    *out = width / heads;
    return true;
}

/* Llama 3.1's divisors of frequencies: long waves by the factor, short ones by 1, those between in between. */
static andiron_status put_llama3(struct hf_model *m, double base, double factor, andiron_error *error)
{
    double low = 1, high = 4, original = 8192, size = 0;
    rope_number(m, "low_freq_factor", &low);
    rope_number(m, "high_freq_factor", &high);
    rope_number(m, "original_max_position_embeddings", &original);
    head_size(m, &size);
    if (!(size >= 2 && size <= 4096 && high > low && low > 0 && base > 0))
        return wrong(m, "expected a head_dim, low_freq_factor and high_freq_factor that llama3's RoPE can use", error);
    const size_t n = (size_t)size / 2;
    float *factors = hf_add_vector(m, "rope_freqs.weight", n);
    if (!factors)
        return error_memory(error, n * sizeof *factors, "the factors of RoPE");
    for (size_t i = 0; i < n; i++) {
        const double waves = original * math_pow(base, -(double)(2 * i) / size) / (2 * 3.14159265358979323846);
        const double share = (waves - low) / (high - low);
        factors[i] = (float)(waves > high ? 1 : waves < low ? factor : 1 / ((1 - share) / factor + share));
    }
    return ANDIRON_OK;
}

/* What makes positions of longer texts fit: a factor, and YaRN's numbers. */
static andiron_status put_stretch(struct hf_model *m, double base, struct span type, andiron_error *error)
{
    double factor = 0, x;
    const bool yarn = span_is(type, "yarn");
    if (!rope_number(m, "factor", &factor) || !(factor > 0))
        return wrong(m, "expected rope_parameters.factor to be above 0", error);
    if (span_is(type, "llama3"))
        return put_llama3(m, base, factor, error);
    if (!yarn && !span_is(type, "linear"))
        return wrong(m, "expected a rope_type of default, linear, yarn or llama3", error);
    put_string(m, "rope.scaling.type", type);
    put_f64(m, "rope.scaling.factor", factor);
    if (rope_number(m, "original_max_position_embeddings", &x) && x >= 1 && x <= INT32_MAX)
        put_u32(m, "rope.scaling.original_context_length", (uint64_t)x);
    if (rope_number(m, "beta_fast", &x))
        put_f64(m, "rope.scaling.yarn_beta_fast", x);
    if (rope_number(m, "beta_slow", &x))
        put_f64(m, "rope.scaling.yarn_beta_slow", x);
    if (yarn && rope_number(m, "attention_factor", &x))
        put_f64(m, "rope.scaling.attn_factor", x / (1 + 0.1 * math_log(factor < 1 ? 1 : factor)));
    return ANDIRON_OK;
}

static andiron_status put_rope(struct hf_model *m, andiron_error *error)
{
    double base = 10000, part = 1, local, size;
    const struct span type = rope_type(m);
    if (rope_number(m, "rope_theta", &base) || number_at(m, "rope_theta", NULL, &base))
        put_f64(m, "rope.freq_base", base);
    if (number_at(m, "rope_parameters.sliding_attention.rope_theta", "rope_local_base_freq", &local))
        put_f64(m, "rope.freq_base_swa", local);
    if (!rope_number(m, "partial_rotary_factor", &part))
        number_at(m, "partial_rotary_factor", NULL, &part);
    if (part > 0 && part < 1 && head_size(m, &size) && size <= 65536)
        put_u32(m, "rope.dimension_count", (uint64_t)(part * size));
    if (m->kind->flags & HF_NEOX)
        put_string(m, "rope.style", span_of("halves"));
    return span_is(type, "default") ? ANDIRON_OK : put_stretch(m, base, type, error);
}

/* ---- the whole ---- */

/* How sentence-transformers make one vector of an encoder's rows. */
static andiron_status put_pooling(struct hf_model *m, andiron_error *error)
{
    static const char *const modes[] = {NULL, "pooling_mode_mean_tokens", "pooling_mode_cls_token",
                                        "pooling_mode_lasttoken"};
    json_t *config = NULL;
    andiron_status s = m->kind->flags & HF_ENCODER ? hf_read_json(m->dir, "1_Pooling/config.json", &config, error)
                                                   : ANDIRON_OK;
    for (uint32_t i = 1; config && i < 4; i++) {
        bool is = false;
        if (json_at_bool(config, modes[i], &is) && is) {
            put_u32(m, "pooling_type", i);
            break;
        }
    }
    json_decref(config);
    return s;
}

static andiron_status put_template(struct hf_model *m, andiron_error *error)
{
    struct buffer text;
    struct span given;
    bool found = false;
    json_t *config = NULL;
    buffer_init(&text, TEMPLATE_MAX);
    andiron_status s = hf_read_text(m->dir, "chat_template.jinja", &text, &found, error);
    if (!s && !found)
        s = hf_read_json(m->dir, "tokenizer_config.json", &config, error);
    if (!s && found)
        put_string(m, "tokenizer.chat_template", buffer_span(&text));
    else if (!s && config && json_at_text(config, "chat_template", &given))
        put_string(m, "tokenizer.chat_template", given);
    json_decref(config);
    buffer_reset(&text);
    return s;
}

static andiron_status put_all(struct hf_model *m, andiron_error *error)
{
    const char *slash = strrchr(hf_path(m->dir), '/');
    put(m, "GGUF\3\0\0", 8);
    put_number(m, 0, 8); /* tensors stand elsewhere */
    put_number(m, 0, 8); /* n_values, below */
    put_string(m, "general.architecture", span_of(m->kind->architecture));
    put_string(m, "general.name", span_of(slash && slash[1] ? slash + 1 : hf_path(m->dir)));
    put_layers(m);
    andiron_status s = put_keys(m, error);
    if (!s)
        s = put_groups(m, error);
    if (!s)
        s = put_rope(m, error);
    if (!s)
        s = put_template(m, error);
    if (!s)
        s = put_pooling(m, error);
    if (s)
        return s;
    if (m->full)
        return error_memory(error, m->header.n, "a model's metadata");
    memcpy(m->header.data + 16, &m->n_values, 8);
    return ANDIRON_OK;
}

andiron_status hf_model_open(struct hf_model **out, const char *path, bool with_weights, andiron_error *error)
{
    struct hf_model *m = *out = alloc_zeroed(1, sizeof *m);
    if (!m)
        return error_memory(error, sizeof *m, "a model");
    arena_init(&m->arena, memory_available_bytes());
    buffer_init(&m->header, HEADER_MAX);
    andiron_status s = hf_dir_open(&m->dir, path, with_weights, error);
    if (!s)
        s = find_kind(m, error);
    if (!s)
        s = hf_take_weights(m, error);
    hf_packing_done(m);
    if (!s)
        s = put_all(m, error);
    if (s) {
        hf_model_close(m);
        *out = NULL;
    }
    return s;
}

void hf_model_close(struct hf_model *m)
{
    if (!m)
        return;
    hf_dir_close(m->dir);
    buffer_reset(&m->header);
    arena_reset(&m->arena);
    alloc_free(m);
}

andiron_status hf_model_file(struct hf_model *m, struct gguf **out, andiron_error *error)
{
    return gguf_open_made(out, hf_path(m->dir), buffer_span(&m->header), m->tensors, m->n_tensors,
                          hf_file_bytes(m->dir), error);
}

andiron_status hf_model_tokenizer(const struct hf_model *m, struct tokenizer **out, andiron_error *error)
{
    static const char *const names[] = {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
                                        "generation_config.json"};
    json_t *read[4] = {0};
    andiron_status s = ANDIRON_OK;
    *out = NULL;
    for (size_t i = 0; i < 4 && !s; i++)
        s = hf_read_json(m->dir, names[i], &read[i], error);
    if (!s && read[0])
        s = tokenizer_hf_open(out, &(struct tokenizer_hf_source){read[0], read[1], read[2], read[3], hf_config(m->dir)},
                              error);
    for (size_t i = 0; i < 4; i++)
        json_decref(read[i]);
    return s;
}
