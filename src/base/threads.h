/* threads.h - a pool that runs a list of phases.
 *
 * A phase is a number of independent chunks; phase p + 1 starts when every chunk of phase p is done. Each
 * thread has a share of neighbouring chunks, so that memory is read in order, and helps with the others' shares when
 * its own is done. Nobody waits for a thread that holds no chunk, so a thread that the system has put aside costs
 * nothing unless it was put aside in the middle of one. Waiting threads spin briefly, then sleep. Results may depend on
 * chunks, never on which thread ran them. */
#ifndef BASE_THREADS_H
#define BASE_THREADS_H

#include "andiron.h"
#include <stddef.h>
#include <stdint.h>

struct pool;

struct work {
    void *context;
    size_t n_phases;
    const uint32_t *n_chunks; /* [n_phases]; zero is allowed */
    /* Run one chunk. `thread` is in [0, pool_threads), and no two chunks run on the same `thread` at once. */
    void (*run)(void *context, size_t phase, uint32_t chunk, int thread);
};

/* `n_threads` includes the caller of pool_run; 0 means threads_usable(). At most 256. */
andiron_status pool_open(struct pool **out, int n_threads, andiron_error *error);
void pool_close(struct pool *pool); /* NULL is fine */
int pool_threads(const struct pool *pool);
/* Room for the most phases one pool_run may have, taken now so that pool_run itself never allocates. */
andiron_status pool_reserve(struct pool *pool, size_t n_phases, andiron_error *error);
/* Run all phases; returns when the last chunk is done. One caller at a time. */
void pool_run(struct pool *pool, const struct work *work);

/* Cores this process may use: the least of the affinity mask (counting SMT siblings once) and the cgroup CPU quota
 * rounded up. At least 1. */
int threads_usable(void);

#endif
