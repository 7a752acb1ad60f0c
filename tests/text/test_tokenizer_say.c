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
        {"gpt2", "gpt-2", 800},    {"starcoder", "smollm", 800}, {"llama3", "llama-bpe", 800},
        {"qwen2", "qwen2", 718},   {"o200k", "gpt-4o", 790},     {"deepseek", "deepseek-v3", 800},
        {"falcon", "falcon", 800},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct said s;
        andiron_error e = {0};
        size_t n;
        if (say_golden(&s, cases[i].name, &e))
            fail_msg("%s: %s", cases[i].name, e.text);
        open_again(&s, cases[i].name, "gpt2", cases[i].pre);
        const size_t same = count_agreeing(&s, &n);
        print_message("%-10s %zu of %zu lines\n", cases[i].name, same, n);
        assert_true(same >= cases[i].least);
        close_said(&s);
    }
}

/* ---- words, and pieces by probability ---- */

static void words_are_said(void **state)
{
    static const char *const cases[][2] = {{"cased", "bert"}, {"uncased", "bert"}, {"xlmr", "t5"}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct said s;
        andiron_error e = {0};
        size_t n;
        if (say_golden(&s, cases[i][0], &e))
            fail_msg("%s: %s", cases[i][0], e.text);
        open_again(&s, cases[i][0], cases[i][1], "default");
        const size_t same = count_agreeing(&s, &n);
        print_message("%-10s %zu of %zu lines\n", cases[i][0], same, n);
        assert_int_equal(same, n);
        assert_int_equal(tokenizer_n_tokens(s.again), tokenizer_n_tokens(s.t));
        close_said(&s);
    }
}

static void other_steps_are_refused(void **state)
{
    static const char *const cases[][2] = {
        {"albert", "Unigram with these steps"}, {"t5", "Unigram with these steps"}, {"words", "WordLevel"}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct said s;
        andiron_error e = {0};
        assert_int_equal(say_golden(&s, cases[i][0], &e), ANDIRON_E_SUPPORT);
        if (!strstr(e.text, cases[i][1]))
            fail_msg("%s: \"%s\"", cases[i][0], e.text);
        close_said(&s);
    }
}

/* Texts that no tokenizer.json could hold, twice the same, and ids that are not there. */
static void strange_vocabularies_are_read_or_refused(void **state)
{
    const struct span texts[] = {
        {"[UNK]", 5}, {"\342\226\201a", 4}, {"\342\226\201a", 4}, {"\xff", 1}, {"", 0}, {"b\0c", 3},
        {"b", 1},     {"\342\226\201", 3}};
    enum { N = sizeof texts / sizeof *texts };
    const char *const models[] = {"bert", "t5"};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct tokenizer_source s = {.model = span_of(models[i]), .n_tokens = N, .texts = texts, .bos = 99, .eos = -1};
        struct tokenizer *t;
        struct buffer ids;
        andiron_error e = {0};
        s.eot = s.eom = s.sep = s.padding = -1;
        s.add_bos = s.add_eos = s.add_space_prefix = s.remove_extra_whitespaces = s.lowercase = s.strip_accents = -1;
        if (tokenizer_open(&t, &s, &e))
            assert_non_null(strstr(e.text, "past the vocabulary's end")); /* bert's bos */
        tokenizer_close(t);
        s.bos = -1;
        assert_int_equal(tokenizer_open(&t, &s, &e), ANDIRON_OK);
        assert_int_equal(tokenizer_n_tokens(t), N);
        buffer_init(&ids, SIZE_MAX);
        assert_int_equal(tokenizer_encode(t, span_of("ab \xff unusable 3"), 1, &ids, &e), ANDIRON_OK);
        assert_true(ids.n >= 12 && ((const int32_t *)(const void *)ids.data)[0] == 1);
        buffer_reset(&ids);
        tokenizer_close(t);
        s.charsmap = span_of("nonsense");
        assert_int_equal(tokenizer_open(&t, &s, &e), i ? ANDIRON_E_FORMAT : ANDIRON_OK);
        tokenizer_close(t);
        s.unknown = N;
        assert_int_equal(tokenizer_open(&t, &s, &e), ANDIRON_E_FORMAT);
        assert_non_null(strstr(e.text, "unknown_token_id"));
        s.n_tokens = 0;
        assert_int_equal(tokenizer_open(&t, &s, &e), ANDIRON_E_FORMAT);
    }
}

