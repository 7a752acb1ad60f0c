/* fuzz_safetensors.c - any bytes as a safetensors file: opened or refused with a sentence; what is open can be read to
 * its last byte, covers the file, and is found by its names. */
#include "base/types.h"
#include "files/safetensors.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static unsigned touch(const void *p, size_t n)
{
    const volatile uint8_t *bytes = p;
    return n ? bytes[0] + bytes[n - 1] : 0;
}

static void check_tensor(const struct safetensors *s, const struct safetensors_tensor *t, const uint8_t *data, size_t n)
{
    const struct gguf_tensor *g = &t->tensor;
    char name[256];
    touch(g->name.p, g->name.n);
    touch(t->dtype.p, t->dtype.n);
    if (g->name.n < sizeof name) {
        memcpy(name, g->name.p, g->name.n);
        name[g->name.n] = 0;
        if (safetensors_find(s, name) != t)
            abort();
    }
    if (!g->data) {
        if (g->type != SAFETENSORS_OTHER || g->n_bytes)
            abort();
        return;
    }
    const uint8_t *begin = g->data;
    if (begin < data || g->n_bytes > n || begin + g->n_bytes > data + n || t->n_shape > SAFETENSORS_MAX_DIMS)
        abort();
    const struct type_info *type = type_info(g->type);
    uint64_t items = g->dims[0] * g->dims[1] * g->dims[2] * g->dims[3];
    if (type && items * type->block_bytes != g->n_bytes)
        abort();
    touch(begin, g->n_bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct safetensors *s = NULL;
    andiron_error error = {0};
    andiron_status status = safetensors_open_memory(&s, (struct span){(const char *)data, n}, &error);
    if (status) {
        if (s || error.status != status || !error.text[0])
            abort();
        return 0;
    }
    for (size_t i = 0; i < safetensors_n_tensors(s); i++)
        check_tensor(s, safetensors_tensor_at(s, i), data, n);
    struct span text;
    if (safetensors_metadata(s, "format", &text))
        touch(text.p, text.n);
    safetensors_close(s);
    return 0;
}
