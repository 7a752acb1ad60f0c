/* convert_types.c - which type each matrix of a file becomes. For K-quants the mixes of llama.cpp's llama-quantize, by
 * its names and without an importance matrix, so that a file is as large and as good as one expects of its name. */
#include "engine/convert.h"
#include <stdio.h>
#include <string.h>

/* ---- kinds of files ---- */

enum layers {
    NEVER,
    ALWAYS,
    FIRST_2,
    FIRST_4,
    FIRST_16TH,
    FIRST_8TH,
    MORE_BITS,  /* the first and the last eighth, and each third layer between */
    MANY_HEADS, /* ALWAYS, where four heads of queries or more share one of keys */
};

/* The type in these layers, and in all others; F32, which is 0: the file's own. */
struct choice {
    enum layers layers;
    enum weight_type in, else_in;
};

struct mix {
    struct choice attn_v, ffn_down, attn_output;
};

static const struct mix q2_k = {{MANY_HEADS, TYPE_Q4_K, TYPE_Q3_K}, {ALWAYS, TYPE_Q3_K, 0}, {ALWAYS, TYPE_Q3_K, 0}};
static const struct mix q3_k_m = {
    {FIRST_2, TYPE_Q5_K, TYPE_Q4_K}, {FIRST_16TH, TYPE_Q5_K, TYPE_Q4_K}, {ALWAYS, TYPE_Q4_K, 0}};
static const struct mix q3_k_l = {{ALWAYS, TYPE_Q5_K, 0}, {ALWAYS, TYPE_Q5_K, 0}, {ALWAYS, TYPE_Q5_K, 0}};
static const struct mix q4_k_s = {.attn_v = {FIRST_4, TYPE_Q5_K, 0}, .ffn_down = {FIRST_8TH, TYPE_Q5_K, 0}};
static const struct mix k_m = {.attn_v = {MORE_BITS, TYPE_Q6_K, 0}, .ffn_down = {MORE_BITS, TYPE_Q6_K, 0}};
static const struct mix plain;

/* A name without its last letter means the middle one, as elsewhere. */
static const struct convert_type types[] = {
    {"f32", TYPE_F32, 0, NULL},         {"f16", TYPE_F16, 1, NULL},         {"bf16", TYPE_BF16, 32, NULL},
    {"q8_0", TYPE_Q8_0, 7, NULL},       {"q6_k", TYPE_Q6_K, 18, &plain},    {"q5_k", TYPE_Q5_K, 17, &k_m},
    {"q5_k_m", TYPE_Q5_K, 17, &k_m},    {"q5_k_s", TYPE_Q5_K, 16, &plain},  {"q5_1", TYPE_Q5_1, 9, NULL},
    {"q5_0", TYPE_Q5_0, 8, NULL},       {"q4_k", TYPE_Q4_K, 15, &k_m},      {"q4_k_m", TYPE_Q4_K, 15, &k_m},
    {"q4_k_s", TYPE_Q4_K, 14, &q4_k_s}, {"q4_1", TYPE_Q4_1, 3, NULL},       {"q4_0", TYPE_Q4_0, 2, NULL},
    {"q3_k", TYPE_Q3_K, 12, &q3_k_m},   {"q3_k_l", TYPE_Q3_K, 13, &q3_k_l}, {"q3_k_m", TYPE_Q3_K, 12, &q3_k_m},
    {"q3_k_s", TYPE_Q3_K, 11, &plain},  {"q2_k", TYPE_Q2_K, 10, &q2_k},
};

const struct convert_type *convert_type_named(const char *name)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (!strcmp(types[i].name, name))
            return &types[i];
    return NULL;
}

void convert_type_names(char *out, size_t n)
{
    const size_t last = sizeof types / sizeof *types - 1;
    size_t at = 0;
    for (size_t i = 0; i <= last && at < n; i++)
        at += (size_t)snprintf(out + at, n - at, "%s%s", i == 0 ? "" : i == last ? " or " : ", ", types[i].name);
}

/* ---- a tensor ---- */

static enum convert_use use_of(const struct conversion *c, const struct gguf_tensor *t)
{
    return c->uses[c->parts[t - c->tensors].from];
}

/* What llama.cpp keeps whole, too: vectors, routers, positions; and all that a graph does more with than to multiply
 * rows, or to pick them. */
static bool stays_whole(const struct conversion *c, const struct gguf_tensor *t)
{
    static const char *const names[] = {"ffn_gate_inp.weight", "ffn_gate_inp_shexp.weight", "position_embd.weight",
                                        "token_types.weight", "compressor_ape.weight"};
    bool whole = t->n_dims < 2 || !span_ends(t->name, ".weight") || (use_of(c, t) & USE_NUMBERS);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        whole = whole || span_ends(t->name, names[i]);
    return whole;
}

