/* test_gguf_parts.c - GGUF files on disk: mapping, models in several parts, files by another writer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/types.h"
#include "files/mapped.h"
#include "writer.h"
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
    snprintf(folder, sizeof folder, "/tmp/andiron-parts-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    static const char *const names[] = {
        "m-00001-of-00003.gguf", "m-00002-of-00003.gguf", "m-00003-of-00003.gguf", "m.gguf", "empty", "pipe"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unlink(path_of(names[i]));
    return rmdir(folder);
}

/* Takes the buffer. */
static void save(struct buffer *b, const char *name)
{
    FILE *f = fopen(path_of(name), "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(b->data, 1, b->n, f), b->n);
    assert_int_equal(fclose(f), 0);
    buffer_reset(b);
}

/* Part `number` of `count` with one tensor of that name that holds the letter `byte` 4 times. */
static void save_part(const char *name, uint16_t number, uint16_t count, const char *tensor, char byte,
                      uint32_t alignment)
{
    struct buffer b;
    begin_file(&b, 3, 1, 4);
    put_key(&b, "split.no", GGUF_U16), put(&b, &number, 2);
    put_key(&b, "split.count", GGUF_U16), put(&b, &count, 2);
    put_key(&b, "split.tensors.count", GGUF_I32), put_u32(&b, 3);
    put_key_u32(&b, "general.alignment", alignment);
    put_tensor(&b, tensor, TYPE_F32, 1, 0, alignment); /* a gap in front, so that the alignment shows */
    pad(&b, alignment);
    for (uint32_t i = 0; i < alignment; i++)
        put(&b, "#", 1);
    put(&b, (char[4]){byte, byte, byte, byte}, 4);
    save(&b, name);
}

static void save_three(void)
{
    save_part("m-00001-of-00003.gguf", 0, 3, "zebra", 'A', 32);
    save_part("m-00002-of-00003.gguf", 1, 3, "ape", 'B', 64);
    save_part("m-00003-of-00003.gguf", 2, 3, "monkey", 'C', 8);
}

static void refused(const char *name, andiron_status expected, const char *words)
{
    struct gguf *g = NULL;
    andiron_error e = {0};
    andiron_status s = gguf_open(&g, path_of(name), &e);
    if (s != expected || !strstr(e.text, words))
        print_error("got %d \"%s\" where \"%s\" was expected\n", s, e.text, words);
    assert_int_equal(s, expected);
    assert_int_equal(e.status, s);
    assert_non_null(strstr(e.text, words));
    assert_null(g);
    assert_int_equal(gguf_open(&g, path_of(name), NULL), expected);
}

static void three_parts(void **state)
{
    (void)state;
    struct gguf *g = NULL;
    andiron_error e = {0};
    save_three();
    andiron_status s = gguf_open(&g, path_of("m-00001-of-00003.gguf"), &e);
    assert_string_equal(e.text, "");
    assert_int_equal(s, ANDIRON_OK);
    assert_int_equal(gguf_n_tensors(g), 3);
    assert_true(span_is(gguf_tensor_at(g, 0)->name, "zebra"));
    assert_true(span_is(gguf_tensor_at(g, 1)->name, "ape"));
    assert_true(span_is(gguf_tensor_at(g, 2)->name, "monkey"));
    assert_memory_equal(gguf_find_tensor(g, "zebra")->data, "AAAA", 4);
    assert_memory_equal(gguf_find_tensor(g, "ape")->data, "BBBB", 4);
    assert_memory_equal(gguf_find_tensor(g, "monkey")->data, "CCCC", 4);
    assert_null(gguf_find_tensor(g, "lion"));
    assert_string_equal(gguf_path(g), path_of("m-00001-of-00003.gguf"));
    struct stat one;
    uint64_t bytes = 0;
    static const char *const names[] = {"m-00001-of-00003.gguf", "m-00002-of-00003.gguf", "m-00003-of-00003.gguf"};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(stat(path_of(names[i]), &one), 0);
        bytes += (uint64_t)one.st_size;
    }
    assert_true(gguf_file_bytes(g) == bytes);
    gguf_close(g);
    refused("m-00002-of-00003.gguf", ANDIRON_E_ARGUMENT, "is part 2 of 3; name the first, -00001-of-00003.gguf");
}

