/* test_tokenizer_golden.c - ids equal llama.cpp's, and bytes come back: thousands of lines with both real vocabularies,
 * hundreds with a small one under each pre-tokenizer. The files were made by tools/oracle/make_tokens.py, which says
 * what is in them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "../engine/models.h"
#include "vocabulary.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GOLDEN(name) SOURCE_DIR "/tests/golden/tokens/" name

/* ---- golden files ---- */

struct reader {
    uint8_t *data;
    size_t n, at;
};

static void open_reader(struct reader *r, const char *path)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    fseek(f, 0, SEEK_END);
    *r = (struct reader){.n = (size_t)ftell(f)};
    rewind(f);
    r->data = malloc(r->n + 1);
    assert_int_equal(fread(r->data, 1, r->n, f), r->n);
    fclose(f);
}

static const void *take(struct reader *r, size_t n)
{
    assert_true(n <= r->n - r->at);
    r->at += n;
    return r->data + r->at - n;
}

static uint32_t take_u32(struct reader *r)
{
    uint32_t x;
    memcpy(&x, take(r, sizeof x), sizeof x);
    return x;
}

static uint64_t u64_at(const uint8_t *p, size_t i)
{
    uint64_t x;
    memcpy(&x, p + i * sizeof x, sizeof x);
    return x;
}

static size_t read_lines(struct reader *r, struct span **lines)
{
    open_reader(r, GOLDEN("lines.bin"));
    size_t n = take_u32(r);
    *lines = calloc(n, sizeof **lines);
    for (size_t i = 0; i < n; i++) {
        (*lines)[i].n = take_u32(r);
        (*lines)[i].p = take(r, (*lines)[i].n);
    }
    return n;
}

/* ---- one tokenizer, of a small vocabulary or of a model ---- */

struct subject {
    struct tokenizer *small;
    andiron_model *model;
    bool lossless[256]; /* bytes that have a token of their own */
};

static size_t encode(const struct subject *s, struct span text, unsigned flags, andiron_token *ids, size_t capacity)
{
    size_t n = 0;
    if (s->model) {
        assert_int_equal(andiron_tokenize(s->model, text.p, text.n, flags, ids, capacity, &n, NULL), ANDIRON_OK);
        return n;
    }
    struct buffer out;
    buffer_init(&out, 1 << 24);
    assert_int_equal(tokenizer_encode(s->small, text, flags, &out, NULL), ANDIRON_OK);
    n = out.n / sizeof *ids;
    memcpy(ids, out.data ? out.data : "", (n < capacity ? n : capacity) * sizeof *ids);
    buffer_reset(&out);
    return n;
}

static bool decodes_to(const struct subject *s, const andiron_token *ids, size_t n_ids, struct span text)
{
    struct buffer out;
    buffer_init(&out, 1 << 24);
    size_t n = 0;
    if (s->model) {
        char *bytes = malloc(text.n + 1);
        assert_int_equal(andiron_detokenize(s->model, ids, n_ids, true, bytes, text.n, &n, NULL), ANDIRON_OK);
        if (n <= text.n)
            buffer_add(&out, bytes, n);
        free(bytes);
    } else {
        assert_int_equal(tokenizer_decode(s->small, ids, n_ids, true, &out, NULL), ANDIRON_OK);
        n = out.n;
    }
    bool same = n == text.n && span_same(buffer_span(&out), text);
    buffer_reset(&out);
    return same;
}

static struct span piece(const struct subject *s, andiron_token id)
{
    if (s->small)
        return tokenizer_piece(s->small, id, true);
    struct span p;
    p.p = andiron_token_piece(s->model, id, true, &p.n);
    return p;
}

static void find_lossless(struct subject *s, size_t n_tokens)
{
    for (size_t id = 0; id < n_tokens; id++) {
        struct span p = piece(s, (andiron_token)id);
        if (p.n == 1)
            s->lossless[(uint8_t)p.p[0]] = true;
    }
}

