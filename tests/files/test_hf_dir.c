/* test_hf_dir.c - folders as Hugging Face's hub keeps them: one file, shards, links, and what is wrong with them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "files/hf_dir.h"
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64];

static const char *path_of(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/andiron-hf-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st, (void)kind, (void)ftw;
    return remove(path);
}

static int remove_folder(void **state)
{
    (void)state;
    return nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void save(const char *name, const void *p, size_t n)
{
    FILE *f = fopen(path_of(name), "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(p, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static void save_text(const char *name, const char *text) { save(name, text, strlen(text)); }

/* A shard with one tensor of one float, whose bytes are the letter `byte`. */
static void save_shard(const char *name, const char *tensor, char byte)
{
    char file[256], header[128];
    uint64_t n = (uint64_t)snprintf(header, sizeof header,
                                    "{\"%s\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", tensor);
    memcpy(file, &n, 8);
    memcpy(file + 8, header, n);
    memset(file + 8 + n, byte, 4);
    save(name, file, 8 + n + 4);
}

static void refused(const char *words)
{
    struct hf_dir *d = NULL;
    andiron_error e = {0};
    assert_int_not_equal(hf_dir_open(&d, folder, true, &e), ANDIRON_OK);
    assert_null(d);
    if (!strstr(e.text, words))
        print_error("got \"%s\" where \"%s\" was expected\n", e.text, words);
    assert_non_null(strstr(e.text, words));
}

static struct hf_dir *opened(bool with_weights)
{
    struct hf_dir *d = NULL;
    andiron_error e = {0};
    if (hf_dir_open(&d, folder, with_weights, &e))
        print_error("%s\n", e.text);
    assert_non_null(d);
    return d;
}

static void one_file(void **state)
{
    (void)state;
    assert_true(hf_is_dir(folder));
    refused("no config.json");
    save_text("config.json", "[1]");
    refused("is no object");
    save_text("config.json", "{\"model_type\": \"llama\", \"rope_scaling\": {\"factor\": 8.0}}");
    assert_false(hf_is_dir(path_of("config.json")));
    refused("neither model.safetensors");
    save_text("pytorch_model.bin", "x");
    refused("import the folder (docs/import.md), or save it anew");
    hf_dir_close(opened(false));
    save_shard("model.safetensors", "w", 'x');
    struct hf_dir *d = opened(true);
    double factor = 0;
    assert_true(json_at_f64(hf_config(d), "rope_scaling.factor", &factor) && factor == 8);
    assert_int_equal(hf_n_tensors(d), 1);
    assert_memory_equal(hf_find_tensor(d, "w")->tensor.data, "xxxx", 4);
    assert_null(hf_find_tensor(d, "v"));
    hf_dir_close(d);
    assert_int_equal(unlink(path_of("model.safetensors")), 0);
}

static void shards(void **state)
{
    (void)state;
    save_text("model.safetensors.index.json", "{\"weight_map\": {\"a\": \"1.safetensors\", \"b\": \"2.safetensors\", "
                                              "\"c\": \"sub/3.safetensors\"}}");
    refused("3 of 3 files of weights are missing; download them: 1.safetensors, 2.safetensors, sub/3.safetensors");
    save_shard("1.safetensors", "a", 'a');
    assert_int_equal(mkdir(path_of("sub"), 0700), 0);
    save_shard("sub/blob", "c", 'c');
    assert_int_equal(symlink("blob", path_of("sub/3.safetensors")), 0);
    refused("1 of 3 files of weights are missing; download them: 2.safetensors");
    save_shard("2.safetensors", "x", 'x');
    refused("tensor \"b\" is not in 2.safetensors");
    save_shard("2.safetensors", "b", 'b');
    struct hf_dir *d = opened(true);
    assert_int_equal(hf_n_tensors(d), 3);
    assert_int_equal(hf_n_shards(d), 3);
    assert_memory_equal(hf_find_tensor(d, "c")->tensor.data, "cccc", 4);
    assert_memory_equal(hf_find_tensor(d, "b")->tensor.data, "bbbb", 4);
    assert_true(span_is(hf_tensor_at(d, 0)->tensor.name, "a"));
    assert_null(hf_tensor_at(d, 3));
    assert_true(hf_file_bytes(d) > 3 * 12 && hf_shard_at(d, 2) && !hf_shard_at(d, 3));
    hf_dir_close(d);
    for (int64_t n = 0;; n++) {
        alloc_fail_after(n);
        andiron_status status = hf_dir_open(&d, folder, true, NULL);
        alloc_fail_after(-1);
        if (!status)
            break;
        assert_int_equal(status, ANDIRON_E_MEMORY);
        assert_true(n < 200);
    }
    hf_dir_close(d);
    save_text("model.safetensors.index.json", "{\"weight_map\": {\"a\": \"1.safetensors\", \"b\": \"2.safetensors\"}}");
    save_shard("2.safetensors", "a", 'a');
    refused("is not in 2.safetensors");
    save_text("model.safetensors.index.json", "{\"weight_map\": {\"a\": \"1.safetensors\", \"d\": \"sub/4\"}}");
    save_text("sub/4", "");
    refused("too short");
    assert_int_equal(unlink(path_of("sub/4")), 0);
    assert_int_equal(symlink("../1.safetensors", path_of("sub/4")), 0);
    save_text("model.safetensors.index.json", "{\"weight_map\": {\"a\": \"1.safetensors\", \"a2\": \"sub/4\"}}");
    refused("is not in sub/4");
}

static void names_outside(void **state)
{
    (void)state;
    static const char *const names[] = {"\"../x\"", "\"/etc/passwd\"", "\"a/../b\"",    "\"\"", "\".\"",
                                        "\"a//b\"", "\"a/\"",          "\"a\\u0000b\"", "1",    "null"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char text[128];
        snprintf(text, sizeof text, "{\"weight_map\": {\"a\": %s}}", names[i]);
        save_text("model.safetensors.index.json", text);
        refused("which is no file in this folder");
    }
    save_text("model.safetensors.index.json", "{}");
    refused("no weight_map");
}

static void small_files(void **state)
{
    (void)state;
    struct hf_dir *d = opened(false);
    struct buffer text;
    json_t *json = NULL;
    andiron_error e = {0};
    bool found = true;
    buffer_init(&text, 1 << 20);
    assert_int_equal(hf_read_text(d, "chat_template.jinja", &text, &found, &e), ANDIRON_OK);
    assert_false(found);
    save_text("chat_template.jinja", "{{ x }}");
    assert_int_equal(hf_read_text(d, "chat_template.jinja", &text, &found, &e), ANDIRON_OK);
    assert_true(found && span_is(buffer_span(&text), "{{ x }}"));
    assert_int_equal(hf_read_json(d, "tokenizer_config.json", &json, &e), ANDIRON_OK);
    assert_null(json);
    save_text("tokenizer_config.json", "{\"model_max_length\": 1000000000000000019884624838656}");
    assert_int_equal(hf_read_json(d, "tokenizer_config.json", &json, &e), ANDIRON_OK);
    assert_non_null(json);
    json_decref(json);
    save_text("generation_config.json", "");
    assert_int_equal(hf_read_json(d, "generation_config.json", &json, &e), ANDIRON_E_FORMAT);
    assert_non_null(strstr(e.text, "generation_config.json: is no valid JSON"));
    assert_int_equal(hf_read_json(d, "../x", &json, &e), ANDIRON_E_ARGUMENT);
    buffer_reset(&text);
    hf_dir_close(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_file),
        cmocka_unit_test(shards),
        cmocka_unit_test(names_outside),
        cmocka_unit_test(small_files),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