/* The nearest type whose blocks are a row of this width. */
static enum weight_type that_divides(enum weight_type type, uint64_t width)
{
    static const enum weight_type next[TYPE_LIMIT] = {[TYPE_Q2_K] = TYPE_Q4_0,
                                                      [TYPE_Q3_K] = TYPE_Q4_0,
                                                      [TYPE_Q4_K] = TYPE_Q5_0,
                                                      [TYPE_Q5_K] = TYPE_Q5_1,
                                                      [TYPE_Q6_K] = TYPE_Q8_0};
    while (width % type_info(type)->block_items)
        type = next[type] ? next[type] : TYPE_F16;
    return type;
}

static bool is_in(enum layers which, const struct conversion *c, uint64_t layer)
{
    const uint64_t n = c->n_layers, eighth = n / 8;
    switch (which) {
    case NEVER: return false;
    case ALWAYS: return true;
    case FIRST_2: return layer < 2;
    case FIRST_4: return layer < 4;
    case FIRST_16TH: return layer < n / 16;
    case FIRST_8TH: return layer < eighth;
    case MORE_BITS: return layer < eighth || layer >= 7 * n / 8 || (layer - eighth) % 3 == 2;
    case MANY_HEADS: return c->heads_each >= 4;
    }
    return false;
}

static enum weight_type chosen(const struct choice *choice, const struct conversion *c, uint64_t layer)
{
    const enum weight_type type = is_in(choice->layers, c, layer) ? choice->in : choice->else_in;
    return type ? type : c->type->type;
}

/* The number of "blk.3.attn_v.weight". */
static uint64_t layer_of(struct span name)
{
    uint64_t layer = 0;
    for (size_t i = strlen("blk."); i < name.n && name.p[i] >= '0' && name.p[i] <= '9' && i < 12; i++)
        layer = layer * 10 + (uint64_t)(name.p[i] - '0');
    return layer;
}

static bool holds(struct span name, const char *word) { return memmem(name.p, name.n, word, strlen(word)) != NULL; }

static enum weight_type mixed(const struct conversion *c, const struct gguf_tensor *t)
{
    const struct mix *mix = c->type->mix;
    const uint64_t layer = layer_of(t->name);
    const bool eight = c->n_experts == 8; /* attention is small beside them */
    const bool values = holds(t->name, "attn_v.weight") || holds(t->name, "attn_qkv.weight") ||
                        holds(t->name, "attn_kv_b.weight");
    if (values)
        return eight ? TYPE_Q8_0 : chosen(&mix->attn_v, c, layer);
    if (holds(t->name, "attn_k.weight") && eight)
        return TYPE_Q8_0;
    if (holds(t->name, "ffn_down"))
        return chosen(&mix->ffn_down, c, layer);
    if (holds(t->name, "attn_output.weight"))
        return eight && c->type->type < TYPE_Q5_K ? TYPE_Q5_K : chosen(&mix->attn_output, c, layer);
    return c->type->type;
}

static double bits_of(enum weight_type type)
{
    return 8.0 * type_info(type)->block_bytes / type_info(type)->block_items;
}

/* By GGUF's names; where a file has others, by what the graph does with it. */
static bool gives_scores(const struct conversion *c, const struct gguf_tensor *t)
{
    return gguf_find_tensor(c->file, "output.weight") ? span_is(t->name, "output.weight")
                                                      : (use_of(c, t) & USE_MATRIX) && t->dims[1] == c->model->n_vocab;
}

static bool is_table(const struct conversion *c, const struct gguf_tensor *t)
{
    return gguf_find_tensor(c->file, "token_embd.weight") ? span_is(t->name, "token_embd.weight")
                                                          : (use_of(c, t) & USE_TABLE) != 0;
}

/* Of 4 or 5 bits in blocks of 32, tables of tokens have 8. Of K-quants, what gives the scores has 6. */
static enum weight_type type_for(const struct conversion *c, const struct gguf_tensor *t)
{
    const enum weight_type type = c->type->type;
    const bool scores = gives_scores(c, t), table = is_table(c, t);
    if (t->type == TYPE_I32)
        return TYPE_I32;
    if (stays_whole(c, t))
        return TYPE_F32;
    if (!c->type->mix)
        return that_divides(type_info(type)->block_items > 1 && (scores || table) ? TYPE_Q8_0 : type, t->dims[0]);
    if (scores || (table && !gguf_find_tensor(c->file, "output.weight")))
        return t->dims[0] % type_info(type)->block_items ? that_divides(TYPE_Q8_0, t->dims[0]) : TYPE_Q6_K;
    return that_divides(table ? type : mixed(c, t), t->dims[0]);
}

/* What a folder has packed in as few bits already stays as it is. */
enum weight_type convert_type_of(const struct conversion *c, const struct gguf_tensor *t)
{
    const enum weight_type type = type_for(c, t), has = (enum weight_type)t->type;
    const bool both_packed = type_info(type)->block_items > 1 && type_info(has)->block_items > 1;
    return both_packed && bits_of(has) <= bits_of(type) ? has : type;
}
