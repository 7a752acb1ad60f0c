/* large_pages.h - a mapped file's bytes in large pages. */
#ifndef BASE_LARGE_PAGES_H
#define BASE_LARGE_PAGES_H

#include "andiron.h"
#include "base/threads.h"
#include <stdbool.h>

/* Does the system hold this block of a mapped file in small pages, where large ones could be had? Reads a few of its
 * pages. False where the system does not say. */
bool lies_in_small_pages(const void *block, size_t bytes);
/* May this process have memory of more than one node (NUMA)? */
bool has_several_nodes(void);
/* Copies those parts of a block of a private, read-only mapping that large pages can hold into memory of the process
 * in such pages, spread over all nodes, and puts it in the block's place: pointers into it stay good, the file's own
 * pages are let go, and whoever unmaps the block unmaps it as before. Nobody else may touch the block meanwhile. What
 * the file holds later is not seen. ANDIRON_E_MEMORY: the block is lost, to be unmapped and never read. */
andiron_status move_to_large_pages(const void *block, size_t bytes, struct pool *pool, andiron_error *error);

#endif
