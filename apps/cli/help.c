/* help.c - a command's table printed: for people, and as JSON for tools/cli_docs.py. */
#include "andiron.h"
#include "options.h"
#include <jansson.h>
#include <stdio.h>
#include <string.h>

/* The option's form in the left column: "-n, --max-tokens N". */
static int format_option(const struct option_row *row, char *out, size_t n)
{
    char letter[8] = "    ";
    if (row->letter)
        snprintf(letter, sizeof letter, "-%c, ", row->letter);
    return snprintf(out, n, "%s--%s%s%s", letter, row->name, row->value ? " " : "", row->value ? row->value : "");
}

/* A form too long to have its help beside it: over as many lines as its choices need, the help below. */
static void print_long(const char *form, int widest, const char *help)
{
    int column = printf("  ");
    while (*form) {
        const int n = (int)strcspn(form, "|") + (strchr(form, '|') != NULL);
        if (column + n > 110)
            column = printf("\n      ") - 1;
        column += printf("%.*s", n, form);
        form += n;
    }
    printf("\n  %-*s  %s\n", widest, "", help);
}

static void print_options(const struct command *command)
{
    char form[256];
    int widest = 10;
    for (size_t i = 0; i < command->n_options; i++) {
        int n = format_option(&command->options[i], form, sizeof form);
        if (n > widest && n <= 32)
            widest = n;
    }
    printf("\nOptions:\n");
    for (size_t i = 0; i < command->n_options; i++) {
        format_option(&command->options[i], form, sizeof form);
        if (strlen(form) > 64)
            print_long(form, widest, command->options[i].help);
        else
            printf("  %-*s  %s\n", widest, form, command->options[i].help);
    }
    printf("  %-*s  %s\n", widest, "-h, --help", "this text");
}

static void print_indented(const char *lines)
{
    for (const char *at = lines; *at;) {
        size_t n = strcspn(at, "\n");
        printf("  %.*s\n", (int)n, at);
        at += n + (at[n] == '\n');
    }
}

void help_print(const struct command *command)
{
    printf("andiron %s - %s\n\nUsage: andiron %s [options] %s\n", command->name, command->summary, command->name,
           command->arguments);
    if (command->details)
        printf("\n%s\n", command->details);
    print_options(command);
    printf("\nExamples:\n");
    print_indented(command->examples);
}

static json_t *dump_option(const struct option_row *row)
{
    char letter[2] = {row->letter, '\0'};
    return json_pack("{s:s, s:s, s:s?, s:s, s:b}", "name", row->name, "letter", letter, "value", row->value, "help",
                     row->help, "file", row->kind == OPTION_FILE);
}

static json_t *dump_command(const struct command *command)
{
    json_t *options = json_array();
    for (size_t i = 0; i < command->n_options; i++)
        json_array_append_new(options, dump_option(&command->options[i]));
    return json_pack("{s:s, s:s, s:s, s:s?, s:s, s:o}", "name", command->name, "arguments", command->arguments,
                     "summary", command->summary, "details", command->details, "examples", command->examples, "options",
                     options);
}

int help_dump(const struct command *const *commands, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, dump_command(commands[i]));
    json_t *all = json_pack("{s:s, s:o}", "version", andiron_version(), "commands", list);
    int bad = json_dumpf(all, stdout, JSON_INDENT(1));
    json_decref(all);
    printf("\n");
    return bad ? EXIT_FAILED : EXIT_DONE;
}
