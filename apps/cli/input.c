/* input.c - libedit with history, and messages of several lines.
 *
 * The history is kept in $XDG_STATE_HOME/andiron/history (without the variable: ~/.local/state/andiron/history), for
 * the user's eyes only, and saved after each message. Characters are read here and not by libedit, which would take up
 * a read that Ctrl-C broke off. A terminal that knows bracketed paste (xterm's control sequences, mode 2004) says where
 * pasted text begins and ends. */
#include "input.h"
#include <errno.h>
#include <histedit.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
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
    FILE *out;     /* the terminal: stdout may be elsewhere */
    bool brackets; /* the terminal is asked to mark what is pasted */
    bool pasting;  /* between the marks */
    bool pasted;   /* the line that was read last ended between them */
    bool typed;    /* something stood in the line that Ctrl-C ended */
    int held;      /* a byte read too early, or -1 */
    struct sigaction before_winch, before_cont;
    char history_path[4096]; /* empty: none */
};

static volatile sig_atomic_t resized, woken;

static void on_window(int signal_number)
{
    (void)signal_number;
    resized = 1;
}

static void on_wake(int signal_number)
{
    (void)signal_number;
    woken = 1;
}

static char *give_prompt(EditLine *edit)
{
    static char prompt[8];
    struct input *input;
    el_get(edit, EL_CLIENTDATA, &input);
    snprintf(prompt, sizeof prompt, "%s", input->prompt);
    return prompt;
}

static void answer_signals(struct input *input)
{
    if (resized)
        el_resize(input->edit);
    if (woken) { /* after Ctrl-Z and fg the terminal is as the shell left it */
        el_set(input->edit, EL_PREP_TERM, 1);
        el_set(input->edit, EL_REFRESH);
    }
    resized = woken = 0;
}

/* Wait for a byte: 1 and the byte, 0 at the end, -1 when interrupted. Signals are let in only while it waits, so that
 * none comes between looking at the flags and waiting. */
static int read_byte(struct input *input, unsigned char *byte)
{
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    sigset_t ours, before;
    int result = -2;
    if (input->held >= 0) {
        *byte = (unsigned char)input->held;
        input->held = -1;
        return 1;
    }
    sigemptyset(&ours);
    sigaddset(&ours, SIGINT);
    sigaddset(&ours, SIGWINCH);
    sigaddset(&ours, SIGCONT);
    sigprocmask(SIG_BLOCK, &ours, &before);
    while (result == -2) {
        if (*input->interrupted) {
            result = -1;
        } else if (resized || woken) {
            answer_signals(input);
        } else if (ppoll(&in, 1, NULL, &before) < 0) {
            result = errno == EINTR ? -2 : 0;
        } else {
            ssize_t n = read(STDIN_FILENO, byte, 1);
            result = n == 1 ? 1 : n < 0 && (errno == EINTR || errno == EAGAIN) ? -2 : 0;
        }
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    return result;
}

/* libedit's reader: 1 and a character, or -1 when there is none. */
static int read_character(EditLine *edit, wchar_t *out)
{
    struct input *input;
    mbstate_t state = {0};
    unsigned char byte;
    el_get(edit, EL_CLIENTDATA, &input);
    for (bool first = true;; first = false) {
        if (read_byte(input, &byte) != 1) {
            const LineInfo *line = el_line(edit);
            input->typed = line->lastchar > line->buffer;
            return -1;
        }
        size_t used = mbrtowc(out, (const char *)&byte, 1, &state);
        if (used == (size_t)-2)
            continue;
        if (used == (size_t)-1) {
            *out = L'\xfffd';
            if (!first)
                input->held = byte; /* it broke off the character before it and may begin another */
        }
        input->pasted = input->pasting && (*out == L'\n' || *out == L'\r');
        return 1;
    }
}

static unsigned char begin_paste(EditLine *edit, int key)
{
    struct input *input;
    (void)key;
    el_get(edit, EL_CLIENTDATA, &input);
    input->pasting = true;
    return CC_NORM;
}

static unsigned char end_paste(EditLine *edit, int key)
{
    struct input *input;
    (void)key;
    el_get(edit, EL_CLIENTDATA, &input);
    input->pasting = false;
    return CC_NORM;
}

/* Create the folders of `path`, which is followed by a slash each. True when all of them are there. */
static bool make_folders(char *path)
{
    for (char *at = path + 1; (at = strchr(at, '/')); at++) {
        *at = '\0';
        bool ok = !mkdir(path, 0700) || errno == EEXIST;
        *at = '/';
        if (!ok)
            return false;
    }
    return true;
}

static void find_history(char *out, size_t n)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    int length = 0;
    if (state && *state)
        length = snprintf(out, n, "%s/andiron/history", state);
    else if (home && *home)
        length = snprintf(out, n, "%s/.local/state/andiron/history", home);
    if (length <= 0 || (size_t)length >= n || *out != '/' || !make_folders(out))
        *out = '\0';
}

static void set_up_edit(struct input *input)
{
    EditLine *edit = input->edit;
    el_set(edit, EL_CLIENTDATA, input);
    el_set(edit, EL_PROMPT, give_prompt);
    el_set(edit, EL_EDITOR, "emacs");
    el_set(edit, EL_SIGNAL, 0);
    el_set(edit, EL_HIST, history, input->history);
    el_set(edit, EL_GETCFN, read_character);
    /* The wide form keeps these pointers; the other one copies them and never frees the copies. */
    el_wset(edit, EL_ADDFN, L"begin-paste", L"what follows is pasted", begin_paste);
    el_wset(edit, EL_ADDFN, L"end-paste", L"what follows is typed", end_paste);
    el_set(edit, EL_BIND, "\033[200~", "begin-paste", NULL);
    el_set(edit, EL_BIND, "\033[201~", "end-paste", NULL);
    el_set(edit, EL_BIND, "\t", "ed-insert", NULL);
    el_source(edit, NULL);
}

