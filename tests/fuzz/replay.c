/* replay.c - runs a fuzz target over files, so that every corpus is an ordinary test, and over mutants of them.
 *
 *     fuzz_gguf DIR|FILE ...      run each file (of a folder: each file in it)
 *     fuzz_gguf --cuts FILE ...   run each file cut at every per cent
 *     fuzz_gguf --mutate N FILE ...
 *         run N mutants of each file. --seed S: others. --first I: begin with mutant I, so that --mutate 1 --first I
 *         repeats one. --save OUT: write each mutant there before it runs
 *
 * An input that takes longer than --seconds (10, of the processor) or dies is named, with the words that repeat it. */
#include "mutate.h"
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
/* Of a sanitizer's runtime, where there is one. */
void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

static struct {
    uint64_t seed, first, n_mutants;
    unsigned seconds;
    int cuts;
    const char *save;
} options = {.seed = 1, .seconds = 10};

/* ---- saying which input it was ---- */

static char input[4400];

static void say_input(void)
{
    size_t n = strlen(input);
    if (write(2, input, n) < 0)
        _exit(1);
}

static void on_signal(int number)
{
    static const char late[] = "the input took too long\n";
    const int is_late = number == SIGALRM || number == SIGPROF;
    if (is_late && write(2, late, sizeof late - 1) < 0)
        _exit(1);
    say_input();
    if (is_late)
        _exit(1);
    signal(number, SIG_DFL);
    raise(number);
}

static void watch(void)
{
    signal(SIGALRM, on_signal);
    signal(SIGPROF, on_signal);
    signal(SIGABRT, on_signal);
    if (__sanitizer_set_death_callback) {
        __sanitizer_set_death_callback(say_input);
        return;
    }
    signal(SIGSEGV, on_signal);
    signal(SIGBUS, on_signal);
    signal(SIGFPE, on_signal);
}

/* ---- running ---- */

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

static void save(const uint8_t *data, size_t n)
{
    FILE *f = fopen(options.save, "wb");
    if (!f || fwrite(data, 1, n, f) != n || fclose(f)) {
        fprintf(stderr, "%s: cannot be written\n", options.save);
        exit(1);
    }
}

/* Of the processor, so that a busy machine accuses nobody; ten times as long by the wall, for what sleeps. 0: stop. */
static void set_clocks(unsigned seconds)
{
    const struct itimerval busy = {.it_value = {.tv_sec = seconds}};
    setitimer(ITIMER_PROF, &busy, NULL);
    alarm(10 * seconds);
}

/* The input in a heap block of exactly its size, so that a sanitizer sees one byte too far. */
static void run(const uint8_t *data, size_t n)
{
    uint8_t *copy = malloc(n ? n : 1);
    if (!copy)
        abort();
    if (n)
        memcpy(copy, data, n);
    if (options.save)
        save(data, n);
    set_clocks(options.seconds);
    LLVMFuzzerTestOneInput(copy, n);
    set_clocks(0);
    free(copy);
}

static size_t run_cuts(const char *path, const uint8_t *data, size_t n)
{
    for (size_t percent = 0; percent < 100; percent++) {
        snprintf(input, sizeof input, "input: %s, cut at %zu %%\n", path, percent);
        run(data, n / 100 * percent + n % 100 * percent / 100);
    }
    return 100;
}

static size_t run_mutants(const char *path, const uint8_t *data, size_t n)
{
    const size_t capacity = n + MUTANT_ROOM;
    uint8_t *mutant = malloc(capacity);
    if (!mutant)
        abort();
    for (uint64_t i = options.first; i < options.first + options.n_mutants; i++) {
        struct random r;
        size_t m = n;
        snprintf(input, sizeof input, "input: --seed %llu --mutate 1 --first %llu %s\n",
                 (unsigned long long)options.seed, (unsigned long long)i, path);
        random_init(&r, options.seed * 0x9e3779b97f4a7c15u + i);
        memcpy(mutant, data, n);
        for (uint64_t changes = 1 + random_below(&r, 2) * random_below(&r, 5); changes-- && m;)
            mutate(&r, mutant, &m, capacity);
        run(mutant, m);
    }
    free(mutant);
    return options.n_mutants;
}

static size_t run_path(const char *path)
{
    DIR *dir = opendir(path);
    size_t n_run = 0, n = 0;
    if (dir) {
        char inner[4096];
        for (struct dirent *e; (e = readdir(dir)) != NULL;)
            if (e->d_name[0] != '.' && snprintf(inner, sizeof inner, "%s/%s", path, e->d_name) < (int)sizeof inner)
                n_run += run_path(inner);
        closedir(dir);
        return n_run;
    }
    uint8_t *data = read_all(path, &n);
    if (!data) {
        fprintf(stderr, "%s: cannot be read\n", path);
        exit(1);
    }
    snprintf(input, sizeof input, "input: %s\n", path);
    if (options.n_mutants)
        n_run = run_mutants(path, data, n);
    else if (options.cuts)
        n_run = run_cuts(path, data, n);
    else
        run(data, n), n_run = 1;
    free(data);
    return n_run;
}

static uint64_t number(const char *text)
{
    char *end;
    uint64_t x = strtoull(text ? text : "", &end, 10);
    if (!text || end == text || *end) {
        fprintf(stderr, "expected a number, got \"%s\"\n", text ? text : "");
        exit(1);
    }
    return x;
}

int main(int argc, char **argv)
{
    size_t n_run = 0;
    watch();
    for (int i = 1; i < argc; i++) {
        const char *next = argv[i + 1]; /* NULL behind the last */
        if (!strcmp(argv[i], "--mutate"))
            options.n_mutants = number(next), i++;
        else if (!strcmp(argv[i], "--seed"))
            options.seed = number(next), i++;
        else if (!strcmp(argv[i], "--first"))
            options.first = number(next), i++;
        else if (!strcmp(argv[i], "--seconds"))
            options.seconds = (unsigned)number(next), i++;
        else if (!strcmp(argv[i], "--save"))
            options.save = next, i++;
        else if (!strcmp(argv[i], "--cuts"))
            options.cuts = 1;
        else
            n_run += run_path(argv[i]);
    }
    printf("%zu inputs run\n", n_run);
    return n_run == 0;
}
