/* hf_rope.c - what config.json says of positions, and of heads that differ by layer. */
#include "base/error.h"
#include "engine/hf_internal.h"
#include "kernels/math.h"
#include <stdio.h>
#include <string.h>

enum { PATH_MAX_BYTES = 160, N_PLACES = 4 };

static const char *const places[N_PLACES] = {"rope_scaling.", "rope_parameters.full_attention.",
                                             "rope_parameters.compress.", "rope_parameters."};

/* Ropes for each kind of layers. */
static bool is_nested(const struct hf_model *m)
{
    return json_is_object(json_at(m->config, "rope_parameters.full_attention")) ||
           json_is_object(json_at(m->config, "rope_parameters.sliding_attention"));
}

/* The older rope_scaling stands for all that rope_parameters has, but where these differ by layer. */
static size_t n_places(const struct hf_model *m)
{
    return json_object_size(json_at(m->config, "rope_scaling")) > 0 && !is_nested(m) ? 1 : N_PLACES;
}

/* A number of the rope's parameters, wherever this version of the format keeps them. */
static bool rope_number(const struct hf_model *m, const char *name, double *out)
{
    char path[PATH_MAX_BYTES];
    for (size_t i = 0; i < n_places(m); i++) {
        snprintf(path, sizeof path, "%s%s", places[i], name);
        if (json_at_f64(m->config, path, out))
            return true;
    }
    return false;
}

/* A list of them; NULL: there is none. */
static const json_t *rope_list(const struct hf_model *m, const char *name)
{
    char path[PATH_MAX_BYTES];
    const json_t *list = NULL;
    for (size_t i = 0; i < n_places(m) && !json_is_array(list); i++) {
        snprintf(path, sizeof path, "%s%s", places[i], name);
        list = json_at(m->config, path);
    }
    return json_is_array(list) ? list : NULL;
}

static struct span rope_type(const struct hf_model *m)
{
    char path[PATH_MAX_BYTES];
    struct span type = span_of("default");
    bool found = false;
    for (size_t i = 0; i < 2 * n_places(m) && !found; i++) { /* "type" is the older word */
        snprintf(path, sizeof path, "%s%s", places[i / 2], i % 2 ? "type" : "rope_type");
        found = json_at_text(m->config, path, &type);
    }
    return span_is(type, "su") ? span_of("longrope") : type; /* as Phi 3 was first published */
}

static bool head_size(const struct hf_model *m, double *out)
{
    double width = 0;
    uint64_t heads, n_kv;
    if (hf_number_at(m, "qk_rope_head_dim", "head_dim", out) || hf_said(m, "attention.key_length", out))
        return true;
    if (!hf_number_at(m, "hidden_size", "d_model", &width) || !hf_heads(m, &heads, &n_kv))
        return false;
    *out = width / (double)heads;
    return true;
}

/* How long texts were at first, where a stretch asks: config.json's own word goes before its ropes', except where these
 * differ by layer. 0: it does not say. */
static double original_length(const struct hf_model *m)
{
    static const char key[] = "original_max_position_embeddings";
    double n = 0;
    if (!(!is_nested(m) && hf_number_at(m, key, NULL, &n)) && !rope_number(m, key, &n))
        hf_number_at(m, "max_position_embeddings", NULL, &n);
    return n;
}

/* How many numbers of a head turn, 0 where config.json does not say. */
static double turning(const struct hf_model *m)
{
    double part = 1, size = 0;
    if (!rope_number(m, "partial_rotary_factor", &part) &&
        !hf_number_at(m, "partial_rotary_factor", "rotary_pct", &part))
        hf_said(m, "rope.part", &part);
    if (!head_size(m, &size) || !(size >= 0 && size <= 65536))
        return 0;
    return (m->folder.words & ARCH_PART_TURNS) && part > 0 && part < 1 ? (double)(uint32_t)(part * size) : size;
}