static void parts_that_do_not_fit(void **state)
{
    (void)state;
    const char *first = "m-00001-of-00003.gguf";
    save_three();
    assert_int_equal(unlink(path_of("m-00003-of-00003.gguf")), 0);
    refused(first, ANDIRON_E_IO, "m-00003-of-00003.gguf: cannot be opened");
    save_part("m-00003-of-00003.gguf", 1, 3, "monkey", 'C', 32);
    refused(first, ANDIRON_E_FORMAT, "says it is part 2 of 3, not 3 of 3");
    save_part("m-00003-of-00003.gguf", 2, 4, "monkey", 'C', 32);
    refused(first, ANDIRON_E_FORMAT, "says it is part 3 of 4, not 3 of 3");
    save_part("m-00003-of-00003.gguf", 2, 3, "ape", 'C', 32);
    refused(first, ANDIRON_E_FORMAT, "tensor \"ape\" stands in the file twice");
    struct buffer b;
    begin_file(&b, 3, 0, 2);
    put_key(&b, "split.no", GGUF_U16), put(&b, &(uint16_t){2}, 2);
    put_key(&b, "split.count", GGUF_U16), put(&b, &(uint16_t){3}, 2);
    save(&b, "m-00003-of-00003.gguf");
    refused(first, ANDIRON_E_FORMAT, "hold 2 tensors where split.tensors.count says 3");
    begin_file(&b, 3, 0, 5);
    save(&b, "m-00003-of-00003.gguf");
    refused(first, ANDIRON_E_FORMAT, "m-00003-of-00003.gguf: claims 5 keys");
    save_part("m.gguf", 0, 3, "zebra", 'A', 32);
    refused("m.gguf", ANDIRON_E_FORMAT, "its name must end in -00001-of-00003.gguf");
    save_part(first, 0, 2, "zebra", 'A', 32);
    refused(first, ANDIRON_E_FORMAT, "its name must end in -00001-of-00002.gguf");
    save_part(first, 0, 60000, "zebra", 'A', 32);
    refused(first, ANDIRON_E_FORMAT, "claims to be in 60000 parts; at most 4096");
    begin_file(&b, 3, 0, 1), put_key(&b, "split.count", GGUF_U64), put_u64(&b, 1 << 30);
    save(&b, first);
    refused(first, ANDIRON_E_FORMAT, "claims to be in 1073741824 parts");
}

/* Counts that are no counts mean one part. */
static void one_part_after_all(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++) {
        struct buffer b;
        struct gguf *g = NULL;
        begin_file(&b, 3, 0, 1);
        if (i == 0)
            put_key_text(&b, "split.count", "3");
        else if (i == 1)
            put_array(&b, "split.count", GGUF_U32, 0);
        else
            put_key(&b, "split.count", GGUF_F64), put(&b,
                                                      &(double){i == 2   ? 1e300
                                                                : i == 3 ? -1
                                                                         : (double)__builtin_nan("")},
                                                      8);
        save(&b, "m.gguf");
        assert_int_equal(gguf_open(&g, path_of("m.gguf"), NULL), ANDIRON_OK);
        gguf_close(g);
    }
}

static void failing_allocations(void **state)
{
    (void)state;
    andiron_status s = ANDIRON_E_MEMORY;
    int64_t n = 0;
    save_three();
    for (; s && n < 100; n++) {
        struct gguf *g = NULL;
        andiron_error e = {0};
        alloc_fail_after(n);
        s = gguf_open(&g, path_of("m-00001-of-00003.gguf"), &e);
        alloc_fail_after(-1);
        assert_true(s == ANDIRON_OK || s == ANDIRON_E_MEMORY);
        assert_int_equal(e.status, s);
        gguf_close(g);
    }
    assert_in_range(n, 3, 99);
}

