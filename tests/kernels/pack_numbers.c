/* pack_numbers.c - numbers as weights of a type, for tools/oracle/check_pack_k.py.
 *
 *     pack_numbers TYPE [LEVEL] < f32 > weights      seconds on stderr
 *
 * TYPE is GGUF's id; a whole number of superblocks, little-endian. */
#include "base/clock.h"
#include "kernels/pack.h"
#include <stdio.h>
#include <stdlib.h>

enum { CHUNK = 1 << 16 };

int main(int argc, char **argv)
{
    static float x[CHUNK];
    static unsigned char packed[CHUNK * sizeof *x];
    struct kernels k;
    uint64_t ns = 0;
    const unsigned long type = argc > 1 ? strtoul(argv[1], NULL, 10) : TYPE_LIMIT;
    if (!pack_can((enum weight_type)type) || kernels_choose(&k, argc > 2 ? argv[2] : NULL, NULL))
        return 2;
    const struct type_info *info = type_info((uint32_t)type);
    for (size_t n; (n = fread(x, sizeof *x, CHUNK, stdin)) > 0;) {
        const uint64_t start = clock_ns();
        pack_row(&k, (enum weight_type)type, x, n, packed);
        ns += clock_ns() - start;
        fwrite(packed, info->block_bytes, n / info->block_items, stdout);
    }
    fprintf(stderr, "%g\n", (double)ns * 1e-9);
    return ferror(stdout) || fflush(stdout);
}
