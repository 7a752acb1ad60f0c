/* lora.c - low-rank adapters in GGUF files of their own, as llama.cpp's converter writes them: pairs of tensors,
 * NAME.lora_a and NAME.lora_b, for tensors of the model. The graph gets what they add (arch/adapt.c). */
#include "base/error.h"
#include "base/log.h"
#include "engine/engine.h"
#include <stdio.h>
#include <string.h>

enum { MOST_ADAPTERS = 16, NAME_BYTES = 256 };

struct lora {
    struct gguf *file;
    struct weight *weights; /* [its tensors] */
    bool *used;
    double alpha, scale; /* alpha 0: scale alone */
};

static andiron_status refuse(const struct lora *l, const char *what, andiron_error *error)
{
    return error_set(error, ANDIRON_E_SUPPORT, "%s: %s", gguf_path(l->file), what);
}

static bool text_is(const struct gguf *file, const char *key, const char *expected)
{
    struct span text;
    return gguf_get_text(file, key, &text) && span_is(text, expected);
}

static andiron_status check(const andiron_model *model, const struct lora *l, andiron_error *error)
{
    char style[NAME_BYTES];
    snprintf(style, sizeof style, "%.200s.rope.style", model->architecture);
    if (!text_is(l->file, "general.type", "adapter") || !text_is(l->file, "adapter.type", "lora"))
        return refuse(l, "is no LoRA adapter (general.type adapter, adapter.type lora)", error);
    if (!text_is(l->file, "general.architecture", model->architecture))
        return error_set(error, ANDIRON_E_ARGUMENT, "%s: is an adapter for another architecture than %s",
                         gguf_path(l->file), model->architecture);
    if (gguf_find(l->file, "adapter.alora.invocation_tokens"))
        return refuse(l, "an adapter that tokens switch on (aLoRA) is not covered", error);
    if (gguf_find(model->file, style))
        return refuse(
            l,
            "its rows of queries and keys stand in pairs, but the folder's do not; andiron convert the folder, "
            "and give the file",
            error);
    return ANDIRON_OK;
}

static andiron_status open_one(andiron_model *model, struct lora *l, const andiron_lora *from, andiron_error *error)
{
    andiron_status s = gguf_open(&l->file, from->path, error);
    if (!s)
        s = check(model, l, error);
    if (!s)
        s = model_list_weights(&model->arena, l->file, &l->weights, &l->used, error);
    l->scale = (double)from->scale;
    if (!s)
        gguf_get_f64(l->file, "adapter.lora.alpha", &l->alpha);
    return s;
}

andiron_status lora_open(andiron_model *model, const andiron_model_options *options, andiron_error *error)
{
    if (options->n_loras > MOST_ADAPTERS)
        return error_set(error, ANDIRON_E_ARGUMENT, "at most %d adapters, not %zu", MOST_ADAPTERS, options->n_loras);
    model->loras = arena_alloc(&model->arena, options->n_loras + 1, sizeof *model->loras);
    if (!model->loras)
        return error_memory(error, sizeof *model->loras, "adapters");
    andiron_status s = ANDIRON_OK;
    for (; model->n_loras < options->n_loras && !s; model->n_loras++)
        s = open_one(model, &model->loras[model->n_loras], &options->loras[model->n_loras], error);
    return s;
}

void lora_close(andiron_model *model)
{
    for (size_t i = 0; i < model->n_loras; i++)
        gguf_close(model->loras[i].file);
}

/* Number of the tensor that is called so; -1: none. */
static ptrdiff_t find(const struct lora *l, const char *name, const char *suffix)
{
    char full[NAME_BYTES];
    const int n = snprintf(full, sizeof full, "%s%s", name, suffix);
    const struct gguf_tensor *t = n > 0 && n < NAME_BYTES ? gguf_find_tensor(l->file, full) : NULL;
    return t ? t - gguf_tensor_at(l->file, 0) : -1;
}

bool lora_of_weight(void *user, const struct weight *w, size_t i, struct arch_adapter *out)
{
    const andiron_model *model = user;
    *out = (struct arch_adapter){0};
    if (i >= model->n_loras)
        return false;
    const struct lora *l = &model->loras[i];
    const ptrdiff_t a = find(l, w->name, ".lora_a"), b = find(l, w->name, ".lora_b");
    if (a < 0 || b < 0)
        return true;
    l->used[a] = l->used[b] = true;
    *out = (struct arch_adapter){&l->weights[a], &l->weights[b], l->scale};
    if (l->alpha != 0)
        out->scale *= l->alpha / (double)out->b->dims[0];
    return true;
}

andiron_status lora_check_used(const andiron_model *model, andiron_error *error)
{
    for (size_t i = 0; i < model->n_loras; i++) {
        const struct lora *l = &model->loras[i];
        size_t n_norms = 0;
        for (size_t k = 0; k < gguf_n_tensors(l->file); k++) {
            const char *name = l->weights[k].name;
            if (l->used[k])
                continue;
            if (!span_ends(span_of(name), "_norm.weight"))
                return error_set(error, ANDIRON_E_SUPPORT,
                                 "%s: \"%.100s\" is for a tensor that this model has not, or does not multiply with",
                                 gguf_path(l->file), name);
            n_norms++;
        }
        if (n_norms)
            log_say(ANDIRON_LOG_WARN, "%s: %zu norms of the adapter are left out, as llama.cpp leaves them",
                    gguf_path(l->file), n_norms);
    }
    return ANDIRON_OK;
}
