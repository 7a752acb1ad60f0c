/* cmd_import.c - andiron import: hands over to the Python package in tools/import, which traces with Transformers. */
#include "options.h"
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct import_args {
    const char *type;
};

static int run_import(const struct command *command, int argc, char **argv)
{
    struct import_args args = {.type = "f16"};
    struct arguments given;
    switch (options_parse(command, argc, argv, &args, &given)) {
    case PARSE_HELP: return EXIT_DONE;
    case PARSE_USAGE: return EXIT_USAGE;
    case PARSE_OK: break;
    }
    execlp("andiron-import", "andiron-import", "--type", args.type, "--", given.items[0], given.items[1], (char *)NULL);
    fprintf(stderr,
            "andiron: the program andiron-import cannot be started (%s); install it with: pip install tools/import\n",
            strerror(errno));
    return EXIT_FAILED;
}

static const struct option_row options[] = {
    {"type", 't', OPTION_TEXT, "f32|f16|bf16|q8_0|q4_0|q4_1", "the type of matrices; default: f16",
     offsetof(struct import_args, type), 0, 0},
};

const struct command command_import = {
    .name = "import",
    .arguments = "MODEL_DIR OUT.gguf",
    .summary = "a model of Transformers as a GGUF file that carries its own definition",
    .details =
        "The model's forward pass is traced, told in andiron's own ops, and checked against Transformers before the\n"
        "file is kept. Needs Python with the package of tools/import.",
    .examples = "andiron import ./new-model new-model.gguf\n"
                "andiron import --type q8_0 ./new-model new-model.gguf",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .least_arguments = 2,
    .most_arguments = 2,
    .run = run_import,
};