/* RoPE of global layers over whole heads, of which only the first part turns. */
static andiron_status put_proportional(struct hf_model *m, uint64_t size, andiron_error *error)
{
    double part = 1, by = 1;
    json_at_f64(m->config, "rope_parameters.full_attention.partial_rotary_factor", &part);
    json_at_f64(m->config, "rope_parameters.full_attention.factor", &by);
    if (size < 2)
        return ANDIRON_OK;
    if (!(part >= 0 && part <= 1 && by > 0))
        return hf_wrong(m, "expected a partial_rotary_factor from 0 to 1, and a factor above 0", error);
    float *factors = hf_add_vector(m, "rope_freqs.weight", size / 2);
    if (!factors)
        return error_memory(error, size * 2, "the factors of RoPE");
    for (size_t i = 0; i < size / 2; i++)
        factors[i] = i < (size_t)(part * (double)size / 2) ? (float)by : 1e30f;
    return ANDIRON_OK;
}

static bool is_global(const struct hf_model *m, size_t i)
{
    const json_t *type = json_array_get(json_at(m->config, "layer_types"), i);
    return json_is_string(type) && !strcmp(json_string_value(type), "full_attention");
}

/* A number of layer i: its own, or by the name that global layers have, or that of all. */
static uint64_t of_layer(const struct hf_model *m, size_t i, const char *global, const char *name)
{
    char path[PATH_MAX_BYTES];
    uint64_t n = 0;
    const json_t *config = m->config;
    snprintf(path, sizeof path, "per_layer_config.%zu.%s", i, name);
    if (!json_at_u64(config, path, &n) && !(global && is_global(m, i) && json_at_u64(config, global, &n)))
        json_at_u64(config, name, &n);
    return n;
}

static void put_sizes(struct hf_model *m, uint64_t local, uint64_t global)
{
    hf_put_u32(m, "attention.key_length", global);
    hf_put_u32(m, "attention.value_length", global);
    hf_put_u32(m, "attention.key_length_swa", local);
    hf_put_u32(m, "attention.value_length_swa", local);
    hf_put_u32(m, "rope.dimension_count_swa", local);
}

/* Heads of one size in global layers and of another in the rest. */
andiron_status hf_put_heads(struct hf_model *m, andiron_error *error)
{
    const size_t n = json_array_size(json_at(m->config, "layer_types"));
    uint64_t sizes[2] = {0}; /* local, global */
    bool same = true, kv_too = false;
    if (!(m->folder.words & ARCH_TWO_HEAD_SIZES))
        return ANDIRON_OK;
    if (n == 0 || n > HF_LAYERS_MAX || !span_is(rope_type(m), "proportional"))
        return hf_wrong(m, "expected layer_types, and a rope_type of proportional for full_attention", error);
    hf_truth(m, "attention_k_eq_v", &kv_too);
    hf_put_array(m, "attention.head_count_kv", GGUF_U32, n);
    for (size_t i = 0; i < n; i++) {
        uint64_t *size = &sizes[is_global(m, i)], before = *size;
        const uint64_t kv = of_layer(m, i, kv_too ? "num_global_key_value_heads" : NULL, "num_key_value_heads");
        *size = of_layer(m, i, "global_head_dim", "head_dim");
        same = same && *size > 0 && *size <= UINT16_MAX && kv <= UINT16_MAX && (before == 0 || before == *size);
        hf_put_number(m, kv, 4);
    }
    if (!same)
        return hf_wrong(m, "expected heads of one size in all layers of a kind", error);
    put_sizes(m, sizes[0] ? sizes[0] : sizes[1], sizes[1] ? sizes[1] : sizes[0]);
    return put_proportional(m, sizes[1], error);
}

