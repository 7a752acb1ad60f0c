/* test_convert.c - GGUF files written out of Hugging Face folders: the same scores, the same tokens, and what is
 * refused. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "files.h"
#include "rows.h"

#define MODELS SOURCE_DIR "/tests/golden/hf_models"
#define TOKENIZERS SOURCE_DIR "/tests/golden/hf"

static const andiron_model_options small_steps = {.n_threads = 1, .max_step_tokens = 64};
static char folder[] = "/tmp/test_convert_XXXXXX";

static const char *in_folder(const char *name)
{
    static char paths[4][256];
    static size_t next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static void copy(const char *from, const char *to)
{
    size_t n;
    char *data = file_read(from, &n);
    file_write(folder, to, data, n);
    free(data);
}

/* The folder becomes this model, with this tokenizer or none. */
static void take(const char *model, const char *tokenizer)
{
    char path[512];
    snprintf(path, sizeof path, MODELS "/%s/config.json", model);
    copy(path, "config.json");
    snprintf(path, sizeof path, MODELS "/%s/model.safetensors", model);
    copy(path, "model.safetensors");
    static const char *const more[] = {"modules.json", "1_Pooling", "2_Dense", "3_Dense"};
    for (size_t i = 0; i < sizeof more / sizeof *more; i++) {
        unlink(in_folder(more[i]));
        snprintf(path, sizeof path, MODELS "/%s/%s", model, more[i]);
        if (access(path, F_OK) == 0)
            assert_int_equal(symlink(path, in_folder(more[i])), 0);
    }
    unlink(in_folder("tokenizer.json"));
    if (tokenizer) {
        snprintf(path, sizeof path, TOKENIZERS "/%s.json", tokenizer);
        copy(path, "tokenizer.json");
    }
}

static andiron_status convert(const char *type, andiron_error *e)
{
    return andiron_convert(folder, in_folder("out.gguf"), &(andiron_convert_options){.type = type, .overwrite = true},
                           e);
}

static andiron_model *open_model(const char *path, const andiron_model_options *options)
{
    andiron_error e = {0};
    andiron_model *model = NULL;
    if (andiron_model_open(&model, path, options, &e))
        fail_msg("%s", e.text);
    return model;
}

static float *scores(const char *path, const struct golden *g, size_t *n)
{
    andiron_error e = {0};
    andiron_session *session = NULL;
    andiron_model *model = open_model(path, &small_steps);
    andiron_model_info info;
    andiron_model_get_info(model, &info);
    float *out = calloc(info.n_vocab, sizeof *out);
    *n = info.n_vocab * sizeof *out;
    if (andiron_session_open(&session, model, &(andiron_session_options){.n_ctx = 64, .kv_type = "f32"}, &e) ||
        andiron_session_append(session, g->tokens, g->n_tokens, &e))
        fail_msg("%s", e.text);
    memcpy(out, andiron_session_logits(session), *n);
    andiron_session_close(session);
    andiron_model_close(model);
    return out;
}

/* Of models whose rows stay where they are. */
static void f32_gives_the_same_bits(void **state)
{
    static const char *const names[] = {"qwen2",  "qwen3",    "gemma3_text", "phi3",   "glm4",
                                        "cohere", "nemotron", "qwen3_moe",   "gpt_oss"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[512];
        struct golden g;
        andiron_error e = {0};
        size_t n, n_file;
        take(names[i], NULL);
        if (convert("f32", &e))
            fail_msg("%s: %s", names[i], e.text);
        snprintf(path, sizeof path, MODELS "/%s/golden.bin", names[i]);
        golden_open(&g, path);
        float *a = scores(folder, &g, &n), *b = scores(in_folder("out.gguf"), &g, &n_file);
        if (n != n_file || memcmp(a, b, n))
            fail_msg("%s: the file's scores differ", names[i]);
        golden_close(&g);
        free(a);
        free(b);
    }
}

