/* convert_told.c - metadata that other programs want to read in a file and that config.json does not have in their
 * words: what tensors tell, and which layers do what. */
#include "engine/convert.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { ANY_LENGTH = 1 << 20 }; /* of a context, where the model has no longest one */
enum { MAX_LABELS = 65536 };

/* What tensors tell by their columns, or rows. */
static const struct {
    const char *tensor, *key;
    int dim;
} told[] = {{".ffn_down_exps.weight", ".expert_feed_forward_length", 0},
            {".ffn_down_shexp.weight", ".expert_shared_feed_forward_length", 0},
            {".ffn_down.weight", ".feed_forward_length", 0},
            {".ssm_conv1d.weight", ".ssm.conv_kernel", 0},
            {".ssm_conv1d_q.weight", ".ssm.conv_kernel", 0},
            {".indexer.k_norm.weight", ".attention.indexer.key_length", 0},
            {".attn_q_a.weight", ".attention.q_lora_rank", 1},
            {".shortconv.conv.weight", ".shortconv.l_cache", 0},
            {"token_embd.weight", ".vocab_size", 1},
            {"position_embd.weight", ".context_length", 1}};
enum { N_TOLD = sizeof told / sizeof *told };

/* The first tensor whose name ends so: the first layers may be of another kind. */
const struct gguf_tensor *convert_first_of(const struct conversion *c, const char *end)
{
    for (size_t i = 0; i < gguf_n_tensors(c->file); i++)
        if (span_ends(gguf_tensor_at(c->file, i)->name, end))
            return gguf_tensor_at(c->file, i);
    return NULL;
}

/* The tensor that tells number i of the table. One for all tokens is a plain one where there are no other experts. */
static const struct gguf_tensor *teller(const struct conversion *c, size_t i)
{
    const struct gguf_tensor *t = convert_first_of(c, told[i].tensor);
    return t || strcmp(told[i].tensor, ".ffn_down.weight") || convert_first_of(c, "_exps.weight")
               ? t
               : convert_first_of(c, ".ffn_down_shexp.weight");
}

/* A number of the architecture's, 0: the file has none. */
uint64_t convert_number(const struct conversion *c, const char *key)
{
    char name[256];
    uint64_t x = 0;
    snprintf(name, sizeof name, "%s.%s", c->model->architecture, key);
    gguf_get_u64(c->file, name, &x);
    return x;
}

static bool has_in_layer(const struct conversion *c, uint64_t layer, const char *stem)
{
    char name[64];
    snprintf(name, sizeof name, "blk.%" PRIu64 ".%s.weight", layer, stem);
    return gguf_find_tensor(c->file, name) != NULL;
}

/* Numbers of a layer's hidden units; 0: it has no such part. */
static uint32_t units_of(const struct conversion *c, uint64_t layer)
{
    static const char *const stems[] = {"ffn_down", "ffn_down_exps"};
    char name[64];
    for (size_t i = 0; i < 2; i++) {
        snprintf(name, sizeof name, "blk.%" PRIu64 ".%s.weight", layer, stems[i]);
        const struct gguf_tensor *t = gguf_find_tensor(c->file, name);
        if (t)
            return (uint32_t)t->dims[0];
    }
    return 0;
}

/* Hidden units by layer, where some layers have none; else 0. */
static uint64_t units_by_layer(const struct conversion *c, uint32_t units[CONVERT_MAX_LAYERS])
{
    const uint64_t n = convert_number(c, "block_count");
    uint64_t n_have = 0;
    for (uint64_t i = 0; n <= CONVERT_MAX_LAYERS && i < n; i++) {
        units[i] = units_of(c, i);
        n_have += units[i] != 0;
    }
    return n_have && n_have < n ? n : 0;
}

void convert_key(const struct conversion *c, const char *name, char out[CONVERT_KEY_BYTES])
{
    snprintf(out, CONVERT_KEY_BYTES, "%s.%s", c->architecture, name);
}

/* Does a tensor tell this number? */
bool convert_is_told(const struct conversion *c, const struct gguf_value *v)
{
    uint32_t units[CONVERT_MAX_LAYERS];
    if (span_ends(v->key, ".feed_forward_length") && units_by_layer(c, units))
        return true;
    for (size_t i = 0; v->type != GGUF_ARRAY && i < N_TOLD; i++)
        if (span_ends(v->key, told[i].key) && teller(c, i))
            return true;
    return false;
}

static bool attends(const struct conversion *c, uint64_t layer)
{
    const struct graph *g = &c->model->graph;
    for (size_t i = 0; i < g->n_nodes; i++)
        if (g->nodes[i].op == OP_attend && g->nodes[i].layer >= 0 && (uint64_t)g->nodes[i].layer == layer)
            return true;
    return false;
}

/* Heads of keys of a layer, by the rows of its matrix where that is there; x: those of most. */
static uint32_t heads_of(const struct conversion *c, uint64_t layer, uint64_t x)
{
    char name[64];
    const uint64_t size = convert_number(c, "attention.key_length");
    snprintf(name, sizeof name, "blk.%" PRIu64 ".attn_k.weight", layer);
    const struct gguf_tensor *t = gguf_find_tensor(c->file, name);
    return (uint32_t)(!attends(c, layer) ? 0 : t && size && t->dims[1] % size == 0 ? t->dims[1] / size : x);
}

