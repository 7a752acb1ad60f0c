/* place.c - where weights are read from: the mapped files, or large pages of the process. */
#include "base/error.h"
#include "base/large_pages.h"
#include "base/memory.h"
#include "engine/engine.h"
#include "engine/hf_model.h"
#include <inttypes.h>
#include <string.h>

static struct span mapping_of(const andiron_model *model, size_t i)
{
    struct span found = gguf_mapping(model->file, i);
    return found.n || !model->hf ? found : hf_model_mapping(model->hf, i);
}

/* Are most of these bytes weights that are read where they lie? */
static bool holds_weights(const andiron_model *model, struct span bytes)
{
    uint64_t held = 0;
    for (size_t i = 0; i < gguf_n_tensors(model->file); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(model->file, i);
        const uint64_t n = t->parts ? t->dims[2] : 1;
        for (uint64_t j = 0; j < n; j++) {
            const char *at = t->parts ? t->parts[j] : t->data;
            if (at >= bytes.p && at < bytes.p + bytes.n)
                held += t->n_bytes / n;
        }
    }
    return held > bytes.n / 2;
}

/* With several nodes all is to move, since the page cache has a file on the one of the thread that read or wrote it. */
static andiron_status move_weights(andiron_model *model, struct moving how, andiron_error *error)
{
    struct span bytes;
    andiron_status s = ANDIRON_OK;
    how.all = how.all || has_several_nodes();
    for (size_t i = 0; !s && (bytes = mapping_of(model, i)).n; i++)
        if (holds_weights(model, bytes))
            s = move_to_large_pages(bytes.p, bytes.n, &how, model->pool, error);
    model->copied_bytes = how.moved;
    return s;
}

andiron_status model_place_weights(andiron_model *model, const andiron_model_options *options, andiron_error *error)
{
    const char *how = options->mmap ? options->mmap : "auto";
    if (!strcmp(how, "on"))
        return ANDIRON_OK;
    const uint64_t all = gguf_file_bytes(model->file), available = memory_available_bytes();
    if (!strcmp(how, "auto"))
        return move_weights(model, (struct moving){.most = available / 8}, error);
    if (strcmp(how, "off") != 0)
        return error_set(error, ANDIRON_E_ARGUMENT, "mmap is \"auto\", \"on\" or \"off\", not \"%s\"", how);
    if (all > available)
        return error_set(error, ANDIRON_E_MEMORY,
                         "%s: a copy of its %" PRIu64 " MiB does not fit into the %" PRIu64
                         " MiB of memory available; leave mmap on",
                         gguf_path(model->file), all >> 20, available >> 20);
    return move_weights(model, (struct moving){.all = true, .most = UINT64_MAX}, error);
}