/* Each folder converted to a type: how far its scores are from Transformers'. */
static void each_folder_within(const char *type, double limit)
{
    DIR *dir = opendir(MODELS);
    assert_non_null(dir);
    for (struct dirent *d; (d = readdir(dir)) != NULL;) {
        char path[512];
        struct golden g;
        andiron_error e = {0};
        if (d->d_name[0] == '.' || strstr(d->d_name, "-masked") || strstr(d->d_name, "-tokens"))
            continue; /* files of these have no head */
        take(d->d_name, NULL);
        if (convert(type, &e))
            fail_msg("%s: %s", d->d_name, e.text);
        snprintf(path, sizeof path, MODELS "/%s/golden.bin", d->d_name);
        golden_open(&g, path);
        andiron_model *model = open_model(in_folder("out.gguf"), &small_steps);
        const double far = golden_distance(&g, model, 64, &e);
        if (!(far >= 0 && far <= limit))
            fail_msg("%s: %g away; %s", d->d_name, far, e.text);
        andiron_model_close(model);
        golden_close(&g);
    }
    closedir(dir);
}

static void embed(const char *path, bool asked, float *out, size_t n)
{
    static const andiron_token tokens[] = {3, 17, 9, 40};
    andiron_error e = {0};
    andiron_session *session = NULL;
    andiron_model_info info;
    andiron_model *model = open_model(path, &(andiron_model_options){.n_threads = 1, .embeddings = asked});
    andiron_model_get_info(model, &info);
    assert_true(info.embeds);
    assert_int_equal(info.n_vocab, n);
    if (andiron_session_open(&session, model, &(andiron_session_options){.n_ctx = 64, .kv_type = "f32"}, &e) ||
        andiron_session_embed(session, tokens, 4, ANDIRON_POOLING_MODEL, false, out, &e))
        fail_msg("%s", e.text);
    andiron_session_close(session);
    andiron_model_close(model);
}

/* As those of other programs; a folder that is asked for vectors gives the same. */
static void heads_of_each_place_are_left_out_of_files(void **state)
{
    static const char *const names[] = {"bert-masked", "xlm-roberta-masked", "modernbert-masked", "bert-tokens"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        enum { N_EMBD = 32 };
        float of_folder[N_EMBD], of_file[N_EMBD];
        andiron_error e = {0};
        take(names[i], NULL);
        if (convert("f32", &e))
            fail_msg("%s: %s", names[i], e.text);
        embed(folder, true, of_folder, N_EMBD);
        embed(in_folder("out.gguf"), false, of_file, N_EMBD);
        assert_memory_equal(of_folder, of_file, sizeof of_file);
        struct gguf *file = NULL;
        assert_int_equal(gguf_open(&file, in_folder("out.gguf"), &e), ANDIRON_OK);
        assert_null(gguf_find_tensor(file, "output_dense_norm.weight"));
        assert_null(gguf_find_tensor(file, "output.weight"));
        gguf_close(file);
    }
}

/* All of them, with rows in pairs where files of the architecture have pairs: Transformers' scores still. */
static void all_folders_become_files(void **state)
{
    (void)state;
    each_folder_within("f32", 2e-5);
}

/* What an op wants in F32 stays so. Choices of experts may differ, so the limit is only that there are scores. */
static void all_folders_become_small_files(void **state)
{
    (void)state;
    each_folder_within("q4_k", 10);
}

static void fewer_bits_are_near(void **state)
{
    static const struct {
        const char *type;
        double far;
    } types[] = {{"f16", 2e-3}, {"bf16", 2e-2},  {NULL, 2e-3},  {"q8_0", 5e-2}, {"q5_1", 0.4},
                 {"q5_0", 0.4}, {"q4_1", 0.8},   {"q4_0", 0.8}, {"q6_k", 0.4},  {"q5_k_s", 0.4},
                 {"q4_k", 0.4}, {"q3_k_l", 0.8}, {"q2_k", 0.8}};
    (void)state;
    take("qwen2", NULL);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        struct golden g;
        andiron_error e = {0};
        if (convert(types[i].type, &e))
            fail_msg("%s", e.text);
        golden_open(&g, MODELS "/qwen2/golden.bin");
        andiron_model *model = open_model(in_folder("out.gguf"), &small_steps);
        const double far = golden_distance(&g, model, 64, &e);
        print_message("%-5s %.1e away\n", types[i].type ? types[i].type : "usual", far);
        assert_true(far > 0 && far < types[i].far);
        andiron_model_close(model);
        golden_close(&g);
    }
}

