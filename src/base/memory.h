/* memory.h - what memory there is, and its large pages. */
#ifndef BASE_MEMORY_H
#define BASE_MEMORY_H

#include <stddef.h>

/* Bytes this process may still take without swapping: the least of MemAvailable and what the cgroups (v2 or v1, every
 * level up) still allow. SIZE_MAX where the system does not say. */
size_t memory_available_bytes(void);
/* For tests: from now on memory_available_bytes tells at most this. SIZE_MAX: what the system says. */
void memory_limit(size_t bytes);
/* Most memory this process ever held resident (VmHWM), 0 where unknown. */
size_t memory_peak_bytes(void);
/* Asks the system to back a block by pages of 2 MiB where it can, so that reading it far apart finds addresses faster.
 * Only for blocks that are filled from their start: what is touched becomes resident 2 MiB at a time. */
void memory_ask_large_pages(void *block, size_t bytes);

#endif
