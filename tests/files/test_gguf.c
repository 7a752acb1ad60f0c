/* test_gguf.c - GGUF files in memory: what is read, and each bug that loaders had. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/types.h"
#include "writer.h"
#include <stdio.h>
#include <stdlib.h>

/* ---- opening ---- */

static struct gguf *opened(const struct buffer *b)
{
    struct gguf *g = NULL;
    andiron_error e = {0};
    andiron_status s = gguf_open_memory(&g, buffer_span(b), &e);
    if (s)
        print_error("%s\n", e.text);
    assert_int_equal(s, ANDIRON_OK);
    assert_non_null(g);
    return g;
}

/* Refused with a sentence that holds `words`. Takes the buffer. */
static void refused_as(struct buffer *b, andiron_status expected, const char *words)
{
    struct gguf *g = NULL;
    andiron_error e = {0};
    char *exact = malloc(b->n ? b->n : 1); /* a sanitizer sees one byte too far */
    assert_non_null(exact);
    if (b->n)
        memcpy(exact, b->data, b->n);
    andiron_status s = gguf_open_memory(&g, (struct span){exact, b->n}, &e);
    if (s != expected || !strstr(e.text, words))
        print_error("got %d \"%s\" where \"%s\" was expected\n", s, e.text, words);
    assert_int_equal(s, expected);
    assert_int_equal(e.status, expected);
    assert_non_null(strstr(e.text, words));
    assert_null(g);
    free(exact);
    buffer_reset(b);
}

static void refused(struct buffer *b, const char *words) { refused_as(b, ANDIRON_E_FORMAT, words); }

/* ---- values ---- */

static void put_scalars(struct buffer *b)
{
    put_key(b, "u8", GGUF_U8), put(b, &(uint8_t){200}, 1);
    put_key(b, "i8", GGUF_I8), put(b, &(int8_t){-100}, 1);
    put_key(b, "u16", GGUF_U16), put(b, &(uint16_t){60000}, 2);
    put_key(b, "i16", GGUF_I16), put(b, &(int16_t){-30000}, 2);
    put_key(b, "u32", GGUF_U32), put(b, &(uint32_t){4000000000u}, 4);
    put_key(b, "i32", GGUF_I32), put(b, &(int32_t){-2000000000}, 4);
    put_key(b, "f32", GGUF_F32), put(b, &(float){0.5f}, 4);
    put_key(b, "true", GGUF_BOOL), put(b, "\1", 1);
    put_key(b, "false", GGUF_BOOL), put(b, "\0", 1);
    put_key_text(b, "text", "gr\303\274n");
    put_key(b, "u64", GGUF_U64), put(b, &(uint64_t){UINT64_MAX}, 8);
    put_key(b, "i64", GGUF_I64), put(b, &(int64_t){-1}, 8);
    put_key(b, "big", GGUF_I64), put(b, &(int64_t){INT64_MAX}, 8);
    put_key(b, "f64", GGUF_F64), put(b, &(double){-1e300}, 8);
}
enum { N_SCALARS = 14 };

static void scalars_of_every_type(void **state)
{
    (void)state;
    static const struct {
        const char *key, *type;
        double value;
        bool is_float, fits_u64;
    } facts[] = {
        {"u8", "u8", 200, true, true},           {"i8", "i8", -100, true, false},
        {"u16", "u16", 60000, true, true},       {"i16", "i16", -30000, true, false},
        {"u32", "u32", 4000000000., true, true}, {"i32", "i32", -2000000000., true, false},
        {"f32", "f32", 0.5, true, false},        {"true", "bool", 1, false, false},
        {"u64", "u64", 0x1p64, true, true},      {"i64", "i64", -1, true, false},
        {"big", "i64", 0x1p63, true, true},      {"f64", "f64", -1e300, true, false},
    };
    for (uint32_t version = 2; version <= 3; version++) {
        struct buffer b;
        begin_file(&b, version, 0, N_SCALARS);
        put_scalars(&b);
        struct gguf *g = opened(&b);
        assert_int_equal(gguf_version(g), version);
        assert_int_equal(gguf_n_values(g), N_SCALARS);
        assert_int_equal(gguf_n_tensors(g), 0);
        assert_int_equal(gguf_file_bytes(g), b.n);
        assert_true(span_is(gguf_value_at(g, 9)->key, "text"));
        for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) {
            const struct gguf_value *v = gguf_find(g, facts[i].key);
            assert_non_null(v);
            assert_string_equal(gguf_type_name(v->type), facts[i].type);
            assert_int_equal(v->n, 1);
            double item = 7, x = 7;
            uint64_t u = 7;
            assert_true(gguf_item_f64(v, 0, &item) && item == facts[i].value);
            assert_false(gguf_item_f64(v, 1, &item));
            assert_int_equal(gguf_get_f64(g, facts[i].key, &x), facts[i].is_float);
            assert_true(x == (facts[i].is_float ? facts[i].value : 7));
            assert_int_equal(gguf_get_u64(g, facts[i].key, &u), facts[i].fits_u64);
            assert_true(facts[i].fits_u64 || u == 7);
        }
        gguf_close(g);
        buffer_reset(&b);
    }
}

