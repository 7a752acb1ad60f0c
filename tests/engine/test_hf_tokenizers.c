/* test_hf_tokenizers.c - folders without tokenizer.json: ids of lines are those of Transformers
 * (tools/oracle/make_hf_tokenizers.py says what the files hold). And vocabularies that are wrong. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "andiron.h"
#include "base/alloc.h"
#include "files.h"
#include "files/mapped.h"

#define FOLDERS SOURCE_DIR "/tests/golden/hf_tokenizers"
#define LINES SOURCE_DIR "/tests/golden/hf/lines.bin"

static const andiron_model_options vocabulary = {.vocab_only = true};

static uint64_t fnv(const void *p, size_t n)
{
    uint64_t h = 0xCBF29CE484222325u;
    for (size_t i = 0; i < n; i++)
        h = (h ^ ((const uint8_t *)p)[i]) * 0x100000001B3u;
    return h;
}

static struct mapped file_at(const char *path)
{
    struct mapped file;
    assert_int_equal(mapped_open(&file, path, NULL), ANDIRON_OK);
    return file;
}

enum { IDS_MAX = 1 << 14 };

static uint64_t hash_of(const andiron_model *model, const char *text, size_t n)
{
    static andiron_token ids[IDS_MAX];
    size_t n_ids = 0;
    andiron_error e = {0};
    if (andiron_tokenize(model, text, n, ANDIRON_TOKENIZE_BOS, ids, IDS_MAX, &n_ids, &e))
        fail_msg("%s", e.text);
    assert_true(n_ids <= IDS_MAX);
    return fnv(ids, n_ids * sizeof *ids);
}

static size_t wrong_lines(const char *name)
{
    char path[512];
    andiron_model *model = NULL;
    andiron_error e = {0};
    snprintf(path, sizeof path, FOLDERS "/%s", name);
    if (andiron_model_open(&model, path, &vocabulary, &e))
        fail_msg("%s: %s", name, e.text);
    snprintf(path, sizeof path, FOLDERS "/%s/ids.bin", name);
    struct mapped lines = file_at(LINES), wanted = file_at(path);
    uint32_t n, bytes;
    size_t at = sizeof n, n_wrong = 0, n_compared = 0;
    memcpy(&n, lines.data, sizeof n);
    assert_int_equal(wanted.n_bytes, n * sizeof(uint64_t));
    for (uint32_t i = 0; i < n; i++) {
        uint64_t hash;
        memcpy(&bytes, lines.data + at, sizeof bytes);
        memcpy(&hash, wanted.data + i * sizeof hash, sizeof hash);
        n_compared += hash != 0;
        n_wrong += hash && hash != hash_of(model, lines.data + at + sizeof bytes, bytes);
        at += sizeof bytes + bytes;
    }
    print_message("%-14s %zu of %zu lines are wrong\n", name, n_wrong, n_compared);
    assert_true(n_compared > 600);
    andiron_model_close(model);
    mapped_close(&lines);
    mapped_close(&wanted);
    return n_wrong;
}

static void ids_are_transformers(void **state)
{
    DIR *folder = opendir(FOLDERS);
    size_t n = 0, n_wrong = 0;
    (void)state;
    assert_non_null(folder);
    for (struct dirent *d; (d = readdir(folder)) != NULL;)
        if (d->d_name[0] != '.') {
            n_wrong += wrong_lines(d->d_name);
            n++;
        }
    closedir(folder);
    assert_int_equal(n_wrong, 0);
    assert_true(n >= 20);
}

/* ---- files that are wrong ---- */

static char folder[] = "/tmp/test_hf_tokenizers_XXXXXX";

static const char *path_in(const char *parent, const char *name)
{
    static char path[2][512];
    static unsigned turn;
    char *p = path[turn++ % 2]; /* two at a time */
    assert_true((size_t)snprintf(p, sizeof path[0], "%s/%s", parent, name) < sizeof path[0]);
    return p;
}

static void empty_folder(void)
{
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *d; (d = readdir(dir)) != NULL;)
        unlink(path_in(folder, d->d_name));
    closedir(dir);
}

/* The folder becomes this one, but for a file. */
static void take(const char *name, const char *without)
{
    char from[512];
    snprintf(from, sizeof from, FOLDERS "/%s", name);
    DIR *dir = opendir(from);
    assert_non_null(dir);
    empty_folder();
    for (struct dirent *d; (d = readdir(dir)) != NULL;)
        if (d->d_name[0] != '.' && strcmp(d->d_name, without) != 0)
            assert_int_equal(symlink(path_in(from, d->d_name), path_in(folder, d->d_name)), 0);
    closedir(dir);
}

/* Opened and used, or an error. */
static andiron_status use(andiron_error *e)
{
    static const char text[] = "It's 12 \xc3\xa9t\xc3\xa9 \xe4\xb8\xad </s> [MASK]\n\xf0\x9f\x98\x80\xff <unk>";
    andiron_token ids[sizeof text + 16];
    andiron_model *model = NULL;
    size_t n;
    andiron_status s = andiron_model_open(&model, folder, &vocabulary, e);
    if (!s)
        s = andiron_tokenize(model, text, sizeof text - 1, ANDIRON_TOKENIZE_BOS, ids, sizeof ids / sizeof *ids, &n, e);
    andiron_model_close(model);
    return s;
}

