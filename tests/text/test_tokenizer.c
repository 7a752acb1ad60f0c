/* test_tokenizer.c - what golden ids do not show: runs and markup, overlapping tokens, refusals, failing allocations,
 * and hostile texts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "text/tokenizer_table.h"
#include "vocabulary.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define WORDS SOURCE_DIR "/tests/golden/tokens/words.gguf"
#define SPACES SOURCE_DIR "/tests/golden/tokens/spaces.gguf"
#define RWKV SOURCE_DIR "/tests/golden/tokens/rwkv.gguf"
#define PLAMO SOURCE_DIR "/tests/golden/tokens/plamo2.gguf"

/* Ids as text: "1 2 3". */
static const char *ids_of(const struct tokenizer *t, const char *text, const struct tokenizer_run *runs, size_t n_runs,
                          unsigned flags)
{
    static char out[4096];
    struct buffer ids;
    buffer_init(&ids, 1 << 20);
    andiron_status status = runs ? tokenizer_encode_runs(t, span_of(text), runs, n_runs, flags, &ids, NULL)
                                 : tokenizer_encode(t, span_of(text), flags, &ids, NULL);
    assert_int_equal(status, ANDIRON_OK);
    size_t n = 0;
    out[0] = 0;
    for (size_t i = 0; i < ids.n / sizeof(int32_t); i++)
        n += (size_t)snprintf(out + n, sizeof out - n, i ? " %d" : "%d", ((const int32_t *)(const void *)ids.data)[i]);
    buffer_reset(&ids);
    return out;
}

static const char *ids(const struct tokenizer *t, const char *text, unsigned flags)
{
    return ids_of(t, text, NULL, 0, flags);
}

static struct tokenizer *open_it(const struct tokenizer_source *source)
{
    struct tokenizer *t = NULL;
    andiron_error error = {0};
    if (tokenizer_open(&t, source, &error))
        fail_msg("%s", error.text);
    return t;
}

/* ---- SentencePiece ---- */

static const char *const spm_tokens[] = {
    "<unk>",
    "<s>",
    "</s>",
    "<end>",
    "<u>",
    "a",
    "b",
    "ab",
    "\xE2\x96\x81",
    "\xE2\x96\x81"
    "a",
    "abab",
    "<",
    ">",
    "u",
    "e",
    "n",
    "d",
    "<0xE2>",
    "<0x96>",
    "<0x81>",
    "<0x63>",
    "\n\n",
    "\n\n\n",
    "en",
    "end",
    "<end",
    NULL,
};
static const char spm_kinds[] = "23334111111111111666644111";

static void markup_and_content(void **state)
{
    (void)state;
    struct vocabulary v;
    vocabulary_make(&v, "llama", spm_tokens, spm_kinds, NULL);
    v.source.bos = 1;
    v.source.eos = 2;
    v.source.unknown = 0;
    v.source.add_space_prefix = 0;
    struct tokenizer *t = open_it(&v.source);
    assert_string_equal(ids(t, "<end>", ANDIRON_TOKENIZE_SPECIAL), "3");
    assert_string_equal(ids(t, "<end>", 0),
                        "25 12");               /* content is never a control token, though merging could give it */
    assert_string_equal(ids(t, "<u>", 0), "4"); /* user-defined ones are found anywhere */
    assert_string_equal(ids(t, "ab", ANDIRON_TOKENIZE_BOS), "1 7");
    assert_string_equal(ids(t, "", 0), "");
    struct tokenizer_run split[] = {{3, true}, {2, true}}, content[] = {{5, false}},
                         inside[] = {{1, false}, {5, true}, {1, false}};
    assert_string_equal(ids_of(t, "<end>", split, 2, 0), "25 12"); /* across two runs it is not one run's markup */
    assert_string_equal(ids_of(t, "<end>", content, 1, ANDIRON_TOKENIZE_SPECIAL), "25 12");
    assert_string_equal(ids_of(t, "a<end>b", inside, 3, 0), "5 3 6");
    struct tokenizer_run partly[] = {{2, false}, {5, true}}, apart[] = {{1, false}, {1, true}};
    assert_string_equal(ids_of(t, "a<end>b", partly, 2, 0), "5 25 12 6");
    assert_string_equal(ids_of(t, "ab", apart, 2, 0), "7"); /* words go on across runs */
    assert_true(tokenizer_ends_turn(t, 2));
    assert_false(tokenizer_ends_turn(t, 1));
    assert_int_equal(tokenizer_added_bos(t), 1);
    assert_int_equal(tokenizer_find(t, span_of("<u>")), 4);
    assert_int_equal(tokenizer_find(t, span_of("nothing")), -1);
    assert_int_equal(tokenizer_piece(t, 99, true).n, 0);
    assert_int_equal(tokenizer_piece(t, 3, false).n, 0);
    assert_true(span_is(tokenizer_piece(t, 3, true), "<end>"));
    assert_true(span_is(tokenizer_piece(t, 9, false), " a"));
    assert_true(span_is(tokenizer_eos_text(t), "</s>"));
    tokenizer_close(t);
    vocabulary_free(&v);
}

