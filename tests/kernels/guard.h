/* guard.h - memory between unreadable pages, and calls that a signal does not end: a read or write beyond a buffer, or
 * an aligned access to what is not aligned, becomes a failure with a name. */
#ifndef TESTS_KERNELS_GUARD_H
#define TESTS_KERNELS_GUARD_H

#include <stdbool.h>
#include <stddef.h>

/* A buffer ends (begins) exactly at an unreadable page. Its other side is painted, and looked at by guard_intact. */
enum side { AT_END, AT_START, N_SIDES };

enum { GUARD_SLOTS = 16, GUARD_BYTES = 4 << 20 };

/* `bytes` (at most GUARD_BYTES) in this slot; what stood there before is gone. */
void *guard_place(int slot, const char *name, size_t bytes, enum side side);

/* NULL, or the name of a buffer beside which somebody wrote. */
const char *guard_intact(void);

/* f(arg); false if it raised a signal, and then `why` says which, and beside which buffer. */
bool guard_call(void (*f)(void *arg), void *arg, char why[128]);

#endif
