/* test_tokenizer_say.c - a tokenizer.json said as a GGUF file says it gives the same ids; what cannot be said so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "files/json.h"
#include "files/mapped.h"
#include "text/tokenizer_hf.h"

#define GOLDEN SOURCE_DIR "/tests/golden/hf/"

struct said {
    json_t *root;
    struct tokenizer *t, *again;
    struct arena arena;
    struct tokenizer_source source;
};

static andiron_status say(struct said *s, struct span text, andiron_error *e)
{
    *s = (struct said){0};
    arena_init(&s->arena, SIZE_MAX);
    assert_int_equal(json_read(&s->root, text, "tokenizer.json", &json_vocab_limits, e), ANDIRON_OK);
    if (tokenizer_hf_open(&s->t, &(struct tokenizer_hf_source){.tokenizer = s->root}, e))
        fail_msg("%s", e->text);
    return tokenizer_hf_say(s->t, s->root, 0, &s->arena, &s->source, e);
}

static andiron_status say_golden(struct said *s, const char *name, andiron_error *e)
{
    struct mapped file;
    char path[512];
    snprintf(path, sizeof path, GOLDEN "%s.json", name);
    assert_int_equal(mapped_open(&file, path, NULL), ANDIRON_OK);
    andiron_status status = say(s, (struct span){file.data, file.n_bytes}, e);
    mapped_close(&file);
    return status;
}

static void close_said(struct said *s)
{
    tokenizer_close(s->again);
    tokenizer_close(s->t);
    json_decref(s->root);
    arena_reset(&s->arena);
}

/* Do both make the same ids of the text, with control tokens and without, with what stands around it and without? */
static bool agree(const struct said *s, struct span text)
{
    bool all = true;
    for (unsigned flags = 0; flags < 4; flags++) {
        struct buffer a, b;
        buffer_init(&a, SIZE_MAX);
        buffer_init(&b, SIZE_MAX);
        assert_int_equal(tokenizer_encode(s->t, text, flags, &a, NULL), ANDIRON_OK);
        assert_int_equal(tokenizer_encode(s->again, text, flags, &b, NULL), ANDIRON_OK);
        all = all && span_same(buffer_span(&a), buffer_span(&b));
        buffer_reset(&a);
        buffer_reset(&b);
    }
    return all;
}

static void open_again(struct said *s, const char *name, const char *model, const char *pre)
{
    andiron_error e = {0};
    if (!span_is(s->source.model, model) || !span_is(s->source.pre, pre))
        fail_msg("%s is said as %.*s, %.*s", name, (int)s->source.model.n, s->source.model.p, (int)s->source.pre.n,
                 s->source.pre.p);
    if (tokenizer_open(&s->again, &s->source, &e))
        fail_msg("%s: %s", name, e.text);
}

/* The golden lines. Differences: texts that NFC changes, and what llama.cpp's patterns do otherwise. */
static size_t count_agreeing(const struct said *s, size_t *n)
{
    struct mapped file;
    assert_int_equal(mapped_open(&file, GOLDEN "lines.bin", NULL), ANDIRON_OK);
    const char *p = file.data;
    uint32_t n_lines, bytes;
    size_t same = 0;
    memcpy(&n_lines, p, 4);
    p += 4;
    for (uint32_t i = 0; i < n_lines; i++) {
        memcpy(&bytes, p, 4);
        same += agree(s, (struct span){p + 4, bytes});
        p += 4 + bytes;
    }
    mapped_close(&file);
    *n = n_lines;
    return same;
}

static void bytes_are_said(void **state)
{
    static const struct {
        const char *name, *pre;
        size_t least;
    } cases[] = {
        {"gpt2", "gpt-2", 0},   {"starcoder", "smollm", 0},     {"llama3", "llama-bpe", 0}, {"qwen2", "qwen2", 0},
        {"o200k", "gpt-4o", 0}, {"deepseek", "deepseek-v3", 0}, {"falcon", "falcon", 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct said s;
        andiron_error e = {0};
        size_t n;
        if (say_golden(&s, cases[i].name, &e)) {
            print_message("%s: %s\n", cases[i].name, e.text);
            close_said(&s);
            continue;
        }
        open_again(&s, cases[i].name, "gpt2", cases[i].pre);
        const size_t same = count_agreeing(&s, &n);
        print_message("%-10s %zu of %zu lines\n", cases[i].name, same, n);
        assert_true(same >= cases[i].least);
        close_said(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