/* A file in other types is what the folder gives in them, whether it has GGUF's names or its own definition. */
static void files_become_files(void **state)
{
    static const andiron_convert_options q8 = {.type = "q8_0", .overwrite = true};
    static const char *const names[] = {"qwen2", "llama", "mamba2"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[512];
        struct golden g;
        andiron_error e = {0};
        size_t n;
        take(names[i], NULL);
        snprintf(path, sizeof path, MODELS "/%s/golden.bin", names[i]);
        golden_open(&g, path);
        assert_int_equal(convert("q8_0", &e), ANDIRON_OK);
        float *a = scores(in_folder("out.gguf"), &g, &n);
        assert_int_equal(convert("f32", &e), ANDIRON_OK);
        if (andiron_convert(in_folder("out.gguf"), in_folder("out.gguf"), &q8, &e))
            fail_msg("%s: %s", names[i], e.text);
        float *b = scores(in_folder("out.gguf"), &g, &n);
        if (memcmp(a, b, n))
            fail_msg("%s: the file's scores differ", names[i]);
        golden_close(&g);
        free(a);
        free(b);
    }
    struct golden g;
    andiron_error e = {0};
    golden_open(&g, SOURCE_DIR "/tests/golden/imports/llama.bin");
    if (andiron_convert(SOURCE_DIR "/tests/golden/imports/llama.gguf", in_folder("out.gguf"), &q8, &e))
        fail_msg("%s", e.text);
    andiron_model *model = open_model(in_folder("out.gguf"), &small_steps);
    const double far = golden_distance(&g, model, 64, &e);
    print_message("an imported llama as q8_0 %.1e away\n", far);
    assert_true(far > 1e-5 && far < 5e-2);
    andiron_model_close(model);
    golden_close(&g);
}

/* ---- vocabularies ---- */

