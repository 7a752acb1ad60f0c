/* cmd_run.c - andiron run: one answer, or a conversation. stdout holds answers and nothing else. */
#include "answer.h"
#include "chat.h"
#include "resolve.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* "ID=BIAS", where BIAS is a number or -inf. */
static bool parse_bias(const char *text, andiron_logit_bias *out)
{
    char *end;
    long id = strtol(text, &end, 10);
    if (end == text || *end != '=' || id < 0 || id > INT32_MAX)
        return false;
    const char *number = end + 1;
    float bias = strtof(number, &end);
    *out = (andiron_logit_bias){.token = (andiron_token)id, .bias = bias};
    return end != number && *end == '\0' && !isnan(bias);
}

static int parse_biases(const struct command *command, struct run_args *args)
{
    for (size_t i = 0; i < args->biases.n; i++)
        if (!parse_bias(args->biases.items[i], &args->parsed_biases[i]))
            return usage_error(command, "--logit-bias wants ID=BIAS such as 42=-1.5, not '%s'", args->biases.items[i]);
    args->sampler.bias = args->parsed_biases;
    args->sampler.n_bias = args->biases.n;
    return EXIT_DONE;
}

static bool one_answer(struct answerer *a, struct text *text, bool raw, bool is_typed)
{
    const struct run_args *args = a->args;
    struct tokens prompt = {0};
    andiron_message messages[2];
    size_t n = 0;
    bool ok;
    if (text->n == 0 && !raw)
        return fail("the prompt is empty; give a text to answer");
    if (raw) {
        /* --raw is for writing the markup oneself; a text that only lacks a template has no markup in it. */
        unsigned flags = ANDIRON_TOKENIZE_BOS | (args->raw ? ANDIRON_TOKENIZE_SPECIAL : 0);
        ok = tokens_from_text(&prompt, a->model, text->bytes, text->n, flags);
    } else {
        if (is_typed && text->n && text->bytes[text->n - 1] == '\n')
            text->bytes[--text->n] = '\0';
        if (args->system)
            messages[n++] = (andiron_message){.role = "system", .content = args->system};
        messages[n++] = (andiron_message){.role = "user", .content = text->bytes};
        ok = memchr(text->bytes, '\0', text->n) ? fail("the prompt holds a NUL byte; a chat message cannot")
                                                : chat_prompt(&prompt, a->model, messages, n);
    }
    ok = ok && answer(a, &prompt);
    tokens_close(&prompt);
    return ok;
}

/* What does not go together with this model. False with a sentence on stderr. */
static bool check_args(const struct run_args *args, bool raw, bool reads_source)
{
    if (args->begin && !reads_source)
        return fail("--begin is for models that write a text about another one; here, end the prompt with it (--raw)");
    if (raw && args->system)
        return fail("--system needs a chat template, and %s",
                    args->raw ? "--raw goes without one" : "this model has none");
    return true;
}

/* The prompt: the argument, --file, or standard input. */
static bool read_prompt(struct text *text, const struct run_args *args, const char *given)
{
    if (given)
        return text_add(text, given, strlen(given)) || fail_memory();
    return args->file ? text_read_path(text, args->file) : text_read(text, stdin, "standard input");
}

static bool run_model(struct answerer *a, const char *model, const char *given)
{
    const struct run_args *args = a->args;
    andiron_error error;
    bool converse = !given && !args->file && isatty(STDIN_FILENO);
    bool raw = args->raw || !andiron_model_has_chat(a->model);
    andiron_session_options options = {.n_ctx = args->ctx, .kv_type = args->kv_type};
    struct text text = {0};
    bool ok = check_args(args, raw, model_reads_source(a->model)) && (converse || read_prompt(&text, args, given));
    if (ok && andiron_session_open(&a->session, a->model, &options, &error))
        ok = fail_with(&error);
    a->show_timings = !converse || args->model.verbose;
    a->show_progress = isatty(STDERR_FILENO);
    if (ok && raw && !args->raw && !model_reads_source(a->model))
        fprintf(stderr, "andiron: this model has no chat template; it continues the text as it stands (--raw)\n");
    if (ok)
        ok = converse ? chat(a, resolve_model(model), raw) : one_answer(a, &text, raw, !given);
    text_close(&text);
    return ok;
}

static int run_run(const struct command *command, int argc, char **argv)
{
    struct run_args args = {.sampler = {.temperature = 0.8f, .top_k = 40, .top_p = 0.95f, .min_p = 0.05f}};
    struct arguments given;
    enum parse_result parsed = options_parse(command, argc, argv, &args, &given);
    if (parsed != PARSE_OK)
        return parsed == PARSE_HELP ? EXIT_DONE : EXIT_USAGE;
    if (args.file && given.items[1])
        return usage_error(command, "give either a PROMPT or --file");
    if (parse_biases(command, &args))
        return EXIT_USAGE;
    struct answerer a = {.args = &args};
    if (!model_open(&a.model, given.items[0], &args.model, 0, false))
        return EXIT_FAILED;
    bool ok = run_model(&a, given.items[0], given.items[1]);
    text_close(&a.text);
    andiron_session_close(a.session);
    andiron_model_close(a.model);
    return ok ? EXIT_DONE : EXIT_FAILED;
}