static bool comes_back(const struct subject *s, struct span text)
{
    for (size_t i = 0; i < text.n; i++)
        if (!s->lossless[(uint8_t)text.p[i]])
            return false;
    return true;
}

static uint64_t hash_of(const andiron_token *ids, size_t n)
{
    const uint8_t *p = (const uint8_t *)ids;
    uint64_t h = 0xCBF29CE484222325u;
    for (size_t i = 0; i < n * sizeof *ids; i++)
        h = (h ^ p[i]) * 0x100000001B3u;
    return h ? h : 1;
}

/* How many lines have the ids whose hashes are at `hashes`, `ways` for a line (control tokens not found, found). Fails
 * at the first line that has others, or whose bytes do not come back though each has a token. */
static size_t check_lines(const struct subject *s, const struct span *lines, size_t n_lines, const uint8_t *hashes,
                          size_t ways)
{
    static andiron_token ids[1 << 16];
    size_t n_equal = 0;
    for (size_t i = 0; i < n_lines; i++) {
        bool equal = true;
        for (size_t special = 0; special < ways; special++) {
            size_t n = encode(s, lines[i], special ? ANDIRON_TOKENIZE_SPECIAL : 0, ids, sizeof ids / sizeof *ids);
            assert_true(n <= sizeof ids / sizeof *ids);
            uint64_t want = u64_at(hashes, i * ways + special);
            equal = equal && want;
            if (want && hash_of(ids, n) != want)
                fail_msg("line %zu (%zu): other ids than llama.cpp's: %.*s", i, special, (int)lines[i].n, lines[i].p);
            if (comes_back(s, lines[i]) && !decodes_to(s, ids, n, lines[i]))
                fail_msg("line %zu (%zu) does not come back: %.*s", i, special, (int)lines[i].n, lines[i].p);
        }
        n_equal += equal;
    }
    return n_equal;
}

/* The ids in full of the first lines, for finding out where they part. */
static void check_full(const struct subject *s, const struct span *lines, struct reader *r, size_t n_full,
                       const uint8_t *hashes)
{
    static andiron_token ids[1 << 16], want[1 << 16];
    for (size_t i = 0; i < n_full * 2; i++) {
        size_t n_want = take_u32(r);
        memcpy(want, take(r, n_want * sizeof *want), n_want * sizeof *want);
        if (!u64_at(hashes, i))
            continue;
        size_t n = encode(s, lines[i / 2], i % 2 ? ANDIRON_TOKENIZE_SPECIAL : 0, ids, sizeof ids / sizeof *ids);
        for (size_t k = 0; k < n && k < n_want; k++)
            if (ids[k] != want[k])
                fail_msg("line %zu: token %zu is %d, llama.cpp's %d", i / 2, k, ids[k], want[k]);
        assert_int_equal(n, n_want);
    }
}

static bool ends_turn(const struct subject *s, andiron_token id)
{
    return s->model ? andiron_token_ends_turn(s->model, id) : tokenizer_ends_turn(s->small, id);
}

static void check_ends(const struct subject *s, struct reader *r, size_t n_tokens)
{
    size_t n = take_u32(r), n_ours = 0;
    for (size_t i = 0; i < n; i++)
        assert_true(ends_turn(s, (andiron_token)take_u32(r)));
    for (size_t id = 0; id < n_tokens; id++)
        n_ours += ends_turn(s, (andiron_token)id);
    assert_int_equal(n_ours, n);
}

static void check_subject(struct subject *s, size_t n_tokens, const char *golden, size_t least_equal)
{
    struct reader lines_file, r;
    struct span *lines;
    size_t n_lines = read_lines(&lines_file, &lines);
    open_reader(&r, golden);
    size_t n = take_u32(&r), n_full = take_u32(&r);
    assert_true(n <= n_lines);
    find_lossless(s, n_tokens);
    const uint8_t *hashes = take(&r, n * 2 * sizeof(uint64_t));
    check_full(s, lines, &r, n_full, hashes);
    size_t n_equal = check_lines(s, lines, n, hashes, 2);
    print_message("%zu of %zu lines have llama.cpp's ids; of the rest it loses bytes\n", n_equal, n);
    assert_true(n_equal >= least_equal);
    check_ends(s, &r, n_tokens);
    free(lines);
    free(lines_file.data);
    free(r.data);
}

