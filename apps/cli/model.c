/* model.c - opens models the same way for every command. */
#include "model.h"
#include "resolve.h"
#include "text.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

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

/* The user's own definitions: $XDG_DATA_HOME/andiron/arch, which without the variable is ~/.local/share/andiron/arch.
 */
static const char *find_arch_dir(char *out, size_t n)
{
    const char *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    int length = -1;
    if (data && *data)
        length = snprintf(out, n, "%s/andiron/arch", data);
    else if (home && *home)
        length = snprintf(out, n, "%s/.local/share/andiron/arch", home);
    return length > 0 && (size_t)length < n ? out : NULL;
}

andiron_model_options model_options(const struct model_args *args, char *arch_dir, size_t n)
{
    return (andiron_model_options){
        .arch_path = args->arch,
        .arch_dir = find_arch_dir(arch_dir, n),
        .cpu = args->cpu,
        .n_threads = args->threads,
    };
}

/* What differs between commands is in `options` already. */
static bool open_with(andiron_model **out, const char *name, const struct model_args *args,
                      andiron_model_options options)
{
    char arch_dir[4096];
    andiron_error error;
    const char *path = resolve_model(name);
    if (!path)
        return false;
    andiron_model_options common = model_options(args, arch_dir, sizeof arch_dir);
    common.max_step_tokens = options.max_step_tokens;
    common.vocab_only = options.vocab_only;
    common.embeddings = options.embeddings;
    model_say_log(args->verbose);
    if (andiron_model_open(out, path, &common, &error))
        return fail_with(&error);
    return true;
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

size_t model_n_embedded(const andiron_model *model)
{
    andiron_model_info info;
    andiron_model_get_info(model, &info);
    return info.n_embedded;
}