static void typed_reads(void **state)
{
    (void)state;
    struct buffer b;
    begin_file(&b, 3, 0, N_SCALARS + 1);
    put_scalars(&b);
    put_array(&b, "list", GGUF_U32, 1), put_u32(&b, 5);
    struct gguf *g = opened(&b);
    uint64_t u = 7;
    double x = 7;
    bool yes = false;
    struct span text = {0};
    assert_true(gguf_get_u64(g, "u64", &u) && u == UINT64_MAX); /* not rounded */
    assert_true(gguf_get_u64(g, "big", &u) && u == INT64_MAX);
    assert_true(gguf_get_bool(g, "true", &yes) && yes);
    assert_true(gguf_get_bool(g, "false", &yes) && !yes);
    assert_false(gguf_get_bool(g, "u8", &yes));
    assert_true(gguf_get_text(g, "text", &text) && span_is(text, "gr\303\274n"));
    static const char *const not_this[] = {"list", "text", "none", ""};
    for (size_t i = 0; i < 4; i++) { /* type confusion: none converts */
        u = 7;
        assert_false(gguf_get_u64(g, not_this[i], &u));
        assert_false(gguf_get_f64(g, not_this[i], &x));
        assert_false(gguf_get_bool(g, not_this[i], &yes));
        assert_true(u == 7 && x == 7);
    }
    assert_false(gguf_get_text(g, "list", &text));
    assert_false(gguf_get_text(g, "u8", &text));
    assert_false(gguf_item_f64(gguf_find(g, "text"), 0, &x));
    size_t cursor = 0;
    assert_false(gguf_next_text(gguf_find(g, "u32"), &cursor, &text));
    assert_true(gguf_next_text(gguf_find(g, "text"), &cursor, &text) && span_is(text, "gr\303\274n"));
    assert_false(gguf_next_text(gguf_find(g, "text"), &cursor, &text));
    assert_string_equal(gguf_type_name((enum gguf_value_type)99), "?");
    gguf_close(g);
    gguf_close(NULL);
    buffer_reset(&b);
}

