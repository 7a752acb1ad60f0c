/* cmd_embed.c - andiron embed: a vector for a text, or for each of its lines. */
#include "model.h"
#include "text.h"
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

struct embed_args {
    struct model_args model;
    const char *file, *tokens, *pooling;
    size_t ctx;
    bool lines, raw;
};

struct embed_run {
    const struct embed_args *args;
    andiron_model *model;
    andiron_session *session;
    size_t n;
    float *vector;
};

enum { DEFAULT_CONTEXT = 2048 };

static andiron_pooling pooling_named(const char *name)
{
    if (!name)
        return ANDIRON_POOLING_MODEL;
    return !strcmp(name, "mean")    ? ANDIRON_POOLING_MEAN
           : !strcmp(name, "first") ? ANDIRON_POOLING_FIRST
                                    : ANDIRON_POOLING_LAST;
}

/* As a JSON array of numbers that read back as the same floats. */
static void print_vector(const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        printf("%s%.9g", i ? "," : "[", (double)x[i]);
    puts("]");
}

static bool embed_tokens(const struct embed_run *run, const struct tokens *tokens)
{
    andiron_error error;
    if (andiron_session_embed(run->session, tokens->ids, tokens->n, pooling_named(run->args->pooling), !run->args->raw,
                              run->vector, &error))
        return fail_with(&error);
    print_vector(run->vector, run->n);
    return true;
}

static bool embed_text(const struct embed_run *run, const char *text, size_t n)
{
    struct tokens tokens = {0};
    bool ok = tokens_from_text(&tokens, run->model, text, n, ANDIRON_TOKENIZE_BOS) && embed_tokens(run, &tokens);
    tokens_close(&tokens);
    return ok;
}

static bool embed_ids(const struct embed_run *run, const char *ids)
{
    struct tokens tokens = {0};
    bool ok = tokens_parse(&tokens, ids, strlen(ids), model_n_embedded(run->model)) && embed_tokens(run, &tokens);
    tokens_close(&tokens);
    return ok;
}

static bool embed_lines(const struct embed_run *run, const struct text *text)
{
    for (size_t at = 0; at < text->n;) {
        const char *end = memchr(text->bytes + at, '\n', text->n - at);
        size_t n = end ? (size_t)(end - text->bytes) - at : text->n - at;
        if (!embed_text(run, text->bytes + at, n))
            return false;
        at += n + 1;
    }
    return true;
}

/* The text of the command line, of a file or of the standard input. */
static bool embed_given(const struct embed_run *run, const char *given)
{
    const struct embed_args *args = run->args;
    struct text text = {0};
    bool ok;
    if (given)
        ok = text_add(&text, given, strlen(given)) || fail_memory();
    else
        ok = args->file ? text_read_path(&text, args->file) : text_read(&text, stdin, "standard input");
    if (ok)
        ok = args->lines ? embed_lines(run, &text) : embed_text(run, text.bytes ? text.bytes : "", text.n);
    text_close(&text);
    return ok;
}

/* Steps hold a whole text, for models that want it so. */
static bool open_run(struct embed_run *run, const char *name)
{
    andiron_error error;
    andiron_model_info info;
    andiron_session_options options = {.n_ctx = run->args->ctx, .kv_type = "f32"}; /* one text: exact, and small */
    if (!model_open_embeddings(&run->model, name, &run->args->model, options.n_ctx ? options.n_ctx : DEFAULT_CONTEXT))
        return false;
    andiron_model_get_info(run->model, &info);
    if (options.n_ctx == 0)
        options.n_ctx = info.n_ctx_train && info.n_ctx_train < DEFAULT_CONTEXT ? info.n_ctx_train : DEFAULT_CONTEXT;
    run->n = info.n_vocab;
    run->vector = malloc(run->n * sizeof *run->vector);
    if (!run->vector)
        return fail_memory();
    return !andiron_session_open(&run->session, run->model, &options, &error) || fail_with(&error);
}

static int run_embed(const struct command *command, int argc, char **argv)
{
    struct embed_args args = {0};
    struct arguments given;
    enum parse_result parsed = options_parse(command, argc, argv, &args, &given);
    if (parsed != PARSE_OK)
        return parsed == PARSE_HELP ? EXIT_DONE : EXIT_USAGE;
    if (!!args.file + !!args.tokens + !!given.items[1] > 1)
        return usage_error(command, "give a text, --file or --tokens, and only one of them");
    struct embed_run run = {.args = &args};
    bool ok = open_run(&run, given.items[0]);
    if (ok)
        ok = args.tokens ? embed_ids(&run, args.tokens) : embed_given(&run, given.items[1]);
    free(run.vector);
    andiron_session_close(run.session);
    andiron_model_close(run.model);
    return ok ? EXIT_DONE : EXIT_FAILED;
}

static const struct option_row options[] = {
    {"lines", 0, OPTION_FLAG, NULL, "each line is a text of its own; answers one vector a line",
     offsetof(struct embed_args, lines), 0, 0},
    {"file", 'f', OPTION_FILE, "FILE", "read the text from FILE; -: standard input", offsetof(struct embed_args, file),
     0, 0},
    {"tokens", 0, OPTION_TEXT, "IDS", "token ids instead of a text: 1,2,3 or a JSON array",
     offsetof(struct embed_args, tokens), 0, 0},
    {"pooling", 0, OPTION_TEXT, "mean|first|last", "how tokens become one vector; default: as the model says",
     offsetof(struct embed_args, pooling), 0, 0},
    {"raw", 0, OPTION_FLAG, NULL, "as it comes; without, its length is made 1", offsetof(struct embed_args, raw), 0, 0},
    {"ctx", 'c', OPTION_SIZE, "N", "most tokens of a text; default: 2048, or what the model has",
     offsetof(struct embed_args, ctx), 1, MOST_STEP_TOKENS},
    MODEL_OPTION_ROWS(struct embed_args),
};

const struct command command_embed = {
    .name = "embed",
    .arguments = "MODEL [TEXT]",
    .summary = "a vector for a text, as a JSON array",
    .details =
        "Without TEXT the standard input is taken. A model that gives scores can be asked too: its last row is taken.",
    .examples = "andiron embed model.gguf \"Hello there\"\n"
                "andiron embed model.gguf --lines < sentences.txt",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .least_arguments = 1,
    .most_arguments = 2,
    .run = run_embed,
};
