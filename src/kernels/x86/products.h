/* products.h - what products.c has compiled for each weight type. */
#ifndef KERNELS_X86_PRODUCTS_H
#define KERNELS_X86_PRODUCTS_H

#include "kernels/overlays.h"
#include "kernels/x86/unpack.h"

struct typed {
    uint32_t type;
    void (*few)(const struct mul *m, size_t r, bool near); /* a panel, from row r on, times one token, or two */
    void (*some)(const struct mul *m, size_t r);           /* times up to SOME_TOKENS */
    void (*unpack)(const struct unpacking *u, struct chunk *out);
};

#define QUANTIZED(name, type) extern const struct typed typed_##name##_avx2, typed_##name##_avx512;
#include "kernels/quantized.def"
#undef QUANTIZED

/* A product of any shape. near: for few tokens, superblocks come into the first-level cache before they are read. */
void product_avx2(const struct mul *m, const struct typed *typed, bool near);
void product_avx512(const struct mul *m, const struct typed *typed, bool near);

#endif
