/* test_tokenizer_hf.c - tokenizer.json: ids equal those of the `tokenizers` package for a tokenizer of each kind (made
 * by tools/oracle/make_tokenizer_json.py, which says what the files hold); what is refused; content and markup. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "files/json.h"
#include "files/mapped.h"
#include "text/tokenizer_hf.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#define GOLDEN SOURCE_DIR "/tests/golden/hf/"

/* ---- opening ---- */

static struct mapped file_at(const char *name, const char *end)
{
    struct mapped file;
    char path[512];
    snprintf(path, sizeof path, GOLDEN "%s%s", name, end);
    assert_int_equal(mapped_open(&file, path, NULL), ANDIRON_OK);
    return file;
}

static json_t *parse(struct span text)
{
    json_t *root = NULL;
    andiron_error e = {0};
    if (json_read(&root, text, "tokenizer.json", &json_vocab_limits, &e))
        print_error("%s\n", e.text);
    assert_non_null(root);
    return root;
}

static struct tokenizer *open_source(const struct tokenizer_hf_source *source)
{
    struct tokenizer *t = NULL;
    andiron_error e = {0};
    if (tokenizer_hf_open(&t, source, &e))
        print_error("%s\n", e.text);
    assert_non_null(t);
    return t;
}

static struct tokenizer *open_golden(const char *name)
{
    struct mapped file = file_at(name, ".json");
    json_t *root = parse((struct span){file.data, file.n_bytes});
    struct tokenizer *t = open_source(&(struct tokenizer_hf_source){.tokenizer = root});
    json_decref(root);
    mapped_close(&file);
    return t;
}

static struct tokenizer *open_text(const char *text)
{
    json_t *root = parse(span_of(text));
    struct tokenizer *t = open_source(&(struct tokenizer_hf_source){.tokenizer = root});
    json_decref(root);
    return t;
}

/* ---- golden ---- */

static uint64_t fnv(const void *p, size_t n)
{
    uint64_t h = 0xCBF29CE484222325u;
    for (size_t i = 0; i < n; i++)
        h = (h ^ ((const uint8_t *)p)[i]) * 0x100000001B3u;
    return h;
}

/* As Python decodes broken UTF-8, roughly: where there is any, the answer is not compared. */
static bool is_whole(struct span text)
{
    for (size_t i = 0; i < text.n;) {
        uint8_t c = (uint8_t)text.p[i];
        size_t n = c < 0x80 ? 1 : c < 0xC2 ? 0 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : c < 0xF5 ? 4 : 0;
        for (size_t k = 1; k < n; k++)
            if (i + k >= text.n || ((uint8_t)text.p[i + k] & 0xC0) != 0x80)
                return false;
        if (n == 0)
            return false;
        i += n;
    }
    return true;
}

static bool check_line(const struct tokenizer *t, struct span line, const uint64_t *wanted)
{
    static const unsigned flags[] = {ANDIRON_TOKENIZE_SPECIAL, ANDIRON_TOKENIZE_SPECIAL | ANDIRON_TOKENIZE_BOS, 0};
    bool fine = true;
    for (size_t i = 0; i < 3; i++) {
        struct buffer ids, back;
        buffer_init(&ids, SIZE_MAX);
        buffer_init(&back, SIZE_MAX);
        assert_int_equal(tokenizer_encode(t, line, flags[i], &ids, NULL), ANDIRON_OK);
        fine &= !wanted[i] || fnv(ids.data, ids.n) == wanted[i];
        const andiron_token *list = (const andiron_token *)(const void *)ids.data;
        assert_int_equal(tokenizer_decode(t, list, ids.n / sizeof *list, true, &back, NULL), ANDIRON_OK);
        if (i == 0 && wanted[3] && is_whole(buffer_span(&back)))
            fine &= fnv(back.data, back.n) == wanted[3];
        buffer_reset(&ids);
        buffer_reset(&back);
    }
    return fine;
}

