/* test_bad_files.c - files that are wrong in one place, cut off, or larger than memory: each is refused with the
 * sentence that names the place, or runs right; and callers that mix up sessions, batches and models. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/memory.h"
#include "base/types.h"
#include "engine/engine.h"
#include "files/mapped.h"
#include "models.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const andiron_model_options small_steps = {.n_threads = 1, .max_step_tokens = 8};

/* ---- files in memory, changed in place ---- */

struct copy {
    char *data; /* exactly n bytes, so that a sanitizer sees one too far */
    size_t n;
    struct gguf *file; /* of the bytes before any change: where things stand */
};

static struct copy copy_of(const char *path)
{
    struct mapped m;
    struct copy c = {0};
    assert_int_equal(mapped_open(&m, path, NULL), ANDIRON_OK);
    c.data = malloc(m.n_bytes);
    assert_non_null(c.data);
    memcpy(c.data, m.data, c.n = m.n_bytes);
    mapped_close(&m);
    assert_int_equal(gguf_open_memory(&c.file, (struct span){c.data, c.n}, NULL), ANDIRON_OK);
    return c;
}

static void drop(struct copy *c)
{
    gguf_close(c->file);
    free(c->data);
}

static void change(struct copy *c, const void *at, const void *with, size_t n)
{
    size_t offset = (size_t)((const char *)at - c->data);
    assert_true(offset < c->n && n <= c->n - offset);
    memcpy(c->data + offset, with, n);
}

static void change_key(struct copy *c, const char *key, const void *with, size_t n)
{
    const struct gguf_value *v = gguf_find(c->file, key);
    if (!v)
        fail_msg("no key %s", key);
    change(c, v->bytes.p, with, n);
}

/* The fields behind a tensor's name: its type, and one of its dims (-1: none). */
static void change_tensor(struct copy *c, const char *name, uint32_t type, int dim, uint64_t size)
{
    const struct gguf_tensor *t = gguf_find_tensor(c->file, name);
    if (!t)
        fail_msg("no tensor %s", name);
    const char *at = t->name.p + t->name.n + 4;
    if (dim >= 0)
        change(c, at + 8 * dim, &size, 8);
    change(c, at + (size_t)8 * t->n_dims, &type, 4);
}

static andiron_status open_copy(const struct copy *c, andiron_model **m, andiron_error *e)
{
    const struct model_source source = {.bytes = {c->data, c->n}};
    return model_open_source(m, &source, &small_steps, e);
}

static void assert_says(andiron_status got, andiron_status expected, const andiron_error *e, const char *words)
{
    if (got != expected || !strstr(e->text, words))
        fail_msg("got %d \"%s\" where %d \"%s\" was expected", got, e->text, expected, words);
}

/* Opening, or else running, is refused with these words; takes the copy. */
static void refused(struct copy c, andiron_status expected, const char *words)
{
    andiron_model *m = NULL;
    andiron_error e = {0};
    andiron_status s = open_copy(&c, &m, &e);
    assert_says(s, expected, &e, words);
    assert_null(m);
    drop(&c);
}

/* It opens and runs; takes the copy. */
static void runs(struct copy c)
{
    andiron_model *m = NULL;
    andiron_session *s = NULL;
    andiron_error e = {0};
    if (open_copy(&c, &m, &e) || andiron_session_open(&s, m, &(andiron_session_options){.n_ctx = 40}, &e) ||
        andiron_session_append(s, (andiron_token[]){1, 2, 3}, 3, &e))
        fail_msg("%s", e.text);
    andiron_session_close(s);
    andiron_model_close(m);
    drop(&c);
}

/* ---- one number wrong ---- */

/* The llama model with 4 bytes of `value` at `key`: refused with these words, or it runs (NULL). */
static void check_key(const char *key, const void *value, const char *words)
{
    struct copy c = copy_of(TINY("llama"));
    change_key(&c, key, value, 4);
    if (words)
        refused(c, ANDIRON_E_FORMAT, words);
    else
        runs(c);
}

