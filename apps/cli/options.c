/* options.c - reads a command line by its command's table. */
#include "options.h"
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int usage_error(const struct command *command, const char *format, ...)
{
    va_list args;
    fprintf(stderr, "andiron: ");
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "; see andiron %s --help\n", command->name);
    return EXIT_USAGE;
}

static bool is_one_of(const char *text, const char *choices)
{
    size_t n = strlen(text);
    for (const char *at = choices; n && at; at = strchr(at, '|') ? strchr(at, '|') + 1 : NULL)
        if (!strncmp(at, text, n) && (at[n] == '|' || at[n] == '\0'))
            return true;
    return false;
}

static bool read_whole(const char *text, double least, double most, double *out)
{
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    *out = (double)value;
    return end != text && *end == '\0' && !errno && *out >= least && *out <= most;
}

static bool read_number(const char *text, double least, double most, float *out)
{
    char *end;
    double value = strtod(text, &end);
    *out = (float)value;
    return end != text && *end == '\0' && isfinite(value) && value >= least && value <= most;
}

static bool read_seed(const char *text, uint64_t *out)
{
    char *end;
    errno = 0;
    *out = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && *end == '\0' && !errno;
}

static int bad_value(const struct command *command, const struct option_row *row, const char *text)
{
    if (row->kind == OPTION_TEXT)
        return usage_error(command, "--%s is one of %s, not '%s'", row->name, row->value, text);
    if (row->kind == OPTION_SEED)
        return usage_error(command, "--%s takes a whole number, not '%s'", row->name, text);
    if (row->kind == OPTION_LIST)
        return usage_error(command, "--%s may be given %zu times at most", row->name, (size_t)MOST_REPEATED);
    if (row->kind == OPTION_NUMBER)
        return usage_error(command, "--%s takes a number from %g to %g, not '%s'", row->name, row->least, row->most,
                           text);
    return usage_error(command, "--%s takes a whole number from %.0f to %.0f, not '%s'", row->name, row->least,
                       row->most, text);
}

static bool store_value(const struct option_row *row, const char *text, char *field)
{
    double whole = 0;
    switch (row->kind) {
    case OPTION_FLAG: *(bool *)(void *)field = true; return true;
    case OPTION_SEED: return read_seed(text, (uint64_t *)(void *)field);
    case OPTION_NUMBER: return read_number(text, row->least, row->most, (float *)(void *)field);
    case OPTION_TEXT:
    case OPTION_FILE:
        *(const char **)(void *)field = text;
        return !strchr(row->value, '|') || is_one_of(text, row->value);
    case OPTION_INT:
        if (!read_whole(text, row->least, row->most, &whole))
            return false;
        *(int *)(void *)field = (int)whole;
        return true;
    case OPTION_SIZE:
        if (!read_whole(text, row->least, row->most, &whole))
            return false;
        *(size_t *)(void *)field = (size_t)whole;
        return true;
    case OPTION_LIST: break;
    }
    struct text_list *list = (void *)field;
    if (list->n == MOST_REPEATED)
        return false;
    list->items[list->n++] = text;
    return true;
}

/* The row named by "--name", "--name=value", "-x" or "-xVALUE"; *inline_value points to the value or is NULL. */
static const struct option_row *find_row(const struct command *command, const char *word, const char **inline_value)
{
    *inline_value = NULL;
    bool is_long = word[1] == '-';
    const char *name = is_long ? word + 2 : word + 1, *equals = is_long ? strchr(name, '=') : NULL;
    size_t n = equals ? (size_t)(equals - name) : strlen(name);
    for (size_t i = 0; i < command->n_options; i++) {
        const struct option_row *row = &command->options[i];
        bool same = is_long ? strlen(row->name) == n && !memcmp(row->name, name, n)
                            : row->letter == *name && (n == 1 || row->kind != OPTION_FLAG);
        if (!same)
            continue;
        *inline_value = is_long ? (equals ? equals + 1 : NULL) : n > 1 ? name + 1 : NULL;
        return row;
    }
    return NULL;
}

/* One option at argv[*at]; moves *at past its value. */
static enum parse_result parse_option(const struct command *command, int argc, char **argv, int *at, char *values)
{
    const char *word = argv[*at], *value;
    const struct option_row *row = find_row(command, word, &value);
    if (!row)
        return usage_error(command, "%s has no option '%s'%s", command->name, word,
                           command->most_arguments > 1 ? " (a text that begins with a dash goes after --)" : ""),
               PARSE_USAGE;
    if (row->kind == OPTION_FLAG) {
        if (value)
            return usage_error(command, "--%s takes no value", row->name), PARSE_USAGE;
    } else if (!value) {
        if (*at + 1 == argc)
            return usage_error(command, "'%s' wants a value", word), PARSE_USAGE;
        value = argv[++*at];
    }
    if (!store_value(row, value, values + row->offset))
        return bad_value(command, row, value), PARSE_USAGE;
    return PARSE_OK;
}

static bool asks_for_help(int argc, char **argv)
{
    for (int i = 0; i < argc && strcmp(argv[i], "--"); i++)
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
            return true;
    return false;
}

enum parse_result options_parse(const struct command *command, int argc, char **argv, void *values,
                                struct arguments *arguments)
{
    *arguments = (struct arguments){0};
    if (asks_for_help(argc, argv)) {
        help_print(command);
        return PARSE_HELP;
    }
    bool only_arguments = false;
    for (int i = 0; i < argc; i++) {
        if (!only_arguments && !strcmp(argv[i], "--")) {
            only_arguments = true;
        } else if (!only_arguments && argv[i][0] == '-' && argv[i][1]) {
            if (parse_option(command, argc, argv, &i, values) != PARSE_OK)
                return PARSE_USAGE;
        } else if (arguments->n == command->most_arguments) {
            return usage_error(command, "one argument too many: '%s' (quote a text that has spaces)", argv[i]),
                   PARSE_USAGE;
        } else {
            arguments->items[arguments->n++] = argv[i];
        }
    }
    if (arguments->n < command->least_arguments)
        return usage_error(command, "%s wants %s", command->name, command->arguments), PARSE_USAGE;
    return PARSE_OK;
}