static size_t check_golden(const char *name)
{
    struct tokenizer *t = open_golden(name);
    struct mapped lines = file_at("lines", ".bin"), answers = file_at(name, ".bin");
    uint32_t n, bytes;
    size_t at = sizeof n, n_wrong = 0;
    memcpy(&n, lines.data, sizeof n);
    assert_int_equal(answers.n_bytes, n * 4 * sizeof(uint64_t));
    for (uint32_t i = 0; i < n; i++) {
        uint64_t wanted[4];
        memcpy(&bytes, lines.data + at, sizeof bytes);
        memcpy(wanted, answers.data + i * sizeof wanted, sizeof wanted);
        n_wrong += !check_line(t, (struct span){lines.data + at + sizeof bytes, bytes}, wanted);
        at += sizeof bytes + bytes;
    }
    if (n_wrong)
        print_error("%s: %zu of %u lines are wrong\n", name, n_wrong, (unsigned)n);
    tokenizer_close(t);
    mapped_close(&lines);
    mapped_close(&answers);
    return n_wrong;
}

static void golden(void **state)
{
    (void)state;
    DIR *folder = opendir(GOLDEN);
    size_t n = 0, n_wrong = 0;
    assert_non_null(folder);
    for (struct dirent *e; (e = readdir(folder)) != NULL;) {
        char *dot = strrchr(e->d_name, '.');
        if (!dot || strcmp(dot, ".json"))
            continue;
        *dot = 0;
        n_wrong += check_golden(e->d_name);
        n++;
    }
    closedir(folder);
    assert_int_equal(n_wrong, 0);
    assert_true(n >= 30);
}

/* ---- refusals ---- */

#define MODEL "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2},\"merges\":[\"a b\"]}"

static void refused(const char *text, const char *words)
{
    json_t *root = parse(span_of(text));
    struct tokenizer *t = NULL;
    andiron_error e = {0};
    andiron_status status = tokenizer_hf_open(&t, &(struct tokenizer_hf_source){.tokenizer = root}, &e);
    json_decref(root);
    if (!status || !strstr(e.text, words))
        print_error("%s\ngot \"%s\" where \"%s\" was expected\n", text, e.text, words);
    assert_true(status == ANDIRON_E_FORMAT || status == ANDIRON_E_SUPPORT);
    assert_null(t);
    assert_non_null(strstr(e.text, words));
}

static void refusals(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"[]", "has no model"},
        {"{\"model\":{\"type\":\"Other\",\"vocab\":{}}}", "model is not supported: Other"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":[],\"merges\":[]}}", "no vocabulary of its kind"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{},\"merges\":[]}}", "has no tokens"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":-1},\"merges\":[]}}", "usable id"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":70000},\"merges\":[]}}", "too high"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":0},\"merges\":[]}}", "two tokens"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[\"a c\"]}}", "merge 0"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[[\"a\"]]}}", "merge 0"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[3]}}", "merge 0"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[],\"dropout\":0.1}}", "dropout"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[],\"unk_token\":\"u\"}}", "unk_token"},
        {"{\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"a\":0}}}", "without an unk_token"},
        {"{\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"a\"]],\"unk_id\":0}}", "without a score"},
        {"{\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"a\",0],[\"a\",1]],\"unk_id\":0}}", "twice"},
        {"{" MODEL ",\"normalizer\":{\"type\":\"New\"}}", "normalizer is not supported: New"},
        {"{" MODEL ",\"normalizer\":{}}", "it has no type"},
        {"{" MODEL ",\"normalizer\":{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"AAAA\"}}", "broken"},
        {"{" MODEL ",\"pre_tokenizer\":{\"type\":\"UnicodeScripts\"}}",
         "pre-tokenizer is not supported: UnicodeScripts"},
        {"{" MODEL ",\"post_processor\":{\"type\":\"New\"}}", "post-processor is not supported: New"},
        {"{" MODEL ",\"post_processor\":{\"type\":\"BertProcessing\",\"cls\":[\"a\",7],\"sep\":[\"b\",1]}}",
         "past the"},
        {"{" MODEL ",\"decoder\":{\"type\":\"CTC\"}}", "decoder is not supported: CTC"},
        {"{" MODEL ",\"added_tokens\":[{\"id\":0,\"content\":\"x\"}]}", "id 0 of another token"},
        {"{" MODEL ",\"added_tokens\":[{\"content\":\"x\"}]}", "usable id"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        refused(cases[i][0], cases[i][1]);
}

static void patterns(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "a(",      "a)",    "(?<n>a)",  "a(?i)b",  "[a[b]]",     "[a&&b]",      "[]a]",           "a{2}?",
        "a{3,2}",  "a**",   "+",        "\\\\1",   "\\\\K",      "\\\\R",       "[\\\\W]",        "\\\\xff",
        "(*FAIL)", "(?#x)", "a{99999}", "[:a:]b{", "\\\\p{Foo}", "[[:alpha:]]", "(?i:\\\\p{Lu})", "(?(1)a|b)",
        "\\\\p{",  "[a",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[400];
        snprintf(text, sizeof text,
                 "{" MODEL ",\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"%s\"},"
                 "\"behavior\":\"Isolated\"}}",
                 bad[i]);
        if (i != 19) /* a class, and a sign */
            refused(text, "cannot be used");
    }
}

