/* chat.c - messages typed, answers given, both remembered. Ctrl-C stops an answer, not the program. */
#include "chat.h"
#include "input.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal_number)
{
    (void)signal_number;
    interrupted = 1;
}

struct chat {
    struct answerer *answerer;
    const char *path;
    char *system;              /* NULL: none */
    andiron_message *messages; /* contents are ours */
    size_t n, room;
    bool raw;
    struct text raw_text; /* all that was said, where `raw` */
};

static bool add_message(struct chat *c, const char *role, const char *content)
{
    if (c->n == c->room) {
        size_t room = c->room ? 2 * c->room : 16;
        andiron_message *grown = realloc(c->messages, room * sizeof *grown);
        if (!grown)
            return fail_memory();
        c->messages = grown;
        c->room = room;
    }
    char *copy = strdup(content);
    if (!copy)
        return fail_memory();
    c->messages[c->n++] = (andiron_message){.role = role, .content = copy};
    return true;
}

/* `content` is freed through a pointer that is not const. */
static void drop_messages(struct chat *c, size_t n_left)
{
    while (c->n > n_left) {
        union {
            const char *borrowed;
            char *owned;
        } content = {.borrowed = c->messages[--c->n].content};
        free(content.owned);
    }
}

static bool clear(struct chat *c)
{
    andiron_error error;
    drop_messages(c, 0);
    c->raw_text.n = 0;
    if (andiron_session_truncate(c->answerer->session, 0, &error))
        return fail_with(&error);
    return !c->system || c->raw || add_message(c, "system", c->system);
}

static bool set_system(struct chat *c, const char *text)
{
    if (c->raw)
        return fail("a system message needs a chat template, and this conversation goes without one");
    if (!*text) {
        fprintf(stderr, "%s\n", c->system ? c->system : "(no system message)");
        return true;
    }
    char *copy = strdup(text);
    if (!copy)
        return fail_memory();
    free(c->system);
    c->system = copy;
    fprintf(stderr, "system message set; the conversation begins anew\n");
    return clear(c);
}

static bool write_stderr(void *user, const char *text, size_t n)
{
    (void)user;
    return fwrite(text, 1, n, stderr) == n;
}

static void show(const struct chat *c)
{
    andiron_error error;
    struct model_paths paths;
    const struct run_args *args = c->answerer->args;
    andiron_model_options options = model_options(&args->model, &paths);
    if (andiron_describe(c->path, &options, args->ctx, args->kv_type, 0, write_stderr, NULL, &error))
        fail_with(&error);
}

static void print_help(void)
{
    fprintf(stderr, "  /help         this text\n"
                    "  /clear        begin anew\n"
                    "  /system TEXT  set the system message and begin anew; without TEXT, show it\n"
                    "  /show         what this model is\n"
                    "  /bye          leave (so does Ctrl-D)\n"
                    "A line that ends in \\ goes on in the next; \"\"\" begins and ends a text of several lines.\n"
                    "A pasted text of several lines is one message. A space before a slash makes it a message.\n"
                    "Arrow keys edit and recall. Ctrl-C stops an answer; twice at the empty prompt it leaves.\n");
}

enum slash { SLASH_UNKNOWN, SLASH_SYSTEM, SLASH_CLEAR, SLASH_SHOW, SLASH_HELP, SLASH_BYE };

/* Which command `line` is; only /system may have more on its line. */
static enum slash find_slash(const char *line, const char **rest)
{
    static const struct {
        const char *name;
        enum slash slash;
    } names[] = {{"/system", SLASH_SYSTEM}, {"/clear", SLASH_CLEAR}, {"/show", SLASH_SHOW}, {"/help", SLASH_HELP},
                 {"/?", SLASH_HELP},        {"/bye", SLASH_BYE},     {"/exit", SLASH_BYE},  {"/quit", SLASH_BYE}};
    size_t n = strcspn(line, " \t\n");
    *rest = line + n + strspn(line + n, " \t\n");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strlen(names[i].name) == n && !memcmp(names[i].name, line, n))
            return **rest && names[i].slash != SLASH_SYSTEM ? SLASH_UNKNOWN : names[i].slash;
    return SLASH_UNKNOWN;
}

/* A line that begins with a slash. Sets *leave for /bye. */
static void do_command(struct chat *c, const char *line, bool *leave)
{
    const char *rest;
    switch (find_slash(line, &rest)) {
    case SLASH_SYSTEM: set_system(c, rest); break;
    case SLASH_CLEAR:
        if (clear(c))
            fprintf(stderr, "the conversation begins anew\n");
        break;
    case SLASH_SHOW: show(c); break;
    case SLASH_HELP: print_help(); break;
    case SLASH_BYE: *leave = true; break;
    case SLASH_UNKNOWN:
        fprintf(stderr,
                "there is no command '%.*s'; /help tells which there are, a space in front makes it a message\n",
                (int)strcspn(line, "\n"), line);
        break;
    }
}

/* ---- the prompt of the next answer ---- */

/* Must something be forgotten before `prompt` is answered? A quarter of the context is kept for the answer. */
static bool is_crowded(const struct chat *c, size_t n_prompt)
{
    size_t room = andiron_session_capacity(c->answerer->session), wanted = room / 4, n = c->answerer->args->n;
    return n_prompt + (n && n < wanted ? n : wanted) > room;
}

static bool begin_session_anew(struct chat *c)
{
    andiron_error error;
    return !andiron_session_truncate(c->answerer->session, 0, &error) || fail_with(&error);
}

