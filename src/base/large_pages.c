/* large_pages.c - on Linux: /proc/self/smaps, mremap over a mapping, and memory policies (set_mempolicy(2)). Elsewhere
 * nothing is asked or moved. */
#include "base/large_pages.h"
#include "base/error.h"
#include "base/memory.h"
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__linux__)
#include <linux/mempolicy.h>

enum { LARGE = 2 << 20, PIECE = 8 * LARGE, PROBES = 16, NODES_MAX = 1024 };

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

/* Bytes of the mapping around p that are mapped by large pages; false where the system does not say. */
static bool bytes_in_large_pages(const char *p, uint64_t *bytes)
{
    char line[4352];
    bool is_ours = false, found = false;
    FILE *f = fopen("/proc/self/smaps", "re");
    while (f && !found && fgets(line, sizeof line, f)) {
        uintptr_t from, to;
        uint64_t kb;
        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &from, &to) == 2)
            is_ours = from <= (uintptr_t)p && (uintptr_t)p < to;
        else if (is_ours && sscanf(line, "FilePmdMapped: %" SCNu64 " kB", &kb) == 1) {
            *bytes = kb * 1024;
            found = true;
        }
    }
    if (f)
        fclose(f);
    return found;
}

bool lies_in_small_pages(const void *block, size_t bytes)
{
    const struct inner in = inner_of(block, bytes);
    const size_t n_pages = in.n / LARGE, n = n_pages < PROBES ? n_pages : PROBES;
    uint64_t large;
    if (!n || !has_large_pages())
        return false;
    for (size_t i = 0; i < n; i++)
        *(volatile const char *)(in.at + i * n_pages / n * LARGE);
    return bytes_in_large_pages(in.at, &large) && large < n * LARGE / 2;
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

struct move {
    struct inner from;
    char *to;
};

static void move_piece(void *context, size_t phase, uint32_t chunk, int thread)
{
    const struct move *m = context;
    const size_t at = (size_t)chunk * PIECE, n = m->from.n - at < PIECE ? m->from.n - at : PIECE;
    (void)phase;
    (void)thread;
    memcpy(m->to + at, m->from.at + at, n);
    madvise(m->from.at + at, n, MADV_DONTNEED);
}

andiron_status move_to_large_pages(const void *block, size_t bytes, struct pool *pool, andiron_error *error)
{
    struct move m = {.from = inner_of(block, bytes)};
    const uint32_t n_pieces = (uint32_t)((m.from.n + PIECE - 1) / PIECE);
    if (!m.from.n || m.from.n / PIECE >= UINT32_MAX)
        return ANDIRON_OK;
    char *room = mmap(NULL, m.from.n + LARGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (room == MAP_FAILED)
        return ANDIRON_OK; /* it stays where it is */
    m.to = inner_of(room, m.from.n + LARGE).at;
    memory_ask_large_pages(m.to, m.from.n);
    spread_over_nodes(m.to, m.from.n);
    const struct work work = {.context = &m, .n_phases = 1, .n_chunks = &n_pieces, .run = move_piece};
    pool_run(pool, &work);
    mprotect(m.to, m.from.n, PROT_READ);
    const char *there = mremap(m.to, m.from.n, m.from.n, MREMAP_MAYMOVE | MREMAP_FIXED, m.from.at);
    if (m.to > room)
        munmap(room, (size_t)(m.to - room));
    munmap(m.to + m.from.n, (size_t)(room + LARGE - m.to));
    if (there == MAP_FAILED)
        return error_set(error, ANDIRON_E_MEMORY,
                         "%zu bytes of weights cannot be moved into large pages; open the model without", m.from.n);
    return ANDIRON_OK;
}

#else

bool has_several_nodes(void) { return false; }

bool lies_in_small_pages(const void *block, size_t bytes)
{
    (void)block;
    (void)bytes;
    return false;
}

andiron_status move_to_large_pages(const void *block, size_t bytes, struct pool *pool, andiron_error *error)
{
    (void)block;
    (void)bytes;
    (void)pool;
    (void)error;
    return ANDIRON_OK;
}

#endif
