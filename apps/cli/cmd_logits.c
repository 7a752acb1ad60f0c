/* cmd_logits.c - andiron logits: the scores after every token of a text, as a safetensors file.
 *
 * However it is asked (step size, one token at a time, among other sessions) the file must come out the same, bit for
 * bit; this command is how that is tested. */
#include "model.h"
#include "safetensors.h"
#include "text.h"
#include <stdlib.h>
#include <string.h>

struct logits_args {
    struct model_args model;
    const char *tokens, *prompt, *source, *output, *kv_type;
    size_t ubatch, decode, beside, ctx;
    bool special;
};

enum { MOST_BESIDE = 64 };

struct run {
    andiron_model *model;
    andiron_batch *batch;
    andiron_session *sessions[MOST_BESIDE + 1]; /* the first is the one whose scores are written */
    size_t n_sessions, n_vocab, step_tokens;
    struct safetensors_writer writer;
};

/* What the `k`th session beside ours reads where we read `token`: anything that differs. */
static andiron_token neighbour_token(const struct run *run, andiron_token token, size_t k)
{
    return (andiron_token)(((size_t)token * 31 + 7 * k + 3) % run->n_vocab);
}

/* One step over `n` of our tokens, each followed by one of every neighbour; our rows are written. */
static bool run_step(struct run *run, const andiron_token *tokens, size_t n, andiron_error *error)
{
    andiron_batch_clear(run->batch);
    for (size_t i = 0; i < n; i++)
        for (size_t s = 0; s < run->n_sessions; s++) {
            andiron_token token = s ? neighbour_token(run, tokens[i], s) : tokens[i];
            if (andiron_batch_add(run->batch, run->sessions[s], token, s == 0, error))
                return fail_with(error);
        }
    if (andiron_batch_run(run->batch, error))
        return fail_with(error);
    for (size_t i = 0; i < n; i++) {
        const float *row = andiron_batch_logits(run->batch, i * run->n_sessions);
        if (!row)
            return fail("no scores after a token that asked for them");
        if (!safetensors_row(&run->writer, row))
            return false;
    }
    return true;
}

static bool run_all(struct run *run, const struct tokens *tokens, size_t n_decode)
{
    andiron_error error;
    size_t n_prompt = tokens->n - n_decode, most = run->step_tokens / run->n_sessions;
    for (size_t at = 0, n; at < tokens->n; at += n) {
        n = at >= n_prompt ? 1 : n_prompt - at < most ? n_prompt - at : most;
        if (!run_step(run, tokens->ids + at, n, &error))
            return false;
    }
    return true;
}

static bool open_all(struct run *run, const struct logits_args *args, size_t n_tokens)
{
    andiron_error error;
    andiron_session_options options = {.n_ctx = args->ctx ? args->ctx : n_tokens, .kv_type = args->kv_type};
    for (size_t s = 0; s < run->n_sessions; s++)
        if (andiron_session_open(&run->sessions[s], run->model, &options, &error))
            return fail_with(&error);
    if (andiron_batch_open(&run->batch, run->model, &error))
        return fail_with(&error);
    return true;
}

/* Every session writes about the same source. */
static bool read_source(struct run *run, const char *ids)
{
    andiron_error error;
    struct tokens source = {0};
    bool ok = tokens_parse(&source, ids, strlen(ids), model_n_embedded(run->model));
    for (size_t s = 0; s < run->n_sessions && ok; s++)
        ok = !andiron_session_read_source(run->sessions[s], source.ids, source.n, &error) || fail_with(&error);
    tokens_close(&source);
    return ok;
}

static bool read_tokens(struct tokens *tokens, const andiron_model *model, const struct logits_args *args)
{
    if (args->prompt)
        return tokens_from_text(tokens, model, args->prompt, strlen(args->prompt),
                                ANDIRON_TOKENIZE_BOS | (args->special ? ANDIRON_TOKENIZE_SPECIAL : 0));
    if (strcmp(args->tokens, "-"))
        return tokens_parse(tokens, args->tokens, strlen(args->tokens), model_n_embedded(model));
    struct text text = {0};
    bool ok = text_read(&text, stdin, "standard input") &&
              tokens_parse(tokens, text.bytes, text.n, model_n_embedded(model));
    text_close(&text);
    return ok;
}