static void only_regular_files(void **state)
{
    (void)state;
    struct mapped m;
    struct buffer b;
    andiron_error e;
    refused("none", ANDIRON_E_IO, "cannot be opened: No such file");
    refused(".", ANDIRON_E_IO, "is not a regular file");
    assert_int_equal(mkfifo(path_of("pipe"), 0600), 0);
    refused("pipe", ANDIRON_E_IO, "is not a regular file"); /* and nobody waits for a writer */
    buffer_init(&b, 1);
    buffer_add(&b, "", 0);
    save(&b, "empty");
    refused("empty", ANDIRON_E_FORMAT, "is not a GGUF file");
    assert_int_equal(mapped_open(&m, path_of("empty"), &e), ANDIRON_OK);
    assert_null(m.data);
    assert_int_equal(m.n_bytes, 0);
    mapped_close(&m);
    mapped_close(&m);
    buffer_init(&b, 10);
    buffer_add_text(&b, "some bytes");
    save(&b, "m.gguf");
    assert_int_equal(mapped_open(&m, path_of("m.gguf"), &e), ANDIRON_OK);
    assert_int_equal(m.n_bytes, 10);
    assert_memory_equal(m.data, "some bytes", 10);
    mapped_close(&m);
    assert_null(m.data);
}

/* ---- files by the gguf package (tests/fuzz/make_gguf_seeds.py) ---- */

static struct gguf *seed(const char *name)
{
    char path[512];
    struct gguf *g = NULL;
    snprintf(path, sizeof path, SOURCE_DIR "/tests/fuzz/corpus/gguf/%s", name);
    assert_int_equal(gguf_open(&g, path, NULL), ANDIRON_OK);
    assert_int_equal(gguf_version(g), 3);
    return g;
}

static void values_by_another_writer(void **state)
{
    (void)state;
    struct gguf *g = seed("values.gguf");
    struct span text = {0};
    uint64_t u = 0;
    bool yes = false;
    size_t cursor = 0;
    assert_true(gguf_get_text(g, "general.architecture", &text));
    assert_true(span_is(text, "llama"));
    assert_true(gguf_get_text(g, "string", &text));
    assert_true(span_is(text, "gr\303\274n"));
    assert_true(gguf_get_u64(g, "uint64", &u));
    assert_true(u == UINT64_MAX);
    assert_true(gguf_get_bool(g, "bool", &yes));
    assert_true(yes);
    assert_true(gguf_next_text(gguf_find(g, "array.str"), &cursor, &text));
    assert_true(span_is(text, "one"));
    static const struct {
        const char *key;
        uint64_t i;
        double x;
    } facts[] = {{"uint8", 0, 200},   {"int8", 0, -100},    {"uint16", 0, 60000}, {"int16", 0, -30000},
                 {"uint32", 0, 4e9},  {"int32", 0, -2e9},   {"float32", 0, 0.5},  {"float64", 0, -1e300},
                 {"array.int", 2, 3}, {"array.bool", 0, 1}, {"array.bool", 1, 0}, {"array.float", 1, 1.5},
                 {"int64", 0, -1}};
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) {
        double x = 0;
        assert_true(gguf_item_f64(gguf_find(g, facts[i].key), facts[i].i, &x));
        assert_true(x == facts[i].x);
    }
    gguf_close(g);
}

static void check_dims(const struct gguf_tensor *t, uint32_t n_dims, const uint64_t dims[4])
{
    assert_non_null(t);
    assert_int_equal(t->n_dims, n_dims);
    for (size_t d = 0; d < 4; d++)
        assert_int_equal(t->dims[d], dims[d]);
}

static void tensors_by_another_writer(void **state)
{
    (void)state;
    static const char *const names[] = {"tensors.gguf", "aligned64.gguf"};
    for (size_t i = 0; i < 2; i++) {
        struct gguf *g = seed(names[i]);
        const struct gguf_tensor *t = gguf_find_tensor(g, "token_embd.weight"), *half = gguf_find_tensor(g, "half"),
                                 *q = gguf_find_tensor(g, "q");
        check_dims(t, 2, (uint64_t[]){6, 4, 1, 1});
        for (size_t k = 0; k < 24; k++)
            assert_true(((const float *)t->data)[k] == (float)k);
        check_dims(half, 4, (uint64_t[]){2, 2, 3, 2});
        assert_int_equal(((const uint16_t *)half->data)[23], 0x3c00);
        check_dims(q, 2, (uint64_t[]){64, 2, 1, 1});
        assert_int_equal(q->n_bytes, 72);
        assert_int_equal(q->type, TYPE_Q4_0);
        gguf_close(g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_parts),
        cmocka_unit_test(parts_that_do_not_fit),
        cmocka_unit_test(one_part_after_all),
        cmocka_unit_test(failing_allocations),
        cmocka_unit_test(only_regular_files),
        cmocka_unit_test(values_by_another_writer),
        cmocka_unit_test(tensors_by_another_writer),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