/* Llama 3.1's divisors of frequencies: long waves by the factor, short ones by 1, those between in between. */
static andiron_status put_llama3(struct hf_model *m, double base, double factor, andiron_error *error)
{
    const double size = turning(m), original = original_length(m);
    double low = 1, high = 4;
    rope_number(m, "low_freq_factor", &low);
    rope_number(m, "high_freq_factor", &high);
    if (!(size >= 2 && size <= 4096 && high >= low && low > 0 && base > 0))
        return hf_wrong(m, "expected a head_dim, low_freq_factor and high_freq_factor that llama3's RoPE can use",
                        error);
    const size_t n = (size_t)size / 2;
    float *factors = hf_add_vector(m, "rope_freqs.weight", n);
    if (!factors)
        return error_memory(error, n * sizeof *factors, "the factors of RoPE");
    for (size_t i = 0; i < n; i++) {
        const double waves = original * math_pow(base, -(double)(2 * i) / size) / (2 * 3.14159265358979323846);
        const double share = (waves - low) / (high - low);
        factors[i] = (float)(waves >= high ? 1 : waves < low ? factor : 1 / ((1 - share) / factor + share));
    }
    return ANDIRON_OK;
}

bool hf_is_latent(const struct hf_model *m)
{
    double epsilon;
    return hf_said(m, "attention.latent_epsilon", &epsilon);
}

/* YaRN's factor of queries and keys, where it is not the usual one. */
static void put_magnitude(struct hf_model *m, double usual)
{
    double x, of_all = 0, over = usual - 1, to = usual, given = usual;
    const bool latent = hf_is_latent(m), all = rope_number(m, "mscale_all_dim", &of_all),
               both = rope_number(m, "mscale", &x) && x != 0 && all && of_all != 0;
    if (both)
        to = (1 + x * over) / (1 + of_all * over);
    rope_number(m, "attention_factor", &to);
    if (latent && of_all != 0) { /* attention's scale has it */
        hf_put_f64(m, "rope.scaling.yarn_log_multiplier", 0.1 * of_all);
        given = 1;
    }
    if (to != given)
        hf_put_f64(m, "rope.scaling.attn_factor", to / given);
}

/* Are YaRN's bounds between long and short waves whole numbers? */
static bool bounds_whole(const struct hf_model *m)
{
    bool whole = true;
    if (!hf_truth(m, "rope_scaling.truncate", &whole) && n_places(m) > 1)
        hf_truth(m, "rope_parameters.truncate", &whole);
    return whole;
}

/* A factor, and YaRN's numbers. */
static void put_factor(struct hf_model *m, struct span type, double factor)
{
    double x = original_length(m);
    hf_put_string(m, "rope.scaling.type", type);
    hf_put_f64(m, "rope.scaling.factor", factor);
    if (x >= 1 && x <= INT32_MAX)
        hf_put_u32(m, "rope.scaling.original_context_length", (uint64_t)x);
    if (rope_number(m, "beta_fast", &x))
        hf_put_f64(m, "rope.scaling.yarn_beta_fast", x);
    if (rope_number(m, "beta_slow", &x))
        hf_put_f64(m, "rope.scaling.yarn_beta_slow", x);
    x = 1 + 0.1 * math_log(factor < 1 ? 1 : factor);
    if (!span_is(type, "yarn"))
        return;
    put_magnitude(m, x);
    if (!bounds_whole(m))
        hf_put_u32(m, "rope.scaling.yarn_truncate", 0);
}

/* Divisors of frequencies by their list. */
static andiron_status put_divisors(struct hf_model *m, const char *list_name, const char *name, andiron_error *error)
{
    const json_t *list = rope_list(m, list_name);
    const size_t n = json_array_size(list);
    if (n == 0 || 2 * n != (size_t)turning(m))
        return hf_wrong(m, "expected short_factor and long_factor with a number for each two that turn", error);
    float *factors = hf_add_vector(m, name, n);
    if (!factors)
        return error_memory(error, n * sizeof *factors, "the factors of RoPE");
    for (size_t i = 0; i < n; i++) {
        factors[i] = (float)json_number_value(json_array_get(list, i));
        if (!(factors[i] > 0 && factors[i] < 1e30f))
            return hf_wrong(m, "expected short_factor and long_factor to hold numbers above 0", error);
    }
    return ANDIRON_OK;
}

