/* test_types.c - block sizes against the gguf Python package (GGML_QUANT_SIZES of version 0.19). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/types.h"
#include <string.h>

/* Printed by: for t in GGMLQuantizationType: t.value, t.name, *GGML_QUANT_SIZES[t]. Q8_1 apart, see types.c. */
static const struct {
    uint32_t id;
    const char *name;
    uint32_t items, bytes;
} facts[] = {
    {0, "F32", 1, 4},         {1, "F16", 1, 2},         {2, "Q4_0", 32, 18},     {3, "Q4_1", 32, 20},
    {6, "Q5_0", 32, 22},      {7, "Q5_1", 32, 24},      {8, "Q8_0", 32, 34},     {10, "Q2_K", 256, 84},
    {11, "Q3_K", 256, 110},   {12, "Q4_K", 256, 144},   {13, "Q5_K", 256, 176},  {14, "Q6_K", 256, 210},
    {15, "Q8_K", 256, 292},   {16, "IQ2_XXS", 256, 66}, {17, "IQ2_XS", 256, 74}, {18, "IQ3_XXS", 256, 98},
    {19, "IQ1_S", 256, 50},   {20, "IQ4_NL", 32, 18},   {21, "IQ3_S", 256, 110}, {22, "IQ2_S", 256, 82},
    {23, "IQ4_XS", 256, 136}, {24, "I8", 1, 1},         {25, "I16", 1, 2},       {26, "I32", 1, 4},
    {27, "I64", 1, 8},        {28, "F64", 1, 8},        {29, "IQ1_M", 256, 56},  {30, "BF16", 1, 2},
    {34, "TQ1_0", 256, 54},   {35, "TQ2_0", 256, 66},   {39, "MXFP4", 32, 17},   {40, "NVFP4", 64, 36},
    {41, "Q1_0", 128, 18},    {42, "Q2_0", 64, 18}, /* Q2_0: by ggml.h of llama-cpp-python 0.3.36 */
};

static void sizes_are_the_formats(void **state)
{
    (void)state;
    size_t n_known = 0;
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) {
        const struct type_info *t = type_info(facts[i].id);
        assert_non_null(t);
        assert_string_equal(t->name, facts[i].name);
        assert_int_equal(t->block_items, facts[i].items);
        assert_int_equal(t->block_bytes, facts[i].bytes);
    }
    for (uint32_t id = 0; id < 1000; id++)
        n_known += type_info(id) != NULL;
    assert_int_equal(n_known, sizeof facts / sizeof *facts + 1); /* Q8_1 */
    assert_null(type_info(TYPE_LIMIT));
    assert_null(type_info(UINT32_MAX));
}

static void names_are_the_enum(void **state)
{
    (void)state;
#define SAME(id) assert_string_equal(type_info(TYPE_##id)->name, #id), assert_true(type_info(TYPE_##id)->runs)
    SAME(F32), SAME(F16), SAME(BF16), SAME(Q4_0), SAME(Q4_1), SAME(Q5_0), SAME(Q5_1), SAME(Q8_0);
    SAME(Q2_K), SAME(Q3_K), SAME(Q4_K), SAME(Q5_K), SAME(Q6_K), SAME(IQ4_NL), SAME(IQ4_XS), SAME(MXFP4), SAME(NVFP4);
    SAME(Q1_0), SAME(Q2_0), SAME(TQ1_0), SAME(TQ2_0), SAME(IQ1_S), SAME(IQ1_M), SAME(IQ2_XXS), SAME(IQ2_XS),
        SAME(IQ2_S);
    SAME(IQ3_XXS), SAME(IQ3_S);
    size_t n_run = 0;
    for (uint32_t id = 0; id < TYPE_LIMIT; id++)
        if (type_info(id) && type_info(id)->runs) {
            uint32_t items = type_info(id)->block_items;
            assert_true(items == 1 || items % 32 == 0); /* products with quantized weights rely on it */
            n_run++;
        }
    assert_int_equal(n_run, 28);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(sizes_are_the_formats), cmocka_unit_test(names_are_the_enum)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
