/* input.c - libedit with history, and messages of several lines.
 *
 * The history is kept in $XDG_STATE_HOME/andiron/history where the folder $XDG_STATE_HOME/andiron (without the variable
 * ~/.local/state/andiron) is there; nothing is created for it. Characters are read here and not by libedit, which would
 * take up a read that Ctrl-C broke off. */
#include "input.h"
#include <errno.h>
#include <histedit.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wchar.h>

struct input {
    EditLine *edit;
    History *history;
    volatile sig_atomic_t *interrupted;
    const char *prompt;
    FILE *out;               /* the terminal: stdout may be elsewhere */
    char history_path[4096]; /* empty: none */
};

static char *give_prompt(EditLine *edit)
{
    static char prompt[8];
    struct input *input;
    el_get(edit, EL_CLIENTDATA, &input);
    snprintf(prompt, sizeof prompt, "%s", input->prompt);
    return prompt;
}

/* libedit's reader: 1 and a character, or -1 when there is none. */
static int read_character(EditLine *edit, wchar_t *out)
{
    struct input *input;
    mbstate_t state = {0};
    el_get(edit, EL_CLIENTDATA, &input);
    for (;;) {
        char byte;
        ssize_t n = read(STDIN_FILENO, &byte, 1);
        if (n < 0 && errno == EINTR && !*input->interrupted)
            continue; /* another signal, such as a new window size */
        if (n != 1)
            return -1;
        size_t used = mbrtowc(out, &byte, 1, &state);
        if (used == (size_t)-2)
            continue;
        if (used == (size_t)-1)
            *out = L'?';
        return 1;
    }
}

static void find_history(char *out, size_t n)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    struct stat s;
    int length = 0;
    if (state && *state)
        length = snprintf(out, n, "%s/andiron", state);
    else if (home && *home)
        length = snprintf(out, n, "%s/.local/state/andiron", home);
    if (length <= 0 || (size_t)length + sizeof "/history" > n || stat(out, &s) || !S_ISDIR(s.st_mode))
        *out = '\0';
    else
        memcpy(out + length, "/history", sizeof "/history");
}

struct input *input_open(const char *program, volatile sig_atomic_t *interrupted)
{
    struct input *input = calloc(1, sizeof *input);
    HistEvent event;
    if (!input)
        return NULL;
    /* Characters only: numbers keep their dots. Without a locale, UTF-8 all the same. */
    if (!setlocale(LC_CTYPE, "") || MB_CUR_MAX == 1)
        setlocale(LC_CTYPE, "C.UTF-8");
    input->interrupted = interrupted;
    input->prompt = ">>> ";
    input->out = isatty(STDOUT_FILENO) ? stdout : stderr;
    input->edit = el_init(program, stdin, input->out, stderr);
    input->history = history_init();
    if (!input->edit || !input->history) {
        input_close(input);
        return NULL;
    }
    el_set(input->edit, EL_CLIENTDATA, input);
    el_set(input->edit, EL_PROMPT, give_prompt);
    el_set(input->edit, EL_EDITOR, "emacs");
    el_set(input->edit, EL_SIGNAL, 0);
    el_set(input->edit, EL_HIST, history, input->history);
    el_set(input->edit, EL_GETCFN, read_character);
    el_source(input->edit, NULL);
    history(input->history, &event, H_SETSIZE, 1000);
    history(input->history, &event, H_SETUNIQUE, 1);
    find_history(input->history_path, sizeof input->history_path);
    if (input->history_path[0])
        history(input->history, &event, H_LOAD, input->history_path);
    return input;
}

void input_close(struct input *input)
{
    HistEvent event;
    if (!input)
        return;
    if (input->history && input->history_path[0])
        history(input->history, &event, H_SAVE, input->history_path);
    if (input->edit)
        el_end(input->edit);
    if (input->history)
        history_end(input->history);
    free(input);
}

/* One line without its newline. */
static enum input_result read_line(struct input *input, const char **line, size_t *n)
{
    int count = 0;
    *input->interrupted = 0;
    *line = el_gets(input->edit, &count);
    if (*input->interrupted) {
        *input->interrupted = 0;
        fprintf(input->out, "\n");
        return INPUT_INTERRUPTED;
    }
    if (!*line || count <= 0)
        return INPUT_END;
    *n = (size_t)count - ((*line)[count - 1] == '\n');
    return INPUT_MESSAGE;
}

static bool ends_with(const char *line, size_t n, const char *ending)
{
    size_t m = strlen(ending);
    return n >= m && !memcmp(line + n - m, ending, m);
}

/* Add one line to the message; *open tells whether more belongs to it. */
static bool add_line(struct text *message, const char *line, size_t n, bool *quoted, bool *open)
{
    bool first = !*open;
    if (first && n >= 3 && !memcmp(line, "\"\"\"", 3)) {
        *quoted = true;
        line += 3;
        n -= 3;
    }
    *open = *quoted ? !ends_with(line, n, "\"\"\"") : ends_with(line, n, "\\");
    size_t ending = *quoted ? (*open ? 0 : 3) : *open;
    bool ok = text_add(message, line, n - ending);
    return ok && (!*open || (*quoted && first && n == 0) || text_add(message, "\n", 1));
}

enum input_result input_read(struct input *input, struct text *message)
{
    bool quoted = false, open = false;
    HistEvent event;
    message->n = 0;
    input->prompt = ">>> ";
    do {
        const char *line;
        size_t n;
        enum input_result result = read_line(input, &line, &n);
        if (result != INPUT_MESSAGE)
            return result;
        if (n)
            history(input->history, &event, H_ENTER, line);
        if (!add_line(message, line, n, &quoted, &open)) {
            fail_memory();
            return INPUT_END;
        }
        input->prompt = "... ";
    } while (open);
    return INPUT_MESSAGE;
}