/* A pattern made to take forever ends with a sentence, and soon. */
static void slow_pattern(void **state)
{
    (void)state;
    struct tokenizer *t = open_text("{" MODEL ",\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":"
                                    "\"(a+)+(a+)+(a+)+[cd]\"},\"behavior\":\"Isolated\"}}");
    struct buffer ids;
    andiron_error e = {0};
    char text[4000];
    memset(text, 'a', sizeof text);
    buffer_init(&ids, SIZE_MAX);
    assert_int_equal(tokenizer_encode(t, (struct span){text, sizeof text}, 0, &ids, &e), ANDIRON_E_SUPPORT);
    assert_non_null(strstr(e.text, "takes too long"));
    buffer_reset(&ids);
    tokenizer_close(t);
}

/* ---- content and markup ---- */

static size_t ids_of(const struct tokenizer *t, const char *text, unsigned flags, andiron_token out[64])
{
    struct buffer ids;
    buffer_init(&ids, SIZE_MAX);
    assert_int_equal(tokenizer_encode(t, span_of(text), flags, &ids, NULL), ANDIRON_OK);
    size_t n = ids.n / sizeof *out;
    assert_true(n <= 64);
    if (n)
        memcpy(out, ids.data, ids.n);
    buffer_reset(&ids);
    return n;
}

static void runs(void **state)
{
    (void)state;
    static const char *const names[] = {"llama3", "llama2", "xlmr", "added", "uncased", "roberta"};
    static const char *const marks[] = {"<|im_end|>", "</s>", "</s>", "[MASK]", "[SEP]", "<mask>"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct tokenizer *t = open_golden(names[i]);
        char text[128];
        struct buffer ids;
        int n = snprintf(text, sizeof text, "a %s b%s c %s", marks[i], marks[i], marks[i]);
        size_t n_mark = strlen(marks[i]), found = 0;
        /* only the second spelling is markup; the third lies across the end of a run */
        struct tokenizer_run parts[] = {
            {4 + n_mark, false}, {n_mark, true}, {5, true}, {(size_t)n - n_mark * 2 - 9, false}};
        andiron_token mark = tokenizer_find(t, span_of(marks[i]));
        assert_true(mark >= 0);
        buffer_init(&ids, SIZE_MAX);
        assert_int_equal(tokenizer_encode_runs(t, span_of(text), parts, 4, 0, &ids, NULL), ANDIRON_OK);
        for (size_t k = 0; k < ids.n / sizeof mark; k++)
            found += ((const andiron_token *)(const void *)ids.data)[k] == mark;
        if (found != 1)
            print_error("%s: %zu\n", names[i], found);
        assert_int_equal(found, 1);
        buffer_reset(&ids);
        tokenizer_close(t);
    }
}

static void special_tokens(void **state)
{
    (void)state;
    struct mapped file = file_at("llama3", ".json");
    json_t *root = parse((struct span){file.data, file.n_bytes});
    json_t *config = parse(span_of("{\"bos_token\": \"<s>\", \"eos_token\": {\"content\": \"</s>\"}}"));
    json_t *generation = parse(span_of("{\"eos_token_id\": [5, 9, 99999, -1, \"x\"]}"));
    struct tokenizer *t = open_source(&(struct tokenizer_hf_source){root, config, NULL, generation, NULL});
    assert_true(span_is(tokenizer_bos_text(t), "<s>") && span_is(tokenizer_eos_text(t), "</s>"));
    assert_int_equal(tokenizer_added_bos(t), tokenizer_find(t, span_of("<s>")));
    assert_true(tokenizer_ends_turn(t, tokenizer_find(t, span_of("</s>"))));
    assert_true(tokenizer_ends_turn(t, tokenizer_find(t, span_of("<|im_end|>"))));
    assert_true(tokenizer_ends_turn(t, 5) && tokenizer_ends_turn(t, 9) && !tokenizer_ends_turn(t, 6));
    assert_int_equal(tokenizer_kind(t, tokenizer_find(t, span_of("</s>"))), TOKEN_CONTROL);
    assert_int_equal(tokenizer_piece(t, tokenizer_find(t, span_of("</s>")), false).n, 0);
    tokenizer_close(t);
    json_decref(root);
    json_decref(config);
    json_decref(generation);
    mapped_close(&file);
}