static void bytes_unknown_and_literal_marks(void **state)
{
    (void)state;
    struct vocabulary v;
    vocabulary_make(&v, "llama", spm_tokens, spm_kinds, NULL);
    v.source.add_space_prefix = 0;
    v.source.unknown = 0;
    struct tokenizer *t = open_it(&v.source);
    assert_string_equal(ids(t, "c", 0), "20");
    assert_string_equal(ids(t, "z", 0), "0");                  /* no byte token */
    assert_string_equal(ids(t, "<0x63>", 0), "11 0 0 0 0 12"); /* text is no byte token */
    assert_string_equal(ids(t, " a", 0), "9");
    assert_string_equal(ids(t,
                            "\xE2\x96\x81"
                            "a",
                            0),
                        "17 18 19 5");                /* a U+2581 is no space */
    assert_string_equal(ids(t, "\xE2 a", 0), "17 9"); /* a broken character ends before a space */
    tokenizer_close(t);
    v.source.add_space_prefix = 1;
    t = open_it(&v.source);
    assert_string_equal(ids(t, "a<end>a", ANDIRON_TOKENIZE_SPECIAL), "9 3 9");
    struct buffer out;
    buffer_init(&out, 64);
    assert_int_equal(tokenizer_decode(t, (const andiron_token[]){9, 3, 9, 9}, 4, true, &out, NULL), ANDIRON_OK);
    assert_true(span_is(buffer_span(&out), "a<end>a a"));
    buffer_reset(&out);
    tokenizer_close(t);
    vocabulary_free(&v);
}

static void long_tokens_win(void **state)
{
    (void)state;
    static const char *const tokens[] = {"aab", "baaaa", "aaa", "x", "a", "b", NULL};
    struct vocabulary v;
    vocabulary_make(&v, "llama", tokens, "444111", NULL);
    v.source.add_space_prefix = 0;
    struct tokenizer *t = open_it(&v.source);
    assert_string_equal(ids(t, "aabaaaa", 0), "4 4 1");
    assert_string_equal(ids(t, "aabaaa", 0), "0 2"); /* "aab", then "aaa": equally long, from the left */
    assert_string_equal(ids(t, "xaabaabaaaax", 0), "3 0 4 4 1 3");
    assert_string_equal(ids(t, "aaaaaaaa", 0), "2 2 4 4");
    tokenizer_close(t);
    vocabulary_free(&v);
}

/* ---- names ---- */

static void what_names_mean(void **state)
{
    (void)state;
    static const char *const tokens[] = {"<|return|>", "<|call|>", "<|end|>",  "<|start|>", "<|fim_pad|>",
                                         "<reponame>", "x",        "<|user|>", " ",         NULL};
    struct vocabulary v;
    vocabulary_make(&v, "llama", tokens, "111111131", NULL);
    v.source.add_space_prefix = 0;
    v.source.name = span_of("My PHI-3 mini");
    struct tokenizer *t = open_it(&v.source);
    assert_true(tokenizer_ends_turn(t, 0) && tokenizer_ends_turn(t, 1) && tokenizer_ends_turn(t, 4) &&
                tokenizer_ends_turn(t, 5));
    assert_false(tokenizer_ends_turn(t, 2) || tokenizer_ends_turn(t, 3) || tokenizer_ends_turn(t, 6));
    assert_int_equal(tokenizer_kind(t, 0), TOKEN_CONTROL);
    assert_int_equal(tokenizer_kind(t, 2), TOKEN_USER_DEFINED); /* shown ... */
    assert_true(span_is(tokenizer_piece(t, 3, false), "<|start|>"));
    assert_string_equal(ids(t, "<|start|>x", ANDIRON_TOKENIZE_SPECIAL), "3 6");
    assert_string_not_equal(ids(t, "<|start|>x", 0), "3 6"); /* ... but content does not become it */
    assert_string_equal(ids(t, "<|user|> \n x", ANDIRON_TOKENIZE_SPECIAL), "7 6");
    tokenizer_close(t);
    vocabulary_free(&v);
}

/* ---- refusals ---- */