static void counts_in_the_metadata(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        uint32_t value;
        const char *words; /* NULL: it runs */
    } cases[] = {
        {"llama.block_count", 0, "expected 1 to 4096 layers, got the number 0"},
        {"llama.block_count", UINT32_MAX, "expected 1 to 4096 layers"},
        {"llama.block_count", 3, "no tensor \"blk.2."},
        {"llama.attention.head_count", 0, "heads: expected n to be a whole number from 1 on, got 0"},
        {"llama.attention.head_count", 3, "a number of heads that divides x [64], got 3"},
        {"llama.attention.head_count", UINT32_MAX, "a number of heads that divides x [64]"},
        {"llama.attention.head_count_kv", 0, "a whole number from 1 on, got 0"},
        {"llama.attention.head_count_kv", 4, "expected dims to be even, from 2 to 8"},
        {"llama.attention.head_count_kv", 1, "q and k to have one head size"},
        {"llama.rope.dimension_count", 0, "expected dims to be even, from 2 to 16"},
        {"llama.rope.dimension_count", 15, "expected dims to be even, from 2 to 16"},
        {"llama.rope.dimension_count", 18, "expected dims to be even, from 2 to 16"},
        {"llama.rope.dimension_count", UINT32_MAX, "expected dims to be even, from 2 to 16"},
        {"llama.context_length", UINT32_MAX, "n_ctx_train to be a count up to 1e9"},
        {"llama.context_length", 0, NULL},
        {"llama.context_length", 1000000000, NULL},
        {"llama.vocab_size", UINT32_MAX, NULL}, /* the tensors tell */
        {"tokenizer.ggml.bos_token_id", UINT32_MAX, NULL},
        {"tokenizer.ggml.eos_token_id", 128, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_key(cases[i].key, &cases[i].value, cases[i].words);
}

static void floats_in_the_metadata(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        float value;
        const char *words;
    } cases[] = {
        {"llama.attention.layer_norm_rms_epsilon", -1, "expected eps to be at least 0, got -1"},
        {"llama.attention.layer_norm_rms_epsilon", __builtin_nanf(""), "expected a finite number"},
        {"llama.attention.layer_norm_rms_epsilon", __builtin_inff(), "expected a finite number"},
        {"llama.attention.layer_norm_rms_epsilon", 0, NULL},
        {"llama.attention.layer_norm_rms_epsilon", 3e38f, NULL},
        {"llama.rope.freq_base", 0, "expected base to be above 0"},
        {"llama.rope.freq_base", -1, "expected base to be above 0"},
        {"llama.rope.freq_base", __builtin_nanf(""), "expected a finite number"},
        {"llama.rope.freq_base", 1, NULL},
        {"llama.rope.freq_base", 1e-38f, NULL}, /* frequencies beyond float */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_key(cases[i].key, &cases[i].value, cases[i].words);
}

static void windows(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {0, 1, 2, 1u << 31, UINT32_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct copy c = copy_of(TINY("gemma3"));
        change_key(&c, "gemma3.attention.sliding_window", &sizes[i], 4);
        runs(c);
    }
    struct copy c = copy_of(TINY("gemma3"));
    const float nan_window = __builtin_nanf(""), minus = -3;
    change_key(&c, "gemma3.attention.sliding_window", &nan_window, 4);
    change(&c, gguf_find(c.file, "gemma3.attention.sliding_window")->bytes.p - 4, &(uint32_t){GGUF_F32}, 4);
    refused(c, ANDIRON_E_FORMAT, "expected a finite number");
    c = copy_of(TINY("gemma3"));
    change_key(&c, "gemma3.attention.sliding_window", &minus, 4);
    change(&c, gguf_find(c.file, "gemma3.attention.sliding_window")->bytes.p - 4, &(uint32_t){GGUF_F32}, 4);
    refused(c, ANDIRON_E_FORMAT, "expected window to be a whole number from 0 on, got -3");
}

static void tensors(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint32_t type;
        int dim;
        uint64_t size;
        andiron_status status;
        const char *words;
    } cases[] = {
        {"blk.1.attn_norm.weight", TYPE_Q4_0, -1, 0, ANDIRON_E_FORMAT,
         "weight to be F32 [64], got \"blk.1.attn_norm.weight\" Q4_0"},
        {"blk.1.attn_norm.weight", TYPE_F16, -1, 0, ANDIRON_E_FORMAT, "weight to be F32 [64]"},
        {"blk.1.attn_norm.weight", TYPE_F32, 0, 63, ANDIRON_E_FORMAT,
         "weight to be F32 [64], got \"blk.1.attn_norm.weight\" F32 [63]"},
        {"token_embd.weight", TYPE_F16, 0, 32, ANDIRON_E_FORMAT, "weight to be F32 [32]"},
        {"token_embd.weight", TYPE_F16, 1, 1, ANDIRON_OK, NULL},
        {"blk.0.attn_q.weight", TYPE_F16, 1, 63, ANDIRON_E_FORMAT, "a number of heads that divides x [63], got 4"},
        {"blk.0.attn_q.weight", TYPE_F16, 0, 32, ANDIRON_E_FORMAT, "expected rows of 64 numbers"},
        {"blk.0.attn_q.weight", 99, -1, 0, ANDIRON_E_SUPPORT, "got \"blk.0.attn_q.weight\" of unknown type [64, 64]"},
        {"blk.0.attn_q.weight", 16, -1, 0, ANDIRON_E_FORMAT, "no whole number of its type's blocks"},
        {"blk.0.attn_q.weight", 24, -1, 0, ANDIRON_E_SUPPORT, "a type that this build can compute with"},
        {"blk.0.attn_q.weight", TYPE_F16, 1, 1ull << 62, ANDIRON_E_FORMAT, "more numbers than any machine"},
        {"blk.0.attn_q.weight", TYPE_F16, 1, 1ull << 30, ANDIRON_E_FORMAT, "ends past the end of the file"},
        {"rope_freqs.weight", TYPE_F32, 0, 7, ANDIRON_E_FORMAT, "factors to be F32 [8]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct copy c = copy_of(TINY("llama"));
        change_tensor(&c, cases[i].name, cases[i].type, cases[i].dim, cases[i].size);
        if (cases[i].words)
            refused(c, cases[i].status, cases[i].words);
        else
            drop(&c);
    }
}

/* A table with fewer rows than the vocabulary has tokens: they are refused when they come, and nothing is read past it.
 */
static void tokens_without_a_row(void **state)
{
    (void)state;
    struct copy c = copy_of(TINY("llama"));
    andiron_model *m;
    andiron_session *s;
    andiron_error e = {0};
    change_tensor(&c, "token_embd.weight", TYPE_F16, 1, 2);
    assert_int_equal(open_copy(&c, &m, &e), ANDIRON_OK);
    assert_int_equal(andiron_session_open(&s, m, &(andiron_session_options){.n_ctx = 16}, &e), ANDIRON_OK);
    assert_says(andiron_session_append(s, (andiron_token[]){1, 2}, 2, &e), ANDIRON_E_ARGUMENT, &e,
                "token 2 does not exist; the model knows 0 to 1");
    assert_int_equal(andiron_session_append(s, (andiron_token[]){1, 0}, 2, &e), ANDIRON_OK);
    andiron_session_close(s);
    andiron_model_close(m);
    drop(&c);
}

static void names_that_drive_terminals(void **state)
{
    (void)state;
    struct copy c = copy_of(TINY("llama"));
    change(&c, gguf_find_tensor(c.file, "blk.0.attn_norm.weight")->name.p, "\033[2J\007\302\233", 7);
    refused(c, ANDIRON_E_FORMAT, "no tensor \"blk.0.attn_norm.weight\"");
    c = copy_of(TINY("llama"));
    change_key(&c, "general.architecture", "\033[2J\a", 5);
    refused(c, ANDIRON_E_SUPPORT, "the architecture \"?[2J?\" is not known here");
    c = copy_of(TINY("llama"));
    change_key(&c, "general.architecture", "\0\0\0\0\0", 5);
    refused(c, ANDIRON_E_SUPPORT, "the architecture \"\" is not known here");
}

struct output {
    char *text;
    size_t n;
};

static bool collect(void *user, const char *text, size_t n)
{
    struct output *out = user;
    out->text = realloc(out->text, out->n + n + 1);
    assert_non_null(out->text);
    memcpy(out->text + out->n, text, n);
    out->text[out->n += n] = 0;
    return true;
}

/* What `show` prints of hostile names has no byte that a terminal acts on, as text or JSON. */
static void descriptions_are_printable(void **state)
{
    (void)state;
    struct copy c = copy_of(TINY("llama"));
    change_key(&c, "general.name", "\033]0;x\a\302\233[2J", 11);
    change(&c, gguf_find(c.file, "llama.vocab_size")->key.p, "\033[2J", 4);
    change(&c, gguf_find_tensor(c.file, "output_norm.weight")->name.p, "\033\233[2J", 5);
    const struct model_source source = {.bytes = {c.data, c.n}};
    for (unsigned json = 0; json < 2; json++) {
        struct output out = {0};
        andiron_error e = {0};
        const struct describe_options wanted = {
            .flags = 7 | (json ? ANDIRON_DESCRIBE_JSON : 0), .write = collect, .user = &out};
        if (describe_source(&source, &small_steps, &wanted, &e))
            fail_msg("%s", e.text);
        assert_non_null(strstr(out.text, "]0;x"));
        assert_null(strpbrk(out.text, "\033\a\177"));
        for (const char *p = out.text; (p = strchr(p, '\302')); p++)
            assert_true((unsigned char)p[1] >= 0xa0);
        free(out.text);
    }
    drop(&c);
}

/* ---- definitions ---- */

static void definitions(void **state)
{
    (void)state;
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"arch a graph(t) { x = embed(t, token_embd) return t }",
         "expected the graph to return logits, got its own tokens"},
        {"arch a graph(t) { x = embed(t, token_embd) return positions }", "got its own positions"},
        {"arch a graph(t) { return 3 }", "expected the graph to return logits"},
        {"arch a graph(t) { return embed(positions, token_embd) }", "its graph reads no tokens"},
        {"arch a graph(t) { x = embed(t, token_embd) return attend(heads(x, 4), heads(x, 4), heads(x, 4), cache: 0) }",
         "the layer at hand"},
        {"arch a param p = q param q = p graph(t) { return p }", "depends on itself"},
        {"arch a block f(x) { return f(x) } graph(t) { return f(t) }", "calls itself"},
        {"arch a : a graph(t) { return t }", "the parent \"a\" is not known"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[] = "bad_XXXXXX";
        andiron_model *m;
        andiron_error e = {0};
        int fd = mkstemp(path);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, cases[i].text, strlen(cases[i].text)), strlen(cases[i].text));
        close(fd);
        andiron_model_options o = small_steps;
        o.arch_path = path;
        andiron_status s = andiron_model_open(&m, TINY("llama"), &o, &e);
        unlink(path);
        assert_true(s == ANDIRON_E_FORMAT || s == ANDIRON_E_SUPPORT);
        assert_says(s, s, &e, cases[i].words);
    }
}

