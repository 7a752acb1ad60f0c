/* options.h - a command's options and arguments as a table, and the parser that reads them.
 *
 * One table per command drives parsing, --help, the shell completions and the man page (tools/cli_docs.py makes the
 * last two from `andiron help --dump`). A command's values live in its own struct; an option says where by offsetof. */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

enum { MOST_REPEATED = 64 };

/* An option that may be given again and again; the strings belong to argv. */
struct text_list {
    const char *items[MOST_REPEATED];
    size_t n;
};

enum option_kind {
    OPTION_FLAG,   /* bool */
    OPTION_INT,    /* int, from least to most */
    OPTION_SIZE,   /* size_t, from least to most */
    OPTION_SEED,   /* uint64_t */
    OPTION_NUMBER, /* float, from least to most */
    OPTION_TEXT,   /* const char *, belongs to argv */
    OPTION_FILE,   /* as OPTION_TEXT; shells complete file names */
    OPTION_LIST,   /* struct text_list */
};

struct option_row {
    const char *name; /* without its dashes */
    char letter;      /* of the short form, or 0 */
    enum option_kind kind;
    const char *value; /* the value's name in help; for OPTION_TEXT "a|b|c" lists what is allowed; NULL: a flag */
    const char *help;
    size_t offset; /* in the command's struct */
    double least, most;
};

enum { MOST_ARGUMENTS = 2 };

struct command {
    const char *name;
    const char *arguments; /* as in usage: "MODEL [PROMPT]" */
    const char *summary;   /* one line */
    const char *details;   /* lines after the usage */
    const char *examples;  /* lines, each a command */
    const struct option_row *options;
    size_t n_options;
    int least_arguments, most_arguments;
    /* `argv` holds what stands after the command's name; returns an exit status. */
    int (*run)(const struct command *command, int argc, char **argv);
};

struct arguments {
    const char *items[MOST_ARGUMENTS]; /* NULL where not given */
    int n;
};

enum parse_result {
    PARSE_OK,
    PARSE_HELP,  /* --help was asked for and printed: leave with EXIT_DONE */
    PARSE_USAGE, /* a mistake, said on stderr: leave with EXIT_USAGE */
};

/* Read `argv` into `values`, which the caller has filled with the defaults, and `arguments`. Options and arguments may
 * be mixed; after `--` nothing is an option. */
enum parse_result options_parse(const struct command *command, int argc, char **argv, void *values,
                                struct arguments *arguments);
/* For commands to say what is wrong with a combination: prints and returns EXIT_USAGE. */
int usage_error(const struct command *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

void help_print(const struct command *command);
/* All commands with their options as one JSON object on stdout. */
int help_dump(const struct command *const *commands, size_t n);

extern const struct command command_run, command_show, command_tokenize, command_logits, command_perplexity,
    command_embed, command_convert, command_import, command_bench;

#endif
