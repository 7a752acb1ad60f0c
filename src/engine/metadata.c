/* metadata.c - the file's metadata as definitions ask for them.
 *
 * Files that llama.cpp itself has written (llama_model_save_to_file, llama-finetune) hold every number that any
 * architecture has, also where this one has none: there a number that is its default says nothing, as if it were
 * absent. */
#include "engine/engine.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { KEY_MAX = 320 };

/* Keys of the architecture carry its name in front; others begin with a dot here (arch.h). */
static const struct gguf_value *find_key(const andiron_model *model, const char *key)
{
    char full[KEY_MAX];
    if (key[0] == '.')
        return gguf_find(model->file, key + 1);
    int n = snprintf(full, sizeof full, "%s.%s", model->architecture, key);
    return n > 0 && n < KEY_MAX ? gguf_find(model->file, full) : NULL;
}

/* ---- defaults ---- */

/* No architecture has all of these. */
static bool has_all_keys(const andiron_model *model)
{
    return find_key(model, "wkv.head_size") && find_key(model, "ssm.inner_size") &&
           find_key(model, "posnet.block_count");
}

/* Keys whose 0 is not their default, in files of llama.cpp. */
static bool zero_tells(const char *key)
{
    static const char *const keys[] = {
        "rope.dimension_count",  "attention.head_count",   "attention.head_count_kv",
        "use_parallel_residual", "rope.scaling.finetuned", "ple.eos_token_id",
    };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (!strcmp(key, keys[i]))
            return true;
    return false;
}

/* Where architectures without such a number have it from. */
static double usual(const char *key)
{
    static const struct {
        const char *key;
        double number;
    } keys[] = {
        {"attn_logit_softcapping", 50},
        {"final_logit_softcapping", 30},
        {"pooling_type", UINT32_MAX},
        {"kda.gate_lower_bound", -(double)INFINITY},
    };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (!strcmp(key, keys[i].key))
            return keys[i].number;
    return 0;
}

static bool is_default(const char *key, const struct gguf_value *v)
{
    const double wanted = usual(key);
    double number;
    for (uint64_t i = 0; i < v->n; i++)
        if (!gguf_item_f64(v, i, &number) || (number != wanted && number != 0))
            return false;
    return !zero_tells(key);
}

/* ---- what definitions ask ---- */

void metadata_init(andiron_model *model) { model->has_all_keys = has_all_keys(model); }

bool metadata_number(void *user, const char *key, uint64_t i, double *out, uint64_t *n)
{
    const andiron_model *model = user;
    const struct gguf_value *v = find_key(model, key);
    if (v && model->has_all_keys && is_default(key, v))
        v = NULL;
    if (!v && model->wants_embeddings && !strcmp(key, "pooling_type")) { /* any model can be asked for its last row */
        *out = POOLING_LAST;
        if (n)
            *n = 1;
        return i == 0;
    }
    if (!v || !gguf_item_f64(v, i, out))
        return false;
    if (n)
        *n = v->n;
    return true;
}

bool metadata_whole(void *user, const char *key, uint64_t i, uint64_t *out, uint64_t *n)
{
    const struct gguf_value *v = find_key(user, key);
    if (!v || !gguf_item_u64(v, i, out))
        return false;
    if (n)
        *n = v->n;
    return true;
}

bool metadata_text(void *user, const char *key, struct span *out)
{
    const struct gguf_value *v = find_key(user, key);
    if (!v || v->type != GGUF_STRING)
        return false;
    *out = v->bytes;
    return true;
}