static void arrays(void **state)
{
    (void)state;
    static const uint8_t widths[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    for (uint32_t type = 0; type <= GGUF_F64; type++) {
        if (!widths[type])
            continue;
        struct buffer b;
        begin_file(&b, 3, 0, 2);
        put_array(&b, "list", type, 5);
        for (size_t i = 0; i < 5; i++) {
            double d = (double)i;
            float f = (float)i;
            uint64_t u = i;
            put(&b, type == GGUF_F64 ? (void *)&d : type == GGUF_F32 ? (void *)&f : (void *)&u, widths[type]);
        }
        put_key_u32(&b, "after", 77);
        struct gguf *g = opened(&b);
        const struct gguf_value *v = gguf_find(g, "list");
        uint64_t after;
        double x = -1;
        assert_int_equal(v->type, GGUF_ARRAY);
        assert_int_equal(v->item_type, type);
        assert_int_equal(v->n, 5);
        assert_int_equal(v->bytes.n, 5 * widths[type]);
        for (size_t i = 0; i < 5; i++)
            assert_true(gguf_item_f64(v, i, &x) && x == (double)(type == GGUF_BOOL ? i != 0 : i));
        assert_false(gguf_item_f64(v, 5, &x));
        assert_false(gguf_item_f64(v, UINT64_MAX, &x));
        assert_true(gguf_get_u64(g, "after", &after) && after == 77);
        gguf_close(g);
        buffer_reset(&b);
    }
}

static void arrays_of_strings_and_arrays(void **state)
{
    (void)state;
    struct buffer b;
    begin_file(&b, 3, 0, 4);
    put_array(&b, "words", GGUF_STRING, 3), put_text(&b, "one"), put_text(&b, ""), put_text(&b, "three");
    put_array(&b, "none", GGUF_STRING, 0);
    put_array(&b, "nested", GGUF_ARRAY, 2);
    put_u32(&b, GGUF_U8), put_u64(&b, 3), put(&b, "abc", 3);
    put_u32(&b, GGUF_STRING), put_u64(&b, 1), put_text(&b, "deep");
    put_key_u32(&b, "after", 77);
    struct gguf *g = opened(&b);
    struct span text;
    size_t cursor = 0;
    double x;
    const struct gguf_value *words = gguf_find(g, "words");
    assert_true(gguf_next_text(words, &cursor, &text) && span_is(text, "one"));
    assert_true(gguf_next_text(words, &cursor, &text) && span_is(text, ""));
    assert_true(gguf_next_text(words, &cursor, &text) && span_is(text, "three"));
    assert_false(gguf_next_text(words, &cursor, &text));
    assert_false(gguf_item_f64(words, 0, &x));
    cursor = 0;
    assert_false(gguf_next_text(gguf_find(g, "none"), &cursor, &text));
    assert_false(gguf_next_text(gguf_find(g, "nested"), &cursor, &text));
    assert_false(gguf_item_f64(gguf_find(g, "nested"), 0, &x));
    assert_int_equal(gguf_find(g, "nested")->n, 2);
    assert_non_null(gguf_find(g, "after"));
    gguf_close(g);
    buffer_reset(&b);
}

static void bad_values(void **state)
{
    (void)state;
    struct buffer b;
    begin_file(&b, 3, 0, 1), put_key(&b, "k", 13), put_u64(&b, 0);
    refused(&b, "key \"k\" has value type 13");
    begin_file(&b, 3, 0, 1), put_array(&b, "k", 13, 0);
    refused(&b, "value type 13");
    begin_file(&b, 3, 0, 1), put_array(&b, "k", GGUF_U8, 9), put_u64(&b, 0);
    refused(&b, "claims 9 items");
    begin_file(&b, 3, 0, 1), put_array(&b, "k", GGUF_U64, (1ull << 61) + 1),
        put_u64(&b, 0); /* times 8 overflows to 8 */
    refused(&b, "claims 2305843009213693953 items");
    begin_file(&b, 3, 0, 1), put_key(&b, "k", GGUF_STRING), put_u64(&b, UINT64_MAX);
    refused(&b, "claims 18446744073709551615 bytes");
    begin_file(&b, 3, 0, 1), put_u64(&b, UINT64_MAX - 3), put(&b, "key and more", 12);
    refused(&b, "a key at byte 24 claims 18446744073709551612 bytes");
    begin_file(&b, 3, 0, 2), put_key_u32(&b, "same", 1), put_key_text(&b, "same", "2");
    refused(&b, "key \"same\" stands in the file twice");
    begin_file(&b, 3, 0, 1), put_array(&b, "k", GGUF_ARRAY, 1);
    for (int i = 0; i < 100; i++)
        put_u32(&b, GGUF_ARRAY), put_u64(&b, 1);
    refused(&b, "nests arrays more than 4 deep");
    begin_file(&b, 3, 0, 1), put_key(&b, "\033[2J", 99), put_u64(&b, 0);
    refused(&b, "key \"?[2J\"");
}

/* Counts that promise more work than the file has bytes: refused at once. */
static void files_that_would_hang(void **state)
{
    (void)state;
    struct buffer b;
    begin_file(&b, 3, 0, 1), put_array(&b, "abc", GGUF_STRING, UINT64_MAX);
    refused(&b, "the file ends"); /* 51 bytes */
    begin_file(&b, 3, 0, 1), put_array(&b, "abc", GGUF_ARRAY, UINT64_MAX);
    refused(&b, "the file ends");
    begin_file(&b, 3, UINT64_MAX, 0), put_u64(&b, 0);
    refused(&b, "18446744073709551615 tensors");
    begin_file(&b, 3, 0, UINT64_MAX), put_u64(&b, 0);
    refused(&b, "claims 18446744073709551615 keys");
    begin_file(&b, 3, 1ull << 32, 1ull << 32), put_u64(&b, 0), put_u64(&b, 0);
    refused(&b, "more than its 40 bytes hold");
    begin_file(&b, 3, 0, 1), put_array(&b, "k", GGUF_ARRAY, 100000); /* empty arrays, one in the other */
    for (int i = 0; i < 99999; i++)
        put_u32(&b, GGUF_ARRAY), put_u64(&b, 0);
    refused(&b, "the file ends");
}

static void bad_headers(void **state)
{
    (void)state;
    struct buffer b;
    static const uint32_t versions[] = {0, 1, 4, 1000, UINT32_MAX};
    for (size_t i = 0; i < 5; i++) {
        begin_file(&b, versions[i], 0, 0);
        refused_as(&b, ANDIRON_E_SUPPORT, "versions 2 and 3 can be read");
    }
    begin_file(&b, 3u << 24, 0, 0);
    refused_as(&b, ANDIRON_E_SUPPORT, "big-endian");
    begin_file(&b, 3, 0, 0), b.data[3] = 'X';
    refused(&b, "is not a GGUF file");
    buffer_init(&b, 10);
    refused(&b, "is not a GGUF file");
}

/* ---- tensors ---- */

static void tensors_at_every_alignment(void **state)
{
    (void)state;
    for (uint32_t alignment = 0; alignment <= 4096; alignment = alignment ? alignment * 2 : 8) {
        uint32_t unit = alignment ? alignment : 32;
        struct buffer b;
        begin_file(&b, 3, 3, alignment ? 1 : 0);
        if (alignment)
            put_key_u32(&b, "general.alignment", alignment);
        uint64_t second = (24 + unit - 1) / unit * unit, third = second + (36 + unit - 1) / unit * unit;
        put_tensor(&b, "z", TYPE_F32, 3, 2, 0);
        put_tensor(&b, "quantized", TYPE_Q4_0, 64, 0, second);
        put_tensor(&b, "a", TYPE_F16, 2, 0, third);
        pad(&b, unit);
        size_t begin = b.n;
        put(&b, (float[]){1, 2, 3, 4, 5, 6}, 24), pad(&b, unit);
        for (int i = 0; i < 36; i++)
            put(&b, &(uint8_t){(uint8_t)(i + 1)}, 1);
        pad(&b, unit);
        put(&b, "abcd", 4);
        struct gguf *g = opened(&b);
        assert_int_equal(gguf_n_tensors(g), 3);
        const struct gguf_tensor *t = gguf_tensor_at(g, 0), *q = gguf_find_tensor(g, "quantized"),
                                 *a = gguf_find_tensor(g, "a");
        assert_true(span_is(t->name, "z"));
        assert_int_equal(t->n_dims, 2);
        assert_true(t->dims[0] == 3 && t->dims[1] == 2 && t->dims[2] == 1 && t->dims[3] == 1);
        assert_int_equal(t->n_bytes, 24);
        assert_ptr_equal(t->data, b.data + begin);
        assert_int_equal(q->type, TYPE_Q4_0);
        assert_int_equal(q->n_bytes, 36);
        assert_int_equal(((const uint8_t *)q->data)[35], 36);
        assert_memory_equal(a->data, "abcd", 4);
        assert_null(gguf_find_tensor(g, "b"));
        gguf_close(g);
        buffer_reset(&b);
    }
}

static void bad_alignments(void **state)
{
    (void)state;
    struct buffer b;
    static const uint32_t bad[] = {0, 1, 2, 4, 7, 12, 33, (1 << 24) + 8, 1 << 25, UINT32_MAX};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        begin_file(&b, 3, 0, 1), put_key_u32(&b, "general.alignment", bad[i]);
        refused(&b, "must be a power of two");
    }
    begin_file(&b, 3, 0, 1), put_key(&b, "general.alignment", GGUF_U64), put_u64(&b, 32);
    refused(&b, "general.alignment must be a u32");
    begin_file(&b, 3, 0, 1), put_key_text(&b, "general.alignment", "32");
    refused(&b, "general.alignment must be a u32");
    begin_file(&b, 3, 1, 0), put_tensor(&b, "t", TYPE_F32, 1, 0, 4), pad(&b, 32), put_u64(&b, 0);
    refused(&b, "tensor \"t\" does not begin on the file's alignment");
}

