/* cmd_import.c - andiron import: hands over to the Python package in tools/import, which traces with Transformers. */
#include "model.h"
#include "options.h"
#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct import_args {
    const char *type;
    bool trust;
};

/* This very program, which checks what was imported; by its name where the system does not tell its path. */
static const char *own_path(char path[PATH_MAX])
{
    ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - 1);
    path[n < 0 ? 0 : n] = 0;
    return n > 0 ? path : "andiron";
}

static int run_import(const struct command *command, int argc, char **argv)
{
    struct import_args args = {.type = "f16"};
    struct arguments given;
    switch (options_parse(command, argc, argv, &args, &given)) {
    case PARSE_HELP: return EXIT_DONE;
    case PARSE_USAGE: return EXIT_USAGE;
    case PARSE_OK: break;
    }
    char path[PATH_MAX];
    const char *words[10] = {"andiron-import", "--type", args.type, "--andiron", own_path(path)};
    size_t n = 5;
    if (args.trust)
        words[n++] = "--trust-remote-code";
    words[n++] = "--";
    words[n++] = given.items[0];
    words[n++] = given.items[1];
    execvp(words[0], (char *const *)(uintptr_t)words);
    fprintf(stderr,
            "andiron: the program andiron-import cannot be started (%s); install it with: pip install tools/import\n",
            strerror(errno));
    return EXIT_FAILED;
}

static const struct option_row options[] = {
    {"type", 't', OPTION_TEXT, WEIGHT_TYPES, "the type of matrices; default: f16", offsetof(struct import_args, type),
     0, 0},
    {"trust-remote-code", 0, OPTION_FLAG, NULL,
     "run Python files of the folder, which may do anything: read them first", offsetof(struct import_args, trust), 0,
     0},
};

const struct command command_import = {
    .name = "import",
    .arguments = "MODEL_DIR|REPOSITORY OUT.gguf",
    .summary = "a model of Transformers as a GGUF file that carries its own definition",
    .details =
        "The model's forward pass is traced, told in andiron's own ops, and checked against Transformers before the\n"
        "file is kept. Needs Python with the package of tools/import.",
    .examples = "andiron import ./new-model new-model.gguf\n"
                "andiron import --type q4_k ./new-model new-model.gguf",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .least_arguments = 2,
    .most_arguments = 2,
    .run = run_import,
};
