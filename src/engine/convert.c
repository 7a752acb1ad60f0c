/* convert.c - a GGUF file written out of a Hugging Face folder: what hf_model.c shows as one, with what other programs
 * want to read in it; or out of another GGUF file, in other types. Weights: convert_weights.c. */
#include "engine/convert.h"
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "text/tokenizer_hf.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const struct convert_type *usual_type(const struct gguf *file)
{
    for (size_t i = 0; i < gguf_n_tensors(file); i++)
        if (gguf_tensor_at(file, i)->type == TYPE_BF16)
            return convert_type_named("bf16");
    return convert_type_named("f16");
}

/* ---- metadata ---- */

/* How many of RoPE's pairs turn with each of four places, of which a list may leave out the last; where there is no
 * list, all with the first: texts have one place. */
static void put_sections(struct conversion *c, const char *key, const struct gguf_value *v)
{
    uint32_t sections[4] = {0};
    uint64_t x = convert_number(c, "rope.dimension_count") / 2;
    sections[0] = (uint32_t)x;
    for (size_t i = 0; v->type == GGUF_ARRAY && i < 4 && i < v->n; i++)
        if (gguf_item_u64(v, i, &x) && x <= UINT32_MAX)
            sections[i] = (uint32_t)x;
    gguf_put_array(&c->values, key, GGUF_U32, sections, 4, sizeof *sections);
}

