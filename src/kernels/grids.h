/* grids.h - code books of the IQ formats: data that defines them. */
#ifndef KERNELS_GRIDS_H
#define KERNELS_GRIDS_H

#include <stdint.h>

/* Byte i of an entry is item i. IQ1: 8 * (item + 1). */
extern const uint64_t grid_iq2_xxs[256], grid_iq2_xs[512], grid_iq2_s[1024], grid_iq1[2048];
extern const uint32_t grid_iq3_xxs[256], grid_iq3_s[512];
/* What a nibble stands for: IQ4_NL, IQ4_XS; and twice the FP4 (E2M1) number of MXFP4, NVFP4. */
extern const int8_t codes_iq4[16], codes_fp4[16];

#endif