/* Drop `n` messages after the system message. */
static void forget_oldest(struct chat *c, size_t n)
{
    size_t first = c->system ? 1 : 0;
    struct chat oldest = {.messages = c->messages + first, .n = n};
    drop_messages(&oldest, 0);
    memmove(c->messages + first, c->messages + first + n, (c->n - first - n) * sizeof *c->messages);
    c->n -= n;
}

/* The prompt of all messages, or where that leaves too little room, of the system message and the latest that fill half
 * of the context; the others are forgotten. What cannot fit at all is left to answer(), which tells by how much. */
static bool prompt_of_messages(struct chat *c, struct tokens *prompt)
{
    const andiron_model *model = c->answerer->model;
    size_t first = c->system ? 1 : 0, room = andiron_session_capacity(c->answerer->session), n_forgotten = 0;
    if (!chat_prompt(prompt, model, c->messages, c->n))
        return false;
    if (!is_crowded(c, prompt->n) || c->n < first + 3)
        return true;
    andiron_message *rest = malloc(c->n * sizeof *rest);
    if (!rest)
        return fail_memory();
    bool ok = true;
    memcpy(rest, c->messages, c->n * sizeof *rest);
    for (size_t n = c->n; ok && prompt->n > room / 2 && n >= first + 3; n -= 2) {
        memmove(rest + first, rest + first + 2, (n - first - 2) * sizeof *rest);
        n_forgotten += 2;
        ok = chat_prompt(prompt, model, rest, n - 2);
    }
    free(rest);
    if (!ok || prompt->n > room)
        return ok;
    forget_oldest(c, n_forgotten);
    fprintf(stderr, "(the context of %zu tokens is full: the oldest %zu messages were forgotten; --ctx N holds more)\n",
            room, n_forgotten);
    return begin_session_anew(c);
}

/* Without a template the first half of the text is forgotten, up to the end of a word, until it fits. */
static bool prompt_of_text(struct chat *c, struct tokens *prompt)
{
    const struct answerer *a = c->answerer;
    struct text *text = &c->raw_text;
    unsigned flags = ANDIRON_TOKENIZE_BOS | (a->args->raw ? ANDIRON_TOKENIZE_SPECIAL : 0);
    bool forgot = false;
    for (;;) {
        if (!tokens_from_text(prompt, a->model, text->bytes, text->n, flags))
            return false;
        if (!is_crowded(c, prompt->n) || text->n < 2)
            break;
        size_t half = text->n / 2;
        while (half < text->n && !strchr(" \n", text->bytes[half]))
            half++;
        if (half == text->n)
            break;
        memmove(text->bytes, text->bytes + half, text->n - half + 1);
        text->n -= half;
        forgot = true;
    }
    if (!forgot)
        return true;
    fprintf(stderr,
            "(the context of %zu tokens is full: the older half of the text was forgotten; --ctx N holds more)\n",
            andiron_session_capacity(a->session));
    return begin_session_anew(c);
}

/* A message that was not answered is taken back, so that the next one can be. */
static void reply_to(struct chat *c, const char *message)
{
    struct tokens prompt = {0};
    struct answerer *a = c->answerer;
    size_t n_said = strlen(message);
    bool ok = c->raw ? text_add(&c->raw_text, message, n_said) || fail_memory() : add_message(c, "user", message);
    if (!ok)
        return;
    ok = (c->raw ? prompt_of_text(c, &prompt) : prompt_of_messages(c, &prompt)) && answer(a, &prompt);
    bool answered = ok && (a->text.n || a->result.reason != ANDIRON_STOP_CANCELLED);
    if (answered)
        answered = c->raw ? text_add(&c->raw_text, a->text.bytes, a->text.n) || fail_memory()
                          : add_message(c, "assistant", a->text.bytes);
    if (!answered) {
        if (c->raw)
            c->raw_text.n -= n_said < c->raw_text.n ? n_said : c->raw_text.n;
        else
            drop_messages(c, c->n - 1);
        fprintf(stderr, ok ? "(stopped; the message is not part of the conversation)\n"
                           : "(the message is not part of the conversation)\n");
    }
    tokens_close(&prompt);
}

static void talk(struct chat *c, struct input *input)
{
    struct text message = {0};
    int n_interrupts = 0;
    for (bool leave = false; !leave;) {
        enum input_result result = input_read(input, &message);
        if (result == INPUT_END)
            break;
        if (result == INPUT_DISCARDED) {
            n_interrupts = 0;
            continue;
        }
        if (result == INPUT_INTERRUPTED) {
            leave = ++n_interrupts == 2;
            if (!leave)
                fprintf(stderr, "(Ctrl-C again, Ctrl-D or /bye to leave)\n");
            continue;
        }
        n_interrupts = 0;
        if (!message.n)
            continue;
        if (message.bytes[0] == '/')
            do_command(c, message.bytes, &leave);
        else
            reply_to(c, message.bytes);
        interrupted = 0;
    }
    text_close(&message);
}

bool chat(struct answerer *a, const char *path, bool raw)
{
    struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = SA_RESTART}, before;
    struct chat c = {.answerer = a, .path = path, .raw = raw};
    struct input *input = input_open("andiron", &interrupted);
    if (!input)
        return fail("the terminal cannot be used for a conversation; give a PROMPT");
    a->interrupted = &interrupted;
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, &before);
    bool ok = !a->args->system || (c.system = strdup(a->args->system)) || fail_memory();
    ok = ok && clear(&c);
    if (ok) {
        fprintf(stderr, "/help tells what can be done here\n");
        talk(&c, input);
    }
    sigaction(SIGINT, &before, NULL);
    a->interrupted = NULL;
    drop_messages(&c, 0);
    free(c.messages);
    free(c.system);
    text_close(&c.raw_text);
    input_close(input);
    return ok;
}