/* One tensor and 64 bytes of data. */
static void one_tensor(struct buffer *b, uint32_t type, uint64_t d0, uint64_t d1, uint64_t offset)
{
    begin_file(b, 3, 1, 0);
    put_tensor(b, "t", type, d0, d1, offset);
    pad(b, 32);
    for (int i = 0; i < 8; i++)
        put_u64(b, 0);
}

static void bad_tensors(void **state)
{
    (void)state;
    static const struct {
        uint32_t type;
        uint64_t d0, d1, offset;
        const char *words;
    } bad[] = {
        {TYPE_F32, 17, 0, 0, "ends past the end"},
        {TYPE_F32, 1, 0, 64, "ends past the end"},
        {TYPE_F32, 8, 0, 64, "ends past the end"},
        {TYPE_F32, 9, 0, 32, "ends past the end"},
        {TYPE_F32, 1, 0, UINT64_MAX - 31, "ends past the end"}, /* begin + offset overflows */
        {TYPE_F32, 1, 0, 1ull << 63, "ends past the end"},
        {TYPE_F32, 0, 0, 0, "a dimension of zero"},
        {TYPE_Q4_0, 0, 7, 0, "a dimension of zero"},
        {TYPE_F32, 1ull << 32, 1ull << 32, 0, "more numbers than any machine"}, /* product 0 */
        {TYPE_F32, (1ull << 32) + 1, 1ull << 32, 0, "more numbers than any machine"},
        {TYPE_F32, UINT64_MAX, 0, 0, "more numbers than any machine"},
        {26, UINT64_MAX / 2, 0, 0, "larger than any machine"}, /* times 4 overflows */
        {TYPE_F32, 1ull << 62, 0, 0, "larger than any machine"},
        {TYPE_Q4_0, 33, 0, 0, "no whole number of its type's blocks"},
        {TYPE_Q6_K, 128, 2, 0, "no whole number of its type's blocks"},
    };
    struct buffer b;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        one_tensor(&b, bad[i].type, bad[i].d0, bad[i].d1, bad[i].offset);
        refused(&b, bad[i].words);
    }
    for (uint32_t n_dims = 0; n_dims < 10; n_dims++) {
        begin_file(&b, 3, 1, 0), put_text(&b, "t"), put_u32(&b, n_dims);
        for (uint32_t d = 0; d < n_dims; d++)
            put_u64(&b, 1);
        put_u32(&b, TYPE_F32), put_u64(&b, 0), pad(&b, 32), put_u32(&b, 0);
        if (n_dims < 1 || n_dims > 4) {
            refused(&b, "1 to 4 dimensions");
        } else {
            gguf_close(opened(&b));
            buffer_reset(&b);
        }
    }
    begin_file(&b, 3, 1, 0), put_text(&b, "t"), put_u32(&b, UINT32_MAX), put(&b, (char[64]){0}, 64);
    refused(&b, "1 to 4 dimensions");
    begin_file(&b, 3, 2, 0), put_tensor(&b, "t", TYPE_F32, 1, 0, 0), put_tensor(&b, "t", TYPE_F32, 1, 0, 32);
    pad(&b, 32), put(&b, (char[64]){0}, 64);
    refused(&b, "tensor \"t\" stands in the file twice");
    begin_file(&b, 3, 1, 0), put_u64(&b, 3), put(&b, "a\0b", 3), put_u32(&b, 1), put_u64(&b, 1);
    put_u32(&b, 0), put_u64(&b, 0), pad(&b, 32), put_u64(&b, 0);
    refused(&b, "zero byte");
    begin_file(&b, 3, 1, 0), put_u64(&b, 70000);
    for (int i = 0; i < 10000; i++)
        put(&b, "0123456789", 10);
    refused(&b, "too long");
}