/* LongRoPE (Ding et al. 2024): divisors for contexts as trained at first, and for longer ones. */
static andiron_status put_longrope(struct hf_model *m, andiron_error *error)
{
    const double original = original_length(m);
    double longest = 0, factor, by, of_long;
    hf_number_at(m, "max_position_embeddings", NULL, &longest);
    if (!(original > 1 && original <= INT32_MAX))
        return hf_wrong(m, "expected original_max_position_embeddings to be above 1", error);
    if (!rope_number(m, "factor", &factor))
        factor = longest / original;
    by = factor > 1 ? __builtin_sqrt(1 + math_log(factor) / math_log(original)) : 1;
    rope_number(m, "attention_factor", &by);
    if (rope_number(m, "short_mscale", &by) && !(rope_number(m, "long_mscale", &of_long) && of_long == by))
        return hf_wrong(m, "a longrope whose long_mscale is another than its short_mscale is not covered", error);
    hf_put_f64(m, "rope.scaling.attn_factor", by);
    hf_put_u32(m, "rope.scaling.original_context_length", (uint64_t)original);
    hf_put_string(m, "rope.scaling.type", span_of("longrope"));
    const andiron_status s = put_divisors(m, "short_factor", "rope_factors_short.weight", error);
    return s ? s : put_divisors(m, "long_factor", "rope_factors_long.weight", error);
}

/* What makes positions of longer texts fit. */
static andiron_status put_stretch(struct hf_model *m, double base, struct span type, andiron_error *error)
{
    double factor = 0;
    if (span_is(type, "proportional") && (m->folder.words & ARCH_TWO_HEAD_SIZES))
        return ANDIRON_OK; /* put_proportional */
    if (span_is(type, "dynamic"))
        return ANDIRON_OK; /* other frequencies only beyond the model's context */
    if (span_is(type, "longrope"))
        return put_longrope(m, error);
    if (!rope_number(m, "factor", &factor) || !(factor > 0))
        return hf_wrong(m, "expected rope_parameters.factor to be above 0", error);
    if (span_is(type, "llama3"))
        return put_llama3(m, base, factor, error);
    if (!span_is(type, "yarn") && !span_is(type, "linear"))
        return hf_wrong(m, "expected a rope_type of default, linear, dynamic, yarn, longrope or llama3", error);
    put_factor(m, type, factor);
    return ANDIRON_OK;
}

/* Layers without positions, unless a word asks for them. */
static void put_rope_word(struct hf_model *m)
{
    struct span word = {0};
    if ((m->folder.words & ARCH_ROPE_IF_SAID) &&
        !(json_at_text(m->config, "position_embedding_type", &word) && span_is(word, "rope")))
        hf_put_u32(m, "rope.scaling.finetuned", 0);
}

/* The last of an odd number of numbers turns with one more, at frequencies that are powers by the odd number. */
static bool is_odd(const struct hf_model *m, double dims)
{
    const struct span type = rope_type(m);
    return (uint64_t)dims % 2 == 1 && (span_is(type, "default") || span_is(type, "linear") || span_is(type, "dynamic"));
}

static void put_dimensions(struct hf_model *m)
{
    double size = 0, dims = turning(m);
    if (hf_number_at(m, "qk_rope_head_dim", NULL, &size)) /* a KEY line's */
        return;
    head_size(m, &size);
    if (dims >= 1 && dims < size && !(m->folder.words & ARCH_TWO_HEAD_SIZES))
        hf_put_u32(m, "rope.dimension_count", (uint64_t)dims + is_odd(m, dims));
}

