/* check_kernels.c - every kernel of every level this machine has against `ref`, bit for bit, over lengths, shapes and
 * fills, in buffers that stand against unreadable pages.
 *
 *     check_kernels [LEVEL]           test
 *     check_kernels --bench [LEVEL]   the speed of each kernel, on one thread */
#include "bench_kernels.h"
#include "check.h"
#include <stdio.h>
#include <string.h>

static void check_level(const struct kernels *ref, const struct kernels *k)
{
    const struct pair p = {ref, k};
    const int before = check_failures();
    check_values(&p);
    check_products(&p);
    check_attention(&p);
    check_scans(&p);
    check_packs(&p);
    check_complete(k);
    const int failed = check_failures() - before;
    if (failed)
        printf("%s: %d calls FAILED\n", k->cpu, failed);
    else
        printf("%s: same bits as ref\n", k->cpu);
}

int main(int argc, char **argv)
{
    struct kernels ref, k;
    andiron_error e;
    const bool bench = argc > 1 && !strcmp(argv[1], "--bench");
    const char *only = argc > 1 + bench ? argv[1 + bench] : NULL;
    setvbuf(stdout, NULL, _IOLBF, 0); /* what was found is told even if a test ends by a signal */
    fill_seed(1);
    if (kernels_choose(&ref, "ref", &e))
        return 1;
    for (const struct level *l = kernel_levels; l->cpu; l++) {
        if (only && strcmp(only, l->cpu))
            continue;
        if (!l->present()) {
            printf("%s: not on this machine\n", l->cpu);
            continue;
        }
        if (kernels_choose(&k, l->cpu, &e))
            return 1;
        if (!bench)
            check_level(&ref, &k);
        else if (only || strcmp(l->cpu, "ref")) /* plain C is slow and nobody's figure */
            bench_kernels(&k);
    }
    return check_failures() != 0;
}
