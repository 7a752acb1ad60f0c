/* fuzz_gguf.c - any bytes as a GGUF: opened or refused with a sentence; what is open can be read to its last byte. */
#include "base/types.h"
#include "files/gguf.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* Touch the first and last byte; a sanitizer sees what lies outside. */
static unsigned touch(const void *p, size_t n)
{
    const volatile uint8_t *bytes = p;
    return n ? bytes[0] + bytes[n - 1] : 0;
}

static unsigned read_value(const struct gguf *g, const struct gguf_value *v)
{
    unsigned sum = touch(v->key.p, v->key.n) + touch(v->bytes.p, v->bytes.n);
    struct span text;
    double x;
    for (size_t cursor = 0; gguf_next_text(v, &cursor, &text);)
        sum += touch(text.p, text.n);
    if (v->n && gguf_item_f64(v, v->n - 1, &x))
        sum += x > 0;
    if (gguf_item_f64(v, v->n, &x))
        abort();
    char key[64] = "";
    if (v->key.n < sizeof key && v->key.n) {
        bool yes;
        uint64_t u;
        memcpy(key, v->key.p, v->key.n);
        if (strlen(key) == v->key.n && gguf_find(g, key) != v)
            abort();
        sum += gguf_get_u64(g, key, &u) + gguf_get_f64(g, key, &x) + gguf_get_bool(g, key, &yes) +
               gguf_get_text(g, key, &text);
    }
    return sum;
}

static void check_tensor(const struct gguf_tensor *t, const uint8_t *data, size_t n)
{
    if (!t->data) {
        if (t->n_bytes || type_info(t->type))
            abort();
        return;
    }
    uint64_t items = t->dims[0] * t->dims[1] * t->dims[2] * t->dims[3];
    const struct type_info *type = type_info(t->type);
    const uint8_t *begin = t->data;
    if (items == 0 || items / type->block_items * type->block_bytes != t->n_bytes)
        abort();
    if (begin < data || t->n_bytes > n || begin + t->n_bytes > data + n || (size_t)(begin - data) % 8)
        abort();
    touch(begin, t->n_bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct gguf *g = NULL;
    andiron_error error = {0};
    andiron_status s = gguf_open_memory(&g, (struct span){(const char *)data, n}, &error);
    if (s) {
        if (g || error.status != s || !error.text[0])
            abort();
        return 0;
    }
    for (size_t i = 0; i < gguf_n_values(g); i++)
        read_value(g, gguf_value_at(g, i));
    for (size_t i = 0; i < gguf_n_tensors(g); i++)
        check_tensor(gguf_tensor_at(g, i), data, n);
    gguf_close(g);
    return 0;
}
