/* writer.c - see writer.h. */
#include "writer.h"
#include <stdlib.h>

void put(struct buffer *b, const void *p, size_t n)
{
    if (!buffer_add(b, p, n))
        abort();
}

void put_u32(struct buffer *b, uint32_t x) { put(b, &x, sizeof x); }
void put_u64(struct buffer *b, uint64_t x) { put(b, &x, sizeof x); }

void put_text(struct buffer *b, const char *text)
{
    put_u64(b, strlen(text));
    put(b, text, strlen(text));
}

void begin_file(struct buffer *b, uint32_t version, uint64_t n_tensors, uint64_t n_values)
{
    buffer_init(b, 1 << 26);
    put(b, "GGUF", 4);
    put_u32(b, version);
    put_u64(b, n_tensors);
    put_u64(b, n_values);
}

void put_key(struct buffer *b, const char *key, uint32_t type)
{
    put_text(b, key);
    put_u32(b, type);
}

void put_key_u32(struct buffer *b, const char *key, uint32_t x)
{
    put_key(b, key, GGUF_U32);
    put_u32(b, x);
}

void put_key_text(struct buffer *b, const char *key, const char *text)
{
    put_key(b, key, GGUF_STRING);
    put_text(b, text);
}

void put_array(struct buffer *b, const char *key, uint32_t item_type, uint64_t n)
{
    put_key(b, key, GGUF_ARRAY);
    put_u32(b, item_type);
    put_u64(b, n);
}

void put_tensor(struct buffer *b, const char *name, uint32_t type, uint64_t d0, uint64_t d1, uint64_t offset)
{
    put_text(b, name);
    put_u32(b, d1 ? 2 : 1);
    put_u64(b, d0);
    if (d1)
        put_u64(b, d1);
    put_u32(b, type);
    put_u64(b, offset);
}

void pad(struct buffer *b, size_t alignment)
{
    while (b->n % alignment)
        put(b, "", 1);
}
