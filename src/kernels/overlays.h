/* overlays.h - the overlays of the sources that are compiled once a level, and of those written for one. Each fills its
 * part of the table. */
#ifndef KERNELS_OVERLAYS_H
#define KERNELS_OVERLAYS_H

#include "kernels/kernels.h"

/* Names of a file that is compiled once a level: LEVELED(f) is f_avx2 with -DLEVEL=avx2. */
#define LEVELED_PASTE(name, level) name##_##level
#define LEVELED_EXPAND(name, level) LEVELED_PASTE(name, level)
#define LEVELED(name) LEVELED_EXPAND(name, LEVEL)

void floats_overlay_ref(struct kernels *k);
void scans_overlay_ref(struct kernels *k);
void largest_overlay_ref(struct kernels *k);
void floats_overlay_avx2(struct kernels *k);
void scans_overlay_avx2(struct kernels *k);
void largest_overlay_avx2(struct kernels *k);
void floats_overlay_avx512(struct kernels *k);
void scans_overlay_avx512(struct kernels *k);
void largest_overlay_avx512(struct kernels *k);
void floats_overlay_neon(struct kernels *k);
void scans_overlay_neon(struct kernels *k);
void largest_overlay_neon(struct kernels *k);
void quantize_overlay_ref(struct kernels *k);
void quantize_overlay_avx2(struct kernels *k);
void quantize_overlay_avx512(struct kernels *k);
void quantize_overlay_neon(struct kernels *k);
void kv_store_overlay_ref(struct kernels *k);
void kv_store_overlay_avx2(struct kernels *k);
void kv_store_overlay_avx512(struct kernels *k);
void kv_store_overlay_neon(struct kernels *k);
void attend_overlay_ref(struct kernels *k);
void attend_overlay_avx2(struct kernels *k);
void attend_overlay_avx512(struct kernels *k);
void attend_overlay_neon(struct kernels *k);
void attend_overlay_dotprod(struct kernels *k);
void float_products_overlay_ref(struct kernels *k);
void float_products_overlay_avx2(struct kernels *k);
void float_products_overlay_avx512(struct kernels *k);
void float_products_overlay_amx(struct kernels *k);
void float_products_overlay_neon(struct kernels *k);
void product_f16_ref(const struct mul *m);
void product_f16_avx2(const struct mul *m);
void product_f16_avx512(const struct mul *m);
void product_f16_amx(const struct mul *m);
void product_f16_neon(const struct mul *m);
void product_bf16_ref(const struct mul *m);
void product_bf16_avx2(const struct mul *m);
void product_bf16_avx512(const struct mul *m);
void product_bf16_amx(const struct mul *m);
void product_bf16_neon(const struct mul *m);
void fast_products_overlay_avx512bf16(struct kernels *k); /* not of the same bits, nor are the next three */
void fast_products_overlay_amx(struct kernels *k);
void fast_f16_avx512bf16(const struct mul *m);
void fast_bf16_avx512bf16(const struct mul *m);
void pack_k_overlay_ref(struct kernels *k);
void pack_k_overlay_avx2(struct kernels *k);
void pack_k_overlay_avx512(struct kernels *k);
void pack_k_overlay_neon(struct kernels *k);
void products_overlay_ref(struct kernels *k);
void mul_q8_0_avx2(const struct mul *m); /* which avx512 takes for one token */
void products_overlay_avx2(struct kernels *k);
void products_overlay_avx512(struct kernels *k);
void products_overlay_amx(struct kernels *k);
void products_overlay_neon(struct kernels *k);
void products_overlay_dotprod(struct kernels *k);
void products_overlay_i8mm(struct kernels *k);
void dequantize_overlay(struct kernels *k);

/* The probes of the levels. */
void probes_ref(struct probes *p);
void probes_avx2(struct probes *p);
void probes_avx512(struct probes *p);
void probes_neon(struct probes *p);
void probes_dotprod(struct probes *p);
void probes_i8mm(struct probes *p);

/* A quantized product in plain C, of any number of rows. */
void product_ref(const struct mul *m, uint32_t type);

#endif
