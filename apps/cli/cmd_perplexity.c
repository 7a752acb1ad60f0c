/* cmd_perplexity.c - andiron perplexity: how well a model foretells a text, defined as llama.cpp's llama-perplexity
 * does.
 *
 * The text is cut into chunks of n_ctx tokens, each read with an empty cache and, where the model wants one, with BOS
 * in place of its first token. Tokens of the second half count; a last newline of the file does not. PPL = exp(mean
 * nll); its error is PPL times the standard error of that mean. */
#include "model.h"
#include "text.h"
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct perplexity_args {
    struct model_args model;
    size_t ctx, chunks;
    const char *kv_type;
    bool json;
};

struct sums {
    double nll, nll2;
    size_t n;
};

struct run {
    andiron_model *model;
    andiron_session *session;
    andiron_batch *batch;
    size_t n_vocab, n_ctx, n_chunks;
    bool has_bos;
    andiron_token bos;
    struct sums sums;
};

enum { STEP_TOKENS = 512 };

/* -log of the softmax of `row` at `token`, in double. */
static double nll_of(const float *row, size_t n, andiron_token token)
{
    double most = (double)row[0], sum = 0;
    for (size_t i = 1; i < n; i++)
        most = fmax(most, (double)row[i]);
    for (size_t i = 0; i < n; i++)
        sum += exp((double)row[i] - most);
    return log(sum) + most - (double)row[token];
}

static double perplexity_of(const struct sums *s, double *error)
{
    double mean = s->nll / (double)s->n, variance = s->nll2 / (double)s->n - mean * mean;
    *error = s->n > 1 && variance > 0 ? sqrt(variance / (double)(s->n - 1)) * exp(mean) : 0;
    return exp(mean);
}

/* BOS is what tokenizing with it puts in front of what tokenizing without it gives. */
static bool find_bos(struct run *run)
{
    andiron_token with[32], without[32];
    size_t n_with = 0, n_without = 0;
    andiron_error error;
    if (andiron_tokenize(run->model, "a", 1, ANDIRON_TOKENIZE_BOS, with, 32, &n_with, &error) ||
        andiron_tokenize(run->model, "a", 1, 0, without, 32, &n_without, &error))
        return fail_with(&error);
    run->has_bos = n_with > n_without && n_with <= 32 && !memcmp(with + 1, without, n_without * sizeof *with);
    run->bos = run->has_bos ? with[0] : 0;
    return true;
}

static bool run_step(struct run *run, const andiron_token *chunk, size_t at, size_t n, andiron_error *error)
{
    size_t first = run->n_ctx / 2, last = run->n_ctx - 1; /* positions first .. last - 1 foretell the next token */
    andiron_batch_clear(run->batch);
    for (size_t i = at; i < at + n; i++) {
        andiron_token token = i == 0 && run->has_bos ? run->bos : chunk[i];
        if (andiron_batch_add(run->batch, run->session, token, i >= first && i < last, error))
            return fail_with(error);
    }
    if (andiron_batch_run(run->batch, error))
        return fail_with(error);
    for (size_t i = at > first ? at : first; i < at + n && i < last; i++) {
        const float *row = andiron_batch_logits(run->batch, i - at);
        if (!row)
            return fail("no scores after a token that asked for them");
        double nll = nll_of(row, run->n_vocab, chunk[i + 1]);
        run->sums.nll += nll;
        run->sums.nll2 += nll * nll;
        run->sums.n++;
    }
    return true;
}

static bool run_chunk(struct run *run, const andiron_token *chunk)
{
    andiron_error error;
    if (andiron_session_truncate(run->session, 0, &error))
        return fail_with(&error);
    for (size_t at = 0; at < run->n_ctx; at += STEP_TOKENS) {
        size_t left = run->n_ctx - at;
        if (!run_step(run, chunk, at, left < STEP_TOKENS ? left : STEP_TOKENS, &error))
            return false;
    }
    return true;
}

static bool run_chunks(struct run *run, const struct tokens *tokens, bool verbose)
{
    for (size_t c = 0; c < run->n_chunks; c++) {
        double error;
        if (!run_chunk(run, tokens->ids + c * run->n_ctx))
            return false;
        if (verbose)
            fprintf(stderr, "chunk %zu of %zu: PPL %.4f\n", c + 1, run->n_chunks, perplexity_of(&run->sums, &error));
    }
    return true;
}