static bool is_flag(struct span key)
{
    static const char *const ends[] = {".expert_weights_norm", ".rope.scaling.finetuned", ".use_parallel_residual",
                                       ".ssm.dt_b_c_rms", ".attention.indexer.kpool_select_tail"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (span_ends(key, ends[i]))
            return true;
    return false;
}

/* What the file has no need of, as weights and other numbers have it in them. */
static bool is_in_weights(const struct conversion *c, struct span key)
{
    if (span_ends(key, ".expert_count") || span_ends(key, ".expert_used_count"))
        return !convert_first_of(c, "_exps.weight");
    if (span_ends(key, ".rope.style"))
        return (c->folder->folder.words & ARCH_HALVES) || convert_latent_halves(c->file, c->folder);
    if (span_ends(key, ".attention.key_length") || span_ends(key, ".attention.value_length"))
        return convert_keys_are_latent(c);
    return convert_is_factor(c, key) || span_ends(key, ".attention.window_before") ||
           span_ends(key, ".ssm.heads_in_turn");
}

/* What is written anew, or not at all. */
static bool is_left_out(const struct conversion *c, const struct gguf_value *v)
{
    static const char *const anew[] = {"general.file_type", "general.quantization_version", "split.no", "split.count",
                                       "split.tensors.count"};
    for (size_t i = 0; i < sizeof anew / sizeof *anew; i++)
        if (span_is(v->key, anew[i]))
            return true;
    /* what tensors tell holds also where config.json's number is rounded */
    return c->folder && (is_in_weights(c, v->key) || convert_is_told(c, v));
}

/* Its key, by the name that the architecture has in the file. */
static void name_value(const struct conversion *c, struct span key, char out[CONVERT_KEY_BYTES])
{
    const size_t n = strlen(c->model->architecture);
    if (key.n > n && key.p[n] == '.' && !memcmp(key.p, c->model->architecture, n))
        snprintf(out, CONVERT_KEY_BYTES, "%s%.*s", c->architecture, (int)(key.n - n), key.p + n);
    else
        snprintf(out, CONVERT_KEY_BYTES, "%.*s", (int)key.n, key.p);
}

/* As it is, but that others want floats of 32 bits, and flags to be bools. */
static void put_value(struct conversion *c, const struct gguf_value *v)
{
    char key[CONVERT_KEY_BYTES];
    double x = 0;
    if (is_left_out(c, v))
        return;
    name_value(c, v->key, key);
    struct gguf_value named = *v;
    named.key = span_of(key);
    if (span_is(v->key, "general.architecture"))
        gguf_put_text(&c->values, key, span_of(c->architecture));
    else if (!c->folder)
        gguf_put_value(&c->values, &named);
    else if (span_ends(v->key, ".attention.head_count_kv") && convert_put_heads(c, key, v))
        return;
    else if (span_ends(v->key, ".attention.head_count_kv") && convert_keys_are_latent(c))
        gguf_put_number(&c->values, key, GGUF_U32, 1);
    else if (span_ends(v->key, ".attention.sliding_window") && convert_number(c, "attention.window_before"))
        gguf_put_number(&c->values, key, GGUF_U32, (double)convert_number(c, "attention.window_before") + 1);
    else if (span_ends(v->key, ".rope.dimension_sections"))
        put_sections(c, key, v);
    else if (v->type == GGUF_F64 && gguf_item_f64(v, 0, &x))
        gguf_put_number(&c->values, key, GGUF_F32, x);
    else if (is_flag(v->key) && gguf_item_f64(v, 0, &x))
        gguf_put_number(&c->values, key, GGUF_BOOL, x != 0);
    else
        gguf_put_value(&c->values, &named);
}

static void put_id(struct conversion *c, const char *name, int32_t id)
{
    char key[64];
    snprintf(key, sizeof key, "tokenizer.ggml.%s_token_id", name);
    if (id >= 0)
        gguf_put_number(&c->values, key, GGUF_U32, id);
}

/* What WordPiece and Unigram have beyond others. */
static void put_words(struct conversion *c, const struct tokenizer_source *s)
{
    struct gguf_values *v = &c->values;
    if (span_is(s->model, "bert")) {
        put_id(c, "cls", s->bos);
        put_id(c, "seperator", s->sep);
        put_id(c, "mask", tokenizer_find(c->model->tokenizer, span_of("[MASK]")));
        gguf_put_number(v, "tokenizer.ggml.normalizer.lowercase", GGUF_BOOL, s->lowercase);
        gguf_put_number(v, "tokenizer.ggml.normalizer.strip_accents", GGUF_BOOL, s->strip_accents);
    } else if (span_is(s->model, "t5")) {
        gguf_put_number(v, "tokenizer.ggml.remove_extra_whitespaces", GGUF_BOOL, s->remove_extra_whitespaces);
        if (s->charsmap.n)
            gguf_put_array(v, "tokenizer.ggml.precompiled_charsmap", GGUF_U8, s->charsmap.p, s->charsmap.n, 1);
    }
}

static andiron_status put_tokens(struct conversion *c, const struct tokenizer_source *s, andiron_error *error)
{
    struct gguf_values *v = &c->values;
    int32_t *kinds = arena_alloc(&c->arena, s->n_tokens, sizeof *kinds);
    if (!kinds)
        return error_memory(error, s->n_tokens * sizeof *kinds, "the vocabulary");
    for (size_t i = 0; i < s->n_tokens; i++)
        kinds[i] = s->kinds[i];
    gguf_put_text(v, "tokenizer.ggml.model", s->model);
    gguf_put_text(v, "tokenizer.ggml.pre", s->pre);
    gguf_put_texts(v, "tokenizer.ggml.tokens", s->texts, s->n_tokens);
    gguf_put_array(v, "tokenizer.ggml.token_type", GGUF_I32, kinds, s->n_tokens, sizeof *kinds);
    if (s->scores)
        gguf_put_array(v, "tokenizer.ggml.scores", GGUF_F32, s->scores, s->n_tokens, sizeof *s->scores);
    else if (!span_is(s->model, "bert"))
        gguf_put_texts(v, "tokenizer.ggml.merges", s->merges, s->n_merges);
    put_id(c, "bos", s->bos);
    put_id(c, "eos", s->eos);
    put_id(c, "unknown", s->unknown);
    put_id(c, "padding", s->padding);
    put_words(c, s);
    gguf_put_number(v, "tokenizer.ggml.add_bos_token", GGUF_BOOL, s->add_bos);
    gguf_put_number(v, "tokenizer.ggml.add_eos_token", GGUF_BOOL, s->add_eos);
    gguf_put_number(v, "tokenizer.ggml.add_space_prefix", GGUF_BOOL, s->add_space_prefix);
    return ANDIRON_OK;
}

static andiron_status put_tokenizer(struct conversion *c, andiron_error *error)
{
    struct tokenizer_source said;
    const struct gguf_tensor *table = gguf_find_tensor(c->file, "token_embd.weight");
    andiron_status s = hf_model_tokenizer(c->folder, &c->model->tokenizer, error);
    if (s)
        return s;
    if (!c->model->tokenizer) {
        gguf_put_text(&c->values, "tokenizer.ggml.model", span_of("none"));
        return ANDIRON_OK;
    }
    const uint64_t n = table ? table->dims[1] : 0;
    s = hf_read_vocabulary(c->folder, n, &c->root, &said, error);
    if (!s && c->root)
        s = tokenizer_hf_say(c->model->tokenizer, c->root, n, &c->arena, &said, error);
    else if (!s && (said.as_spiece || said.steps))
        s = error_set(error, ANDIRON_E_SUPPORT,
                      "%s: a GGUF file has no words for its tokenizer; run the folder itself, with --quant TYPE",
                      gguf_path(c->file));
    else if (!s && n && said.n_tokens > n)
        s = error_set(error, ANDIRON_E_FORMAT, "%s: the tokenizer has %zu tokens, the model rows for %" PRIu64,
                      gguf_path(c->file), said.n_tokens, n);
    return s ? s : put_tokens(c, &said, error);
}

static void put_all(struct conversion *c)
{
    buffer_init(&c->values.bytes, SIZE_MAX);
    for (size_t i = 0; i < gguf_n_values(c->file); i++)
        put_value(c, gguf_value_at(c->file, i));
    if (c->folder)
        convert_put_asked(c);
    convert_put_numbers(c);
    gguf_put_number(&c->values, "general.file_type", GGUF_U32, c->type->file_type);
    gguf_put_number(&c->values, "general.quantization_version", GGUF_U32, 2);
}

/* ---- the whole ---- */

/* What the graph reads each tensor as. */
static andiron_status find_uses(struct conversion *c, andiron_error *error)
{
    const struct graph *g = &c->model->graph;
    c->uses = arena_alloc(&c->arena, gguf_n_tensors(c->file), sizeof *c->uses);
    if (!c->uses)
        return error_memory(error, gguf_n_tensors(c->file) * sizeof *c->uses, "a list of tensors");
    for (size_t i = 0; i < g->n_nodes; i++) {
        const struct node *n = &g->nodes[i];
        const bool multiplies = n->op == OP_linear || n->op == OP_head_linear || n->op == OP_experts,
                   picks = n->op == OP_embed || n->op == OP_ngrams;
        for (int k = 0; k < OP_MAX_ARGS && op_infos[n->op].arg[k].kind != ARG_NONE; k++)
            if (op_infos[n->op].arg[k].kind == ARG_WEIGHT && n->arg[k].weight)
                c->uses[n->arg[k].weight - c->model->weights] |= multiplies ? USE_MATRIX
                                                                 : picks    ? USE_TABLE
                                                                            : USE_NUMBERS;
    }
    return ANDIRON_OK;
}

/* An encoder's file has no head of scores of tokens, as those of other programs have none. */
static andiron_status open_without_head(struct conversion *c, const struct model_source *source,
                                        andiron_model_options *options, andiron_error *error)
{
    const struct hf_model *folder = c->model->hf;
    if (!folder || !(folder->folder.words & ARCH_ENCODER) || c->model->graph.embeds)
        return ANDIRON_OK;
    andiron_model_close(c->model);
    c->model = NULL;
    options->embeddings = true;
    return model_open_source(&c->model, source, options, error);
}

static andiron_status open_model(struct conversion *c, const char *from, const andiron_model_options *opened_as,
                                 andiron_error *error)
{
    char names[256];
    const char *type = c->options->type;
    const struct model_source source = {.path = from, .to_look = true};
    andiron_model_options options = {0};
    if (opened_as) {
        options.arch_path = opened_as->arch_path;
        options.arch_dir = opened_as->arch_dir;
    }
    c->type = type ? convert_type_named(type) : NULL;
    if (type && !c->type) {
        convert_type_names(names, sizeof names);
        return error_set(error, ANDIRON_E_ARGUMENT, "no weights are written as \"%s\"; expected %s", type, names);
    }
    andiron_status s = model_open_source(&c->model, &source, &options, error);
    if (!s && !opened_as)
        s = open_without_head(c, &source, &options, error);
    if (s)
        return s;
    c->folder = c->model->hf;
    c->file = c->model->file;
    if (!c->type)
        c->type = usual_type(c->file);
    s = find_uses(c, error);
    return s ? s : kernels_choose(&c->kernels, NULL, error);
}

static void close_all(struct conversion *c)
{
    json_decref(c->root);
    andiron_model_close(c->model);
    buffer_reset(&c->values.bytes);
    arena_reset(&c->arena);
}

andiron_status convert_model(const char *from, const char *path, const andiron_convert_options *options,
                             const andiron_model_options *opened_as, andiron_error *error)
{
    struct conversion c = {.options = options};
    arena_init(&c.arena, memory_available_bytes());
    andiron_status s = open_model(&c, from, opened_as, error);
    c.keeps_names = opened_as || !c.folder;
    if (!s && !(c.architecture = convert_architecture(&c)))
        s = error_memory(error, CONVERT_KEY_BYTES, "a name");
    if (!s) {
        put_all(&c);
        s = opened_as || !c.folder ? ANDIRON_OK : put_tokenizer(&c, error);
    }
    if (!s)
        s = convert_plan(&c, error);
    if (!s)
        s = convert_open_files(&c, path, error);
    if (!s)
        s = convert_weights(&c, error);
    if (!s)
        s = convert_finish_files(&c, error);
    if (!s && options->n_files)
        *options->n_files = c.n_files;
    convert_abandon_files(&c);
    if (!s && !c.keeps_names)
        convert_warn(&c);
    close_all(&c);
    return s;
}

andiron_status andiron_convert(const char *from, const char *path, const andiron_convert_options *options,
                               andiron_error *error)
{
    static const andiron_convert_options usual = {0};
    return convert_model(from, path, options ? options : &usual, NULL, error);
}
