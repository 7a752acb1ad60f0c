/* cmd_bench.c - andiron bench: speed, memory, and how near both come to what the machine can do.
 *
 * Medians over repetitions, on random tokens. The prompt figure reads -p tokens for each sequence, the generation
 * figure feeds -n tokens one by one for each sequence, both after --depth tokens of context; neither samples. The first
 * token is timed from the start of the program: open the model, read a prompt of 16 tokens, have its scores. */
#include "model.h"
#include "text.h"
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct bench_args {
    struct model_args model;
    size_t prompt, generate, depth, sequences, ubatch;
    int repetitions;
    const char *kv_type;
    bool json;
};

enum { MOST_SEQUENCES = 256, MOST_REPETITIONS = 100, FIRST_PROMPT = 16 };

struct bench {
    andiron_model *model;
    andiron_model_info info;
    andiron_batch *batch;
    andiron_session *sessions[MOST_SEQUENCES];
    size_t n_sessions, step_tokens;
    uint64_t random;
};

struct figures {
    double prompt_tokens_per_s, generation_tokens_per_s, first_token_s, prompt_roof_pct, generation_roof_pct;
    size_t peak_bytes; /* of running the model: read before the machine is measured, which reads a large block */
    andiron_roofs roofs;
};

static andiron_token next_token(struct bench *b)
{
    b->random = b->random * 6364136223846793005u + 1442695040888963407u; /* Knuth's MMIX generator */
    return (andiron_token)((b->random >> 33) % b->info.n_vocab);
}

static bool run_batch(struct bench *b, andiron_error *error)
{
    size_t n = andiron_batch_length(b->batch);
    if (andiron_batch_run(b->batch, error))
        return fail_with(error);
    for (size_t i = 0; i < n; i++) /* computes them for the rows that wanted them */
        andiron_batch_logits(b->batch, i);
    andiron_batch_clear(b->batch);
    return true;
}

/* `n` tokens for each session, as many a step as go in. Scores are wanted where a prompt would want them: at its end.
 */
static bool feed_prompt(struct bench *b, size_t n)
{
    andiron_error error;
    andiron_batch_clear(b->batch);
    for (size_t s = 0; s < b->n_sessions; s++)
        for (size_t i = 0; i < n; i++) {
            bool last = i + 1 == n, full = andiron_batch_length(b->batch) + 1 == b->step_tokens;
            if (andiron_batch_add(b->batch, b->sessions[s], next_token(b), last, &error))
                return fail_with(&error);
            if ((full || (last && s + 1 == b->n_sessions)) && !run_batch(b, &error))
                return false;
        }
    return true;
}

static bool feed_one_by_one(struct bench *b, size_t n)
{
    andiron_error error;
    for (size_t i = 0; i < n; i++) {
        andiron_batch_clear(b->batch);
        for (size_t s = 0; s < b->n_sessions; s++)
            if (andiron_batch_add(b->batch, b->sessions[s], next_token(b), true, &error))
                return fail_with(&error);
        if (andiron_batch_run(b->batch, &error))
            return fail_with(&error);
        for (size_t s = 0; s < b->n_sessions; s++)
            if (!andiron_batch_logits(b->batch, s))
                return fail("no scores after a token that asked for them");
    }
    return true;
}

static bool truncate_all(struct bench *b, size_t n)
{
    andiron_error error;
    for (size_t s = 0; s < b->n_sessions; s++)
        if (andiron_session_truncate(b->sessions[s], n, &error))
            return fail_with(&error);
    return true;
}

