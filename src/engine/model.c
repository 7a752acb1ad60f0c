/* model.c - opening and closing a model: file, tokenizer, template, graph, plan. */
#include "base/alloc.h"
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "engine/engine.h"
#include "engine/quant.h"
#include "engine/vocab.h"
#include "files/hf_dir.h"
#include <stdio.h>
#include <string.h>

enum { DEFAULT_STEP_TOKENS = 512, MAX_STEP_TOKENS = 1 << 16 };
enum { HEAD_BYTES = 8 << 20, MAX_HEAD_ROWS = 64 }; /* logits computed at once */
static const size_t arena_max_bytes = (size_t)4 << 30;

const char *andiron_version(void) { return ANDIRON_VERSION; }

size_t andiron_peak_bytes(void) { return memory_peak_bytes(); }

static const char *const kv_names[KV_TYPES] = {[KV_F32] = "f32", [KV_F16] = "f16", [KV_Q8_0] = "q8_0"};

const char *kv_type_name(enum kv_type type) { return kv_names[type]; }

bool kv_type_from_name(const char *name, enum kv_type *out)
{
    *out = KV_F16;
    if (!name)
        return true;
    for (int i = 0; i < KV_TYPES; i++)
        if (!strcmp(name, kv_names[i])) {
            *out = (enum kv_type)i;
            return true;
        }
    return false;
}

andiron_status memory_check(const andiron_model *model, uint64_t bytes, const char *what, andiron_error *error)
{
    const double mib = 1 << 20;
    uint64_t file = gguf_file_bytes(model->file) - model->copied_bytes, available = memory_available_bytes();
    if (bytes <= available && file <= available - bytes)
        return ANDIRON_OK;
    return error_set(
        error, ANDIRON_E_MEMORY,
        "%s: %s needs %.1f MiB beside the file's %.1f MiB, but only %.1f MiB of memory are available; use a "
        "smaller file, context or step",
        gguf_path(model->file), what, (double)bytes / mib, (double)file / mib, (double)available / mib);
}

/* RWKV's files name a template of llama.cpp's instead of having one. */
static const char rwkv_world[] =
    "{% for m in messages %}"
    "{{ {'system': 'System', 'user': 'User', 'assistant': 'Assistant'}[m.role] }}: {{ m.content | trim }}\n\n"
    "{% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}";

/* Parse the chat template now, so that the model is read-only later. A template that cannot be used costs only chat. */
static void open_chat(andiron_model *model)
{
    struct span source;
    if (!gguf_get_text(model->file, "tokenizer.chat_template", &source)) {
        error_set(&model->chat_error, ANDIRON_E_SUPPORT, "%s: the file has no chat template; give the text raw",
                  gguf_path(model->file));
        return;
    }
    if (span_is(source, "rwkv-world"))
        source = span_of(rwkv_world);
    if (template_open(&model->chat, source, &model->chat_error))
        log_say(ANDIRON_LOG_WARN, "the chat template cannot be used: %s", model->chat_error.text);
}

static andiron_status open_plan(andiron_model *model, const andiron_model_options *options, andiron_error *error)
{
    size_t rows = options->max_step_tokens ? options->max_step_tokens : DEFAULT_STEP_TOKENS;
    if (rows > MAX_STEP_TOKENS)
        return error_set(error, ANDIRON_E_ARGUMENT, "a step of %zu tokens is too large; at most %d", rows,
                         MAX_STEP_TOKENS);
    size_t head = HEAD_BYTES / (model->n_vocab * sizeof(float));
    model->max_rows = rows;
    model->max_head_rows = head < 1 ? 1 : head > MAX_HEAD_ROWS ? MAX_HEAD_ROWS : head;
    if (model->max_head_rows > rows)
        model->max_head_rows = rows;
    struct plan_options plan = {.max_rows = rows + model_begun_rows(model), .max_head_rows = model->max_head_rows};
    andiron_status s = pool_open(&model->pool, options->n_threads, error);
    if (!s)
        s = plan_measure(&model->graph, &model->kernels, pool_threads(model->pool), &plan, &model->step_bytes, error);
    if (!s)
        s = memory_check(model, model->step_bytes, "a step", error);
    for (int type = 0; !s && type < KV_TYPES; type++)
        s = kv_layout_init(&model->layouts[type], &model->graph, (enum kv_type)type, &model->arena, error);
    if (!s)
        s = plan_open(&model->plan, &model->graph, &model->kernels, model->pool, &plan, memory_available_bytes(),
                      error);
    return s;
}

/* The folder's own weights, or what options->quant makes of them; none where there is only a vocabulary to read. */
static andiron_status open_folder(andiron_model *model, const char *dir, const andiron_model_options *options,
                                  andiron_error *error)
{
    const bool quantized = options->quant && !options->vocab_only;
    struct span definition;
    bool is_builtin;
    andiron_status s = hf_model_open(&model->hf, dir, options, !options->vocab_only && !quantized, error);
    if (s)
        return s;
    hf_model_definition(model->hf, &definition, &is_builtin);
    return quantized ? quant_open(&model->file, dir, definition, options, error)
                     : hf_model_file(model->hf, &model->file, error);
}

