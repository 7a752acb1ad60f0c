/* cmd_show.c - andiron show: what is in a file, and whether and how it runs. */
#include "model.h"
#include "resolve.h"
#include "text.h"

struct show_args {
    struct model_args model;
    bool metadata, tensors, graph, json;
    size_t ctx;
    const char *kv_type;
};

static bool write_stdout(void *user, const char *text, size_t n)
{
    (void)user;
    return fwrite(text, 1, n, stdout) == n;
}

static int run_show(const struct command *command, int argc, char **argv)
{
    struct show_args args = {0};
    struct arguments given;
    struct model_paths paths;
    andiron_error error;
    enum parse_result parsed = options_parse(command, argc, argv, &args, &given);
    if (parsed != PARSE_OK)
        return parsed == PARSE_HELP ? EXIT_DONE : EXIT_USAGE;
    const char *path = resolve_model(given.items[0]);
    if (!path)
        return EXIT_FAILED;
    unsigned flags = (args.metadata ? ANDIRON_DESCRIBE_METADATA : 0) | (args.tensors ? ANDIRON_DESCRIBE_TENSORS : 0) |
                     (args.graph ? ANDIRON_DESCRIBE_GRAPH : 0) | (args.json ? ANDIRON_DESCRIBE_JSON : 0);
    andiron_model_options options = model_options(&args.model, &paths);
    model_say_log(args.model.verbose);
    if (andiron_describe(path, &options, args.ctx, args.kv_type, flags, write_stdout, NULL, &error))
        return fail_with(&error), EXIT_FAILED;
    return EXIT_DONE;
}

static const struct option_row options[] = {
    {"metadata", 0, OPTION_FLAG, NULL, "every metadata key and value", offsetof(struct show_args, metadata), 0, 0},
    {"tensors", 0, OPTION_FLAG, NULL, "every tensor: name, type, shape, bytes", offsetof(struct show_args, tensors), 0,
     0},
    {"graph", 0, OPTION_FLAG, NULL, "the expanded graph with shapes, types and memory",
     offsetof(struct show_args, graph), 0, 0},
    {"json", 0, OPTION_FLAG, NULL, "one JSON object instead of text", offsetof(struct show_args, json), 0, 0},
    {"ctx", 'c', OPTION_SIZE, "N", "tell the memory for a context of N tokens; default: the model's own",
     offsetof(struct show_args, ctx), 1, 1 << 28},
    KV_TYPE_ROW(struct show_args),
    MODEL_OPTION_ROWS(struct show_args),
};

const struct command command_show = {
    .name = "show",
    .arguments = "MODEL",
    .summary = "tell what is in a model file, whether it runs, and the memory it needs",
    .examples = "andiron show model.gguf\n"
                "andiron show model.gguf --ctx 32768 --kv-type q8_0\n"
                "andiron show model.gguf --tensors --json",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .least_arguments = 1,
    .most_arguments = 1,
    .run = run_show,
};