/* Scores of one token by a definition, in `logits` [64]. */
static void scores_of(const char *definition, float *logits)
{
    char path[] = "good_XXXXXX";
    andiron_model *m;
    andiron_session *s;
    andiron_error e = {0};
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, definition, strlen(definition)), strlen(definition));
    close(fd);
    andiron_model_options o = small_steps;
    o.arch_path = path;
    andiron_status status = andiron_model_open(&m, TINY("qwen2_q4_0"), &o, &e);
    unlink(path);
    if (status)
        fail_msg("%s", e.text);
    assert_int_equal(andiron_session_open(&s, m, &(andiron_session_options){.n_ctx = 8}, &e), ANDIRON_OK);
    assert_int_equal(andiron_session_append(s, (andiron_token[]){7}, 1, &e), ANDIRON_OK);
    memcpy(logits, andiron_session_logits(s), 64 * sizeof *logits);
    andiron_session_close(s);
    andiron_model_close(m);
}

/* Two views of one table that begin together and have as many numbers, but not the same ones, are quantized apart. */
static void views_of_one_table(void **state)
{
    (void)state;
    float alone[64], beside[64];
    scores_of("arch a graph(t) { x = linear(embed(t, token_embd), token_embd) y = slice(heads(x, 2), 0, 32)\n"
              "  for l in layers(\"blk\", 1) { z = linear(y, l.attn_output) } return z }",
              alone);
    scores_of(
        "arch a graph(t) { x = linear(embed(t, token_embd), token_embd) y = slice(heads(x, 2), 0, 32)\n"
        "  for l in layers(\"blk\", 1) { z = linear(slice(x, 0, 64), l.attn_output) * 0 + linear(y, l.attn_output) }\n"
        "  return z }",
        beside);
    assert_memory_equal(alone, beside, sizeof alone);
}

