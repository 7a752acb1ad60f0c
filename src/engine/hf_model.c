/* hf_model.c - Hugging Face's dialect of a model: what config.json says as metadata. Tensors: hf_weights.c. */
#include "base/alloc.h"
#include "base/error.h"
#include "base/memory.h"
#include "engine/hf_internal.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { HEADER_MAX = 64 << 20, TEMPLATE_MAX = 4 << 20 };

/* ---- metadata as a GGUF file has it ---- */

static void put(struct hf_model *m, const void *p, size_t n) { m->full = m->full || !buffer_add(&m->header, p, n); }

void hf_put_number(struct hf_model *m, uint64_t x, size_t n) { put(m, &x, n); } /* little-endian machines */

static void put_text(struct hf_model *m, struct span text)
{
    hf_put_number(m, text.n, 8);
    put(m, text.p, text.n);
}

/* Begin a value; "general.x" and "tokenizer.x" are whole keys, others the architecture's. */
void hf_put_key(struct hf_model *m, const char *key, enum gguf_value_type type)
{
    char full[256];
    bool whole = !strncmp(key, "general.", 8) || !strncmp(key, "tokenizer.", 10);
    snprintf(full, sizeof full, "%s%s%s", whole ? "" : m->architecture, whole ? "" : ".", key);
    put_text(m, span_of(full));
    m->full = m->full || !buffer_add(&m->keys, key, strlen(key) + 1);
    hf_put_number(m, type, 4);
    m->n_values++;
}

void hf_put_u32(struct hf_model *m, const char *key, uint64_t x)
{
    hf_put_key(m, key, GGUF_U32);
    hf_put_number(m, x, 4);
}

void hf_put_f64(struct hf_model *m, const char *key, double x)
{
    hf_put_key(m, key, GGUF_F64);
    put(m, &x, sizeof x);
}

void hf_put_array(struct hf_model *m, const char *key, enum gguf_value_type type, uint64_t n)
{
    hf_put_key(m, key, GGUF_ARRAY);
    hf_put_number(m, type, 4);
    hf_put_number(m, n, 8);
}

void hf_put_string(struct hf_model *m, const char *key, struct span text)
{
    hf_put_key(m, key, GGUF_STRING);
    put_text(m, text);
}

/* ---- config.json ---- */

andiron_status hf_wrong(const struct hf_model *m, const char *what, andiron_error *error)
{
    return error_set(error, ANDIRON_E_SUPPORT, "%s: config.json: %s", hf_path(m->dir), what);
}

/* A number by the first of two paths that has one. */
bool hf_number_at(const struct hf_model *m, const char *path, const char *or_path, double *out)
{
    return json_at_f64(m->config, path, out) || (or_path && json_at_f64(m->config, or_path, out));
}

/* The word of the activation, or the first of the definition's own. */
static struct span act_word(const struct hf_model *m, struct span own)
{
    char path[HF_NAME_BYTES];
    struct span act = {0};
    const struct arch_line *line;
    for (size_t at = 0; !act.n && (line = hf_next_line(m, ARCH_CONFIG, &at));)
        if (span_is(line->to, "activation") && hf_copy(path, line->from))
            json_at_text(m->config, path, &act);
    return act.n ? act : hf_next_word(&own);
}

/* Activations that the definition has without being told: the first line that names them. */
static struct span own_acts(const struct hf_model *m)
{
    const struct arch_line *line;
    for (size_t at = 0; (line = hf_next_line(m, ARCH_ACTIVATION, &at));)
        if (line->to.n == 0)
            return line->from;
    return (struct span){0};
}

