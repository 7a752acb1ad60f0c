/* lora_peft.c - an adapter as PEFT's folder keeps it (adapter_config.json, adapter_model.safetensors), seen as the GGUF
 * file that it would be converted to. Its names are those of a Hugging Face folder, so that one is needed beside it. */
#include "engine/lora_peft.h"
#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"
#include "base/types.h"
#include "engine/hf_internal.h"
#include "files/mapped.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HEADER_MAX = 4096 };

struct peft {
    struct arena arena; /* tensors, and what is changed of them */
    struct buffer header;
    struct safetensors *file;
    struct gguf_tensor *tensors;
    size_t n_tensors;
    bool by_root;
};

static andiron_status refuse(const char *dir, const char *what, andiron_error *error)
{
    return error_set(error, ANDIRON_E_SUPPORT, "%s: adapter_config.json: %s", dir, what);
}

/* ---- metadata ---- */

static bool add_text(struct buffer *b, const char *text)
{
    const uint64_t n = strlen(text);
    return buffer_add(b, &n, 8) && buffer_add(b, text, n);
}

static bool put_text(struct buffer *b, const char *key, const char *text)
{
    const uint32_t type = GGUF_STRING;
    return add_text(b, key) && buffer_add(b, &type, 4) && add_text(b, text);
}

static bool put_f64(struct buffer *b, const char *key, double x)
{
    const uint32_t type = GGUF_F64;
    return add_text(b, key) && buffer_add(b, &type, 4) && buffer_add(b, &x, sizeof x);
}

static andiron_status put_header(struct peft *p, const struct hf_model *base, double alpha, andiron_error *error)
{
    const uint64_t counts[2] = {0, 4}; /* tensors stand elsewhere; values */
    if (buffer_add(&p->header, "GGUF\3\0\0", 8) && buffer_add(&p->header, counts, sizeof counts) &&
        put_text(&p->header, "general.architecture", base->architecture) &&
        put_text(&p->header, "general.type", "adapter") && put_text(&p->header, "adapter.type", "lora") &&
        put_f64(&p->header, "adapter.lora.alpha", alpha))
        return ANDIRON_OK;
    return error_memory(error, p->header.n, "an adapter's metadata");
}

/* ---- adapter_config.json ---- */

static andiron_status read_config(json_t **out, const char *dir, andiron_error *error)
{
    char path[4096];
    struct mapped file;
    if (snprintf(path, sizeof path, "%s/adapter_config.json", dir) >= (int)sizeof path)
        return error_set(error, ANDIRON_E_ARGUMENT, "%.100s...: the path is too long", dir);
    andiron_status s = mapped_open(&file, path, error);
    if (s)
        return s;
    s = json_read(out, (struct span){file.data, file.n_bytes}, path, &json_config_limits, error);
    mapped_close(&file);
    return s;
}

/* What is not covered must not be left out in silence. */
static andiron_status check_config(struct peft *p, const json_t *config, const char *dir, double *alpha,
                                   andiron_error *error)
{
    static const char *const never[] = {"use_dora", "lora_bias", "use_qalora", "use_bdlora", "ensure_weight_tying"};
    struct span type = {0}, bias = span_of("none");
    bool yes = false;
    if (!json_at_text(config, "peft_type", &type) || !span_is(type, "LORA"))
        return refuse(dir, "expected a peft_type of LORA; others are not covered", error);
    json_at_text(config, "bias", &bias);
    if (!span_is(bias, "none"))
        return refuse(dir, "biases of an adapter (bias) are not covered", error);
    for (size_t i = 0; i < sizeof never / sizeof *never; i++)
        if (json_at_bool(config, never[i], &yes) && yes)
            return error_set(error, ANDIRON_E_SUPPORT, "%s: adapter_config.json: %s is not covered", dir, never[i]);
    if (json_object_size(json_at(config, "alpha_pattern")))
        return refuse(dir, "an alpha for each module (alpha_pattern) is not covered", error);
    if (!json_at_f64(config, "lora_alpha", alpha) || !(*alpha > -1e9 && *alpha < 1e9) || *alpha == 0)
        return refuse(dir, "expected lora_alpha to be a number other than 0", error);
    json_at_bool(config, "use_rslora", &p->by_root);
    return ANDIRON_OK;
}

/* ---- tensors ---- */

static andiron_status wrong_tensor(const struct peft *p, struct span name, const char *what, andiron_error *error)
{
    return error_set(error, ANDIRON_E_SUPPORT, "%s: \"%.*s\" %s", safetensors_path(p->file),
                     (int)(name.n < 160 ? name.n : 160), name.p, what);
}

/* The module's weight in the folder's names: "model.layers.0.mlp.up_proj.weight"; and which of the two matrices it is.
 */
