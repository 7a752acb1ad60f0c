/* spec.c - see spec.h. */
#include "spec.h"
#include "../files/writer.h"
#include "base/types.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { N_WORDS = 64, MAX_TENSORS = 2048, MAX_WORDS = 512, TOKENIZER_KEYS = 8 };

struct tensor {
    const char *name;
    bool ids; /* I32 from 0 to spread - 1, not F32 */
    float spread, middle;
    uint32_t n_dims;
    uint64_t dims[4];
};

struct reader {
    struct spec *spec;
    struct buffer values; /* keys and values, as the file holds them */
    uint64_t n_values, n_tensors, n_vocab;
    struct tensor tensors[MAX_TENSORS];
};

static uint64_t fnv1a64(const char *name)
{
    uint64_t h = 0xCBF29CE484222325;
    for (; *name; name++)
        h = (h ^ (unsigned char)*name) * 0x100000001B3;
    return h;
}

static uint64_t random_bits(uint64_t seed, uint64_t i) /* 24 of them */
{
    uint64_t z = seed + (i + 1) * 0x9E3779B97F4A7C15;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return (z ^ (z >> 31)) >> 40;
}

static float random_item(uint64_t seed, uint64_t i, const struct tensor *t)
{
    const float u = (float)random_bits(seed, i) * 0x1p-23f - 1.0f;
    volatile float product = t->spread * u; /* rounded: the sum must not be fused with it */
    return t->middle + product;
}

static void put_number(struct buffer *b, uint32_t type, const char *word)
{
    if (type == GGUF_F32) {
        float x = strtof(word, NULL);
        put(b, &x, sizeof x);
    } else if (type == GGUF_BOOL) {
        put(b, strcmp(word, "true") ? "" : "\1", 1);
    } else if (type == GGUF_U64) {
        put_u64(b, strtoull(word, NULL, 10));
    } else {
        put_u32(b, (uint32_t)strtoll(word, NULL, 10));
    }
}

static uint32_t type_named(const char *name, size_t n)
{
    static const struct {
        const char *name;
        uint32_t type;
    } types[] = {{"u32", GGUF_U32}, {"i32", GGUF_I32},   {"f32", GGUF_F32},
                 {"u64", GGUF_U64}, {"bool", GGUF_BOOL}, {"str", GGUF_STRING}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strlen(types[i].name) == n && !memcmp(types[i].name, name, n))
            return types[i].type;
    fail_msg("no type %s", name);
    return 0;
}

static void read_value(struct reader *r, char **words, size_t n)
{
    assert_true(n >= 4);
    const char *key = words[1], *brackets = strchr(words[2], '[');
    const uint32_t type = type_named(words[2], brackets ? (size_t)(brackets - words[2]) : strlen(words[2]));
    r->n_values++;
    if (type == GGUF_STRING) {
        put_key_text(&r->values, key, words[3]);
        if (!strcmp(key, "general.architecture"))
            snprintf(r->spec->architecture, sizeof r->spec->architecture, "%s", words[3]);
        return;
    }
    if (strstr(key, ".vocab_size"))
        r->n_vocab = strtoull(words[3], NULL, 10);
    if (brackets)
        put_array(&r->values, key, type, n - 3);
    else
        put_key(&r->values, key, type);
    for (size_t i = 3; i < n; i++)
        put_number(&r->values, type, words[i]);
}

static void read_tensor(struct reader *r, char **words, size_t n, bool ids)
{
    assert_true(n >= 5 && n <= 8 && r->n_tensors < MAX_TENSORS);
    struct tensor *t = &r->tensors[r->n_tensors++];
    *t = (struct tensor){words[1], ids, strtof(words[2], NULL), strtof(words[3], NULL), (uint32_t)n - 4, {0}};
    for (size_t i = 4; i < n; i++)
        t->dims[i - 4] = strtoull(words[i], NULL, 10);
}

static void read_source(struct spec *spec, char **words, size_t n)
{
    assert_true(n - 1 <= sizeof spec->source / sizeof *spec->source);
    for (size_t i = 1; i < n; i++)
        spec->source[spec->n_source++] = (int32_t)strtol(words[i], NULL, 10);
}