static const struct option_row options[] = {
    {"system", 0, OPTION_TEXT, "TEXT", "the system message", offsetof(struct run_args, system), 0, 0},
    {"raw", 0, OPTION_FLAG, NULL, "no chat template: continue the text; control tokens may be spelled in it",
     offsetof(struct run_args, raw), 0, 0},
    {"begin", 0, OPTION_TEXT, "TEXT",
     "what a translation begins with, as a language's token; default: as the file says",
     offsetof(struct run_args, begin), 0, 0},
    {"file", 'f', OPTION_FILE, "FILE", "read the prompt from FILE; -: standard input", offsetof(struct run_args, file),
     0, 0},
    {"max-tokens", 'n', OPTION_SIZE, "N", "most tokens of an answer; default: until the model ends it",
     offsetof(struct run_args, n), 1, 1 << 28},
    {"stop", 0, OPTION_LIST, "TEXT", "end the answer where TEXT would come (may be repeated)",
     offsetof(struct run_args, stop), 0, 0},
    {"temperature", 0, OPTION_NUMBER, "X", "0: always the best token; default: 0.8",
     offsetof(struct run_args, sampler.temperature), 0, 100},
    {"top-k", 0, OPTION_INT, "N", "choose among the N best; 0: all; default: 40",
     offsetof(struct run_args, sampler.top_k), 0, 1 << 28},
    {"top-p", 0, OPTION_NUMBER, "X", "choose among the fewest that reach this probability; default: 0.95",
     offsetof(struct run_args, sampler.top_p), 0, 1},
    {"min-p", 0, OPTION_NUMBER, "X", "drop those below this part of the best's probability; default: 0.05",
     offsetof(struct run_args, sampler.min_p), 0, 1},
    {"repeat-penalty", 0, OPTION_NUMBER, "X", "weaken recent tokens by this factor; default: 1, off",
     offsetof(struct run_args, sampler.repeat_penalty), 0, 100},
    {"frequency-penalty", 0, OPTION_NUMBER, "X", "subtract this for each recent occurrence; default: 0",
     offsetof(struct run_args, sampler.frequency_penalty), -100, 100},
    {"presence-penalty", 0, OPTION_NUMBER, "X", "subtract this once for each recent token; default: 0",
     offsetof(struct run_args, sampler.presence_penalty), -100, 100},
    {"penalty-window", 0, OPTION_INT, "N", "how many tokens are recent; -1: all; default: 64",
     offsetof(struct run_args, sampler.penalty_window), -1, 1 << 28},
    {"logit-bias", 0, OPTION_LIST, "ID=BIAS", "add BIAS to a token's score; -inf forbids it (may be repeated)",
     offsetof(struct run_args, biases), 0, 0},
    {"seed", 0, OPTION_SEED, "N", "same seed, same answer; default: 0", offsetof(struct run_args, sampler.seed), 0, 0},
    {"ctx", 'c', OPTION_SIZE, "N", "context size in tokens; default: the model's own, at most 4096",
     offsetof(struct run_args, ctx), 1, 1 << 28},
    KV_TYPE_ROW(struct run_args),
    MODEL_OPTION_ROWS(struct run_args),
};

const struct command command_run = {
    .name = "run",
    .arguments = "MODEL [PROMPT]",
    .summary = "answer a prompt, or hold a conversation",
    .details =
        "Without PROMPT the standard input is the prompt (its last newline is dropped, except with --raw); on a\n"
        "terminal, a conversation begins. stdout holds the answer alone, timings go to stderr. The answer is the same\n"
        "every time: it changes with --seed, the sampling options and the prompt only.\n"
        "\n"
        "In a conversation: a line that ends in \\ goes on in the next, \"\"\" begins and ends a text of several "
        "lines, the\n"
        "arrow keys edit and recall what was typed, Ctrl-C stops an answer, Ctrl-D leaves, /help tells the rest. When\n"
        "the context is full, the oldest messages are forgotten.",
    .examples = "andiron run model.gguf \"Why is the sky blue?\"\n"
                "andiron run model.gguf --temperature 0 -n 100 < question.txt\n"
                "andiron run model.gguf --system \"You answer in one word.\"\n"
                "andiron run model.gguf --raw \"Once upon a time\"",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .least_arguments = 1,
    .most_arguments = 2,
    .run = run_run,
};