/* Heads of keys by layer, 0 in those that do not attend; false: they are the same everywhere, or no layer attends, or
 * other metadata says which do. */
bool convert_put_heads(struct conversion *c, const char *key, const struct gguf_value *v)
{
    uint32_t heads[CONVERT_MAX_LAYERS];
    const uint64_t n = convert_number(c, "block_count");
    uint64_t n_attend = 0, n_usual = 0, x;
    if (v->type == GGUF_ARRAY || n > CONVERT_MAX_LAYERS || !gguf_item_u64(v, 0, &x) || x > UINT32_MAX ||
        convert_number(c, "full_attention_interval") || convert_first_of(c, ".attn_norm_2.weight"))
        return false;
    if (convert_keys_are_latent(c))
        x = 1;
    for (uint64_t i = 0; i < n; i++) {
        heads[i] = heads_of(c, i, x);
        n_attend += heads[i] != 0;
        n_usual += heads[i] == x;
    }
    if (n_attend == 0 || n_usual == n)
        return false;
    gguf_put_array(&c->values, key, GGUF_U32, heads, n, sizeof *heads);
    return true;
}

/* A number that llama.cpp asks for and the engine does not need; not where the metadata has it already. */
static void put_more(struct conversion *c, const char *name, enum gguf_value_type type, double x)
{
    char key[CONVERT_KEY_BYTES];
    snprintf(key, sizeof key, "%s.%s", c->model->architecture, name);
    if (gguf_find(c->file, key))
        return;
    convert_key(c, name, key);
    gguf_put_number(&c->values, key, type, x);
}

/* What the scores of a text are called. */
static void put_labels(struct conversion *c)
{
    const struct gguf_tensor *t = gguf_find_tensor(c->file, "cls.output.weight");
    const uint64_t n = t ? t->dims[1] : 0;
    struct span *labels = n && n <= MAX_LABELS ? arena_alloc(&c->arena, n, sizeof *labels) : NULL;
    char text[64], key[CONVERT_KEY_BYTES];
    for (size_t i = 0; labels && i < n; i++) {
        snprintf(text, sizeof text, "id2label.%zu", i);
        if (json_at_text(hf_config(c->folder->dir), text, &labels[i]))
            continue;
        snprintf(text, sizeof text, "LABEL_%zu", i); /* as Transformers calls them */
        labels[i] = (struct span){arena_text(&c->arena, text, strlen(text)), strlen(text)};
        if (!labels[i].p)
            return;
    }
    convert_key(c, "classifier.output_labels", key);
    if (labels)
        gguf_put_texts(&c->values, key, labels, n);
}

/* Queries meet one key for all heads, the latent row and what turns, and take from that row. */
static void put_latent(struct conversion *c)
{
    const uint64_t latent = convert_number(c, "attention.kv_lora_rank");
    char key[CONVERT_KEY_BYTES];
    convert_key(c, "attention.key_length", key);
    gguf_put_number(&c->values, key, GGUF_U32, (double)(latent + convert_number(c, "rope.dimension_count")));
    convert_key(c, "attention.value_length", key);
    gguf_put_number(&c->values, key, GGUF_U32, (double)latent);
    if (!convert_first_of(c, ".attn_q_a.weight")) /* queries of no short row */
        put_more(c, "attention.q_lora_rank", GGUF_U32, 0);
}

/* Which layers do not attend, where some do. */
static void put_recurrent(struct conversion *c)
{
    bool recurs[CONVERT_MAX_LAYERS];
    const uint64_t n = convert_number(c, "block_count");
    uint64_t n_recur = 0;
    char key[CONVERT_KEY_BYTES];
    for (uint64_t i = 0; n <= CONVERT_MAX_LAYERS && i < n; i++) {
        recurs[i] = !attends(c, i);
        n_recur += recurs[i];
    }
    convert_key(c, "attention.recurrent_layers", key);
    if (n_recur && n_recur < n)
        gguf_put_array(&c->values, key, GGUF_BOOL, recurs, n, sizeof *recurs);
}

/* How many layers come before the first with experts; and how many layers choose them by the token. */
static void put_leading(struct conversion *c)
{
    const uint64_t n = convert_number(c, "block_count");
    uint64_t first = 0, n_hash = 0;
    while (first < n && first < CONVERT_MAX_LAYERS && !has_in_layer(c, first, "ffn_gate_inp"))
        first++;
    if (convert_first_of(c, "_exps.weight"))
        put_more(c, "leading_dense_block_count", GGUF_U32, (double)first);
    while (has_in_layer(c, n_hash, "ffn_gate_tid2eid"))
        n_hash++;
    if (n_hash)
        put_more(c, "hash_layer_count", GGUF_U32, (double)n_hash);
}