static andiron_status find_act(struct hf_model *m, andiron_error *error)
{
    const struct span owns = own_acts(m);
    struct span act = act_word(m, owns), of_state = span_of("silu");
    const bool own = hf_is_one_of(owns, act), any = !(m->folder.words & ARCH_OWN_ACTIVATIONS);
    const struct arch_line *line;
    for (size_t at = 0; (line = hf_next_line(m, ARCH_ACTIVATION, &at));)
        if (line->to.n && m->act.n == 0 && span_same(act, line->from) && (own ? span_is(act, "gelu") : any))
            m->act = line->to;
    json_at_text(m->config, "mamba_hidden_act", &of_state);
    if ((own || m->act.n) && span_is(of_state, "silu"))
        return ANDIRON_OK;
    act = own || m->act.n ? of_state : act;
    return error_set(error, ANDIRON_E_SUPPORT, "%s: config.json: a hidden_act of \"%.*s\" is not covered",
                     hf_path(m->dir), (int)(act.n < 80 ? act.n : 80), act.p);
}

/* What config.json says in other words. */
static void put_derived(struct hf_model *m)
{
    uint64_t n, n_kv;
    if ((m->folder.words & ARCH_KEYS_BY_WORDS) && hf_heads(m, &n, &n_kv))
        hf_put_u32(m, "attention.head_count_kv", n_kv);
    if (m->act.n)
        hf_put_string(m, "activation", m->act);
}

/* What makes scores of experts comparable. */
static andiron_status put_gating(struct hf_model *m, andiron_error *error)
{
    static const char *const words[] = {NULL, "softmax", "sigmoid", NULL, "sqrtsoftplus"};
    struct span word;
    double said = 0; /* 0: the definition's own */
    hf_said(m, "expert_gating_func", &said);
    uint32_t function = (uint32_t)said;
    if (json_at_text(m->config, "expert_selection_fn", &word)) { /* 3: softmax of those chosen */
        function = span_is(word, "softmax") ? 3 : 2;
        if (function == 2 && !span_is(word, "sigmoid"))
            return hf_wrong(m, "expected an expert_selection_fn of softmax or sigmoid", error);
    } else if (json_at_text(m->config, "scoring_func", &word))
        for (function = 4; function > 0 && !(words[function] && span_is(word, words[function]));)
            function--;
    else if (!function)
        return ANDIRON_OK;
    if (!function)
        return hf_wrong(m, "expected a scoring_func of softmax, sigmoid or sqrtsoftplus", error);
    hf_put_u32(m, "expert_gating_func", function);
    return ANDIRON_OK;
}

/* How many rows attention pools to one in layer i, by a list or by the layers' types; -1: config.json does not say. */
static json_int_t ratio_of(const struct hf_model *m, size_t i)
{
    const char *type = json_string_value(json_array_get(json_at(m->config, "layer_types"), i));
    const json_t *ratio = json_array_get(json_at(m->config, "compress_ratios"), i);
    char path[160];
    if (!ratio && type && !strcmp(type, "sliding_attention"))
        return 0;
    snprintf(path, sizeof path, "compress_rates.%s", type ? type : "");
    ratio = ratio ? ratio : json_at(m->config, path);
    return json_is_integer(ratio) && json_integer_value(ratio) <= UINT16_MAX ? json_integer_value(ratio) : -1;
}

static andiron_status put_ratios(struct hf_model *m, andiron_error *error)
{
    const json_t *list = json_at(m->config, "compress_ratios"), *types = json_at(m->config, "layer_types");
    const size_t n = json_array_size(json_is_array(list) ? list : types);
    if (!(m->folder.words & ARCH_POOLS_BY_LAYER))
        return ANDIRON_OK;
    if (n == 0 || n > HF_LAYERS_MAX)
        return hf_wrong(m, "expected layer_types or compress_ratios, a list with an item for each layer", error);
    hf_put_array(m, "attention.compress_ratios", GGUF_U32, n);
    for (size_t i = 0; i < n; i++) {
        const json_int_t ratio = ratio_of(m, i);
        if (ratio < 0)
            return hf_wrong(m, "expected each of layer_types to be sliding_attention, or one of compress_rates", error);
        hf_put_number(m, (uint64_t)ratio, 4);
    }
    return ANDIRON_OK;
}

