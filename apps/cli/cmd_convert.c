/* cmd_convert.c - andiron convert: a GGUF file out of a Hugging Face folder, or out of another. */
#include "model.h"
#include "text.h"
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct convert_args {
    const char *type, *split;
    int threads;
    bool force, verbose;
};

/* "500M" or "4G": millions or thousands of millions of bytes, as llama.cpp counts them. */
static bool parse_size(const char *text, uint64_t *bytes)
{
    char *end;
    const unsigned long n = strtoul(text, &end, 10);
    const uint64_t unit = *end == 'M' ? 1000000 : *end == 'G' ? 1000000000 : 0;
    *bytes = n * unit;
    return end != text && text[0] != '-' && unit && !end[1] && n > 0 && n <= 1000000;
}

static void say_size(const char *path, size_t n_files)
{
    struct stat made;
    if (n_files > 1)
        printf("%s: %zu files, the first of them -00001-of-%05zu.gguf\n", path, n_files, n_files);
    else if (!stat(path, &made))
        printf("%s: %.1f MiB\n", path, (double)made.st_size / (1 << 20));
}

static int run_convert(const struct command *command, int argc, char **argv)
{
    struct convert_args args = {0};
    struct arguments given;
    size_t n_files = 1;
    andiron_error error;
    enum parse_result parsed = options_parse(command, argc, argv, &args, &given);
    if (parsed != PARSE_OK)
        return parsed == PARSE_HELP ? EXIT_DONE : EXIT_USAGE;
    andiron_convert_options options = {
        .type = args.type, .overwrite = args.force, .n_threads = args.threads, .n_files = &n_files};
    if (args.split && !parse_size(args.split, &options.split_bytes))
        return usage_error(command, "--split-max-size wants a size such as 4G or 500M, not '%s'", args.split);
    if (isatty(STDERR_FILENO)) {
        options.progress = model_show_progress;
        options.user = (void *)(uintptr_t) "converting the weights";
    }
    model_say_log(args.verbose);
    if (andiron_convert(given.items[0], given.items[1], &options, &error))
        return fail_with(&error), EXIT_FAILED;
    say_size(given.items[1], n_files);
    return EXIT_DONE;
}

static const struct option_row options[] = {
    {"type", 't', OPTION_TEXT, WEIGHT_TYPES, "what matrices become; default: bf16 or f16",
     offsetof(struct convert_args, type), 0, 0},
    {"split-max-size", 0, OPTION_TEXT, "SIZE", "files of at most so much weights each, such as 4G or 500M",
     offsetof(struct convert_args, split), 0, 0},
    {"threads", 0, OPTION_INT, "N", "threads; default: one for each physical core",
     offsetof(struct convert_args, threads), 1, 1024},
    {"force", 0, OPTION_FLAG, NULL, "replace a file that is there already", offsetof(struct convert_args, force), 0, 0},
    {"verbose", 'v', OPTION_FLAG, NULL, "tell what the library says", offsetof(struct convert_args, verbose), 0, 0},
};

const struct command command_convert = {
    .name = "convert",
    .arguments = "MODEL OUT.gguf",
    .summary = "write a Hugging Face folder as a GGUF file, or a GGUF file in other types",
    .details =
        "MODEL is a folder, or a GGUF file (the first part of a split one), also one that andiron import made.\n"
        "The default is bf16 where the model holds BF16, else f16. Vectors and routers stay F32; tables of tokens\n"
        "become Q8_0 where other matrices have 4 or 5 bits. q2_k to q6_k are llama.cpp's mixes of those names "
        "(without\n"
        "a last letter: _m): some matrices have more bits, and rows that are no multiple of 256 take the next type "
        "that\n"
        "fits. The file appears whole or not at all.",
    .examples = "andiron convert ./SmolLM2-135M-Instruct smollm2.gguf\n"
                "andiron convert ./SmolLM2-135M-Instruct smollm2-q8.gguf --type q8_0\n"
                "andiron convert ./Qwen3-4B qwen3-4b.gguf --type q4_k\n"
                "andiron convert qwen3-4b-bf16.gguf qwen3-4b.gguf --type q5_k",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .least_arguments = 2,
    .most_arguments = 2,
    .run = run_convert,
};
