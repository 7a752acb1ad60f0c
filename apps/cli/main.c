/* main.c - picks the command. Exit status: 0 done, 1 failed, 2 wrong usage. */
#include "andiron.h"
#include "model.h"
#include "options.h"
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct command *const commands[] = {&command_run,     &command_show,       &command_tokenize,
                                                 &command_logits,  &command_perplexity, &command_embed,
                                                 &command_convert, &command_import,     &command_bench};
enum { N_COMMANDS = sizeof commands / sizeof *commands };

static void print_overview(FILE *out)
{
    fprintf(out,
            "andiron %s runs language models on the machine you have.\n\nUsage: andiron COMMAND [options] MODEL ...\n"
            "\nCommands:\n",
            andiron_version());
    for (size_t i = 0; i < N_COMMANDS; i++)
        fprintf(out, "  %-11s %s\n", commands[i]->name, commands[i]->summary);
    fprintf(out, "  %-11s %s\n", "help", "this text, or a command's: andiron help COMMAND");
    fprintf(out, "\nExamples:\n"
                 "  andiron run model.gguf \"Why is the sky blue?\"\n"
                 "  andiron run model.gguf\n"
                 "  andiron run --help\n");
}

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < N_COMMANDS; i++)
        if (!strcmp(commands[i]->name, name))
            return commands[i];
    return NULL;
}

static int unknown_command(const char *name)
{
    fprintf(stderr, "andiron: there is no command '%s'; see andiron help\n", name);
    return EXIT_USAGE;
}

static bool asks_for_overview(const char *word)
{
    return !strcmp(word, "help") || !strcmp(word, "--help") || !strcmp(word, "-h");
}

static int help(int argc, char **argv)
{
    if (argc < 1 || asks_for_overview(argv[0])) {
        print_overview(stdout);
        return EXIT_DONE;
    }
    if (!strcmp(argv[0], "--dump"))
        return help_dump(commands, N_COMMANDS);
    const struct command *command = find_command(argv[0]);
    if (!command)
        return unknown_command(argv[0]);
    help_print(command);
    return EXIT_DONE;
}

static int dispatch(int argc, char **argv)
{
    if (argc < 2) {
        print_overview(stderr);
        return EXIT_USAGE;
    }
    const char *word = argv[1];
    if (asks_for_overview(word))
        return help(argc - 2, argv + 2);
    if (!strcmp(word, "--version") || !strcmp(word, "version")) {
        printf("andiron %s\n", andiron_version());
        return EXIT_DONE;
    }
    const struct command *command = find_command(word);
    return command ? command->run(command, argc - 2, argv + 2) : unknown_command(word);
}

/* A stream that the caller closed must not become the next file that is opened. What is written to such a stdout still
 * fails, because it is open for reading only. */
static void hold_standard_streams(void)
{
    int fd;
    while ((fd = open("/dev/null", O_RDONLY)) >= 0 && fd <= STDERR_FILENO)
        continue;
    if (fd >= 0)
        close(fd);
}

/* Did the program that read our output go away (head, less)? That is its choice and no mistake to report. */
static bool reader_left(void)
{
    struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};
    return poll(&out, 1, 0) == 1 && (out.revents & (POLLERR | POLLHUP));
}

int main(int argc, char **argv)
{
    model_mark_start();
    hold_standard_streams();
    signal(SIGPIPE, SIG_IGN); /* a failed write is seen below */
    int status = dispatch(argc, argv);
    /* What could not be written was not done. */
    if (fflush(stdout) || ferror(stdout)) {
        if (!reader_left())
            fprintf(stderr, "andiron: the output could not be written whole\n");
        return status == EXIT_DONE ? EXIT_FAILED : status;
    }
    return status;
}