static void read_line(struct reader *r, char *line)
{
    char *words[MAX_WORDS], *rest = NULL;
    size_t n = 0;
    for (char *w = strtok_r(line, " ", &rest); w && n < MAX_WORDS; w = strtok_r(NULL, " ", &rest))
        words[n++] = w;
    if (n > 1 && !strcmp(words[0], "kv"))
        read_value(r, words, n);
    else if (n > 1 && (!strcmp(words[0], "tensor") || !strcmp(words[0], "ids")))
        read_tensor(r, words, n, !strcmp(words[0], "ids"));
    else if (n > 0 && !strcmp(words[0], "whole"))
        r->spec->whole = true;
    else if (n > 0 && !strcmp(words[0], "encoder"))
        read_source(r->spec, words, n);
    else if (n != 1)
        fail_msg("\"%s\" begins no line of a spec", line);
}

/* An end, printable characters, one merge, and numbers. */
static void put_tokenizer(struct buffer *b, uint64_t n_vocab)
{
    put_key_text(b, "tokenizer.ggml.model", "gpt2");
    put_key_text(b, "tokenizer.ggml.pre", "gpt-2");
    put_array(b, "tokenizer.ggml.tokens", GGUF_STRING, n_vocab);
    put_text(b, "<|end|>");
    for (char c = 33; c < 33 + N_WORDS - 2; c++)
        put_text(b, (char[]){c, 0});
    put_text(b, "AB");
    for (uint64_t i = N_WORDS; i < n_vocab; i++) {
        char name[32];
        snprintf(name, sizeof name, "<%u>", (unsigned)i);
        put_text(b, name);
    }
    put_array(b, "tokenizer.ggml.token_type", GGUF_I32, n_vocab);
    for (uint64_t i = 0; i < n_vocab; i++)
        put_u32(b, i ? 1 : 3);
    put_array(b, "tokenizer.ggml.merges", GGUF_STRING, 1);
    put_text(b, "A B");
    put_key_u32(b, "tokenizer.ggml.bos_token_id", 0);
    put_key_u32(b, "tokenizer.ggml.eos_token_id", 0);
    put_key(b, "tokenizer.ggml.add_bos_token", GGUF_BOOL);
    put(b, "", 1);
}

static uint64_t items(const struct tensor *t)
{
    uint64_t n = 1;
    for (uint32_t d = 0; d < t->n_dims; d++)
        n *= t->dims[d];
    return n;
}

static void put_file(struct buffer *b, const struct reader *r)
{
    uint64_t at = 0;
    begin_file(b, 3, r->n_tensors, r->n_values + TOKENIZER_KEYS);
    put(b, r->values.data, r->values.n);
    put_tokenizer(b, r->n_vocab);
    for (const struct tensor *t = r->tensors; t < r->tensors + r->n_tensors; t++) {
        put_text(b, t->name);
        put_u32(b, t->n_dims);
        for (uint32_t d = 0; d < t->n_dims; d++)
            put_u64(b, t->dims[d]);
        put_u32(b, t->ids ? TYPE_I32 : TYPE_F32);
        put_u64(b, at);
        at += (4 * items(t) + 31) / 32 * 32;
    }
    for (const struct tensor *t = r->tensors; t < r->tensors + r->n_tensors; t++) {
        const uint64_t seed = fnv1a64(t->name);
        pad(b, 32);
        for (uint64_t i = 0; i < items(t) && t->ids; i++)
            put_u32(b, (uint32_t)(random_bits(seed, i) * (uint64_t)t->spread >> 24));
        for (uint64_t i = 0; i < items(t) && !t->ids; i++) {
            const float x = random_item(seed, i, t);
            put(b, &x, sizeof x);
        }
    }
    pad(b, 32);
}

void spec_to_gguf(const char *path, struct spec *spec, struct buffer *file)
{
    static char text[1 << 18];
    static struct reader r;
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t n = fread(text, 1, sizeof text - 1, f);
    assert_true(feof(f));
    fclose(f);
    text[n] = 0;
    *spec = (struct spec){0};
    r = (struct reader){.spec = spec, .n_vocab = N_WORDS};
    buffer_init(&r.values, 1 << 20);
    char *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
        read_line(&r, line);
    put_file(file, &r);
    buffer_reset(&r.values);
}
