/* types.h - the number formats of weights: names, sizes, and nothing else. Ids are GGUF's. */
#ifndef BASE_TYPES_H
#define BASE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum weight_type {
    TYPE_F32 = 0,
    TYPE_F16 = 1,
    TYPE_Q4_0 = 2,
    TYPE_Q4_1 = 3,
    TYPE_Q5_0 = 6,
    TYPE_Q5_1 = 7,
    TYPE_Q8_0 = 8,
    TYPE_Q2_K = 10,
    TYPE_Q3_K = 11,
    TYPE_Q4_K = 12,
    TYPE_Q5_K = 13,
    TYPE_Q6_K = 14,
    TYPE_IQ2_XXS = 16,
    TYPE_IQ2_XS = 17,
    TYPE_IQ3_XXS = 18,
    TYPE_IQ1_S = 19,
    TYPE_IQ4_NL = 20,
    TYPE_IQ3_S = 21,
    TYPE_IQ2_S = 22,
    TYPE_IQ4_XS = 23,
    TYPE_I32 = 26, /* numbers of things, never weights */
    TYPE_I64 = 27,
    TYPE_IQ1_M = 29,
    TYPE_BF16 = 30,
    TYPE_TQ1_0 = 34,
    TYPE_TQ2_0 = 35,
    TYPE_MXFP4 = 39,
    TYPE_NVFP4 = 40,
    TYPE_Q1_0 = 41,
    TYPE_Q2_0 = 42,
    TYPE_LIMIT = 64,
};

struct type_info {
    const char *name;     /* "Q4_0"; NULL for ids nobody has given a meaning */
    uint32_t block_items; /* numbers in one block */
    uint32_t block_bytes;
    bool runs; /* kernels for it exist here; false: its size is known, so that tensors can be listed */
};

/* NULL for an id that no GGUF has a meaning for. All ids of GGUF's specification are known by size. */
const struct type_info *type_info(uint32_t type);
/* How many bytes n numbers, whole blocks, take. */
static inline uint64_t type_bytes(const struct type_info *info, uint64_t n)
{
    return n / info->block_items * info->block_bytes;
}

#endif