/* ---- cut off ---- */

static void cut_everywhere(struct span whole)
{
    for (size_t percent = 0; percent < 100; percent++) {
        size_t n = whole.n / 100 * percent + whole.n % 100 * percent / 100;
        char *exact = whole.n < 1 << 20 ? malloc(n ? n : 1) : NULL;
        if (exact)
            memcpy(exact, whole.p, n);
        const struct model_source source = {.bytes = {exact ? exact : whole.p, n}};
        andiron_model *m = NULL;
        andiron_error e = {0};
        andiron_status s = model_open_source(&m, &source, &small_steps, &e);
        if (s != ANDIRON_E_FORMAT ||
            !(strstr(e.text, "cut off") || strstr(e.text, "claims") || strstr(e.text, "is not a GGUF")))
            fail_msg("cut at %zu %%: %d \"%s\"", percent, s, e.text);
        free(exact);
    }
}

static void files_cut_at_every_per_cent(void **state)
{
    (void)state;
    static const char *const paths[] = {TINY("llama"), TINY("gpt2"), TINY("phi3"), TINY("qwen2_q4_0"), SMOLLM2, GEMMA3};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        struct mapped file;
        if (mapped_open(&file, paths[i], NULL)) { /* a real model that was not fetched */
            assert_true(i >= 4);
            print_message("%s: not here\n", paths[i]);
            continue;
        }
        cut_everywhere((struct span){file.data, file.n_bytes});
        mapped_close(&file);
    }
}

