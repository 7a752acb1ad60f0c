/* model.c - opens models the same way for every command. */
#include "model.h"
#include "resolve.h"
#include "text.h"
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static double started;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

void model_mark_start(void) { started = now(); }

double model_seconds(void) { return now() - started; }

static void say(void *user, andiron_log_level level, const char *line)
{
    const bool *verbose = user;
    if (level == ANDIRON_LOG_WARN || *verbose)
        fprintf(stderr, "andiron: %s\n", line);
}

void model_say_log(bool verbose)
{
    static bool kept;
    kept = verbose;
    andiron_set_log(say, &kept);
}

/* $VARIABLE/name, which without the variable is ~/otherwise/name. */
static const char *find_dir(char out[4096], const char *variable, const char *otherwise, const char *name)
{
    const char *base = getenv(variable), *home = getenv("HOME");
    int length = -1;
    if (base && *base)
        length = snprintf(out, 4096, "%s/%s", base, name);
    else if (home && *home)
        length = snprintf(out, 4096, "%s/%s/%s", home, otherwise, name);
    return length > 0 && length < 4096 ? out : NULL;
}

/* "FILE=SCALE", or a file's name. */
static void read_lora(const char *text, char path[4096], andiron_lora *out)
{
    const char *equals = strrchr(text, '=');
    char *end = NULL;
    const float scale = equals ? strtof(equals + 1, &end) : 1;
    const bool scaled = equals && end != equals + 1 && !*end && isfinite(scale);
    snprintf(path, 4096, "%.*s", (int)(scaled ? (size_t)(equals - text) : strlen(text)), text);
    *out = (andiron_lora){path, scaled ? scale : 1};
}

andiron_model_options model_options(const struct model_args *args, struct model_paths *paths)
{
    const size_t n_loras = args->loras.n < MOST_LORAS ? args->loras.n : MOST_LORAS;
    for (size_t i = 0; i < n_loras; i++)
        read_lora(args->loras.items[i], paths->lora_path[i], &paths->loras[i]);
    return (andiron_model_options){
        .loras = paths->loras,
        .n_loras = args->loras.n, /* the library refuses too many before it reads one */
        .arch_path = args->arch,
        .arch_dir = find_dir(paths->arch_dir, "XDG_DATA_HOME", ".local/share", "andiron/arch"),
        .cpu = args->cpu,
        .math = args->math,
        .mmap = args->mmap,
        .n_threads = args->threads,
        .quant = args->quant,
        .cache_dir = find_dir(paths->cache_dir, "XDG_CACHE_HOME", ".cache", "andiron"),
        .progress = model_show_progress,
        .user = (void *)(uintptr_t) "quantizing the weights (kept for next time)",
    };
}

void model_show_progress(void *user, double done)
{
    static double shown;
    const char *what = user;
    const bool moves = isatty(STDERR_FILENO);
    if (done == 0)
        shown = 0;
    if (moves && (done == 0 || done == 1 || model_seconds() - shown > 0.2)) {
        fprintf(stderr, "\randiron: %s: %3.0f %%%s", what, 100 * done, done == 1 ? "\n" : "");
        shown = model_seconds();
    } else if (!moves && done == 0) {
        fprintf(stderr, "andiron: %s\n", what);
    }
}

/* What differs between commands is in `options` already. */
static bool open_with(andiron_model **out, const char *name, const struct model_args *args,
                      andiron_model_options options)
{
    struct model_paths paths;
    andiron_error error;
    const char *path = resolve_model(name);
    if (!path)
        return false;
    andiron_model_options common = model_options(args, &paths);
    common.max_step_tokens = options.max_step_tokens;
    common.vocab_only = options.vocab_only;
    common.embeddings = options.embeddings;
    model_say_log(args->verbose);
    const andiron_status s = andiron_model_open(out, path, &common, &error);
    if (s == ANDIRON_E_IO && args->quant)
        return fail("%s; XDG_CACHE_HOME says where quantized models are kept", error.text);
    return s ? fail_with(&error) : true;
}

bool model_open(andiron_model **out, const char *name, const struct model_args *args, size_t max_step_tokens,
                bool vocab_only)
{
    return open_with(out, name, args,
                     (andiron_model_options){.max_step_tokens = max_step_tokens, .vocab_only = vocab_only});
}

bool model_open_embeddings(andiron_model **out, const char *name, const struct model_args *args, size_t max_step_tokens)
{
    return open_with(out, name, args, (andiron_model_options){.max_step_tokens = max_step_tokens, .embeddings = true});
}

size_t model_n_vocab(const andiron_model *model)
{
    andiron_model_info info;
    andiron_model_get_info(model, &info);
    return info.n_vocab;
}

bool model_reads_source(const andiron_model *model)
{
    andiron_model_info info;
    andiron_model_get_info(model, &info);
    return info.reads_source;
}

size_t model_n_embedded(const andiron_model *model)
{
    andiron_model_info info;
    andiron_model_get_info(model, &info);
    return info.n_embedded;
}
