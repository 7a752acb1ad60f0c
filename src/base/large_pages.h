/* large_pages.h - a mapped file's bytes in large pages. */
#ifndef BASE_LARGE_PAGES_H
#define BASE_LARGE_PAGES_H

#include "andiron.h"
#include "base/threads.h"
#include <stdbool.h>

/* May this process have memory of more than one node (NUMA)? */
bool has_several_nodes(void);
/* What is to move, and what has. */
struct moving {
    bool all;       /* else only what the system holds in small pages, where it tells and large ones can be had */
    uint64_t most;  /* bytes; what is more stays where it is */
    uint64_t moved; /* bytes so far, to begin with 0 */
};

/* Copies those parts of a block of a private, read-only mapping that large pages can hold into memory of the process
 * in such pages, spread over all nodes, and puts it in the block's place: pointers into it stay good, the file's own
 * pages are let go, and whoever unmaps the block unmaps it as before. Nobody else may touch the block meanwhile, nor,
 * unless all is to move, have read it before. What the file holds later is not seen. ANDIRON_E_MEMORY: the block is
 * lost, to be unmapped and never read. */
andiron_status move_to_large_pages(const void *block, size_t bytes, struct moving *how, struct pool *pool,
                                   andiron_error *error);

#endif