/* ---- memory ---- */

static int give_memory_back(void **state)
{
    (void)state;
    memory_limit(SIZE_MAX);
    return 0;
}

static void no_memory_for_a_step(void **state)
{
    (void)state;
    andiron_model *m;
    andiron_error e = {0};
    memory_limit(200000);
    assert_says(andiron_model_open(&m, TINY("llama"), &small_steps, &e), ANDIRON_E_MEMORY, &e,
                " MiB beside the file's 0.2 MiB, but only 0.2 MiB of memory are available");
}

static void no_memory_for_a_context(void **state)
{
    (void)state;
    andiron_model *m;
    andiron_session *s;
    andiron_error e = {0};
    memory_limit(64 << 20);
    assert_int_equal(andiron_model_open(&m, TINY("llama"), &small_steps, &e), ANDIRON_OK);
    assert_says(andiron_session_open(&s, m, &(andiron_session_options){.n_ctx = 1000000}, &e), ANDIRON_E_MEMORY, &e,
                "the cache of this context needs 2");
    assert_non_null(strstr(e.text, "but only 64.0 MiB of memory are available; use a smaller"));
    assert_says(andiron_session_open(&s, m, &(andiron_session_options){.n_ctx = SIZE_MAX}, &e), ANDIRON_E_ARGUMENT, &e,
                "18446744073709551615 tokens");
    assert_says(andiron_session_open(&s, m, &(andiron_session_options){.n_ctx = (size_t)UINT32_MAX + 1}, &e),
                ANDIRON_E_ARGUMENT, &e, "a context of 4294967296 tokens");
    assert_int_equal(andiron_session_open(&s, m, &(andiron_session_options){.n_ctx = 10000}, &e), ANDIRON_OK);
    andiron_session_close(s);
    andiron_model_close(m);
}

