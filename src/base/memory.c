/* memory.c - what memory there is: /proc/meminfo and the cgroups above us; large pages. */
#include "base/memory.h"
#include <inttypes.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The figure of the line "NAME: n kB" in bytes; false where there is none. */
static bool read_kb(const char *path, const char *name, size_t *bytes)
{
    char line[256];
    bool found = false;
    FILE *f = fopen(path, "re");
    while (f && !found && fgets(line, sizeof line, f)) {
        uint64_t kb;
        size_t n = strlen(name);
        if (!strncmp(line, name, n) && sscanf(line + n, ": %" SCNu64, &kb) == 1) {
            *bytes = kb * 1024;
            found = true;
        }
    }
    if (f)
        fclose(f);
    return found;
}

/* A file that holds one number; "max" and absence are false. */
static bool read_number(const char *folder, const char *name, uint64_t *out)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "re");
    bool found = f && fscanf(f, "%" SCNu64, out) == 1;
    if (f)
        fclose(f);
    return found;
}

/* Page cache that a group could give back; 0 where it is not told. */
static uint64_t reclaimable(const char *folder)
{
    char path[4200], name[64];
    uint64_t value, sum = 0;
    snprintf(path, sizeof path, "%s/memory.stat", folder);
    FILE *f = fopen(path, "re");
    while (f && fscanf(f, "%63s %" SCNu64, name, &value) == 2)
        if (!strcmp(name, "inactive_file") || !strcmp(name, "active_file"))
            sum += value;
    if (f)
        fclose(f);
    return sum;
}

/* The least that any group from `folder` up to `root` still allows. */
static size_t allowed_by_groups(char *folder, const char *root, const char *limit_name, const char *usage_name,
                                size_t least)
{
    for (;;) {
        uint64_t limit, usage;
        if (read_number(folder, limit_name, &limit) && read_number(folder, usage_name, &usage)) {
            uint64_t cache = reclaimable(folder), held = usage > cache ? usage - cache : 0;
            uint64_t left = limit > held ? limit - held : 0;
            least = left < least ? left : least;
        }
        char *slash = strrchr(folder, '/');
        if (!slash || strlen(folder) <= strlen(root))
            return least;
        *slash = 0;
    }
}

static _Atomic size_t limit = SIZE_MAX;

void memory_limit(size_t bytes) { atomic_store(&limit, bytes); }

size_t memory_available_bytes(void)
{
    size_t least = SIZE_MAX, most = atomic_load(&limit);
    char line[4096], folder[4160];
    read_kb("/proc/meminfo", "MemAvailable", &least);
    FILE *f = fopen("/proc/self/cgroup", "re");
    while (f && fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = 0;
        char *kind = strchr(line, ':'), *path = kind ? strchr(kind + 1, ':') : NULL;
        if (!path)
            continue;
        *path++ = 0;
        if (kind[1] == 0) { /* version 2 */
            snprintf(folder, sizeof folder, "/sys/fs/cgroup%s", strcmp(path, "/") ? path : "");
            least = allowed_by_groups(folder, "/sys/fs/cgroup", "memory.max", "memory.current", least);
        } else if (!strcmp(kind + 1, "memory")) {
            snprintf(folder, sizeof folder, "/sys/fs/cgroup/memory%s", strcmp(path, "/") ? path : "");
            least = allowed_by_groups(folder, "/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes",
                                      least);
        }
    }
    if (f)
        fclose(f);
    return least < most ? least : most;
}

size_t memory_peak_bytes(void)
{
    size_t bytes = 0;
    read_kb("/proc/self/status", "VmHWM", &bytes);
    return bytes;
}

void memory_ask_large_pages(void *block, size_t bytes)
{
#if defined(MADV_HUGEPAGE)
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), before = (page - (uintptr_t)block % page) % page;
    if (bytes > before)
        madvise((char *)block + before, (bytes - before) / page * page, MADV_HUGEPAGE);
#else
    (void)block;
    (void)bytes;
#endif
}