static void refused(struct tokenizer_source source, andiron_status want, const char *word)
{
    struct tokenizer *t = (struct tokenizer *)&source;
    andiron_error error = {0};
    assert_int_equal(tokenizer_open(&t, &source, &error), want);
    assert_null(t);
    assert_non_null(strstr(error.text, word));
}

static void what_is_refused(void **state)
{
    (void)state;
    static const char *const tokens[] = {"a", NULL};
    struct vocabulary v;
    vocabulary_make(&v, "hybriddna", tokens, NULL, NULL);
    refused(v.source, ANDIRON_E_SUPPORT, "hybriddna");
    v.source.model = span_of("gpt2");
    v.source.pre = span_of("nobody-knows-me");
    refused(v.source, ANDIRON_E_SUPPORT, "nobody-knows-me");
    refused(v.source, ANDIRON_E_SUPPORT, "qwen2");
    v.source.n_tokens = 0;
    refused(v.source, ANDIRON_E_FORMAT, "0 tokens");
    vocabulary_free(&v);
}

static void odd_vocabularies_open(void **state)
{
    (void)state;
    static const char *const tokens[] = {"", "a", "a", "\xE2", "<0xZZ>", "", "ab", NULL};
    static const char *const merges[] = {"a b", "ab", "", " ", "a b", "ab ab", "q q", "x  y", NULL};
    struct vocabulary v;
    vocabulary_make(&v, "gpt2", tokens, "3116011", merges);
    v.source.bos = 4000;
    v.source.eos = -7;
    v.source.add_bos = v.source.add_eos = 1;
    struct tokenizer *t = open_it(&v.source);
    assert_string_equal(ids(t, "ab", ANDIRON_TOKENIZE_BOS), "6");
    assert_string_equal(ids(t, "aqqabab", 0), "1 1 1"); /* what has no token is left out */
    assert_int_equal(tokenizer_added_bos(t), -1);
    tokenizer_close(t);
    vocabulary_free(&v);
}

/* ---- memory ---- */

static const char sample[] = "Hello  world, it's 12345 \xE4\xBD\xA0\xE5\xA5\xBD <|im_start|>\n\n\n\xFF "
                             "end<|im_end|>aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

static bool open_and_encode(const struct tokenizer_source *source, andiron_status *status)
{
    struct tokenizer *t = NULL;
    struct buffer out, text;
    andiron_error error = {0};
    buffer_init(&out, 1 << 20);
    buffer_init(&text, 1 << 20);
    *status = tokenizer_open(&t, source, &error);
    if (!*status)
        *status = tokenizer_encode(t, span_of(sample), ANDIRON_TOKENIZE_SPECIAL, &out, &error);
    if (!*status)
        *status = tokenizer_decode(t, (const andiron_token *)(const void *)out.data, out.n / sizeof(andiron_token),
                                   true, &text, &error);
    bool fine = !*status || (*status == ANDIRON_E_MEMORY && error.status == *status && error.text[0]);
    buffer_reset(&out);
    buffer_reset(&text);
    tokenizer_close(t);
    return fine;
}

static void each_allocation_fails_once(const char *path, const char *pre)
{
    struct vocabulary v;
    assert_true(vocabulary_read(&v, path));
    if (pre)
        v.source.pre = span_of(pre);
    andiron_status status = ANDIRON_E_MEMORY;
    int64_t n = 0;
    for (; status; n++) {
        alloc_fail_after(n);
        bool fine = open_and_encode(&v.source, &status);
        alloc_fail_after(-1);
        assert_true(fine);
        assert_true(n < 1000);
    }
    assert_true(n > 5);
    vocabulary_free(&v);
}

static void allocations_fail(void **state)
{
    (void)state;
    each_allocation_fails_once(SPACES, NULL);
    each_allocation_fails_once(WORDS, "llama-bpe");
    each_allocation_fails_once(WORDS, "deepseek-llm");
    each_allocation_fails_once(RWKV, NULL);
    each_allocation_fails_once(PLAMO, NULL);
}

/* ---- hostile texts ---- */

