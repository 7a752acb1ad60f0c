/* large_pages.c - on Linux: /proc/self/pagemap, mremap over a mapping, and memory policies (set_mempolicy(2)).
 * Elsewhere nothing is asked or moved. */
#include "base/large_pages.h"
#include "base/alloc.h"
#include "base/error.h"
#include "base/memory.h"
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__linux__)
#include <linux/mempolicy.h>

enum { LARGE = 2 << 20, PIECE = 8 /* large pages */, NODES_MAX = 1024 };

/* Those of a block's bytes that fill large pages. */
struct inner {
    char *at;
    size_t n;
};
static struct inner inner_of(const void *block, size_t bytes)
{
    const uintptr_t from = ((uintptr_t)block + LARGE - 1) / LARGE * LARGE,
                    to = ((uintptr_t)block + bytes) / LARGE * LARGE;
    return (struct inner){(char *)from, to > from ? to - from : 0};
}

static bool has_large_pages(void)
{
    char line[128] = "";
    FILE *f = fopen("/sys/kernel/mm/transparent_hugepage/enabled", "re");
    const bool found = f && fgets(line, sizeof line, f) && !strstr(line, "[never]");
    if (f)
        fclose(f);
    return found;
}

/* /proc/self/pagemap, open; -1 where nothing is to be had of it. */
static int open_pagemap(void) { return has_large_pages() ? open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC) : -1; }

/* Does the system hold these bytes of a file in small pages? Their first page is touched: then their last one is
 * mapped, too, if all are one page. What has still to be read from the disk is left; it may come in a large one. */
static bool is_in_small_pages(char *at, int pagemap)
{
    const uintptr_t small = (uintptr_t)sysconf(_SC_PAGESIZE);
    unsigned char in_memory = 1;
    uint64_t last;
    if (!mincore(at, small, &in_memory) && !(in_memory & 1))
        return false;
    *(volatile const char *)at;
    const off_t place = (off_t)(((uintptr_t)at + LARGE - small) / small * sizeof last);
    return pread(pagemap, &last, sizeof last, place) == (ssize_t)sizeof last && !(last >> 63);
}

/* ---- nodes ---- */

/* Those that this process may have memory of. */
struct nodes {
    unsigned long mask[NODES_MAX / (8 * sizeof(unsigned long))];
};

static int nodes_allowed(struct nodes *out)
{
    int n = 0;
    *out = (struct nodes){0};
    if (syscall(SYS_get_mempolicy, NULL, out->mask, (unsigned long)NODES_MAX, NULL, MPOL_F_MEMS_ALLOWED))
        return 1;
    for (size_t i = 0; i < sizeof out->mask / sizeof *out->mask; i++)
        n += __builtin_popcountl(out->mask[i]);
    return n;
}

bool has_several_nodes(void)
{
    struct nodes nodes;
    return nodes_allowed(&nodes) > 1;
}

/* Pages that are not there yet come from one node after the other. A system that forbids it leaves them to the threads
 * that touch them first. */
static void spread_over_nodes(void *block, size_t bytes)
{
    struct nodes nodes;
    if (nodes_allowed(&nodes) > 1)
        syscall(SYS_mbind, block, bytes, MPOL_INTERLEAVE, nodes.mask, (unsigned long)NODES_MAX, 0);
}

/* ---- moving ---- */

/* A run is large pages in a row that move together. More runs than RUNS_MAX stay: a process may have 65,530 mappings.
 */
enum { RUNS_MAX = 8192, STAYS = 0, MOVES = 1 };

struct move {
    struct inner from;
    size_t n;       /* large pages */
    uint8_t *moves; /* [n] */
    uint32_t *to;   /* [n] which large page of the room */
    char *room;
    size_t n_moved;
    int pagemap; /* -1: all moves */
};

static size_t piece_end(const struct move *m, uint32_t chunk)
{
    const size_t end = ((size_t)chunk + 1) * PIECE;
    return end < m->n ? end : m->n;
}

static void run_in_pieces(struct pool *pool, struct move *m,
                          void (*run)(void *context, size_t phase, uint32_t chunk, int thread))
{
    const uint32_t n_pieces = (uint32_t)((m->n + PIECE - 1) / PIECE);
    pool_run(pool, &(struct work){.context = m, .n_phases = 1, .n_chunks = &n_pieces, .run = run});
}