static bool module_of(struct span name, char out[HF_NAME_BYTES], bool *is_a, bool *of_table)
{
    static const char before[] = "base_model.model.";
    static const char *const ends[] = {".lora_A.weight", ".lora_B.weight", ".lora_embedding_A", ".lora_embedding_B"};
    if (name.n < sizeof before - 1 || memcmp(name.p, before, sizeof before - 1) != 0)
        return false;
    name = (struct span){name.p + sizeof before - 1, name.n - (sizeof before - 1)};
    for (size_t i = 0; i < 4; i++)
        if (span_ends(name, ends[i])) {
            *is_a = i % 2 == 0;
            *of_table = i >= 2;
            const size_t n = name.n - strlen(ends[i]);
            return snprintf(out, HF_NAME_BYTES, "%.*s.weight", (int)n, name.p) < HF_NAME_BYTES;
        }
    return false;
}

/* [r, n] as [n, r], in F32: rows of a table. */
static andiron_status turn(struct peft *p, struct gguf_tensor *t, andiron_error *error)
{
    const struct gguf_tensor from = *t;
    const uint64_t n = from.dims[0], r = from.dims[1];
    float *data = arena_alloc(&p->arena, n * r, sizeof *data);
    if (!data)
        return error_memory(error, n * r * sizeof *data, "an adapter of a table");
    for (uint64_t i = 0; i < n * r; i++)
        data[i] = hf_number(&from, i % r * n + i / r);
    *t = (struct gguf_tensor){.name = t->name,
                              .type = TYPE_F32,
                              .n_dims = 2,
                              .dims = {r, n, 1, 1},
                              .data = data,
                              .n_bytes = n * r * sizeof *data};
    return ANDIRON_OK;
}

static andiron_status take(struct peft *p, struct hf_model *base, const struct safetensors_tensor *from,
                           andiron_error *error)
{
    const struct gguf_tensor *t = &from->tensor;
    char module[HF_NAME_BYTES], here[HF_NAME_BYTES], full[2 * HF_NAME_BYTES];
    bool is_a, of_table;
    if (!module_of(t->name, module, &is_a, &of_table) || !hf_matrix_here(base, span_of(module), here))
        return wrong_tensor(p, t->name, "is no lora_A or lora_B of a matrix of this model that an adapter can change",
                            error);
    if (t->n_dims != 2 || t->n_bytes == 0 || !from->aligned ||
        (t->type != TYPE_F32 && t->type != TYPE_F16 && t->type != TYPE_BF16))
        return wrong_tensor(p, t->name, "is no matrix of F32, F16 or BF16, aligned", error);
    const int n = snprintf(full, sizeof full, "%s.lora_%c", here, is_a ? 'a' : 'b');
    const char *kept = arena_text(&p->arena, full, (size_t)n);
    if (!kept)
        return error_memory(error, (size_t)n, "a tensor's name");
    struct gguf_tensor *to = &p->tensors[p->n_tensors++];
    *to = *t;
    to->name = span_of(kept);
    return is_a && of_table ? turn(p, to, error) : ANDIRON_OK;
}

static andiron_status take_all(struct peft *p, struct hf_model *base, const char *dir, andiron_error *error)
{
    char path[4096];
    if (snprintf(path, sizeof path, "%s/adapter_model.safetensors", dir) >= (int)sizeof path)
        return error_set(error, ANDIRON_E_ARGUMENT, "%.100s...: the path is too long", dir);
    andiron_status s = safetensors_open(&p->file, path, error);
    if (s)
        return s;
    const size_t n = safetensors_n_tensors(p->file);
    if (!(p->tensors = arena_alloc(&p->arena, n + 1, sizeof *p->tensors)))
        return error_memory(error, n * sizeof *p->tensors, "the list of tensors");
    for (size_t i = 0; i < n && !s; i++)
        s = take(p, base, safetensors_tensor_at(p->file, i), error);
    return s;
}

/* ---- the whole ---- */

andiron_status peft_open(struct peft **out, struct gguf **file, const char *dir, struct hf_model *base,
                         andiron_error *error)
{
    json_t *config = NULL;
    double alpha = 0;
    *out = NULL;
    if (!base)
        return error_set(error, ANDIRON_E_SUPPORT,
                         "%s: an adapter's folder goes with a Hugging Face folder; give that in the place of the file, "
                         "with --quant if it is too large",
                         dir);
    struct peft *p = alloc_zeroed(1, sizeof *p);
    if (!p)
        return error_memory(error, sizeof *p, "an adapter");
    *out = p;
    arena_init(&p->arena, SIZE_MAX);
    buffer_init(&p->header, HEADER_MAX);
    andiron_status s = read_config(&config, dir, error);
    if (!s)
        s = check_config(p, config, dir, &alpha, error);
    json_decref(config);
    if (!s)
        s = put_header(p, base, alpha, error);
    if (!s)
        s = take_all(p, base, dir, error);
    return s ? s
             : gguf_open_made(file, safetensors_path(p->file), buffer_span(&p->header), p->tensors, p->n_tensors,
                              safetensors_file_bytes(p->file), error);
}

bool peft_by_root(const struct peft *p) { return p && p->by_root; }

void peft_close(struct peft *p)
{
    if (!p)
        return;
    safetensors_close(p->file);
    buffer_reset(&p->header);
    arena_reset(&p->arena);
    alloc_free(p);
}
