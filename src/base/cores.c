/* cores.c - how many cores this process may use: affinity, SMT siblings, cgroup quota. */
#include "base/threads.h"
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

/* Is `cpu` the first of its core's siblings that we may run on? Files like ".../thread_siblings_list" hold "0,64" or
 * "0-1". */
static bool first_of_its_core(int cpu, const cpu_set_t *allowed)
{
    char path[128];
    int first, last;
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu);
    FILE *f = fopen(path, "re");
    bool is_first = true;
    while (f && is_first && fscanf(f, "%d", &first) == 1) {
        int c = fgetc(f);
        last = first;
        if (c == '-' && fscanf(f, "%d", &last) == 1)
            c = fgetc(f);
        for (int i = first; i <= last && i < cpu && i >= 0; i++)
            if (CPU_ISSET(i, allowed))
                is_first = false;
        if (c != ',')
            break;
    }
    if (f)
        fclose(f);
    return is_first;
}

static int cores_allowed(void)
{
    cpu_set_t allowed;
    int n = 0;
    if (sched_getaffinity(0, sizeof allowed, &allowed))
        return 1;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &allowed) && first_of_its_core(cpu, &allowed))
            n++;
    return n ? n : 1;
}

/* Two numbers, or one and the name of a file beside it that holds the other; quota / period rounded up, 0: no limit. */
static int quota_of(const char *folder, const char *name, const char *period_name)
{
    char path[4300];
    int64_t quota = 0, period = 0;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "re");
    int n = f ? fscanf(f, "%" SCNd64 " %" SCNd64, &quota, &period) : 0;
    if (f)
        fclose(f);
    if (n == 1 && period_name) {
        snprintf(path, sizeof path, "%s/%s", folder, period_name);
        if ((f = fopen(path, "re")) != NULL) {
            n += fscanf(f, "%" SCNd64, &period) == 1;
            fclose(f);
        }
    }
    if (n != 2 || quota <= 0 || period <= 0)
        return 0;
    int64_t cores = (quota - 1) / period + 1;
    return cores < CPU_SETSIZE ? (int)cores : CPU_SETSIZE;
}

/* The least quota from `folder` up to `root`. */
static int least_quota(char *folder, const char *root, const char *name, const char *period_name, int least)
{
    for (;;) {
        int quota = quota_of(folder, name, period_name);
        if (quota && quota < least)
            least = quota;
        char *slash = strrchr(folder, '/');
        if (!slash || strlen(folder) <= strlen(root))
            return least;
        *slash = 0;
    }
}

int threads_usable(void)
{
    int least = cores_allowed();
    char line[4096], folder[4160];
    FILE *f = fopen("/proc/self/cgroup", "re");
    while (f && fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = 0;
        char *kind = strchr(line, ':'), *path = kind ? strchr(kind + 1, ':') : NULL;
        if (!path)
            continue;
        *path++ = 0;
        path = strcmp(path, "/") ? path : path + 1;
        if (kind[1] == 0) {
            snprintf(folder, sizeof folder, "/sys/fs/cgroup%s", path);
            least = least_quota(folder, "/sys/fs/cgroup", "cpu.max", NULL, least);
        } else if (!strncmp(kind + 1, "cpu", 3) && !strstr(kind + 1, "cpuset")) {
            snprintf(folder, sizeof folder, "/sys/fs/cgroup/cpu%s", path);
            least = least_quota(folder, "/sys/fs/cgroup/cpu", "cpu.cfs_quota_us", "cpu.cfs_period_us", least);
        }
    }
    if (f)
        fclose(f);
    return least;
}
