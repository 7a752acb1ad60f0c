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
    drop_messages(c, 0);
    c->raw_text.n = 0;
    return !c->system || c->raw || add_message(c, "system", c->system);
}

static bool set_system(struct chat *c, const char *text)
{
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
    char arch_dir[4096];
    const struct run_args *args = c->answerer->args;
    andiron_model_options options = model_options(&args->model, arch_dir, sizeof arch_dir);
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
                    "Ctrl-C stops an answer; twice at the prompt it leaves.\n");
}

/* A line that begins with a slash. Sets *leave for /bye. */
static bool do_command(struct chat *c, const char *line, bool *leave)
{
    size_t n = strcspn(line, " \t\n");
    const char *rest = line + n + strspn(line + n, " \t\n");
    if (!strncmp(line, "/system", n) && n == 7)
        return set_system(c, rest);
    if (!strcmp(line, "/clear"))
        return clear(c);
    if (!strcmp(line, "/show"))
        show(c);
    else if (!strcmp(line, "/help") || !strcmp(line, "/?"))
        print_help();
    else if (!strcmp(line, "/bye") || !strcmp(line, "/exit") || !strcmp(line, "/quit"))
        *leave = true;
    else
        fprintf(stderr, "there is no command %.*s; /help tells which there are\n", (int)n, line);
    return true;
}

/* A message that could not be answered is forgotten, so that the next one can be. */
static bool reply_to(struct chat *c, const char *message)
{
    struct tokens prompt = {0};
    struct answerer *a = c->answerer;
    size_t n_before = c->n, raw_before = c->raw_text.n;
    bool ok;
    if (c->raw)
        ok = (text_add(&c->raw_text, message, strlen(message)) || fail_memory()) &&
             tokens_from_text(&prompt, a->model, c->raw_text.bytes, c->raw_text.n, ANDIRON_TOKENIZE_BOS);
    else
        ok = add_message(c, "user", message) && chat_prompt(&prompt, a->model, c->messages, c->n);
    ok = ok && answer(a, &prompt);
    if (ok)
        ok = c->raw ? text_add(&c->raw_text, a->text.bytes, a->text.n) || fail_memory()
                    : add_message(c, "assistant", a->text.bytes);
    if (!ok) {
        drop_messages(c, n_before);
        c->raw_text.n = raw_before;
        fprintf(stderr, "(the message was not added; /clear begins anew)\n");
    }
    tokens_close(&prompt);
    return ok;
}

static void talk(struct chat *c, struct input *input)
{
    struct text message = {0};
    int n_interrupts = 0;
    for (bool leave = false; !leave;) {
        enum input_result result = input_read(input, &message);
        if (result == INPUT_END)
            break;
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
    struct sigaction action = {.sa_handler = on_interrupt}, before; /* no SA_RESTART: reading a line must end */
    struct chat c = {.answerer = a, .path = path, .raw = raw};
    struct input *input = input_open("andiron", &interrupted);
    if (!input)
        return fail("the terminal cannot be used for a conversation; give a PROMPT");
    a->interrupted = &interrupted;
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