/* ---- any bytes ---- */

static void broken_text(void **state)
{
    (void)state;
    static const char *const names[] = {"gpt2", "llama2", "uncased", "xlmr", "t5", "clip", "added", "words"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct tokenizer *t = open_golden(names[i]);
        andiron_token broken[64], whole[64];
        size_t n = ids_of(t, "a\xff \xe2\x96 b\xed\xa0\x80 \xf0\x9f", 2, broken);
        size_t m = ids_of(t, "a\xef\xbf\xbd \xef\xbf\xbd\xef\xbf\xbd b\xef\xbf\xbd \xef\xbf\xbd\xef\xbf\xbd", 2, whole);
        if (n != m) /* a surrogate is one character or three bytes: nobody is promised either */
            print_error("%s: %zu and %zu\n", names[i], n, m);
        assert_int_equal(n, m);
        assert_memory_equal(broken, whole, n * sizeof *whole);
        assert_int_equal(ids_of(t, "", 0, whole), 0);
        tokenizer_close(t);
    }
}

/* A million marks behind one letter, a million letters without a space. */
static void long_words(void **state)
{
    (void)state;
    static const char *const names[] = {"qwen2", "llama2", "uncased", "xlmr", "albert", "o200k", "added"};
    static const char *const units[] = {"\xcc\x80\xcc\xa3", "a", " ", "\xe2\x80\x8d", "1", "\n", "word"};
    enum { N = 200000 };
    char *text = malloc((size_t)N * 8);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct tokenizer *t = open_golden(names[i]);
        for (size_t k = 0; k < sizeof units / sizeof *units; k++) {
            struct buffer ids;
            size_t n = strlen(units[k]);
            text[0] = 'a';
            for (size_t j = 0; j < N; j++)
                memcpy(text + 1 + j * n, units[k], n);
            buffer_init(&ids, SIZE_MAX);
            assert_int_equal(tokenizer_encode(t, (struct span){text, 1 + N * n}, 0, &ids, NULL), ANDIRON_OK);
            buffer_reset(&ids);
        }
        tokenizer_close(t);
    }
    free(text);
}

static void each_allocation_fails(void **state)
{
    (void)state;
    static const char *const names[] = {"clip", "unigram_bytes", "uncased"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct mapped file = file_at(names[i], ".json");
        json_t *root = parse((struct span){file.data, file.n_bytes});
        for (int64_t n = 0;; n += 1 + n / 40) {
            struct tokenizer *t = NULL;
            struct buffer ids;
            buffer_init(&ids, SIZE_MAX);
            alloc_fail_after(n);
            andiron_status status = tokenizer_hf_open(&t, &(struct tokenizer_hf_source){.tokenizer = root}, NULL);
            if (!status)
                status = tokenizer_encode(t, span_of("A long enough text, \xc3\xa9t\xc3\xa9!"), 3, &ids, NULL);
            alloc_fail_after(-1);
            tokenizer_close(t);
            buffer_reset(&ids);
            if (!status)
                break;
            assert_int_equal(status, ANDIRON_E_MEMORY);
            assert_true(n < 100000);
        }
        json_decref(root);
        mapped_close(&file);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden),       cmocka_unit_test(refusals),   cmocka_unit_test(patterns),
        cmocka_unit_test(slow_pattern), cmocka_unit_test(runs),       cmocka_unit_test(special_tokens),
        cmocka_unit_test(broken_text),  cmocka_unit_test(long_words), cmocka_unit_test(each_allocation_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