static void a_tensor_may_end_with_the_file(void **state)
{
    (void)state;
    struct buffer b;
    one_tensor(&b, TYPE_F32, 16, 0, 0);
    gguf_close(opened(&b));
    buffer_reset(&b);
    one_tensor(&b, TYPE_F32, 8, 0, 32);
    gguf_close(opened(&b));
    buffer_reset(&b);
}

/* A type that nobody knows yet can be listed, but has no data. */
static void unknown_types_are_listed(void **state)
{
    (void)state;
    static const uint32_t types[] = {4, 63, 64, 1000, UINT32_MAX};
    for (size_t i = 0; i < 5; i++) {
        struct buffer b;
        one_tensor(&b, types[i], 1 << 20, 77, UINT64_MAX);
        struct gguf *g = opened(&b);
        assert_null(gguf_tensor_at(g, 0)->data);
        assert_int_equal(gguf_tensor_at(g, 0)->n_bytes, 0);
        assert_int_equal(gguf_tensor_at(g, 0)->type, types[i]);
        gguf_close(g);
        buffer_reset(&b);
    }
}

/* ---- the whole ---- */

static void small_file(struct buffer *b)
{
    begin_file(b, 3, 2, N_SCALARS + 3);
    put_scalars(b);
    put_array(b, "words", GGUF_STRING, 2), put_text(b, "one"), put_text(b, "two");
    put_array(b, "nested", GGUF_ARRAY, 1), put_u32(b, GGUF_U16), put_u64(b, 2), put_u32(b, 0);
    put_array(b, "list", GGUF_F32, 2), put_u64(b, 0);
    put_tensor(b, "first", TYPE_F32, 4, 2, 0);
    put_tensor(b, "second", TYPE_Q8_0, 32, 0, 32);
    pad(b, 32);
    put(b, (char[32 + 34]){0}, 32 + 34);
}