/* Ids are llama.cpp's: white space is left out, as are characters without a token; merges stay within words. */
static void words_between_white_space_merge(void **state)
{
    const struct span texts[] = {{"<s>", 3}, {"a", 1},        {"b", 1},        {"ab", 2},
                                 {"aba", 3}, {"\303\251", 2}, {"a\303\251", 3}};
    const struct span merges[] = {{"a b", 3}, {"ab a", 4}, {"a \303\251", 4}, {"b x", 3}, {"b", 1}};
    const struct {
        const char *text;
        int lower;
        int32_t ids[8];
        size_t n;
    } cases[] = {{"ab a", 0, {3, 1}, 2},
                 {" aba\tb\343\200\200b\n", 0, {4, 2, 2}, 3},
                 {"a\303\251 a \303\251", 0, {6, 1, 5}, 3},
                 {"AB a?", 0, {1}, 1},
                 {"AB A\303\211?", 1, {3, 6}, 2},
                 {" \n", 1, {0}, 0}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tokenizer_source s = {.model = span_of("whitespace"),
                                     .n_tokens = sizeof texts / sizeof *texts,
                                     .texts = texts,
                                     .n_merges = sizeof merges / sizeof *merges,
                                     .merges = merges,
                                     .lowercase = cases[i].lower};
        struct tokenizer *t;
        struct buffer ids;
        andiron_error e = {0};
        s.bos = s.eos = s.eot = s.eom = s.sep = s.padding = s.unknown = -1;
        assert_int_equal(tokenizer_open(&t, &s, &e), ANDIRON_OK);
        buffer_init(&ids, SIZE_MAX);
        assert_int_equal(tokenizer_encode(t, span_of(cases[i].text), 1, &ids, &e), ANDIRON_OK);
        assert_int_equal(ids.n, cases[i].n * sizeof(int32_t));
        if (ids.n)
            assert_memory_equal(ids.data, cases[i].ids, ids.n);
        buffer_reset(&ids);
        tokenizer_close(t);
    }
}

/* ---- pieces ---- */

#define MARK "\342\226\201"

/* A vocabulary of a few pieces, with these merges and steps. */
static andiron_status say_pieces(struct said *s, const char *merges, const char *steps, andiron_error *e)
{
    struct buffer text;
    buffer_init(&text, 1 << 20);
    buffer_printf(&text,
                  "{\"added_tokens\": [{\"id\": 1, \"content\": \"<s>\", \"special\": true}], %s, \"model\": {"
                  "\"type\": \"BPE\", \"byte_fallback\": true, \"fuse_unk\": true, \"unk_token\": \"<unk>\","
                  "\"vocab\": {\"<unk>\": 0, \"<s>\": 1",
                  steps);
    for (unsigned b = 0; b < 256; b++)
        buffer_printf(&text, ", \"<0x%02X>\": %u", b, 2 + b);
    buffer_printf(&text,
                  ", \"" MARK "\": 258, \"a\": 259, \"b\": 260, \"ab\": 261, \"" MARK "a\": 262, \"" MARK
                  "ab\": 263}, \"merges\": [%s]}}",
                  merges);
    assert_false(text.failed);
    andiron_status status = say(s, buffer_span(&text), e);
    buffer_reset(&text);
    return status;
}

#define PREPENDED                                                                                             \
    "\"normalizer\": {\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"Prepend\", \"prepend\": \"" MARK \
    "\"}, {\"type\": \"Replace\", \"pattern\": {\"String\": \" \"}, \"content\": \"" MARK "\"}]}"
#define REPLACED "\"normalizer\": {\"type\": \"Replace\", \"pattern\": {\"String\": \" \"}, \"content\": \"" MARK "\"}"
#define ALL_WAYS "\"a b\", \"" MARK " a\", \"" MARK " ab\", \"" MARK "a b\""

static void pieces_are_said(void **state)
{
    static const char *const texts[] = {"ab a b", "", " ab  abab", "xab\303\244 aab<s>ba\n", "ba ba"};
    static const char *const steps[] = {PREPENDED, REPLACED};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct said s;
        andiron_error e = {0};
        if (say_pieces(&s, ALL_WAYS, steps[i], &e))
            fail_msg("%s", e.text);
        open_again(&s, "pieces", "llama", "default");
        assert_int_equal(s.source.add_space_prefix, i == 0);
        for (size_t k = 0; k < sizeof texts / sizeof *texts; k++)
            if (!agree(&s, span_of(texts[k])))
                fail_msg("other ids for \"%s\"", texts[k]);
        close_said(&s);
    }
}

static void other_merges_are_refused(void **state)
{
    static const char *const cases[][2] = {
        {"\"a b\", \"" MARK " a\", \"" MARK "a b\"", "merged in other ways"},
        {"\"" MARK " ab\", \"a b\", \"" MARK " a\", \"" MARK "a b\"", "the order of SentencePiece's scores"},
    };
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct said s;
        andiron_error e = {0};
        if (say_pieces(&s, cases[i][0], REPLACED, &e) != ANDIRON_E_SUPPORT || !strstr(e.text, cases[i][1]))
            fail_msg("case %zu: \"%s\"", i, e.text);
        close_said(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_said),
        cmocka_unit_test(words_are_said),
        cmocka_unit_test(other_steps_are_refused),
        cmocka_unit_test(words_between_white_space_merge),
        cmocka_unit_test(strange_vocabularies_are_read_or_refused),
        cmocka_unit_test(pieces_are_said),
        cmocka_unit_test(other_merges_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
