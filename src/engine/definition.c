/* definition.c - which definition a file's architecture has, and its expansion over the file's metadata and tensors. */
#include "arch/arch.h"
#include "base/error.h"
#include "base/log.h"
#include "engine/engine.h"
#include <stdio.h>
#include <string.h>

static const struct weight *source_weight(void *user, const char *name)
{
    andiron_model *model = user;
    const struct gguf_tensor *t = gguf_find_tensor(model->file, name);
    if (!t) /* one of unknown type is there, and refused by name where it is used */
        return NULL;
    size_t at = (size_t)(t - gguf_tensor_at(model->file, 0));
    model->weight_used[at] = true;
    return &model->weights[at];
}

andiron_status model_list_weights(struct arena *arena, const struct gguf *file, struct weight **weights, bool **used,
                                  andiron_error *error)
{
    size_t n = gguf_n_tensors(file);
    *weights = arena_alloc(arena, n, sizeof **weights);
    *used = arena_alloc(arena, n, sizeof **used);
    if (!*weights || !*used)
        return error_memory(error, n * sizeof **weights, "the list of tensors");
    for (size_t i = 0; i < n; i++) {
        const struct gguf_tensor *t = gguf_tensor_at(file, i);
        const struct type_info *type = type_info(t->type);
        struct weight *w = &(*weights)[i];
        *w = (struct weight){.type = t->type, .n_dims = t->n_dims, .data = t->data, .parts = t->parts};
        memcpy(w->dims, t->dims, sizeof w->dims);
        if (type)
            w->row_bytes = type_bytes(type, t->dims[0]);
        if (!(w->name = arena_text(arena, t->name.p, t->name.n)))
            return error_memory(error, t->name.n, "a tensor's name");
    }
    return ANDIRON_OK;
}

andiron_status definition_find(struct definition_text *out, const char *name, const andiron_model_options *options,
                               andiron_error *error)
{
    *out = (struct definition_text){0};
    if (options && options->arch_path) {
        const andiron_status s = mapped_open(&out->mapping, options->arch_path, error);
        if (s)
            return s;
        out->file = options->arch_path;
    } else if (options && options->arch_dir && !strchr(name, '/')) {
        int n = snprintf(out->path, sizeof out->path, "%s/%s.arch", options->arch_dir, name);
        if (n > 0 && (size_t)n < sizeof out->path && !mapped_open(&out->mapping, out->path, NULL))
            out->file = out->path;
    }
    if (out->file)
        out->text = (struct span){out->mapping.data, out->mapping.n_bytes};
    else
        arch_builtin(NULL, span_of(name), &out->text, &out->file);
    return ANDIRON_OK;
}

void definition_done(struct definition_text *d) { mapped_close(&d->mapping); }

static andiron_status open_definition(const andiron_model *model, const andiron_model_options *options,
                                      struct arch **out, andiron_error *error)
{
    struct definition_text d;
    andiron_status s = definition_find(&d, model->architecture, options, error);
    if (!s && !d.file && gguf_get_text(model->file, "andiron.arch", &d.text))
        d.file = "the model file's own definition";
    if (!s && d.file)
        s = arch_open(out, d.text, d.file, arch_builtin, NULL, error);
    definition_done(&d);
    if (s || *out)
        return s;
    return error_set(error, ANDIRON_E_SUPPORT,
                     "%s: the architecture \"%s\" is not known here; give its definition with --arch FILE "
                     "(docs/adding-an-architecture.md)",
                     gguf_path(model->file), model->architecture);
}

/* A definition of ours is right, so a folder is not; or an adapter, which names itself. */
static andiron_status blame_folder(const andiron_model *model, andiron_status s, andiron_error *error)
{
    char said[sizeof error->text];
    if (!error || model->n_loras || (s != ANDIRON_E_FORMAT && s != ANDIRON_E_SUPPORT))
        return s;
    memcpy(said, error->text, sizeof said);
    return error_set(error, s, "%s: config.json and the tensors do not go together: %s", gguf_path(model->file), said);
}

/* A folder's definition is open since its names were read. */
static andiron_status expand(andiron_model *model, const andiron_model_options *options, andiron_error *error)
{
    struct span text;
    bool is_builtin = false;
    struct arch *own = NULL, *arch = model->hf ? hf_model_definition(model->hf, &text, &is_builtin) : NULL;
    andiron_status s = model->hf ? ANDIRON_OK : open_definition(model, options, &own, error);
    if (s)
        return s;
    struct arch_source source = {model,         metadata_number, metadata_whole,
                                 metadata_text, source_weight,   model->n_loras ? lora_of_weight : NULL};
    s = arch_expand(arch ? arch : own, &source, &model->arena, &model->graph, error);
    arch_close(own);
    return is_builtin ? blame_folder(model, s, error) : s;
}

static void say_unused(const andiron_model *model)
{
    size_t n_unused = 0, first = 0;
    for (size_t i = gguf_n_tensors(model->file); i-- > 0;)
        if (!model->weight_used[i] && !(model->graph.embeds && !strncmp(model->weights[i].name, "output", 6))) {
            n_unused++; /* a head of scores is not missed where vectors are asked for */
            first = i;
        }
    if (n_unused)
        log_say(ANDIRON_LOG_WARN, "%zu tensors of the file are not used by its definition, such as %s", n_unused,
                model->weights[first].name);
}

/* Token ids that may be fed are those the embedding table has a row for. */
static andiron_status read_sizes(andiron_model *model, andiron_error *error)
{
    const struct graph *g = &model->graph;
    model->n_vocab = shape_items(g->nodes[g->output].shape);
    model->n_embedded = 0;
    for (size_t i = 0; i < g->n_nodes; i++) {
        const struct node *node = &g->nodes[i];
        const enum op ids = node->op == OP_embed ? g->nodes[node->arg[0].value].op : OP_positions;
        if (ids == OP_tokens || ids == OP_replace) {
            size_t rows = node->arg[1].weight->dims[1];
            model->n_embedded = model->n_embedded && model->n_embedded < rows ? model->n_embedded : rows;
        }
    }
    if (model->n_embedded == 0 || model->n_vocab == 0)
        return error_set(error, ANDIRON_E_SUPPORT, "%s: its graph reads no tokens", gguf_path(model->file));
    return ANDIRON_OK;
}

andiron_status model_read_names(andiron_model *model, andiron_error *error)
{
    struct span architecture = {0}, name = {"", 0};
    if (!gguf_get_text(model->file, "general.architecture", &architecture) || architecture.n == 0 ||
        architecture.n > 128)
        return error_set(error, ANDIRON_E_FORMAT,
                         "%s: the key general.architecture is missing, empty or too long; the file is not a model",
                         gguf_path(model->file));
    gguf_get_text(model->file, "general.name", &name);
    model->architecture = arena_text(&model->arena, architecture.p, architecture.n);
    model->name = arena_text(&model->arena, name.p, name.n);
    return model->architecture && model->name ? ANDIRON_OK : error_memory(error, architecture.n + name.n, "names");
}

andiron_status model_build_graph(andiron_model *model, const andiron_model_options *options, andiron_error *error)
{
    model->wants_embeddings = options->embeddings;
    metadata_init(model);
    andiron_status s = model_list_weights(&model->arena, model->file, &model->weights, &model->weight_used, error);
    if (!s)
        s = lora_open(model, options, error);
    if (!s)
        s = expand(model, options, error);
    if (!s)
        s = lora_check_used(model, error);
    if (!s)
        s = read_sizes(model, error);
    if (!s)
        say_unused(model);
    return s;
}
