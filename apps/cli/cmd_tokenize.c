/* cmd_tokenize.c - andiron tokenize: text to token ids and back. */
#include "model.h"
#include "text.h"
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

struct tokenize_args {
    struct model_args model;
    bool detokenize, special, pieces, bos, lines;
    const char *file;
};

static void print_ids(const struct tokens *tokens)
{
    putchar('[');
    for (size_t i = 0; i < tokens->n; i++)
        printf("%s%d", i ? "," : "", (int)tokens->ids[i]);
    puts("]");
}

/* A piece as JSON: a string, or an array of bytes where it is only part of a UTF-8 character. */
static json_t *piece_json(const char *bytes, size_t n)
{
    json_t *string = json_stringn(bytes, n);
    if (string)
        return string;
    json_t *array = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(array, json_integer((unsigned char)bytes[i]));
    return array;
}

static bool print_pieces(const andiron_model *model, const struct tokens *tokens)
{
    json_t *all = json_array();
    for (size_t i = 0; i < tokens->n; i++) {
        size_t n = 0;
        const char *bytes = andiron_token_piece(model, tokens->ids[i], true, &n);
        json_array_append_new(all, json_pack("{s:i, s:o}", "id", (int)tokens->ids[i], "piece",
                                             piece_json(bytes ? bytes : "", bytes ? n : 0)));
    }
    bool ok = all && !json_dumpf(all, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(all);
    return ok || fail_memory();
}

static bool print_text(const andiron_model *model, const struct tokens *tokens, bool special)
{
    andiron_error error;
    size_t n = 0;
    if (andiron_detokenize(model, tokens->ids, tokens->n, special, NULL, 0, &n, &error))
        return fail_with(&error);
    char *room = malloc(n + 1);
    bool ok = room && !andiron_detokenize(model, tokens->ids, tokens->n, special, room, n, &n, &error);
    if (ok)
        fwrite(room, 1, n, stdout);
    else
        room ? fail_with(&error) : fail_memory();
    free(room);
    return ok;
}

static bool do_text(const andiron_model *model, const struct tokenize_args *args, const char *text, size_t n)
{
    struct tokens tokens = {0};
    unsigned flags = (args->bos ? ANDIRON_TOKENIZE_BOS : 0) | (args->special ? ANDIRON_TOKENIZE_SPECIAL : 0);
    bool ok = args->detokenize ? tokens_parse(&tokens, text, n, model_n_vocab(model))
                               : tokens_from_text(&tokens, model, text, n, flags);
    if (ok && args->detokenize)
        ok = print_text(model, &tokens, args->special);
    else if (ok && args->pieces)
        ok = print_pieces(model, &tokens);
    else if (ok)
        print_ids(&tokens);
    tokens_close(&tokens);
    return ok;
}

/* Each line on its own; ids answer with a line each, and so do texts. A last line without its newline counts. */
static bool do_lines(const andiron_model *model, const struct tokenize_args *args, struct text *text)
{
    for (size_t at = 0; at < text->n;) {
        char *end = memchr(text->bytes + at, '\n', text->n - at);
        size_t n = end ? (size_t)(end - text->bytes) - at : text->n - at;
        text->bytes[at + n] = '\0';
        if (!do_text(model, args, text->bytes + at, n))
            return false;
        if (args->detokenize)
            putchar('\n');
        at += n + 1;
    }
    return true;
}

static int run_tokenize(const struct command *command, int argc, char **argv)
{
    struct tokenize_args args = {0};
    struct arguments given;
    enum parse_result parsed = options_parse(command, argc, argv, &args, &given);
    if (parsed != PARSE_OK)
        return parsed == PARSE_HELP ? EXIT_DONE : EXIT_USAGE;
    if (args.detokenize && (args.pieces || args.bos))
        return usage_error(command, "--detokenize does not go with --pieces or --bos");
    if (args.file && given.items[1])
        return usage_error(command, "give either a text or --file");
    andiron_model *model;
    struct text text = {0};
    if (!model_open(&model, given.items[0], &args.model, 0, true))
        return EXIT_FAILED;
    bool ok;
    if (given.items[1])
        ok = text_add(&text, given.items[1], strlen(given.items[1])) || fail_memory();
    else
        ok = args.file ? text_read_path(&text, args.file) : text_read(&text, stdin, "standard input");
    if (ok)
        ok = args.lines ? do_lines(model, &args, &text) : do_text(model, &args, text.bytes, text.n);
    text_close(&text);
    andiron_model_close(model);
    return ok ? EXIT_DONE : EXIT_FAILED;
}

static const struct option_row options[] = {
    {"detokenize", 'd', OPTION_FLAG, NULL, "the other way: ids (1,2,3 or a JSON array) to bytes",
     offsetof(struct tokenize_args, detokenize), 0, 0},
    {"special", 0, OPTION_FLAG, NULL,
     "text that spells a control token becomes it; with -d, control tokens are spelled",
     offsetof(struct tokenize_args, special), 0, 0},
    {"pieces", 0, OPTION_FLAG, NULL, "each id with its piece of text (as bytes where it is not whole UTF-8)",
     offsetof(struct tokenize_args, pieces), 0, 0},
    {"bos", 0, OPTION_FLAG, NULL, "add what the model wants around a text (BOS, EOS)",
     offsetof(struct tokenize_args, bos), 0, 0},
    {"lines", 0, OPTION_FLAG, NULL, "each line on its own; answers one line for each",
     offsetof(struct tokenize_args, lines), 0, 0},
    {"file", 'f', OPTION_FILE, "FILE", "read the text from FILE; -: standard input",
     offsetof(struct tokenize_args, file), 0, 0},
    MODEL_OPTION_ROWS(struct tokenize_args),
};

const struct command command_tokenize = {
    .name = "tokenize",
    .arguments = "MODEL [TEXT]",
    .summary = "text to token ids as JSON, and back",
    .details = "Without TEXT the standard input is taken, every byte of it as it comes (a last newline too).",
    .examples = "andiron tokenize model.gguf \"Hello there\"\n"
                "andiron tokenize model.gguf --pieces < story.txt\n"
                "andiron tokenize model.gguf --detokenize 1,2,3",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .least_arguments = 1,
    .most_arguments = 2,
    .run = run_tokenize,
};
