/* test_safetensors.c - safetensors files in memory: what is read, each rule of the format broken, cuts, allocations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/types.h"
#include "files/safetensors.h"
#include <stdlib.h>

static void make(struct buffer *b, const char *header, size_t n_data)
{
    uint64_t n = strlen(header);
    buffer_init(b, 1 << 20);
    buffer_add(b, &n, sizeof n);
    buffer_add_text(b, header);
    for (size_t i = 0; i < n_data; i++)
        buffer_add(b, &(char){(char)('a' + i % 26)}, 1);
    assert_false(b->failed);
}

static void refused(const char *header, size_t n_data, const char *words)
{
    struct buffer b;
    struct safetensors *s = NULL;
    andiron_error e = {0};
    make(&b, header, n_data);
    assert_int_not_equal(safetensors_open_memory(&s, buffer_span(&b), &e), ANDIRON_OK);
    assert_null(s);
    if (!strstr(e.text, words))
        print_error("got \"%s\" where \"%s\" was expected\n", e.text, words);
    assert_non_null(strstr(e.text, words));
    buffer_reset(&b);
}

static const char three[] = "{\"__metadata__\":{\"format\":\"pt\"},"
                            "\"b\":{\"dtype\":\"BF16\",\"shape\":[2,3],\"data_offsets\":[4,16]},"
                            "\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]},"
                            "\"c\":{\"dtype\":\"U8\",\"shape\":[2,1,2,1,3,1],\"data_offsets\":[16,28]},"
                            "\"e\":{\"dtype\":\"F16\",\"shape\":[0,5],\"data_offsets\":[28,28]},"
                            "\"odd\":{\"dtype\":\"F4\",\"shape\":[4],\"data_offsets\":[28,30]}}   ";
enum { THREE_DATA = 30 };

static void reads(void **state)
{
    (void)state;
    struct buffer b;
    struct safetensors *s = NULL;
    make(&b, three, THREE_DATA);
    assert_int_equal(safetensors_open_memory(&s, buffer_span(&b), NULL), ANDIRON_OK);
    assert_int_equal(safetensors_n_tensors(s), 5);
    const struct safetensors_tensor *t = safetensors_find(s, "b");
    assert_non_null(t);
    assert_int_equal(t->tensor.type, TYPE_BF16);
    assert_int_equal(t->tensor.n_dims, 2);
    assert_int_equal(t->tensor.dims[0], 3);
    assert_int_equal(t->tensor.dims[1], 2);
    assert_int_equal(t->tensor.dims[2], 1);
    assert_int_equal(t->tensor.n_bytes, 12);
    assert_memory_equal(t->tensor.data, "efgh", 4);
    safetensors_close(s);
    buffer_reset(&b);
}

static void reads_odd_ones(void **state)
{
    (void)state;
    struct buffer b;
    struct safetensors *s = NULL;
    struct span text;
    make(&b, three, THREE_DATA);
    assert_int_equal(safetensors_open_memory(&s, buffer_span(&b), NULL), ANDIRON_OK);
    const struct safetensors_tensor *t = safetensors_tensor_at(s, 0);
    assert_true(span_is(t->tensor.name, "a") && t->n_shape == 0 && t->tensor.n_dims == 1 && t->tensor.dims[0] == 1);
    t = safetensors_find(s, "c");
    assert_true(t->tensor.type == SAFETENSORS_U8 && !type_info(t->tensor.type) && t->n_shape == 6);
    assert_true(t->tensor.n_dims == 4 && t->tensor.dims[0] == 1 && t->tensor.dims[1] == 3 && t->tensor.dims[2] == 1 &&
                t->tensor.dims[3] == 4);
    t = safetensors_find(s, "e");
    assert_non_null(t);
    assert_int_equal(t->tensor.n_bytes + t->tensor.dims[1], 0);
    t = safetensors_find(s, "odd");
    assert_true(t && t->tensor.type == SAFETENSORS_OTHER && !t->tensor.data && span_is(t->dtype, "F4"));
    assert_null(safetensors_find(s, "__metadata__"));
    assert_null(safetensors_find(s, "d"));
    assert_null(safetensors_tensor_at(s, 5));
    assert_true(safetensors_metadata(s, "format", &text) && span_is(text, "pt"));
    assert_false(safetensors_metadata(s, "none", &text));
    safetensors_close(s);
    buffer_reset(&b);
}

#define T(name, dtype, shape, offsets) \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"

static void refusals(void **state)
{
    (void)state;
    refused("", 0, "begin with {");
    refused(" {}", 0, "begin with {");
    refused("{", 0, "no valid JSON");
    refused("{}", 1, "belong to no tensor");
    refused("{\"a\":1}", 0, "has no dtype");
    refused("{\"a\":{\"dtype\":\"F32\"}}", 0, "has no shape");
    refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, "no two data_offsets");
    refused("{" T("a", "F32", "[1]", "[0,4,8]") "}", 4, "no two data_offsets");
    refused("{" T("a", "F32", "[1]", "[0]") "}", 4, "no two data_offsets");
    refused("{" T("a", "F32", "[1]", "[0,-4]") "}", 4, "no two data_offsets");
    refused("{" T("a", "F32", "[-1]", "[0,4]") "}", 4, "has no shape");
    refused("{" T("a", "F32", "[1.0]", "[0,4]") "}", 4, "has no shape");
    refused("{" T("a", "F32", "[1,1,1,1,1,1,1,1,1]", "[0,4]") "}", 4, "at most 8 sizes");
    refused("{" T("a", "F32", "[4294967296,4294967296]", "[0,4]") "}", 4, "overflows");
    refused("{" T("a", "F32", "[4611686018427387905]", "[0,4]") "}", 4, "do not fit");
    refused("{" T("a", "F32", "[2]", "[0,4]") "}", 4, "do not fit");
    refused("{" T("a", "F32", "[2]", "[0,8]") "}", 4, "past the end");
    refused("{" T("a", "F32", "[1]", "[4,0]") "}", 4, "past the end");
    refused("{" T("a", "F32", "[1]", "[4,8]") "}", 8, "hole");
    refused("{" T("a", "F32", "[1]", "[0,4]") "," T("b", "F32", "[1]", "[2,6]") "}", 6, "overlaps");
    refused("{" T("a", "F32", "[1]", "[0,4]") "," T("b", "F32", "[1]", "[0,4]") "}", 4, "overlaps");
    refused("{" T("a", "F32", "[1]", "[0,4]") "," T("a", "F32", "[1]", "[4,8]") "}", 8, "no valid JSON");
    refused("{" T("a", "F32", "[1]", "[0,4]") "}", 5, "belong to no tensor");
    refused("{\"a\":[[[[[1]]]]]}", 4, "nested");
}

static void cuts_and_lengths(void **state)
{
    (void)state;
    struct buffer b;
    make(&b, three, THREE_DATA);
    for (size_t n = 0; n < b.n; n++) {
        struct safetensors *s = NULL;
        andiron_error e = {0};
        char *exact = malloc(n + 1);
        memcpy(exact, b.data, n);
        assert_int_not_equal(safetensors_open_memory(&s, (struct span){exact, n}, &e), ANDIRON_OK);
        assert_true(e.text[0] && !s);
        free(exact);
    }
    static const uint64_t lengths[] = {100000001, UINT64_MAX, 1ull << 63, 99999999, 3};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        struct safetensors *s = NULL;
        memcpy(b.data, &lengths[i], 8);
        assert_int_not_equal(safetensors_open_memory(&s, buffer_span(&b), NULL), ANDIRON_OK);
    }
    buffer_reset(&b);
}

static void each_allocation_fails(void **state)
{
    (void)state;
    struct buffer b;
    make(&b, three, THREE_DATA);
    for (int64_t n = 0;; n++) {
        struct safetensors *s = NULL;
        alloc_fail_after(n);
        andiron_status status = safetensors_open_memory(&s, buffer_span(&b), NULL);
        alloc_fail_after(-1);
        safetensors_close(s);
        if (!status)
            break;
        assert_int_equal(status, ANDIRON_E_MEMORY);
        assert_true(n < 100);
    }
    buffer_reset(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads),
        cmocka_unit_test(reads_odd_ones),
        cmocka_unit_test(refusals),
        cmocka_unit_test(cuts_and_lengths),
        cmocka_unit_test(each_allocation_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
