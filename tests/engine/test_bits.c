/* test_bits.c - the same bits in every way of asking: levels, threads, steps, one by one, beside other sessions.
 *
 * For each model the logits of every position are hashed; every way must give the hash of the first. The hash itself is
 * committed (bits.txt; of real models that of 4 tokens), so that other machines (aarch64 under qemu) are held to it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "andiron.h"
#include "models.h"

enum { MAX_TOKENS = 96 };

struct way {
    const char *cpu;
    int threads;
    size_t ubatch;
    size_t decode; /* so many last tokens one by one */
    int n_beside;  /* other sessions in each step */
    const char *kv_type;
};

/* FNV-1a over the bytes of the logits. */
static uint64_t hash_row(uint64_t h, const float *row, size_t n)
{
    const unsigned char *p = (const unsigned char *)row;
    for (size_t i = 0; i < n * sizeof *row; i++)
        h = (h ^ p[i]) * 0x100000001b3u;
    return h;
}

static void fail_with(const andiron_error *e)
{
    print_error("%s\n", e->text);
    fail();
}

static andiron_token token_at(size_t i, size_t n_vocab, int salt)
{
    return (andiron_token)((i * 7919 + (size_t)salt * 104729 + i * i * 31) % n_vocab);
}

/* One step with tokens [from, to) of the session and one token of each neighbour. */
static uint64_t run_step(andiron_batch *batch, andiron_session *s, andiron_session *const *beside, int n_beside,
                         size_t from, size_t to, size_t n_vocab, uint64_t h)
{
    andiron_error e = {0};
    andiron_batch_clear(batch);
    size_t row[MAX_TOKENS];
    for (size_t i = from; i < to; i++) {
        if (n_beside && i % 2 == 0 &&
            andiron_batch_add(batch, beside[i % (size_t)n_beside], token_at(i, n_vocab, 3), i % 3 == 0, &e))
            fail_with(&e);
        row[i - from] = andiron_batch_length(batch);
        if (andiron_batch_add(batch, s, token_at(i, n_vocab, 0), true, &e))
            fail_with(&e);
    }
    if (andiron_batch_run(batch, &e))
        fail_with(&e);
    for (size_t i = from; i < to; i++) {
        const float *logits = andiron_batch_logits(batch, row[i - from]);
        assert_non_null(logits);
        h = hash_row(h, logits, n_vocab);
    }
    return h;
}

static uint64_t hash_of(const char *path, size_t n_tokens, const struct way *w)
{
    andiron_error e = {0};
    andiron_model *model;
    andiron_session *s, *beside[2];
    andiron_batch *batch;
    andiron_model_info info;
    andiron_model_options mo = {
        .cpu = w->cpu, .n_threads = w->threads, .max_step_tokens = w->ubatch + (w->n_beside ? w->ubatch : 0)};
    andiron_session_options so = {.n_ctx = 128, .kv_type = w->kv_type};
    if (andiron_model_open(&model, path, &mo, &e))
        fail_with(&e);
    andiron_model_get_info(model, &info);
    if (andiron_session_open(&s, model, &so, &e) || andiron_batch_open(&batch, model, &e))
        fail_with(&e);
    for (int i = 0; i < w->n_beside; i++)
        if (andiron_session_open(&beside[i], model, &so, &e))
            fail_with(&e);
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t at = 0; at < n_tokens;) {
        size_t n = at < n_tokens - w->decode ? w->ubatch : 1,
               most = at < n_tokens - w->decode ? n_tokens - w->decode - at : 1;
        n = n < most ? n : most;
        h = run_step(batch, s, beside, w->n_beside, at, at + n, info.n_vocab, h);
        at += n;
    }
    andiron_batch_close(batch);
    andiron_session_close(s);
    for (int i = 0; i < w->n_beside; i++)
        andiron_session_close(beside[i]);
    andiron_model_close(model);
    return h;
}

static bool level_present(const char *cpu)
{
    andiron_error e = {0};
    andiron_model *model = NULL;
    andiron_model_options mo = {.cpu = cpu, .vocab_only = true};
    if (andiron_model_open(&model, TINY("llama"), &mo, &e) && e.status == ANDIRON_E_ARGUMENT)
        return false;
    andiron_model_close(model);
    return true;
}

/* Those of a level stand together. */
static const struct way ways[] = {
    {"ref", 1, 64, 0, 0, NULL},     {"ref", 3, 7, 0, 0, NULL},     {"ref", 2, 64, 5, 1, NULL},
    {"avx2", 1, 64, 0, 0, NULL},    {"avx2", 2, 7, 9, 0, NULL},    {"avx2", 7, 1, 0, 0, NULL},
    {"avx512", 1, 64, 0, 0, NULL},  {"avx512", 2, 64, 0, 2, NULL}, {"avx512", 3, 7, 0, 1, NULL},
    {"avx512", 7, 64, 17, 0, NULL}, {"avx512", 2, 1, 0, 2, NULL},  {"amx", 2, 64, 0, 2, NULL},
    {"amx", 1, 64, 17, 0, NULL},    {"amx", 3, 25, 0, 1, NULL},    {"neon", 2, 7, 9, 1, NULL},
    {"neon", 1, 64, 0, 0, NULL},    {"neon", 7, 1, 0, 0, NULL},    {"dotprod", 2, 7, 9, 1, NULL},
    {"dotprod", 1, 64, 0, 0, NULL}, {"dotprod", 3, 5, 0, 2, NULL}, {"i8mm", 2, 7, 9, 1, NULL},
    {"i8mm", 1, 64, 0, 0, NULL},    {"i8mm", 7, 64, 17, 0, NULL},  {"i8mm", 2, 1, 0, 2, NULL},
    {NULL, 0, 32, 3, 0, NULL},
};

