/* replay.c - runs a fuzz target over files, so that every corpus is an ordinary test.
 *
 *     fuzz_gguf DIR|FILE ...                 run each file (of a folder: each file in it)
 *     fuzz_gguf --mutate N [--seed S] FILE   run N mutants of FILE: bytes flipped, cut, copied, numbers made extreme
 */
#include "base/random.h"
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static uint8_t *read_all(const char *path, size_t *n)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return NULL;
    uint8_t *data = NULL;
    if (!fseek(f, 0, SEEK_END)) {
        long size = ftell(f);
        rewind(f);
        if (size >= 0 && (data = malloc((size_t)size + 1)) != NULL)
            *n = fread(data, 1, (size_t)size, f);
    }
    fclose(f);
    return data;
}

/* The input in a heap block of exactly its size, so that a sanitizer sees one byte too far. */
static void run(const uint8_t *data, size_t n)
{
    uint8_t *copy = malloc(n ? n : 1);
    if (!copy)
        abort();
    memcpy(copy, data, n);
    LLVMFuzzerTestOneInput(copy, n);
    free(copy);
}

static size_t run_path(const char *path)
{
    DIR *dir = opendir(path);
    size_t n_run = 0;
    if (dir) {
        char inner[4096];
        for (struct dirent *e; (e = readdir(dir)) != NULL;)
            if (e->d_name[0] != '.' && snprintf(inner, sizeof inner, "%s/%s", path, e->d_name) < (int)sizeof inner)
                n_run += run_path(inner);
        closedir(dir);
        return n_run;
    }
    size_t n = 0;
    uint8_t *data = read_all(path, &n);
    if (!data) {
        fprintf(stderr, "%s: cannot be read\n", path);
        exit(1);
    }
    run(data, n);
    free(data);
    return 1;
}

static void mutate_once(struct random *r, uint8_t *data, size_t *n)
{
    static const uint64_t extremes[] = {0, 1, 0x7f, 0x80, 0xff, 0x7fffffff, 0x80000000, 0xffffffff, 1ull << 62, ~0ull};
    size_t at = random_below(r, *n), width = 1u << random_below(r, 4);
    switch (random_below(r, 5)) {
    case 0: data[at] ^= (uint8_t)(1u << random_below(r, 8)); break;
    case 1: data[at] = (uint8_t)random_u64(r); break;
    case 2: /* a number made extreme */
        if (at + width <= *n)
            memcpy(data + at, &extremes[random_below(r, 10)], width);
        break;
    case 3: /* a run copied elsewhere */
        {
            size_t from = random_below(r, *n), most = *n - (at > from ? at : from);
            memmove(data + at, data + from, random_below(r, most < 64 ? most + 1 : 65));
        }
        break;
    default: /* the end cut off, rarely */
        if (random_below(r, 8) == 0)
            *n = at + 1;
    }
}

static size_t run_mutants(const char *path, size_t n_mutants, uint64_t seed)
{
    size_t n = 0;
    uint8_t *data = read_all(path, &n), *mutant = malloc(n + 1);
    if (!data || !mutant || n == 0) {
        fprintf(stderr, "%s: cannot be read\n", path);
        exit(1);
    }
    struct random r;
    random_init(&r, seed);
    for (size_t i = 0; i < n_mutants; i++) {
        size_t m = n, changes = 1 + random_below(&r, 8);
        memcpy(mutant, data, n);
        while (changes--)
            mutate_once(&r, mutant, &m);
        run(mutant, m);
    }
    free(data);
    free(mutant);
    return n_mutants;
}

int main(int argc, char **argv)
{
    size_t n_run = 0, n_mutants = 0;
    uint64_t seed = 1;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--mutate") && i + 1 < argc)
            n_mutants = strtoull(argv[++i], NULL, 10);
        else if (!strcmp(argv[i], "--seed") && i + 1 < argc)
            seed = strtoull(argv[++i], NULL, 10);
        else
            n_run += n_mutants ? run_mutants(argv[i], n_mutants, seed) : run_path(argv[i]);
    }
    printf("%zu inputs run\n", n_run);
    return n_run == 0;
}