static void refused(const char *name, const char *file, const char *text, const char *words)
{
    andiron_error e = {0};
    take(name, file);
    if (text)
        file_write(folder, file, text, strlen(text));
    const andiron_status s = use(&e);
    if (!s || !strstr(e.text, words))
        fail_msg("%s: got \"%s\" where \"%s\" was expected", name, e.text, words);
}

static void wrong_vocabularies_are_refused(void **state)
{
    static const char config[] = "tokenizer_config.json";
    (void)state;
    refused("llama", "tokenizer.model", "", "no whole SentencePiece model");
    refused("llama", "tokenizer.model", "\x0a\x05\x0a\x01", "no whole SentencePiece model");
    refused("llama", "tokenizer.model", "IQ== 0\nIg== 1\n", "no whole SentencePiece model");
    refused("llama", "tokenizer.model",
            "\x0a\x03\x0a\x01"
            "a\x12\x02\x18\x03",
            "words or characters");
    refused("llama", "tokenizer.model",
            "\x0a\x03\x0a\x01"
            "a\x12\x02\x18\x02",
            "BPE over changed characters");
    refused("llama", "tokenizer.model",
            "\x0a\x03\x0a\x01"
            "a\x12\x03\xc0\x01\x01",
            "marked behind words");
    refused("llama", config, "{\"tokenizer_class\": \"MyTokenizer\"}", "\"MyTokenizer\" is not read");
    refused("llama", config, "{\"tokenizer_class\": \"BertTokenizer\"}", "are not those that are here");
    refused("llama", config, "{\"added_tokens_decoder\": {\"3\": {}}}", "a token without a text");
    refused("llama", "added_tokens.json", "{\"x\": 900000}", "an added one the id 900000");
    refused("gpt2", "vocab.json", "[]", "no object of tokens");
    refused("gpt2", "merges.txt", "#version: 0.2\na b c\n", "merge 0");
    refused("marian", "vocab.json", "{\"</s>\": 0, \"<unk>\": 2}", "\"<unk>\" has no id below 2");
    refused("marian", "vocab.json", "{\"</s>\": -1}", "\"</s>\" has no id below 1");
    refused("marian", "vocab.json", NULL, "expected a vocab.json with a MarianTokenizer's tokens");
    refused("m2m_100", "special_tokens_map.json", "{}", "expected additional_special_tokens, the languages");
    refused("bert", "vocab.txt", "a\nb\n", "no token for what it does not know");
    refused("bert", config, "{\"do_basic_tokenize\": false}", "do_basic_tokenize other than true");
}

/* Any byte of any file may be another. */
static void broken_files_do_no_harm(void **state)
{
    static const char *const cases[][2] = {
        {"llama", "tokenizer.model"},
        {"gemma", "tokenizer.model"},
        {"t5", "tokenizer_config.json"},
        {"gpt2", "vocab.json"},
        {"gpt2", "merges.txt"},
        {"bert", "vocab.txt"},
        {"qwen2", "tokenizer_config.json"},
        {"camembert", "sentencepiece.bpe.model"},
        {"marian", "vocab.json"},
        {"m2m_100", "sentencepiece.bpe.model"},
        {"m2m_100", "special_tokens_map.json"},
        {"xlnet", "spiece.model"},
        {"albert", "tokenizer_config.json"},
    };
    uint32_t random = 1;
    size_t n_opened = 0, n_refused = 0;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[512], bytes[1 << 14];
        snprintf(path, sizeof path, FOLDERS "/%s/%s", cases[i][0], cases[i][1]);
        struct mapped file = file_at(path);
        assert_true(file.n_bytes < sizeof bytes);
        take(cases[i][0], cases[i][1]);
        for (size_t k = 0; k < 100; k++) {
            andiron_error e = {0};
            memcpy(bytes, file.data, file.n_bytes);
            for (size_t j = 0; j <= k % 3; j++) {
                random = random * 1664525u + 1013904223u;
                bytes[(random >> 8) % file.n_bytes] = (char)(k % 2 ? random >> 24 : random >> 24 & 127);
            }
            file_write(folder, cases[i][1], bytes, file.n_bytes);
            const andiron_status s = use(&e);
            n_opened += !s;
            n_refused += s != ANDIRON_OK;
            assert_true(!s || (e.status == s && e.text[0]));
        }
        mapped_close(&file);
    }
    print_message("%zu opened, %zu refused\n", n_opened, n_refused);
    assert_true(n_opened > 100 && n_refused > 50);
}

static void each_allocation_may_fail(void **state)
{
    static const char *const names[] = {"gemma", "camembert", "gpt2", "bert", "m2m_100"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        andiron_status s = ANDIRON_E_MEMORY;
        take(names[i], "");
        for (int64_t n = 0; s; n += 1 + n / 20) {
            andiron_error e = {0};
            alloc_fail_after(n);
            s = use(&e);
            alloc_fail_after(-1);
            if (s && s != ANDIRON_E_MEMORY)
                fail_msg("%s: allocation %lld failed: %d \"%s\"", names[i], (long long)n, s, e.text);
        }
    }
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    empty_folder();
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_transformers),
        cmocka_unit_test(wrong_vocabularies_are_refused),
        cmocka_unit_test(broken_files_do_no_harm),
        cmocka_unit_test(each_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