/* Experts in groups; a topk_method of "greedy" has none. */
static andiron_status put_groups(struct hf_model *m, andiron_error *error)
{
    struct span method = span_of("noaux_tc");
    uint64_t n = 0, used = 0;
    json_at_text(m->config, "topk_method", &method);
    if (span_is(method, "greedy") || !json_at_u64(m->config, "n_group", &n) || n <= 1)
        return ANDIRON_OK;
    if (span_is(method, "group_limited_greedy"))
        hf_put_u32(m, "expert_group_best", 1);
    else if (!span_is(method, "noaux_tc"))
        return hf_wrong(m, "expected a topk_method of greedy, group_limited_greedy or noaux_tc", error);
    json_at_u64(m->config, "topk_group", &used);
    if (n > UINT16_MAX || used > UINT16_MAX)
        return hf_wrong(m, "expected n_group and topk_group to be below 65536", error);
    hf_put_u32(m, "expert_group_count", n);
    hf_put_u32(m, "expert_group_used_count", used);
    return ANDIRON_OK;
}

/* The window, 0: none. */
static uint64_t window_of(const struct hf_model *m)
{
    bool used = !(m->folder.words & ARCH_WINDOW_IF_USED);
    uint64_t window = used ? 0 : 4096;
    if (!used)
        hf_truth(m, "use_sliding_window", &used);
    json_at_u64(m->config, "sliding_window", &window);
    return used && window <= INT32_MAX ? window : 0;
}

/* Windows from one layer on, or in every other layer before it. */
static void put_windows_from(struct hf_model *m, uint64_t first, uint64_t n)
{
    const bool before = m->folder.words & ARCH_WINDOWS_BETWEEN;
    hf_put_array(m, "attention.sliding_window_pattern", GGUF_U32, n);
    for (uint64_t i = 0; i < n; i++)
        hf_put_number(m, before ? i % 2 == 0 && i < first : i >= first, 4);
}

/* "LLLG": local and global layers in turn. */
static andiron_status put_windows_by_letters(struct hf_model *m, struct span letters, uint64_t n, andiron_error *error)
{
    bool known = letters.n > 0 && n <= HF_LAYERS_MAX;
    hf_put_array(m, "attention.sliding_window_pattern", GGUF_U32, n);
    for (uint64_t i = 0; i < n && known; i++) {
        const char letter = letters.p[i % letters.n];
        known = letter == 'L' || letter == 'G';
        hf_put_number(m, letter == 'L', 4);
    }
    return known ? ANDIRON_OK : hf_wrong(m, "expected sliding_window_pattern to be a number, or L and G", error);
}

/* Layers that see a window only: all of a kind, or by their types, or each but the last of so many, or from one on. */
static andiron_status put_windows(struct hf_model *m, andiron_error *error)
{
    static const char key[] = "attention.sliding_window_pattern";
    const json_t *config = m->config, *types = json_at(config, "layer_types");
    struct span letters;
    uint64_t window = window_of(m), period, first = 28, n = 0;
    if (window)
        hf_put_u32(m, "attention.sliding_window", window);
    json_at_u64(config, "num_hidden_layers", &n);
    const bool from = json_at_u64(config, "max_window_layers", &first) || (m->folder.words & ARCH_WINDOWS_LATER);
    if (m->folder.words & ARCH_WINDOWED)
        hf_put_u32(m, key, 1);
    else if (json_is_array(types) && json_array_size(types) <= HF_LAYERS_MAX)
        hf_put_list(m, key, types, "sliding_attention");
    else if (json_at_u64(config, "sliding_window_pattern", &period) && period > 1 && period <= INT32_MAX)
        hf_put_u32(m, key, period);
    else if (json_at_text(config, "sliding_window_pattern", &letters))
        return put_windows_by_letters(m, letters, n, error);
    else if (window && from && n <= HF_LAYERS_MAX)
        put_windows_from(m, first, n);
    return ANDIRON_OK;
}

