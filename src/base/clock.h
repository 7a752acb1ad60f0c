/* clock.h - time that only moves forward. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

uint64_t clock_ns(void); /* nanoseconds since some fixed moment (CLOCK_MONOTONIC) */

#endif