static void steps_too_large(void **state)
{
    (void)state;
    andiron_model *m;
    andiron_error e = {0};
    assert_says(andiron_model_open(&m, TINY("llama"), &(andiron_model_options){.max_step_tokens = SIZE_MAX}, &e),
                ANDIRON_E_ARGUMENT, &e, "is too large; at most 65536");
    assert_int_not_equal(andiron_model_open(&m, TINY("llama"), &(andiron_model_options){.n_threads = -1}, &e),
                         ANDIRON_OK);
    assert_int_not_equal(andiron_model_open(&m, TINY("llama"), &(andiron_model_options){.n_threads = 1 << 30}, &e),
                         ANDIRON_OK);
}

static void positions_that_the_model_lacks(void **state)
{
    (void)state;
    andiron_model *m;
    andiron_session *s;
    andiron_error e = {0};
    assert_int_equal(andiron_model_open(&m, TINY("gpt2"), &small_steps, &e), ANDIRON_OK);
    assert_says(andiron_session_open(&s, m, &(andiron_session_options){.n_ctx = 100000}, &e), ANDIRON_E_ARGUMENT, &e,
                "a context of 100000 tokens was asked for, but the model has ");
    andiron_model_close(m);
}

/* A file of 1 TiB, nearly all of it a hole: refused with its size and what there is, at once and without reading it. */
static void a_file_larger_than_memory(void **state)
{
    (void)state;
    char path[] = "huge_XXXXXX";
    struct copy c = copy_of(TINY("llama"));
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, c.data, c.n), c.n);
    bool made = ftruncate(fd, (off_t)1 << 40) == 0;
    close(fd);
    andiron_model *m = NULL;
    andiron_error e = {0};
    alloc_peak_reset();
    andiron_status s = made ? andiron_model_open(&m, path, &small_steps, &e) : ANDIRON_OK;
    unlink(path);
    drop(&c);
    if (!made || memory_available_bytes() > (size_t)1 << 40)
        skip();
    if (s != ANDIRON_E_IO) { /* the system may refuse the mapping, with the same figure */
        assert_int_equal(s, ANDIRON_E_MEMORY);
        assert_non_null(strstr(e.text, "MiB of memory are available"));
    }
    assert_non_null(strstr(e.text, "1048576.0 MiB"));
    assert_true(alloc_peak_bytes() < 4 << 20);
}

/* ---- callers that mix things up ---- */

static andiron_model *opened(const char *path)
{
    andiron_model *m = NULL;
    andiron_error e = {0};
    if (andiron_model_open(&m, path, &small_steps, &e))
        fail_msg("%s", e.text);
    return m;
}

static andiron_session *session_of(andiron_model *m)
{
    andiron_session *s = NULL;
    assert_int_equal(andiron_session_open(&s, m, &(andiron_session_options){.n_ctx = 16}, NULL), ANDIRON_OK);
    return s;
}

static void a_session_in_two_batches(void **state)
{
    (void)state;
    andiron_model *m = opened(TINY("llama"));
    andiron_session *s = session_of(m);
    andiron_batch *a, *b;
    andiron_error e = {0};
    assert_int_equal(andiron_batch_open(&a, m, NULL), ANDIRON_OK);
    assert_int_equal(andiron_batch_open(&b, m, NULL), ANDIRON_OK);
    assert_int_equal(andiron_batch_add(a, s, 1, true, NULL), ANDIRON_OK);
    assert_says(andiron_batch_add(b, s, 2, true, &e), ANDIRON_E_ARGUMENT, &e, "wait in another batch");
    assert_says(andiron_session_append(s, (andiron_token[]){3}, 1, &e), ANDIRON_E_ARGUMENT, &e,
                "wait in another batch");
    assert_int_equal(andiron_batch_run(a, &e), ANDIRON_OK);
    assert_int_equal(andiron_session_length(s), 1);
    assert_says(andiron_batch_run(a, &e), ANDIRON_E_ARGUMENT, &e, "has run already");
    assert_int_equal(andiron_batch_add(b, s, 2, true, &e), ANDIRON_OK);
    andiron_batch_close(b); /* with a token that waits: the session is free again */
    assert_int_equal(andiron_session_append(s, (andiron_token[]){3}, 1, &e), ANDIRON_OK);
    assert_int_equal(andiron_session_length(s), 2);
    andiron_batch_close(a);
    andiron_session_close(s);
    andiron_model_close(m);
}

