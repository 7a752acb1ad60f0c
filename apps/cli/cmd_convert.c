/* cmd_convert.c - andiron convert: a GGUF file out of a Hugging Face folder. */
#include "model.h"
#include "text.h"
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

struct convert_args {
    const char *type;
    int threads;
    bool force, verbose;
};

static int run_convert(const struct command *command, int argc, char **argv)
{
    struct convert_args args = {0};
    struct arguments given;
    struct stat made;
    andiron_error error;
    enum parse_result parsed = options_parse(command, argc, argv, &args, &given);
    if (parsed != PARSE_OK)
        return parsed == PARSE_HELP ? EXIT_DONE : EXIT_USAGE;
    andiron_convert_options options = {.type = args.type, .overwrite = args.force, .n_threads = args.threads};
    if (isatty(STDERR_FILENO)) {
        options.progress = model_show_progress;
        options.user = (void *)(uintptr_t) "converting the weights";
    }
    model_say_log(args.verbose);
    if (andiron_convert(given.items[0], given.items[1], &options, &error))
        return fail_with(&error), EXIT_FAILED;
    if (!stat(given.items[1], &made))
        printf("%s: %.1f MiB\n", given.items[1], (double)made.st_size / (1 << 20));
    return EXIT_DONE;
}

static const struct option_row options[] = {
    {"type", 't', OPTION_TEXT, WEIGHT_TYPES, "what matrices become; default: bf16 or f16",
     offsetof(struct convert_args, type), 0, 0},
    {"threads", 0, OPTION_INT, "N", "threads; default: one for each physical core",
     offsetof(struct convert_args, threads), 1, 1024},
    {"force", 0, OPTION_FLAG, NULL, "replace a file that is there already", offsetof(struct convert_args, force), 0, 0},
    {"verbose", 'v', OPTION_FLAG, NULL, "tell what the library says", offsetof(struct convert_args, verbose), 0, 0},
};

const struct command command_convert = {
    .name = "convert",
    .arguments = "MODEL_DIR OUT.gguf",
    .summary = "write a Hugging Face folder as a GGUF file",
    .details =
        "The default is bf16 where the folder holds BF16, else f16. Vectors and routers stay F32; tables of tokens\n"
        "become Q8_0 where other matrices have 4 or 5 bits. q2_k to q6_k are llama.cpp's mixes of those names "
        "(without\n"
        "a last letter: _m): some matrices have more bits, and rows that are no multiple of 256 take the next type "
        "that\n"
        "fits. The file appears whole or not at all.",
    .examples = "andiron convert ./SmolLM2-135M-Instruct smollm2.gguf\n"
                "andiron convert ./SmolLM2-135M-Instruct smollm2-q8.gguf --type q8_0\n"
                "andiron convert ./Qwen3-4B qwen3-4b.gguf --type q4_k",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .least_arguments = 2,
    .most_arguments = 2,
    .run = run_convert,
};