static bool print_result(const struct run *run, bool json)
{
    double error, ppl = perplexity_of(&run->sums, &error);
    if (!json) {
        printf("PPL = %.4f +/- %.5f\n", ppl, error);
        return true;
    }
    json_t *all = json_pack("{s:f, s:f, s:I, s:I, s:I}", "perplexity", ppl, "error", error, "chunks",
                            (json_int_t)run->n_chunks, "tokens_scored", (json_int_t)run->sums.n, "ctx",
                            (json_int_t)run->n_ctx);
    bool ok = all && !json_dumpf(all, stdout, JSON_COMPACT | JSON_REAL_PRECISION(12));
    putchar('\n');
    json_decref(all);
    return ok || fail_memory();
}

static bool read_tokens(struct run *run, struct tokens *tokens, const char *path)
{
    struct text text = {0};
    bool ok = text_read_path(&text, path);
    if (ok && text.n && text.bytes[text.n - 1] == '\n')
        text.n--;
    ok = ok && tokens_from_text(tokens, run->model, text.bytes, text.n, ANDIRON_TOKENIZE_BOS) && find_bos(run);
    text_close(&text);
    if (ok && tokens->n < 2 * run->n_ctx)
        ok = fail("%s has %zu tokens; two contexts of %zu are the least: give more text or a smaller --ctx", path,
                  tokens->n, run->n_ctx);
    return ok;
}

static bool measure(struct run *run, const struct perplexity_args *args, const char *path)
{
    andiron_error error;
    struct tokens tokens = {0};
    andiron_session_options options = {.n_ctx = run->n_ctx, .kv_type = args->kv_type};
    bool ok = read_tokens(run, &tokens, path);
    if (ok && (andiron_session_open(&run->session, run->model, &options, &error) ||
               andiron_batch_open(&run->batch, run->model, &error)))
        ok = fail_with(&error);
    if (ok) {
        run->n_chunks = tokens.n / run->n_ctx;
        if (args->chunks && args->chunks < run->n_chunks)
            run->n_chunks = args->chunks;
        ok = run_chunks(run, &tokens, args->model.verbose || isatty(STDERR_FILENO)) && print_result(run, args->json);
    }
    tokens_close(&tokens);
    return ok;
}

static int run_perplexity(const struct command *command, int argc, char **argv)
{
    struct perplexity_args args = {.ctx = 512};
    struct arguments given;
    enum parse_result parsed = options_parse(command, argc, argv, &args, &given);
    if (parsed != PARSE_OK)
        return parsed == PARSE_HELP ? EXIT_DONE : EXIT_USAGE;
    struct run run = {.n_ctx = args.ctx};
    if (!model_open(&run.model, given.items[0], &args.model, STEP_TOKENS, false))
        return EXIT_FAILED;
    run.n_vocab = model_n_vocab(run.model);
    bool ok = measure(&run, &args, given.items[1]);
    andiron_batch_close(run.batch);
    andiron_session_close(run.session);
    andiron_model_close(run.model);
    return ok ? EXIT_DONE : EXIT_FAILED;
}

static const struct option_row options[] = {
    {"ctx", 'c', OPTION_SIZE, "N", "tokens of a chunk; default: 512", offsetof(struct perplexity_args, ctx), 4,
     1 << 24},
    {"chunks", 0, OPTION_SIZE, "N", "stop after N chunks", offsetof(struct perplexity_args, chunks), 1, 1 << 28},
    KV_TYPE_ROW(struct perplexity_args),
    {"json", 0, OPTION_FLAG, NULL, "one JSON object instead of text", offsetof(struct perplexity_args, json), 0, 0},
    MODEL_OPTION_ROWS(struct perplexity_args),
};

const struct command command_perplexity = {
    .name = "perplexity",
    .arguments = "MODEL FILE",
    .summary = "measure how well a model foretells a text, as llama-perplexity does",
    .details =
        "The text is read in chunks of --ctx tokens, each with an empty cache and BOS first where the model wants it;\n"
        "the second half of each chunk counts. The error is one standard error. FILE may be -, the standard input.",
    .examples = "andiron perplexity model.gguf wiki.test.raw\n"
                "andiron perplexity model.gguf book.txt --ctx 2048 --json",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .least_arguments = 2,
    .most_arguments = 2,
    .run = run_perplexity,
};