static void look_at_pages(void *context, size_t phase, uint32_t chunk, int thread)
{
    const struct move *m = context;
    (void)phase;
    (void)thread;
    for (size_t i = (size_t)chunk * PIECE; i < piece_end(m, chunk); i++)
        m->moves[i] = m->pagemap < 0 || is_in_small_pages(m->from.at + i * LARGE, m->pagemap) ? MOVES : STAYS;
}

static void move_pages(void *context, size_t phase, uint32_t chunk, int thread)
{
    const struct move *m = context;
    (void)phase;
    (void)thread;
    for (size_t i = (size_t)chunk * PIECE; i < piece_end(m, chunk); i++) {
        if (m->moves[i] == STAYS)
            continue;
        memcpy(m->room + (size_t)m->to[i] * LARGE, m->from.at + i * LARGE, LARGE);
        madvise(m->from.at + i * LARGE, LARGE, MADV_DONTNEED);
    }
}

static void take_places(struct move *m, const struct moving *how)
{
    const uint64_t most = (how->most - how->moved) / LARGE;
    size_t n_runs = 0;
    for (size_t i = 0; i < m->n; i++) {
        n_runs += m->moves[i] == MOVES && (i == 0 || m->moves[i - 1] == STAYS);
        if (n_runs > RUNS_MAX || m->n_moved == most)
            m->moves[i] = STAYS;
        m->to[i] = (uint32_t)m->n_moved;
        m->n_moved += m->moves[i] == MOVES;
    }
}

/* Every run over the pages it was copied from. */
static bool put_in_place(const struct move *m)
{
    for (size_t i = 0, end; i < m->n; i = end) {
        for (end = i + 1; end < m->n && m->moves[end] == m->moves[i];)
            end++;
        const size_t bytes = (end - i) * LARGE;
        if (m->moves[i] == MOVES && mremap(m->room + (size_t)m->to[i] * LARGE, bytes, bytes,
                                           MREMAP_MAYMOVE | MREMAP_FIXED, m->from.at + i * LARGE) == MAP_FAILED)
            return false;
    }
    return true;
}

/* Those that take_places has counted. A room that is not to be had leaves all where it is. */
static andiron_status move_counted(struct move *m, struct pool *pool, struct moving *how, andiron_error *error)
{
    const size_t bytes = m->n_moved * LARGE;
    char *room = mmap(NULL, bytes + LARGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (room == MAP_FAILED)
        return ANDIRON_OK;
    m->room = inner_of(room, bytes + LARGE).at;
    memory_ask_large_pages(m->room, bytes);
    spread_over_nodes(m->room, bytes);
    run_in_pieces(pool, m, move_pages);
    mprotect(m->room, bytes, PROT_READ);
    const bool all_there = put_in_place(m);
    if (m->room > room)
        munmap(room, (size_t)(m->room - room));
    munmap(m->room + bytes, (size_t)(room + LARGE - m->room));
    if (!all_there)
        return error_set(error, ANDIRON_E_MEMORY,
                         "%zu bytes of weights cannot be moved into large pages; open the model with mmap on", bytes);
    how->moved += bytes;
    return ANDIRON_OK;
}

andiron_status move_to_large_pages(const void *block, size_t bytes, struct moving *how, struct pool *pool,
                                   andiron_error *error)
{
    struct move m = {.from = inner_of(block, bytes)};
    andiron_status s = ANDIRON_OK;
    m.n = m.from.n / LARGE;
    if (m.n == 0 || m.n > UINT32_MAX)
        return ANDIRON_OK;
    m.pagemap = how->all ? -1 : open_pagemap();
    if (!how->all && m.pagemap < 0)
        return ANDIRON_OK;
    m.moves = alloc_zeroed(m.n, sizeof *m.moves);
    m.to = alloc_zeroed(m.n, sizeof *m.to);
    if (m.moves && m.to) {
        run_in_pieces(pool, &m, look_at_pages);
        take_places(&m, how);
        if (m.n_moved)
            s = move_counted(&m, pool, how, error);
    }
    alloc_free(m.moves);
    alloc_free(m.to);
    if (m.pagemap >= 0)
        close(m.pagemap);
    return s;
}

#else

bool has_several_nodes(void) { return false; }

andiron_status move_to_large_pages(const void *block, size_t bytes, struct moving *how, struct pool *pool,
                                   andiron_error *error)
{
    (void)block;
    (void)bytes;
    (void)how;
    (void)pool;
    (void)error;
    return ANDIRON_OK;
}

#endif