static void set_up_history(struct input *input)
{
    HistEvent event;
    history(input->history, &event, H_SETSIZE, 1000);
    history(input->history, &event, H_SETUNIQUE, 1);
    find_history(input->history_path, sizeof input->history_path);
    if (input->history_path[0])
        history(input->history, &event, H_LOAD, input->history_path);
}

struct input *input_open(const char *program, volatile sig_atomic_t *interrupted)
{
    struct input *input = calloc(1, sizeof *input);
    struct sigaction window = {.sa_handler = on_window, .sa_flags = SA_RESTART},
                     wake = {.sa_handler = on_wake, .sa_flags = SA_RESTART};
    const char *terminal = getenv("TERM");
    if (!input)
        return NULL;
    /* Characters only: numbers keep their dots. Messages are UTF-8 whatever the locale. */
    if (!setlocale(LC_CTYPE, "") || strcmp(nl_langinfo(CODESET), "UTF-8"))
        setlocale(LC_CTYPE, "C.UTF-8");
    input->interrupted = interrupted;
    input->prompt = ">>> ";
    input->held = -1;
    input->out = isatty(STDOUT_FILENO) ? stdout : stderr;
    input->brackets = isatty(fileno(input->out)) && terminal && strcmp(terminal, "dumb");
    sigaction(SIGWINCH, &window, &input->before_winch);
    sigaction(SIGCONT, &wake, &input->before_cont);
    input->edit = el_init(program, stdin, input->out, stderr);
    input->history = history_init();
    if (!input->edit || !input->history) {
        input_close(input);
        return NULL;
    }
    set_up_edit(input);
    set_up_history(input);
    return input;
}

void input_close(struct input *input)
{
    if (!input)
        return;
    if (input->edit)
        el_end(input->edit);
    if (input->history)
        history_end(input->history);
    sigaction(SIGWINCH, &input->before_winch, NULL);
    sigaction(SIGCONT, &input->before_cont, NULL);
    free(input);
}

static void ask_for_brackets(const struct input *input, bool on)
{
    if (input->brackets) {
        fputs(on ? "\033[?2004h" : "\033[?2004l", input->out);
        fflush(input->out);
    }
}

/* All of it under another name first: what was kept before is not lost when this is broken off. */
static void save_history(struct input *input)
{
    char unfinished[sizeof input->history_path + 32];
    HistEvent event;
    if (!input->history_path[0])
        return;
    snprintf(unfinished, sizeof unfinished, "%s.%ld", input->history_path, (long)getpid());
    if (history(input->history, &event, H_SAVE, unfinished) < 0 || rename(unfinished, input->history_path))
        remove(unfinished);
}

/* One line without its newline. */
static enum input_result read_line(struct input *input, const char **line, size_t *n)
{
    int count = 0;
    *input->interrupted = 0;
    input->pasted = false;
    el_set(input->edit, EL_PREP_TERM, 1); /* before the prompt: whoever sees it may type, and press Ctrl-C */
    *line = el_gets(input->edit, &count);
    if (*input->interrupted) {
        *input->interrupted = 0;
        fprintf(input->out, "\n");
        return input->typed ? INPUT_DISCARDED : INPUT_INTERRUPTED;
    }
    if (!*line || count <= 0) {
        fprintf(input->out, "\n");
        return INPUT_END;
    }
    *n = (size_t)count - ((*line)[count - 1] == '\n');
    return INPUT_MESSAGE;
}

static bool ends_with(const char *line, size_t n, const char *ending)
{
    size_t m = strlen(ending);
    return n >= m && !memcmp(line + n - m, ending, m);
}

struct parts {
    bool quoted, open;
};

/* Add one line to the message; parts->open tells whether more belongs to it. */
static bool add_line(struct text *message, const char *line, size_t n, bool pasted, struct parts *parts)
{
    bool first = !parts->open, begins = first && !pasted && n >= 3 && !memcmp(line, "\"\"\"", 3);
    size_t ending = 0;
    if (begins) {
        parts->quoted = true;
        line += 3;
        n -= 3;
    }
    if (parts->quoted) {
        parts->open = !ends_with(line, n, "\"\"\"");
        ending = parts->open ? 0 : 3;
    } else {
        ending = !pasted && ends_with(line, n, "\\");
        parts->open = pasted || ending;
    }
    bool ok = text_add(message, line, n - ending);
    return ok && (!parts->open || (begins && n == 0) || text_add(message, "\n", 1));
}

static enum input_result read_lines(struct input *input, struct text *message)
{
    struct parts parts = {0};
    HistEvent event;
    do {
        const char *line;
        size_t n;
        enum input_result result = read_line(input, &line, &n);
        if (result != INPUT_MESSAGE)
            return result == INPUT_INTERRUPTED && parts.open ? INPUT_DISCARDED : result;
        if (n)
            history(input->history, &event, H_ENTER, line);
        if (!add_line(message, line, n, input->pasted, &parts)) {
            fail_memory();
            return INPUT_END;
        }
        input->prompt = "... ";
    } while (parts.open);
    if (message->n)
        save_history(input);
    return INPUT_MESSAGE;
}

enum input_result input_read(struct input *input, struct text *message)
{
    message->n = 0;
    input->prompt = ">>> ";
    input->pasting = false;
    ask_for_brackets(input, true);
    enum input_result result = read_lines(input, message);
    ask_for_brackets(input, false);
    return result;
}