/* Which ways are tried. The last is the best level there is. */
enum effort {
    LAST_WAY,   /* under ThreadSanitizer, which looks for races and not at bits, and an emulator (AVX takes long) */
    EACH_LEVEL, /* under an emulator of ARM: the first way of each level, too */
    ALL_WAYS,
};

static enum effort effort(void)
{
#ifdef __SANITIZE_THREAD__
    return LAST_WAY;
#else
    if (!getenv("ANDIRON_TESTS_EMULATED"))
        return ALL_WAYS;
#ifdef __aarch64__
    return EACH_LEVEL;
#else
    return LAST_WAY;
#endif
#endif
}

static bool tried(size_t way, bool with_ref)
{
    const char *cpu = ways[way].cpu;
    if (!cpu)
        return true;
    if (effort() == LAST_WAY || (!with_ref && !strcmp(cpu, "ref")))
        return false;
    if (effort() == EACH_LEVEL && way > 0 && !strcmp(cpu, ways[way - 1].cpu))
        return false;
    return level_present(cpu);
}

static void check_ways(const char *path, size_t n_tokens, const char *kv_type, bool with_ref, uint64_t *first)
{
    *first = 0;
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        struct way w = ways[i];
        w.kv_type = kv_type;
        if (!tried(i, with_ref))
            continue;
        uint64_t h = hash_of(path, n_tokens, &w);
        if (*first == 0)
            *first = h;
        if (h != *first) {
            print_error("%s: other bits at cpu %s, %d threads, ubatch %zu, decode %zu, beside %d, kv %s\n", path, w.cpu,
                        w.threads, w.ubatch, w.decode, w.n_beside, kv_type);
            fail();
        }
    }
}

static const char *const tiny[] = {"llama", "mistral", "qwen2", "qwen3", "gemma3", "phi3", "olmo2", "smollm3", "gpt2"};
static const char *const kv_types[] = {"f32", "f16", "q8_0"};

/* The committed hash for a model and cache type, or 0. */
static uint64_t committed(const char *name, const char *kv_type)
{
    char model[64], kv[16];
    unsigned long long h;
    FILE *f = fopen(SOURCE_DIR "/tests/golden/bits.txt", "r");
    uint64_t found = 0;
    while (f && fscanf(f, "%63s %15s %llx", model, kv, &h) == 3)
        if (!strcmp(model, name) && !strcmp(kv, kv_type))
            found = h;
    if (f)
        fclose(f);
    return found;
}

static void tiny_models_give_the_same_bits(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof tiny / sizeof *tiny; i++)
        for (int k = 0; k < 3; k++) {
            char path[512];
            uint64_t h;
            snprintf(path, sizeof path, TINY("%s"), tiny[i]);
            check_ways(path, 40, kv_types[k], true, &h);
            print_message("%s %s %016llx\n", tiny[i], kv_types[k], (unsigned long long)h);
            assert_int_equal(h, committed(tiny[i], kv_types[k]));
        }
}

/* Weights of 8 and of 4 bits; n-grams, states, chosen positions and loops. Their bits are not committed: each way is
 * held to ref's. */
static void more_tiny_models_give_the_same_bits(void **state)
{
    (void)state;
    uint64_t h;
    check_ways(TINY("llama_q8_0"), 40, "q8_0", true, &h);
    check_ways(TINY("qwen2_q4_0"), 40, "f16", true, &h);
    check_ways(TINY("imports/qwen4_exp_text"), 40, "q8_0", true, &h);
    check_ways(TINY("imports/deepseek_v4"), 40, "f16", true, &h);
    check_ways(TINY("imports/stepped"), 40, "f32", true, &h);
}

/* Where all is slow a few tokens of one model must do. */
static void check_real(const char *path, const char *name)
{
    uint64_t h;
    if (access(path, R_OK) || (effort() != ALL_WAYS && strcmp(name, "smollm2")))
        skip();
    if (effort() == ALL_WAYS) {
        check_ways(path, 33, "f16", false, &h);
        uint64_t ref = hash_of(path, 8, &(struct way){"ref", 2, 8, 0, 0, "f16"});
        assert_int_equal(ref, hash_of(path, 8, &(struct way){NULL, 2, 3, 2, 0, "f16"}));
    }
    h = hash_of(path, 4, &(struct way){NULL, 2, 3, 1, 0, "f16"});
    print_message("%s f16 %016llx\n", name, (unsigned long long)h);
    assert_int_equal(h, committed(name, "f16"));
}

static void smollm2_gives_the_same_bits(void **state)
{
    (void)state;
    check_real(SMOLLM2, "smollm2");
}

static void gemma3_gives_the_same_bits(void **state)
{
    (void)state;
    check_real(GEMMA3, "gemma3_270m");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tiny_models_give_the_same_bits),
        cmocka_unit_test(more_tiny_models_give_the_same_bits),
        cmocka_unit_test(smollm2_gives_the_same_bits),
        cmocka_unit_test(gemma3_gives_the_same_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