static void a_session_closed_while_it_waits(void **state)
{
    (void)state;
    andiron_model *m = opened(TINY("llama"));
    andiron_session *s = session_of(m), *other = session_of(m);
    andiron_batch *b;
    assert_int_equal(andiron_batch_open(&b, m, NULL), ANDIRON_OK);
    assert_int_equal(andiron_batch_add(b, s, 1, true, NULL), ANDIRON_OK);
    assert_int_equal(andiron_batch_add(b, other, 2, true, NULL), ANDIRON_OK);
    assert_int_equal(andiron_batch_add(b, s, 3, true, NULL), ANDIRON_OK);
    andiron_session_close(s);
    assert_int_equal(andiron_batch_length(b), 1);
    assert_int_equal(andiron_batch_run(b, NULL), ANDIRON_OK);
    assert_int_equal(andiron_session_length(other), 1);
    assert_non_null(andiron_batch_logits(b, 0));
    andiron_session_close(other);
    andiron_batch_clear(b);
    andiron_batch_close(b);
    andiron_model_close(m);
}

static void things_of_another_model(void **state)
{
    (void)state;
    andiron_model *m = opened(TINY("llama")), *n = opened(TINY("gpt2"));
    struct copy c = copy_of(TINY("llama"));
    andiron_model *cut;
    andiron_session *s = session_of(m);
    andiron_batch *b;
    andiron_sampler *sampler;
    andiron_error e = {0};
    change_tensor(&c, "output.weight", TYPE_F16, 1, 7);
    assert_int_equal(open_copy(&c, &cut, &e), ANDIRON_OK);
    assert_int_equal(andiron_batch_open(&b, n, NULL), ANDIRON_OK);
    assert_says(andiron_batch_add(b, s, 1, true, &e), ANDIRON_E_ARGUMENT, &e, "belongs to another model");
    assert_int_equal(andiron_sampler_open(&sampler, cut, NULL, NULL), ANDIRON_OK);
    assert_int_equal(andiron_session_append(s, (andiron_token[]){1}, 1, NULL), ANDIRON_OK);
    assert_says(andiron_generate(s, sampler, NULL, NULL, &e), ANDIRON_E_ARGUMENT, &e,
                "the sampler picks from 7 tokens, but the session's model has 128");
    andiron_sampler_close(sampler);
    andiron_batch_close(b);
    andiron_session_close(s);
    andiron_model_close(cut);
    andiron_model_close(n);
    andiron_model_close(m);
    drop(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_in_the_metadata),
        cmocka_unit_test(floats_in_the_metadata),
        cmocka_unit_test(windows),
        cmocka_unit_test(tensors),
        cmocka_unit_test(tokens_without_a_row),
        cmocka_unit_test(names_that_drive_terminals),
        cmocka_unit_test(descriptions_are_printable),
        cmocka_unit_test(definitions),
        cmocka_unit_test(views_of_one_table),
        cmocka_unit_test(files_cut_at_every_per_cent),
        cmocka_unit_test_teardown(no_memory_for_a_step, give_memory_back),
        cmocka_unit_test_teardown(no_memory_for_a_context, give_memory_back),
        cmocka_unit_test(steps_too_large),
        cmocka_unit_test(positions_that_the_model_lacks),
        cmocka_unit_test(a_file_larger_than_memory),
        cmocka_unit_test(a_session_in_two_batches),
        cmocka_unit_test(a_session_closed_while_it_waits),
        cmocka_unit_test(things_of_another_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