/* The base of frequencies; an alpha stretches it for good, whatever the type is called. */
static bool rope_base(const struct hf_model *m, double *base)
{
    const double size = turning(m);
    double alpha;
    const bool given = json_at_f64(m->config, "rope_parameters.main.rope_theta", base) ||
                       rope_number(m, "rope_theta", base) || hf_number_at(m, "rope_theta", "rotary_emb_base", base) ||
                       hf_number_at(m, "global_rope_theta", NULL, base) || hf_said(m, "rope.freq_base", base);
    if (is_odd(m, size))
        *base = math_pow(*base, (size + 1) / size);
    if (!span_is(rope_type(m), "dynamic") || !rope_number(m, "alpha", &alpha) || !(alpha > 0) || size <= 2)
        return given || is_odd(m, size);
    *base *= math_pow(alpha, size / (size - 2));
    return true;
}

/* The base of frequencies of layers that see a window only, where it is said apart. */
static bool local_base(const struct hf_model *m, double *base)
{
    if (hf_number_at(m, "rope_parameters.sliding_attention.rope_theta", "rope_local_base_freq", base) ||
        hf_number_at(m, "local_rope_theta", "swa_rope_theta", base) || hf_said(m, "rope.freq_base_swa", base))
        return *base > 0;
    *base = 10000;
    if (!hf_number_at(m, "rope_theta", NULL, base))
        hf_said(m, "rope.freq_base", base);
    return is_nested(m);
}

/* How many numbers of a head turn in layers that see a window only, where that is said apart; 0: it is not. */
static double local_turning(const struct hf_model *m)
{
    double size = 0, part = 1;
    if (!json_at_f64(m->config, "rope_parameters.sliding_attention.partial_rotary_factor", &part))
        hf_said(m, "rope.part", &part);
    const bool said = (m->folder.words & ARCH_PART_TURNS) && json_at(m->config, "rope_parameters.sliding_attention");
    return said && part > 0 && part <= 1 && head_size(m, &size) && size >= 1 && size <= 65536
               ? (double)(uint32_t)(part * size)
               : 0;
}

/* RoPE of layers that see a window only: never stretched. */
static andiron_status put_local(struct hf_model *m, andiron_error *error)
{
    double base;
    struct span type = span_of("default");
    if (!json_at_text(m->config, "rope_parameters.sliding_attention.rope_type", &type))
        json_at_text(m->config, "rope_parameters.sliding_attention.type", &type);
    if (!span_is(type, "default") && !span_is(type, "dynamic"))
        return hf_wrong(m, "expected a rope_type of default or dynamic for sliding_attention", error);
    if (json_is_null(json_at(m->config, "rope_parameters.sliding_attention")))
        return hf_wrong(m, "a null in rope_parameters for sliding_attention is not covered", error);
    const double own = local_turning(m), dims = own >= 1 ? own : turning(m);
    const bool odd = is_odd(m, dims);
    if (own >= 1)
        hf_put_u32(m, "rope.dimension_count_swa", (uint64_t)dims + odd);
    if (local_base(m, &base))
        hf_put_f64(m, "rope.freq_base_swa", odd ? math_pow(base, (dims + 1) / dims) : base);
    return ANDIRON_OK;
}

andiron_status hf_put_rope(struct hf_model *m, andiron_error *error)
{
    double base = 10000;
    bool pairs = true;
    const struct span type = rope_type(m);
    if (json_at(m->config, "rope_parameters.compress") && !json_at(m->config, "rope_parameters.main"))
        return hf_wrong(m, "expected rope_parameters to have main beside compress", error);
    if (rope_base(m, &base))
        hf_put_f64(m, "rope.freq_base", base);
    put_dimensions(m);
    put_rope_word(m);
    hf_truth(m, "rope_interleave", &pairs);
    if ((m->folder.words & ARCH_HALVES) || !pairs)
        hf_put_string(m, "rope.style", span_of("halves"));
    const andiron_status s = put_local(m, error);
    return s || span_is(type, "default") ? s : put_stretch(m, base, type, error);
}