static bool check_asked(const struct run *run, const struct logits_args *args, size_t n_tokens)
{
    if (n_tokens == 0)
        return fail("there is no token to score");
    if (!args->source && model_reads_source(run->model))
        return fail("this model writes a text about another one; give that one's token ids with --source");
    if (args->decode > n_tokens)
        return fail("--decode %zu: there are only %zu tokens", args->decode, n_tokens);
    if (args->ctx && args->ctx < n_tokens)
        return fail("there are %zu tokens, but --ctx %zu holds fewer; give a larger one or none", n_tokens, args->ctx);
    return true;
}

static bool write_logits(struct run *run, const struct logits_args *args)
{
    struct tokens tokens = {0};
    bool ok = read_tokens(&tokens, run->model, args);
    ok = ok && check_asked(run, args, tokens.n);
    if (ok && open_all(run, args, tokens.n) && (!args->source || read_source(run, args->source)) &&
        safetensors_begin(&run->writer, args->output, "logits", tokens.n, run->n_vocab)) {
        ok = run_all(run, &tokens, args->decode);
        ok = safetensors_finish(&run->writer, ok) && ok;
    } else {
        ok = false;
    }
    tokens_close(&tokens);
    return ok;
}

static int run_logits(const struct command *command, int argc, char **argv)
{
    struct logits_args args = {0};
    struct arguments given;
    enum parse_result parsed = options_parse(command, argc, argv, &args, &given);
    if (parsed != PARSE_OK)
        return parsed == PARSE_HELP ? EXIT_DONE : EXIT_USAGE;
    if (!args.tokens == !args.prompt)
        return usage_error(command, "give either --tokens or --prompt");
    if (!args.output)
        return usage_error(command, "say where to write with -o FILE");
    size_t step_tokens = args.ubatch ? args.ubatch : 512;
    if (step_tokens <= args.beside)
        return usage_error(command, "--beside %zu wants --ubatch to be larger than that", args.beside);
    struct run run = {.n_sessions = args.beside + 1, .step_tokens = step_tokens};
    if (!model_open(&run.model, given.items[0], &args.model, step_tokens, false))
        return EXIT_FAILED;
    run.n_vocab = model_n_vocab(run.model);
    bool ok = write_logits(&run, &args);
    andiron_batch_close(run.batch);
    for (size_t s = 0; s < run.n_sessions; s++)
        andiron_session_close(run.sessions[s]);
    andiron_model_close(run.model);
    return ok ? EXIT_DONE : EXIT_FAILED;
}

static const struct option_row options[] = {
    {"tokens", 0, OPTION_TEXT, "IDS", "token ids: 1,2,3 or a JSON array; - reads them from stdin",
     offsetof(struct logits_args, tokens), 0, 0},
    {"prompt", 'p', OPTION_TEXT, "TEXT", "a text, with BOS as the model wants it", offsetof(struct logits_args, prompt),
     0, 0},
    {"source", 0, OPTION_TEXT, "IDS", "what an encoder-decoder model reads first: token ids",
     offsetof(struct logits_args, source), 0, 0},
    {"special", 0, OPTION_FLAG, NULL, "text that spells a control token becomes it",
     offsetof(struct logits_args, special), 0, 0},
    {"output", 'o', OPTION_FILE, "FILE", "the safetensors file to write", offsetof(struct logits_args, output), 0, 0},
    {"ubatch", 0, OPTION_SIZE, "N", "most tokens of one step; default: 512", offsetof(struct logits_args, ubatch), 1,
     MOST_STEP_TOKENS},
    {"decode", 0, OPTION_SIZE, "K", "feed the last K tokens one by one through the cache",
     offsetof(struct logits_args, decode), 0, 1 << 28},
    {"beside", 0, OPTION_SIZE, "N", "let N other sessions take part in every step",
     offsetof(struct logits_args, beside), 0, MOST_BESIDE},
    {"ctx", 'c', OPTION_SIZE, "N", "context size in tokens; default: as many as there are",
     offsetof(struct logits_args, ctx), 1, 1 << 28},
    KV_TYPE_ROW(struct logits_args),
    MODEL_OPTION_ROWS(struct logits_args),
};

const struct command command_logits = {
    .name = "logits",
    .arguments = "MODEL",
    .summary = "write the scores after every token as a safetensors file",
    .details =
        "The file holds one tensor, logits, f32 [n_tokens, n_vocab]. Its bytes depend on the model, the tokens and\n"
        "the KV type only: not on --ubatch, --decode, --beside, --threads or --cpu (unless --math is fast).",
    .examples = "andiron logits model.gguf --tokens 1,2,3 -o logits.safetensors\n"
                "andiron logits model.gguf --prompt \"Once upon a time\" --decode 2 -o logits.safetensors",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .least_arguments = 1,
    .most_arguments = 1,
    .run = run_logits,
};