/* ---- tests ---- */

static void check_model(const char *path, const char *golden, size_t n_tokens)
{
    if (access(path, R_OK)) {
        print_message("skipped: %s is not there; `make test` fetches it\n", path);
        skip();
    }
    struct subject s = {0};
    andiron_error error = {0};
    andiron_model_options options = {.vocab_only = true};
    if (andiron_model_open(&s.model, path, &options, &error))
        fail_msg("%s", error.text);
    check_subject(&s, n_tokens, golden, 5000);
    andiron_model_close(s.model);
}

static void smollm2(void **state)
{
    (void)state;
    check_model(SMOLLM2, GOLDEN("smollm2.bin"), 49152);
}

static void gemma3(void **state)
{
    (void)state;
    check_model(GEMMA3, GOLDEN("gemma3.bin"), 262144);
}

static void check_small(const char *path, const char *golden, andiron_token eos, size_t least_equal)
{
    struct vocabulary v;
    struct subject s = {0};
    andiron_error error = {0};
    assert_true(vocabulary_read(&v, path));
    v.source.add_space_prefix = true;
    v.source.eos = eos;
    if (tokenizer_open(&s.small, &v.source, &error))
        fail_msg("%s", error.text);
    check_subject(&s, v.source.n_tokens, golden, least_equal);
    tokenizer_close(s.small);
    vocabulary_free(&v);
}

static void spaces_in_front(void **state)
{
    (void)state;
    check_small(GOLDEN("spaces.gguf"), GOLDEN("spaces.bin"), 2, 900);
}

static void longest_tokens(void **state)
{
    (void)state;
    check_small(GOLDEN("rwkv.gguf"), GOLDEN("rwkv.bin"), 0, 900);
}

static void least_costs(void **state)
{
    (void)state;
    check_small(GOLDEN("plamo2.gguf"), GOLDEN("plamo2.bin"), 2, 850);
}

static void every_pre_tokenizer(void **state)
{
    (void)state;
    struct vocabulary v;
    struct reader lines_file, r;
    struct span *lines;
    assert_true(vocabulary_read(&v, GOLDEN("words.gguf")));
    read_lines(&lines_file, &lines);
    open_reader(&r, GOLDEN("words.bin"));
    size_t n_kinds = 0;
    for (; r.at < r.n; n_kinds++) {
        struct subject s = {0};
        andiron_error error = {0};
        v.source.pre.n = *(const uint8_t *)take(&r, 1);
        v.source.pre.p = take(&r, v.source.pre.n);
        size_t n = take_u32(&r);
        if (tokenizer_open(&s.small, &v.source, &error))
            fail_msg("%s", error.text);
        find_lossless(&s, v.source.n_tokens);
        size_t n_equal = check_lines(&s, lines, n, take(&r, n * sizeof(uint64_t)), 1);
        if (n_equal < n * 3 / 4)
            fail_msg("%.*s: only %zu lines compared", (int)v.source.pre.n, v.source.pre.p, n_equal);
        tokenizer_close(s.small);
    }
    assert_int_equal(n_kinds, 29);
    print_message("%zu kinds of pre-tokenizers\n", n_kinds);
    free(lines);
    free(lines_file.data);
    free(r.data);
    vocabulary_free(&v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(smollm2),        cmocka_unit_test(gemma3),      cmocka_unit_test(spaces_in_front),
        cmocka_unit_test(longest_tokens), cmocka_unit_test(least_costs), cmocka_unit_test(every_pre_tokenizer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