/* The first tokens of a text about a source: generation_config.json's, before config.json's. */
static void put_first_tokens(struct hf_model *m)
{
    static const char *const keys[] = {"decoder_start_token_id", "forced_bos_token_id"};
    const bool reads = m->folder.words & ARCH_SOURCE;
    uint64_t id;
    for (size_t i = 0; i < sizeof keys / sizeof *keys && reads; i++)
        if (((m->generation && json_at_u64(m->generation, keys[i], &id)) || json_at_u64(m->config, keys[i], &id)) &&
            id <= INT32_MAX)
            hf_put_u32(m, keys[i], id);
}

/* ---- the whole ---- */

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
        hf_put_string(m, "tokenizer.chat_template", buffer_span(&text));
    else if (!s && config && json_at_text(config, "chat_template", &given))
        hf_put_string(m, "tokenizer.chat_template", given);
    json_decref(config);
    buffer_reset(&text);
    return s;
}

static andiron_status put_all(struct hf_model *m, andiron_error *error)
{
    static andiron_status (*const steps[])(struct hf_model *, andiron_error *) = {
        put_windows,   hf_put_heads, put_groups,  put_gating,   put_ratios,
        hf_put_ngrams, hf_put_rope,  hf_put_keys, put_template, hf_put_sentence,
    };
    const char *slash = strrchr(hf_path(m->dir), '/');
    put(m, "GGUF\3\0\0", 8);
    hf_put_number(m, 0, 8); /* tensors stand elsewhere */
    hf_put_number(m, 0, 8); /* n_values, below */
    hf_put_string(m, "general.architecture", span_of(m->architecture));
    hf_put_string(m, "general.name", span_of(slash && slash[1] ? slash + 1 : hf_path(m->dir)));
    put_derived(m);
    put_first_tokens(m);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        const andiron_status s = steps[i](m, error);
        if (s)
            return s;
    }
    if (m->full)
        return error_memory(error, m->header.n, "a model's metadata");
    memcpy(m->header.data + 16, &m->n_values, 8);
    return ANDIRON_OK;
}

andiron_status hf_model_open(struct hf_model **out, const char *path, const andiron_model_options *options,
                             bool with_weights, andiron_error *error)
{
    struct hf_model *m = *out = alloc_zeroed(1, sizeof *m);
    if (!m)
        return error_memory(error, sizeof *m, "a model");
    arena_init(&m->arena, memory_available_bytes());
    buffer_init(&m->header, HEADER_MAX);
    buffer_init(&m->keys, HEADER_MAX);
    andiron_status s = hf_dir_open(&m->dir, path, with_weights, error);
    if (!s)
        s = hf_read_json(m->dir, "generation_config.json", &m->generation, error);
    if (!s)
        s = hf_find_folder(m, options, error);
    m->vectors = options->embeddings && (m->folder.words & ARCH_ENCODER);
    if (!s)
        s = find_act(m, error);
    if (!s)
        s = hf_packing_read(m, error);
    if (!s)
        s = hf_check_options(m, error);
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
    for (size_t i = 0; i < m->n_dense; i++)
        safetensors_close(m->dense[i]);
    json_decref(m->generation);
    hf_dir_close(m->dir);
    arch_close(m->arch);
    buffer_reset(&m->header);
    buffer_reset(&m->keys);
    arena_reset(&m->arena);
    alloc_free(m);
}

struct arch *hf_model_definition(const struct hf_model *m, struct span *text, bool *is_builtin)
{
    *text = m->text;
    *is_builtin = m->is_builtin;
    return m->arch;
}

andiron_status hf_model_file(struct hf_model *m, struct gguf **out, andiron_error *error)
{
    return gguf_open_made(out, hf_path(m->dir), buffer_span(&m->header), m->tensors, m->n_tensors,
                          hf_file_bytes(m->dir), error);
}

struct span hf_model_mapping(const struct hf_model *m, size_t i)
{
    const struct safetensors *shard = hf_shard_at(m->dir, i);
    return shard ? safetensors_mapping(shard) : (struct span){0};
}