static andiron_status open_file(andiron_model *model, const struct model_source *source,
                                const andiron_model_options *options, andiron_error *error)
{
    if (!source->path)
        return gguf_open_memory(&model->file, source->bytes, error);
    if (hf_is_dir(source->path))
        return open_folder(model, source->path, options, error);
    if (options->quant)
        return error_set(error, ANDIRON_E_ARGUMENT,
                         "%s is no folder: only a Hugging Face folder is quantized while it is opened", source->path);
    return gguf_open(&model->file, source->path, error);
}

static andiron_status open_tokenizer(andiron_model *model, andiron_error *error)
{
    if (!model->hf)
        return vocab_open(&model->tokenizer, model->file, &model->arena, error);
    return hf_model_tokenizer(model->hf, &model->tokenizer, error);
}

static andiron_status open_parts(andiron_model *model, const struct model_source *source,
                                 const andiron_model_options *options, andiron_error *error)
{
    andiron_status s = kernels_choose(&model->kernels, options->cpu, error);
    if (!s)
        s = kernels_set_math(&model->kernels, options->math, error);
    if (!s)
        s = open_file(model, source, options, error);
    if (!s)
        s = model_read_names(model, error);
    if (!s && !source->to_look)
        s = open_tokenizer(model, error);
    if (s)
        return s;
    if (!source->to_look)
        open_chat(model);
    if (options->vocab_only)
        return ANDIRON_OK;
    s = model_build_graph(model, options, error);
    if (!s && !source->to_look)
        s = open_plan(model, options, error);
    return s || source->to_look ? s : model_place_weights(model, options, error);
}

static andiron_model *new_model(andiron_error *error)
{
    andiron_model *model = alloc_zeroed(1, sizeof *model);
    if (!model) {
        error_memory(error, sizeof *model, "a model");
        return NULL;
    }
    arena_init(&model->arena, arena_max_bytes);
    pthread_mutex_init(&model->step, NULL);
    return model;
}

andiron_status model_open_file(andiron_model **out, const struct model_source *source, andiron_error *error)
{
    andiron_model *model = *out = new_model(error);
    if (!model)
        return ANDIRON_E_MEMORY;
    andiron_status s = open_file(model, source, &(andiron_model_options){0}, error);
    if (!s && model_read_names(model, NULL))
        model->architecture = model->name = "";
    if (s) {
        andiron_model_close(model);
        *out = NULL;
    }
    return s;
}

andiron_status model_open_source(andiron_model **out, const struct model_source *source,
                                 const andiron_model_options *options, andiron_error *error)
{
    static const andiron_model_options defaults = {0};
    *out = NULL;
    andiron_model *model = new_model(error);
    if (!model)
        return ANDIRON_E_MEMORY;
    andiron_status s = open_parts(model, source, options ? options : &defaults, error);
    if (s)
        andiron_model_close(model);
    else
        *out = model;
    return s;
}

andiron_status andiron_model_open(andiron_model **out, const char *path, const andiron_model_options *options,
                                  andiron_error *error)
{
    const struct model_source source = {.path = path};
    return model_open_source(out, &source, options, error);
}

void andiron_model_close(andiron_model *model)
{
    if (!model)
        return;
    plan_close(model->plan);
    pool_close(model->pool);
    template_close(model->chat);
    tokenizer_close(model->tokenizer);
    lora_close(model);
    gguf_close(model->file);
    hf_model_close(model->hf);
    arena_reset(&model->arena);
    pthread_mutex_destroy(&model->step);
    alloc_free(model);
}

void andiron_model_get_info(const andiron_model *model, andiron_model_info *info)
{
    uint64_t layers = 0, embd = 0, first = 0, forced = UINT64_MAX;
    char key[256];
    *info = (andiron_model_info){
        .architecture = model->architecture,
        .name = model->name,
        .cpu = model->kernels.cpu,
        .n_threads = model->pool ? pool_threads(model->pool) : 0,
        .n_vocab = model->plan        ? model->n_vocab
                   : model->tokenizer ? tokenizer_n_tokens(model->tokenizer)
                                      : 0,
        .n_embedded = model->n_embedded,
        .n_ctx_train = model->graph.n_ctx_train,
        .embeds = model->graph.embeds,
        .reads_source = model->graph.reads_source,
        .file_bytes = gguf_file_bytes(model->file),
        .weight_bytes = model->plan ? plan_weight_bytes(model->plan) : 0,
    };
    snprintf(key, sizeof key, "%s.block_count", info->architecture);
    gguf_get_u64(model->file, key, &layers);
    snprintf(key, sizeof key, "%s.embedding_length", info->architecture);
    gguf_get_u64(model->file, key, &embd);
    snprintf(key, sizeof key, "%s.decoder_start_token_id", info->architecture);
    gguf_get_u64(model->file, key, &first);
    info->first_token = first < info->n_embedded ? (andiron_token)first : 0;
    snprintf(key, sizeof key, "%s.forced_bos_token_id", info->architecture);
    gguf_get_u64(model->file, key, &forced);
    info->forced_token = forced < info->n_embedded ? (andiron_token)forced : -1;
    info->n_layer = layers;
    info->n_embd = embd;
    for (size_t i = 0; i < gguf_n_tensors(model->file); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(model->file, i);
        info->n_params += t->dims[0] * t->dims[1] * t->dims[2] * t->dims[3];
    }
}