static void check_hostile(const struct tokenizer *t, const char *unit, size_t n)
{
    size_t n_unit = strlen(unit);
    char *text = malloc(n);
    for (size_t i = 0; i < n; i++)
        text[i] = unit[i % n_unit];
    struct buffer out, back;
    buffer_init(&out, 1 << 26);
    buffer_init(&back, 1 << 26);
    clock_t start = clock();
    assert_int_equal(tokenizer_encode(t, (struct span){text, n}, 0, &out, NULL), ANDIRON_OK);
    clock_t took_ms = (clock() - start) / (CLOCKS_PER_SEC / 1000); /* of a core */
    if (took_ms > 20000) /* about 50, or 500 for a million bytes; quadratic work takes hours */
        fail_msg("%zu bytes of \"%s\" (%02x) took %ld ms", n, unit, (uint8_t)unit[0], (long)took_ms);
    assert_int_equal(tokenizer_decode(t, (const andiron_token *)(const void *)out.data, out.n / sizeof(andiron_token),
                                      true, &back, NULL),
                     ANDIRON_OK);
    assert_true(span_same(buffer_span(&back), (struct span){text, n}));
    buffer_reset(&out);
    buffer_reset(&back);
    free(text);
}

static void hostile_texts(void **state)
{
    (void)state;
    static const char *const units[] = {"a",        " ", "\n", "=",  "7",        "ab",  "a ", " \n", "\xE4\xBD\xA0",
                                        "\xF0\x9F", "A", "'s", "\t", "\xCC\x81", "\xFF"};
    static const char *const pres[] = {"gpt-2",   "llama-bpe", "deepseek-llm", "gpt-4o", "exaone-moe",
                                       "default", "superbpe",  "bloom",        "kimi-k2"};
    struct vocabulary v;
    for (size_t p = 0; p < sizeof pres / sizeof *pres; p++) {
        assert_true(vocabulary_read(&v, WORDS));
        v.source.pre = span_of(pres[p]);
        struct tokenizer *t = open_it(&v.source);
        for (size_t i = 0; i < sizeof units / sizeof *units; i++)
            check_hostile(t, units[i], 50000);
        if (p == 0)
            check_hostile(t, "a", 1000000);
        tokenizer_close(t);
        vocabulary_free(&v);
    }
    static const char *const files[] = {SPACES, RWKV, PLAMO};
    for (size_t f = 0; f < sizeof files / sizeof *files; f++) {
        assert_true(vocabulary_read(&v, files[f]));
        struct tokenizer *t = open_it(&v.source);
        for (size_t i = 0; i < sizeof units / sizeof *units; i++)
            check_hostile(t, units[i], 50000);
        check_hostile(t, "a", 1000000);
        tokenizer_close(t);
        vocabulary_free(&v);
    }
}

/* ---- the table ---- */

static void table_finds_what_was_put(void **state)
{
    (void)state;
    struct arena arena;
    struct table table;
    struct hash_key key;
    arena_init(&arena, 1 << 24);
    hash_key_init(&key);
    enum { N = 5000 };
    assert_true(table_init(&table, &arena, N));
    for (uint32_t i = 0; i < N; i++) {
        uint64_t hash = hash_bytes(&key, (const char *)&i, 1 + i % 4) & 0xFFFF00FFFFFF00FFu; /* many meet */
        uint32_t slot = table_start(&table, hash), item;
        while (table_next(&table, hash, &slot, &item))
            assert_int_not_equal(item, i);
        table_put(&table, hash, slot, i);
    }
    for (uint32_t i = 0; i < N; i++) {
        uint64_t hash = hash_bytes(&key, (const char *)&i, 1 + i % 4) & 0xFFFF00FFFFFF00FFu;
        uint32_t slot = table_start(&table, hash), item;
        bool found = false;
        while (!found && table_next(&table, hash, &slot, &item))
            found = item == i;
        assert_true(found);
    }
    assert_false(table_init(&table, &arena, SIZE_MAX / 2));
    arena_reset(&arena);
}

static void hashes_tell_texts_apart(void **state)
{
    (void)state;
    struct hash_key key = {1, 3};
    char text[64] = {0};
    for (size_t n = 0; n < sizeof text; n++) {
        uint64_t plain = hash_bytes(&key, text, n);
        assert_int_not_equal(plain, hash_bytes(&key, text, n + 1 <= sizeof text ? n + 1 : 0));
        for (size_t i = 0; i < n; i++) {
            text[i] ^= 1;
            assert_int_not_equal(plain, hash_bytes(&key, text, n));
            text[i] ^= 1;
        }
    }
    assert_int_not_equal(hash_pair(&key, 1, 2), hash_pair(&key, 2, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(markup_and_content),       cmocka_unit_test(bytes_unknown_and_literal_marks),
        cmocka_unit_test(long_tokens_win),          cmocka_unit_test(what_names_mean),
        cmocka_unit_test(what_is_refused),          cmocka_unit_test(odd_vocabularies_open),
        cmocka_unit_test(allocations_fail),         cmocka_unit_test(hostile_texts),
        cmocka_unit_test(table_finds_what_was_put), cmocka_unit_test(hashes_tell_texts_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