static void cut_off_anywhere_it_is_refused(void **state)
{
    (void)state;
    struct buffer whole, part;
    small_file(&whole);
    gguf_close(opened(&whole));
    for (size_t n = 0; n < whole.n; n++) {
        buffer_init(&part, 1 << 20);
        buffer_add(&part, whole.data, n);
        refused(&part, "memory: ");
    }
    buffer_reset(&whole);
}

static void many_names_are_found(void **state)
{
    (void)state;
    struct buffer b;
    enum { N = 3000 };
    char name[32];
    begin_file(&b, 3, N, N);
    for (uint32_t i = 0; i < N; i++) {
        snprintf(name, sizeof name, "key.%u", (unsigned)(i * 7919 % N));
        put_key_u32(&b, name, i);
    }
    for (uint32_t i = 0; i < N; i++) {
        snprintf(name, sizeof name, "blk.%u", (unsigned)(i * 7919 % N));
        put_tensor(&b, name, TYPE_F32, i + 1, 0, 0);
    }
    pad(&b, 32);
    for (int i = 0; i < N; i++)
        put_u32(&b, 0);
    struct gguf *g = opened(&b);
    for (uint32_t i = 0; i < N; i++) {
        uint64_t x = 0;
        snprintf(name, sizeof name, "key.%u", (unsigned)(i * 7919 % N));
        assert_true(gguf_get_u64(g, name, &x) && x == i);
        memcpy(name, "blk", 3);
        assert_int_equal(gguf_find_tensor(g, name)->dims[0], i + 1);
    }
    assert_null(gguf_find(g, "key"));
    assert_null(gguf_find(g, "key.3000"));
    gguf_close(g);
    buffer_reset(&b);
}

static void failing_allocations(void **state)
{
    (void)state;
    struct buffer b;
    small_file(&b);
    andiron_status s = ANDIRON_E_MEMORY;
    int64_t n = 0;
    for (; s && n < 100; n++) {
        struct gguf *g = NULL;
        andiron_error e = {0};
        alloc_fail_after(n);
        s = gguf_open_memory(&g, buffer_span(&b), &e);
        alloc_fail_after(-1);
        assert_true(s == ANDIRON_OK || s == ANDIRON_E_MEMORY);
        assert_int_equal(e.status, s);
        assert_int_equal(g != NULL, s == ANDIRON_OK);
        gguf_close(g);
    }
    assert_in_range(n, 3, 99);
    buffer_reset(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scalars_of_every_type),
        cmocka_unit_test(typed_reads),
        cmocka_unit_test(arrays),
        cmocka_unit_test(arrays_of_strings_and_arrays),
        cmocka_unit_test(bad_values),
        cmocka_unit_test(files_that_would_hang),
        cmocka_unit_test(bad_headers),
        cmocka_unit_test(tensors_at_every_alignment),
        cmocka_unit_test(bad_alignments),
        cmocka_unit_test(bad_tensors),
        cmocka_unit_test(a_tensor_may_end_with_the_file),
        cmocka_unit_test(unknown_types_are_listed),
        cmocka_unit_test(cut_off_anywhere_it_is_refused),
        cmocka_unit_test(many_names_are_found),
        cmocka_unit_test(failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
