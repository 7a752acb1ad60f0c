/* lora.c - low-rank adapters, in GGUF files as llama.cpp's converter writes them or in PEFT's folders (lora_peft.c):
 * pairs of tensors, NAME.lora_a and NAME.lora_b, for tensors of the model. The graph gets what they add (arch/adapt.c).
 */
#include "base/error.h"
#include "base/log.h"
#include "engine/convert.h"
#include "engine/engine.h"
#include "engine/hf_internal.h"
#include "engine/lora_peft.h"
#include <stdio.h>
#include <string.h>

enum { MOST_ADAPTERS = 16, NAME_BYTES = 256 };

struct lora {
    struct peft *folder; /* NULL: it is a file */
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
    if (!text_is(l->file, "general.type", "adapter") || !text_is(l->file, "adapter.type", "lora"))
        return refuse(l, "is no LoRA adapter (general.type adapter, adapter.type lora)", error);
    if (!text_is(l->file, "general.architecture", model->architecture))
        return error_set(error, ANDIRON_E_ARGUMENT, "%s: is an adapter for another architecture than %s",
                         gguf_path(l->file), model->architecture);
    if (gguf_find(l->file, "adapter.alora.invocation_tokens"))
        return refuse(l, "an adapter that tokens switch on (aLoRA) is not covered", error);
    return ANDIRON_OK;
}

/* Rows of queries and keys stand in pairs in a file of llama.cpp's and in halves in a folder. Put those of the adapter
 * as the model has them. */
static andiron_status order_rows(andiron_model *model, struct lora *l, struct weight *w, andiron_error *error)
{
    const bool model_in_halves = model->hf && hf_n_tensors(model->hf->dir) > 0; /* else it was made a file */
    struct span name = span_of(w->name);
    if (!model->hf || model_in_halves == (l->folder != NULL))
        return ANDIRON_OK;
    const bool of_rows = span_ends(name, ".lora_b");
    name.n -= strlen(".lora_b");
    if (!of_rows && convert_stays(convert_columns_of(model->file, model->hf, name)))
        return ANDIRON_OK;
    if (!of_rows)
        return refuse(l, "adapts what is made of heads of values, which the model has in another order", error);
    const struct row_order order = convert_order_of(model->file, model->hf, name);
    if (convert_stays(order))
        return ANDIRON_OK;
    const uint64_t n = w->dims[1];
    char *rows = convert_fits(order, n) ? arena_alloc(&model->arena, n, w->row_bytes) : NULL;
    if (!rows)
        return refuse(l, "has rows that are no whole heads", error);
    for (uint64_t r = 0; r < n; r++) { /* r: of what stands in pairs */
        const uint64_t half = convert_row_of(order, r), from = l->folder ? half : r, to = l->folder ? r : half;
        memcpy(rows + to * w->row_bytes, (const char *)w->data + from * w->row_bytes, w->row_bytes);
    }
    w->data = rows;
    return ANDIRON_OK;
}

static andiron_status open_one(andiron_model *model, struct lora *l, const andiron_lora *from, andiron_error *error)
{
    andiron_status s = hf_is_dir(from->path) ? peft_open(&l->folder, &l->file, from->path, model->hf, error)
                                             : gguf_open(&l->file, from->path, error);
    if (!s)
        s = check(model, l, error);
    if (!s)
        s = model_list_weights(&model->arena, l->file, &l->weights, &l->used, error);
    for (size_t i = 0; !s && i < gguf_n_tensors(l->file); i++)
        s = order_rows(model, l, &l->weights[i], error);
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
    for (size_t i = 0; i < model->n_loras; i++) {
        gguf_close(model->loras[i].file);
        peft_close(model->loras[i].folder);
    }
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
    const double rank = (double)out->b->dims[0];
    if (l->alpha != 0)
        out->scale *= l->alpha / (peft_by_root(l->folder) ? __builtin_sqrt(rank) : rank);
    return true;
}

/* Is it for a tensor that the model has and never reads, such as keys of layers that share others'? Then it changes
 * nothing. */
static bool is_of_unread(const andiron_model *model, const char *name)
{
    static const size_t n_suffix = sizeof ".lora_a" - 1;
    char weight[NAME_BYTES];
    const size_t n = strlen(name);
    if (n <= n_suffix || n - n_suffix >= NAME_BYTES)
        return false;
    memcpy(weight, name, n - n_suffix);
    weight[n - n_suffix] = 0;
    const struct gguf_tensor *t = gguf_find_tensor(model->file, weight);
    return t && !model->weight_used[t - gguf_tensor_at(model->file, 0)];
}

andiron_status lora_check_used(const andiron_model *model, andiron_error *error)
{
    for (size_t i = 0; i < model->n_loras; i++) {
        const struct lora *l = &model->loras[i];
        size_t n_norms = 0;
        for (size_t k = 0; k < gguf_n_tensors(l->file); k++) {
            const char *name = l->weights[k].name;
            if (l->used[k] || is_of_unread(model, name))
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
