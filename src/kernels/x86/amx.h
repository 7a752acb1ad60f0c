/* amx.h - tiles: eight matrices of up to 16 rows of 64 bytes (Intel, "Architecture Instruction Set Extensions", chapter
 * 3). The compiler's own functions are not used: GCC 12's ldtilecfg reads a word of what it is given, so that stores of
 * the rest are dropped. A tile is named by a number that is a macro. */
#ifndef KERNELS_X86_AMX_H
#define KERNELS_X86_AMX_H

#include "kernels/x86/vector.h"

struct tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
};
_Static_assert(sizeof(struct tile_config) == 64, "as ldtilecfg reads it");

#define TILE_NAME(tile) TILE_NAME_(tile)
#define TILE_NAME_(tile) "%%tmm" #tile
#define TILE_LOAD(tile, from, stride) \
    __asm__ volatile("tileloadd (%0,%1,1), " TILE_NAME(tile) : : "r"(from), "r"((size_t)(stride)) : "memory")
#define TILE_STORE(tile, to) \
    __asm__ volatile("tilestored " TILE_NAME(tile) ", (%0,%1,1)" : : "r"(to), "r"((size_t)64) : "memory")
#define TILE_ZERO(tile) __asm__ volatile("tilezero " TILE_NAME(tile) : :)

INLINE void tiles_begin(const struct tile_config *c) { __asm__ volatile("ldtilecfg %0" : : "m"(*c)); }

/* Threads that hold no tiles are cheaper to switch, and rest deeper. */
INLINE void tiles_end(void) { __asm__ volatile("tilerelease" : : : "memory"); }

#endif