static void take_text(const char *text)
{
    FILE *f = fopen(in_folder("tokenizer.json"), "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static const char small[] = "{\"added_tokens\": [{\"id\": 3, \"content\": \"<s>\", \"special\": true}],"
                            "\"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false},"
                            "\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0, \"b\": 1, \"ab\": 2},"
                            "\"merges\": [\"a b\"]}}";

static void vocabularies_are_the_same(void **state)
{
    static const andiron_token expected[] = {2, 0, 3, 1};
    const andiron_model_options only = {.vocab_only = true};
    andiron_error e = {0};
    andiron_token ids[8];
    size_t n;
    (void)state;
    take("qwen2", NULL);
    take_text(small);
    if (convert("f32", &e))
        fail_msg("%s", e.text);
    for (int i = 0; i < 2; i++) {
        andiron_model *model = open_model(i ? in_folder("out.gguf") : folder, &only);
        assert_int_equal(andiron_tokenize(model, "aba<s>b", 7, ANDIRON_TOKENIZE_SPECIAL, ids, 8, &n, &e), ANDIRON_OK);
        assert_int_equal(n, 4);
        assert_memory_equal(ids, expected, sizeof expected);
        andiron_model_close(model);
    }
}

static void others_are_refused(void **state)
{
    static const struct {
        const char *name, *says;
    } cases[] = {
        {"t5", "Unigram with"},     {"uncased", "more tokens than"},  {"words", "the kind WordLevel"},
        {"clip", "a normalizer"},   {"cl100k", "this pre-tokenizer"}, {"roberta", "this pre-tokenizer"},
        {"llama2", "these merges"}, {"bytes_norm", "BPE with"},       {"gpt2", "more tokens than"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        andiron_error e = {0};
        take("qwen2", cases[i].name);
        const andiron_status s = convert("f32", &e);
        if (s != ANDIRON_E_SUPPORT || !strstr(e.text, cases[i].says))
            fail_msg("%s: %d \"%s\"", cases[i].name, s, e.text);
    }
}

/* As many scores of a text as llama.cpp has to look for. */
static void scores_are_named(void **state)
{
    (void)state;
    static const char last[] = "\7\0\0\0\0\0\0\0LABEL_2", key[] = "modern-bert.classifier.output_labels";
    size_t n;
    andiron_error e = {0};
    take("modernbert-classes", NULL);
    assert_int_equal(convert("f32", &e), ANDIRON_OK);
    char *data = file_read(in_folder("out.gguf"), &n);
    assert_non_null(memmem(data, n, key, sizeof key - 1));
    assert_non_null(memmem(data, n, last, sizeof last - 1));
    free(data);
}

/* ---- files ---- */

/* The tiny qwen2 in files of 16 KiB. */
static void parts_give_the_same_bits(void **state)
{
    andiron_error e = {0};
    char path[64];
    struct golden g;
    size_t n_files = 0, n;
    andiron_convert_options options = {.type = "f32", .overwrite = true, .split_bytes = 16384, .n_files = &n_files};
    (void)state;
    take("qwen2", NULL);
    assert_int_equal(convert("f32", &e), ANDIRON_OK);
    golden_open(&g, MODELS "/qwen2/golden.bin");
    float *whole = scores(in_folder("out.gguf"), &g, &n);
    assert_int_equal(andiron_convert(folder, in_folder("part.gguf"), &options, &e), ANDIRON_OK);
    assert_true(n_files > 2);
    snprintf(path, sizeof path, "part-00001-of-%05zu.gguf", n_files);
    float *parts = scores(in_folder(path), &g, &n);
    assert_memory_equal(parts, whole, n);
    free(parts);
    free(whole);
    golden_close(&g);
    options.overwrite = false;
    for (size_t i = 1; i <= n_files; i++) {
        snprintf(path, sizeof path, "part-%05zu-of-%05zu.gguf", i, n_files);
        if (i == n_files) /* the last of them is in the way */
            assert_int_equal(andiron_convert(folder, in_folder("part.gguf"), &options, &e), ANDIRON_E_ARGUMENT);
        assert_int_equal(unlink(in_folder(path)), 0);
    }
    snprintf(path, sizeof path, "part-00001-of-%05zu.gguf", n_files);
    assert_int_not_equal(access(in_folder(path), F_OK), 0); /* and so there is none */
    options.split_bytes = 1;
    assert_int_equal(andiron_convert(folder, in_folder("part.gguf"), &options, &e), ANDIRON_OK);
    assert_true(n_files > 20 && n_files < 100); /* one for each tensor */
    for (size_t i = 1; i <= n_files; i++) {
        snprintf(path, sizeof path, "part-%05zu-of-%05zu.gguf", i, n_files);
        assert_int_equal(unlink(in_folder(path)), 0);
    }
}

static void nothing_is_left_of_failures(void **state)
{
    andiron_error e = {0};
    (void)state;
    take("qwen2", NULL);
    unlink(in_folder("out.gguf"));
    assert_int_equal(convert("q9", &e), ANDIRON_E_ARGUMENT);
    assert_non_null(strstr(e.text, "\"q9\""));
    assert_int_equal(andiron_convert(in_folder("config.json"), in_folder("out.gguf"), NULL, &e), ANDIRON_E_FORMAT);
    assert_int_equal(andiron_convert(folder, "/nowhere/at/all.gguf", NULL, &e), ANDIRON_E_IO);
    assert_int_equal(andiron_convert(folder, in_folder("out.gguf"), NULL, &e), ANDIRON_OK);
    assert_int_equal(andiron_convert(folder, in_folder("out.gguf"), NULL, &e), ANDIRON_E_ARGUMENT);
    assert_non_null(strstr(e.text, "there already"));
    assert_int_equal(convert(NULL, &e), ANDIRON_OK);
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *d; (d = readdir(dir)) != NULL;)
        assert_null(strstr(d->d_name, "partial"));
    closedir(dir);
}

static void each_allocation_may_fail(void **state)
{
    (void)state;
    take("mixtral", NULL);
    take_text(small);
    andiron_status s = ANDIRON_E_MEMORY;
    for (int64_t n = 0; s; n++) {
        andiron_error e = {0};
        alloc_fail_after(n);
        s = convert("q8_0", &e);
        alloc_fail_after(-1);
        if (s && s != ANDIRON_E_MEMORY)
            fail_msg("allocation %lld failed: %d \"%s\"", (long long)n, s, e.text);
    }
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    static const char *const names[] = {"config.json", "model.safetensors", "tokenizer.json", "out.gguf"};
    (void)state;
    for (size_t i = 0; i < 4; i++)
        unlink(in_folder(names[i]));
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(f32_gives_the_same_bits),
        cmocka_unit_test(all_folders_become_files),
        cmocka_unit_test(heads_of_each_place_are_left_out_of_files),
        cmocka_unit_test(all_folders_become_small_files),
        cmocka_unit_test(fewer_bits_are_near),
        cmocka_unit_test(vocabularies_are_the_same),
        cmocka_unit_test(others_are_refused),
        cmocka_unit_test(scores_are_named),
        cmocka_unit_test(parts_give_the_same_bits),
        cmocka_unit_test(nothing_is_left_of_failures),
        cmocka_unit_test(files_become_files),
        cmocka_unit_test(each_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
