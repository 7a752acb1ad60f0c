/* hf_packed.h - weights that a folder keeps in fewer bits: how one matrix stands there, and as rows that run here.
 *
 * Every packed format is the same sum: number = (item - zero) * scale, where rows and columns share scales and zeros in
 * blocks. hf_packed.c finds the tensors of a matrix and checks them; hf_unpack.c reads them. */
#ifndef ENGINE_HF_PACKED_H
#define ENGINE_HF_PACKED_H

#include "base/threads.h"
#include "base/types.h"
#include "engine/hf_internal.h"

enum { PACKED_I8 = 24, PACKED_I32 = 26, PACKED_I64 = 27 }; /* GGUF's ids of them */
enum { HF_BLOCK_MAX = 1 << 20 };

/* ---- hf_packing.c ---- */

bool hf_is_among(struct span value, const char *const *known, size_t n);
/* A size of 1 or more, at most HF_BLOCK_MAX; none, -1 and null stand for the whole row: 0. False: no such number. */
bool hf_read_group(const json_t *config, const char *key, uint64_t *out);
/* Two such sizes. */
bool hf_read_block(const json_t *config, const char *path, uint64_t block[2]);

/* ---- hf_nested.c ---- */

struct packed;
/* Rows, columns and all else that bitsandbytes' quant_state (p->shape) says, and whether its tensors fit. */
bool shape_nested(struct packed *p);
float nested_scale(const struct packed *p, uint64_t i);

/* ---- a matrix ---- */

/* One way a matrix can stand in a folder. Names are those of its tensors after the module's; NULL: it has none. */
struct packed_layout {
    enum hf_packing_method method;
    const char *items, *scales, *zeros, *index, *factor;
    uint32_t type;                                             /* of the tensor of items */
    bool (*shape)(struct packed *p);                           /* rows, columns, bits from its tensors; false: no */
    void (*row)(const struct packed *p, uint64_t r, float *q); /* items of a row: [columns] */
    int (*zero)(const struct packed *p, uint64_t r, uint64_t group); /* NULL: always the same */
};

/* bitsandbytes' 4 bits: what items stand for, and scales that may be packed themselves. */
struct packed_nested {
    const struct safetensors_tensor *map;                /* F32 [16] */
    const struct safetensors_tensor *scales, *scale_map; /* F32 [blocks], F32 [256]; NULL: scales are not packed */
    uint64_t block;                                      /* so many scales share one */
    float offset;                                        /* added to each */
};

/* A matrix whose tensors were found and checked. Columns are inputs, also where the file has them otherwise. */
struct packed {
    const struct packed_layout *layout;
    const struct safetensors_tensor *items, *scales, *zeros, *index, *shape;
    const struct safetensors_tensor *factor; /* NVFP4: F32, of all scales */
    struct packed_nested nested;
    uint64_t group;                             /* bitsandbytes: so many items share a scale */
    enum weight_type rounds;                    /* numbers are rounded to this; F32: they are not */
    uint64_t rows, columns;                     /* of all experts */
    uint64_t n_experts;                         /* that stand in one tensor, else 1 */
    uint64_t row_block, column_block, n_groups; /* so many rows and columns share a scale; blocks in a row */
    uint64_t scale_row, scale_group;            /* from one scale to the next block's of rows, of columns */
    uint32_t bits, plus;                        /* plus: what each word of zeros lacks */
    int zero;                                   /* where layout->zero is NULL */
};

void items_f8(const struct packed *p, uint64_t r, float *q);
void items_fp4(const struct packed *p, uint64_t r, float *q); /* twice the numbers */
void items_nested(const struct packed *p, uint64_t r, float *q);
void items_i8(const struct packed *p, uint64_t r, float *q);
void items_words(const struct packed *p, uint64_t r, float *q); /* along a row: compressed-tensors */
void items_gptq(const struct packed *p, uint64_t r, float *q);  /* down a column */
void items_awq(const struct packed *p, uint64_t r, float *q);   /* eight rows in a word, in AWQ's order */
int zero_i8(const struct packed *p, uint64_t r, uint64_t group);
int zero_words(const struct packed *p, uint64_t r, uint64_t group);
int zero_gptq(const struct packed *p, uint64_t r, uint64_t group);
int zero_awq(const struct packed *p, uint64_t r, uint64_t group);

/* The smallest type that holds every number of the matrix as it is: Q4_0, Q5_0 or Q8_0, MXFP4, BF16, else F32. */
enum weight_type packed_type(const struct packed *p);
uint64_t packed_bytes(const struct packed *p, enum weight_type type);
/* All rows in this type, which is packed_type's or wider. False: no memory. */
bool packed_unpack(const struct packed *p, enum weight_type type, struct pool *pool, void *out);

#endif