static int compare(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static double median(double *values, int n)
{
    qsort(values, (size_t)n, sizeof *values, compare);
    return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

/* Median tokens per second of feeding `n` tokens to each session at depth `depth`; one unmeasured run comes first. */
static bool time_feeding(struct bench *b, bool (*feed)(struct bench *, size_t), size_t n, size_t depth, int repetitions,
                         double *tokens_per_s)
{
    double rates[MOST_REPETITIONS];
    for (int r = -1; r < repetitions; r++) {
        size_t n_run = r < 0 && n > 8 && feed == feed_one_by_one ? 8 : n;
        if (!truncate_all(b, depth))
            return false;
        double from = model_seconds();
        if (!feed(b, n_run))
            return false;
        if (r >= 0)
            rates[r] = (double)(n * b->n_sessions) / (model_seconds() - from);
    }
    *tokens_per_s = median(rates, repetitions);
    return true;
}

static bool open_sessions(struct bench *b, const struct bench_args *args)
{
    andiron_error error;
    size_t longest = args->prompt > args->generate ? args->prompt : args->generate;
    if (longest < FIRST_PROMPT)
        longest = FIRST_PROMPT;
    andiron_session_options options = {.n_ctx = args->depth + longest, .kv_type = args->kv_type};
    if (andiron_batch_open(&b->batch, b->model, &error))
        return fail_with(&error);
    for (; b->n_sessions < args->sequences; b->n_sessions++)
        if (andiron_session_open(&b->sessions[b->n_sessions], b->model, &options, &error))
            return fail_with(&error);
    return true;
}

/* The time to the first token: with one session, before anything else is warm in this process. */
static bool time_first_token(struct bench *b, double *seconds)
{
    size_t n = b->n_sessions;
    b->n_sessions = 1;
    bool ok = feed_prompt(b, FIRST_PROMPT);
    *seconds = model_seconds();
    b->n_sessions = n;
    return ok;
}

/* Generation: a step reads every weight once, for all sequences. Prompt: each weight of the layers is a multiplication
 * and an addition a token; the vocabulary's matrix is not counted, as it is looked up or used for the last token only.
 */
static void compare_with_roofs(const struct bench *b, struct figures *f)
{
    double steps_per_s = f->generation_tokens_per_s / (double)b->n_sessions;
    double n_params = (double)b->info.n_params - (double)b->info.n_vocab * (double)b->info.n_embd;
    if (f->roofs.read_bytes_per_s > 0)
        f->generation_roof_pct = 100 * steps_per_s * (double)b->info.weight_bytes / f->roofs.read_bytes_per_s;
    if (f->roofs.int8_ops_per_s > 0)
        f->prompt_roof_pct = 100 * 2 * n_params * f->prompt_tokens_per_s / f->roofs.int8_ops_per_s;
}

static bool measure(struct bench *b, const struct bench_args *args, struct figures *f)
{
    andiron_error error;
    bool loud = isatty(STDERR_FILENO) || args->model.verbose;
    if (!open_sessions(b, args) || !time_first_token(b, &f->first_token_s))
        return false;
    if (!truncate_all(b, 0) || (args->depth && !feed_prompt(b, args->depth)))
        return false;
    if (loud)
        fprintf(stderr, "measuring prompts\n");
    if (args->prompt &&
        !time_feeding(b, feed_prompt, args->prompt, args->depth, args->repetitions, &f->prompt_tokens_per_s))
        return false;
    if (loud)
        fprintf(stderr, "measuring generation\n");
    if (args->generate &&
        !time_feeding(b, feed_one_by_one, args->generate, args->depth, args->repetitions, &f->generation_tokens_per_s))
        return false;
    f->peak_bytes = andiron_peak_bytes();
    if (loud)
        fprintf(stderr, "measuring the machine\n");
    if (andiron_measure_roofs(b->model, &f->roofs, &error))
        return fail_with(&error);
    compare_with_roofs(b, f);
    return true;
}

/* A text from a file or a path as JSON, which must be UTF-8: where it is not, other bytes than ASCII become '?'. */
static json_t *text_json(const char *text)
{
    json_t *string = json_string(text);
    char ascii[256];
    size_t n = 0;
    for (; !string && n + 1 < sizeof ascii && text[n]; n++)
        ascii[n] = (char)((unsigned char)text[n] < 0x80 ? text[n] : '?');
    ascii[n] = '\0';
    return string ? string : json_string(ascii);
}

static json_t *settings_json(const struct bench *b, const struct bench_args *args, const char *path)
{
    return json_pack("{s:o, s:o, s:s, s:i, s:I, s:I, s:I, s:I, s:i, s:I, s:I}", "model", text_json(path), "name",
                     text_json(b->info.name), "cpu", b->info.cpu, "threads", b->info.n_threads, "prompt",
                     (json_int_t)args->prompt, "generate", (json_int_t)args->generate, "depth", (json_int_t)args->depth,
                     "sequences", (json_int_t)args->sequences, "repetitions", args->repetitions, "weight_bytes",
                     (json_int_t)b->info.weight_bytes, "n_params", (json_int_t)b->info.n_params);
}

static bool print_json(const struct bench *b, const struct bench_args *args, const struct figures *f, const char *path)
{
    json_t *all = settings_json(b, args, path);
    json_t *figures = json_pack("{s:f, s:f, s:f, s:I, s:f, s:f, s:f, s:f, s:f}", "prompt_tokens_per_s",
                                f->prompt_tokens_per_s, "generation_tokens_per_s", f->generation_tokens_per_s,
                                "first_token_s", f->first_token_s, "peak_bytes", (json_int_t)f->peak_bytes,
                                "prompt_roof_pct", f->prompt_roof_pct, "generation_roof_pct", f->generation_roof_pct,
                                "read_bytes_per_s", f->roofs.read_bytes_per_s, "int8_ops_per_s",
                                f->roofs.int8_ops_per_s, "f32_flops_per_s", f->roofs.f32_flops_per_s);
    bool ok = all && figures && !json_object_update(all, figures) &&
              !json_dumpf(all, stdout, JSON_COMPACT | JSON_REAL_PRECISION(6));
    putchar('\n');
    json_decref(figures);
    json_decref(all);
    return ok || fail("the figures could not be written as JSON");
}

static bool print_text(const struct bench *b, const struct bench_args *args, const struct figures *f, const char *path)
{
    printf("%s, %s, %d threads, depth %zu, sequences %zu, medians of %d\n", path, b->info.cpu, b->info.n_threads,
           args->depth, args->sequences, args->repetitions);
    printf("prompt      %10.1f tokens/s   %5.1f %% of %.1f G int8 operations/s\n", f->prompt_tokens_per_s,
           f->prompt_roof_pct, f->roofs.int8_ops_per_s * 1e-9);
    printf("generation  %10.1f tokens/s   %5.1f %% of %.1f GB/s memory reads\n", f->generation_tokens_per_s,
           f->generation_roof_pct, f->roofs.read_bytes_per_s * 1e-9);
    printf("first token %10.3f s          from process start, %d tokens of prompt\n", f->first_token_s, FIRST_PROMPT);
    printf("peak memory %10.1f MiB        file %.1f MiB\n", (double)f->peak_bytes / 1048576,
           (double)b->info.file_bytes / 1048576);
    return true;
}

static int run_bench(const struct command *command, int argc, char **argv)
{
    struct bench_args args = {.prompt = 512, .generate = 64, .sequences = 1, .repetitions = 3};
    struct arguments given;
    enum parse_result parsed = options_parse(command, argc, argv, &args, &given);
    if (parsed != PARSE_OK)
        return parsed == PARSE_HELP ? EXIT_DONE : EXIT_USAGE;
    size_t step_tokens = args.ubatch ? args.ubatch : 512;
    if (step_tokens < args.sequences)
        return usage_error(command, "--sequences %zu wants --ubatch to be at least that", args.sequences);
    struct bench b = {.step_tokens = step_tokens, .random = 1};
    struct figures figures = {0};
    if (!model_open(&b.model, given.items[0], &args.model, step_tokens, false))
        return EXIT_FAILED;
    andiron_model_get_info(b.model, &b.info);
    bool ok = measure(&b, &args, &figures);
    if (ok)
        ok = (args.json ? print_json : print_text)(&b, &args, &figures, given.items[0]);
    andiron_batch_close(b.batch);
    for (size_t s = 0; s < b.n_sessions; s++)
        andiron_session_close(b.sessions[s]);
    andiron_model_close(b.model);
    return ok ? EXIT_DONE : EXIT_FAILED;
}

static const struct option_row options[] = {
    {"prompt", 'p', OPTION_SIZE, "N", "tokens of a prompt; 0: do not measure; default: 512",
     offsetof(struct bench_args, prompt), 0, 1 << 24},
    {"generate", 'n', OPTION_SIZE, "N", "tokens to generate; 0: do not measure; default: 64",
     offsetof(struct bench_args, generate), 0, 1 << 24},
    {"depth", 'd', OPTION_SIZE, "N", "tokens of context before both; default: 0", offsetof(struct bench_args, depth), 0,
     1 << 28},
    {"sequences", 's', OPTION_SIZE, "N", "sessions that run together; default: 1",
     offsetof(struct bench_args, sequences), 1, MOST_SEQUENCES},
    {"repetitions", 'r', OPTION_INT, "N", "how often each is measured; default: 3",
     offsetof(struct bench_args, repetitions), 1, MOST_REPETITIONS},
    {"ubatch", 0, OPTION_SIZE, "N", "most tokens of one step; default: 512", offsetof(struct bench_args, ubatch), 1,
     MOST_STEP_TOKENS},
    KV_TYPE_ROW(struct bench_args),
    {"json", 0, OPTION_FLAG, NULL, "one JSON object instead of text", offsetof(struct bench_args, json), 0, 0},
    MODEL_OPTION_ROWS(struct bench_args),
};

const struct command command_bench = {
    .name = "bench",
    .arguments = "MODEL",
    .summary = "measure speed, memory, and the part of this machine's roofs they reach",
    .details =
        "Roofs are measured: memory reads for generation, int8 dot products for prompts. The time to the first token\n"
        "counts from the start of the program.",
    .examples = "andiron bench model.gguf\n"
                "andiron bench model.gguf -p 2048 -n 128 --depth 4096 --json\n"
                "andiron bench model.gguf --sequences 16",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .least_arguments = 1,
    .most_arguments = 1,
    .run = run_bench,
};