/* Which layers turn, where each has a base of its own; and which have an indexer, where not all of them. */
static void put_kinds(struct conversion *c)
{
    uint32_t turns[CONVERT_MAX_LAYERS], indexes[CONVERT_MAX_LAYERS];
    const uint64_t n = convert_number(c, "block_count");
    uint64_t n_index = 0;
    double base;
    char key[CONVERT_KEY_BYTES];
    snprintf(key, sizeof key, "%s.rope.freq_base_at", c->model->architecture);
    const struct gguf_value *bases = gguf_find(c->file, key);
    if (n > CONVERT_MAX_LAYERS)
        return;
    for (uint64_t i = 0; i < n; i++) {
        turns[i] = bases && gguf_item_f64(bases, i, &base) && base > 0;
        indexes[i] = has_in_layer(c, i, "indexer.k_norm");
        n_index += indexes[i];
    }
    convert_key(c, "attention.rope_pattern", key);
    if (bases)
        gguf_put_array(&c->values, key, GGUF_U32, turns, n, sizeof *turns);
    snprintf(key, sizeof key, "%s.attention.indexer.types", c->model->architecture);
    const bool told_already = gguf_find(c->file, key) != NULL;
    convert_key(c, "attention.indexer.types", key);
    if (n_index && !told_already)
        gguf_put_array(&c->values, key, GGUF_U32, indexes, n, sizeof *indexes);
}

/* The first norm's epsilon, where config.json leaves it to the definition. */
static void put_epsilon(struct conversion *c)
{
    static const char *const keys[] = {"attention.layer_norm_epsilon", "attention.layer_norm_rms_epsilon"};
    const struct graph *g = &c->model->graph;
    char key[CONVERT_KEY_BYTES];
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        snprintf(key, sizeof key, "%s.%s", c->model->architecture, keys[i]);
        if (gguf_find(c->file, key))
            return;
    }
    for (size_t i = 0; i < g->n_nodes; i++) {
        const struct node *n = &g->nodes[i];
        const bool rms = n->op == OP_rmsnorm; /* whose epsilon is its third argument, of the other its fourth */
        if (rms || n->op == OP_layernorm) {
            put_more(c, keys[rms], GGUF_F32, n->arg[rms ? 2 : 3].number);
            return;
        }
    }
}

/* Experts for all tokens, counted by how many times as wide as another they are together. */
static void put_shared(struct conversion *c)
{
    static const char *const names[] = {"n_shared_experts", "num_shared_experts", "num_shared_expert"};
    const struct gguf_tensor *all = convert_first_of(c, ".ffn_down_shexp.weight"),
                             *each = convert_first_of(c, ".ffn_down_exps.weight");
    uint64_t n = all && each ? all->dims[0] / each->dims[0] : 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (json_at_u64(hf_config(c->folder->dir), names[i], &n))
            break;
    if (each || convert_keys_are_latent(c))
        put_more(c, "expert_shared_count", GGUF_U32, (double)(all && n == 0 ? 1 : n));
}

static void put_told(struct conversion *c)
{
    uint32_t units[CONVERT_MAX_LAYERS];
    const uint64_t n = units_by_layer(c, units);
    char key[CONVERT_KEY_BYTES];
    for (size_t i = 0; i < N_TOLD; i++) {
        const struct gguf_tensor *t = teller(c, i);
        const bool by_layer = n && !strcmp(told[i].key, ".feed_forward_length");
        snprintf(key, sizeof key, "%s%s", c->model->architecture, told[i].key);
        const struct gguf_value *v = gguf_find(c->file, key);
        convert_key(c, told[i].key + 1, key);
        if (by_layer)
            gguf_put_array(&c->values, key, GGUF_U32, units, n, sizeof *units);
        else if (t && (!v || convert_is_told(c, v)))
            gguf_put_number(&c->values, key, GGUF_U32, (double)t->dims[told[i].dim]);
    }
}

/* What tensors tell by their columns, and config.json of experts. */
void convert_put_asked(struct conversion *c)
{
    double eps;
    char key[CONVERT_KEY_BYTES];
    put_told(c);
    put_shared(c);
    put_recurrent(c);
    put_leading(c);
    put_kinds(c);
    put_epsilon(c);
    if (convert_keys_are_latent(c))
        put_latent(c);
    if (!convert_first_of(c, "position_embd.weight"))
        put_more(c, "context_length", GGUF_U32, ANY_LENGTH);
    put_labels(c);
    const struct gguf_tensor *types = convert_first_of(c, "token_types.weight");
    if (c->model->graph.embeds)
        gguf_put_number(&c->values, "tokenizer.ggml.token_type_count", GGUF_U32, types ? (double)types->dims[1] : 1);
    snprintf(key, sizeof key, "%s.attention.layer_norm_epsilon", c->model->architecture);
    const bool rms = convert_first_of(c, ".ssm_a") || convert_first_of(c, ".shortconv.conv.weight");
    if (rms && gguf_get_f64(c->file, key, &eps)) /* of other models the key tells which norm they have */
        put_more(c, "attention.layer_norm_rms_epsilon", GGUF_F32, eps);
}
