/* answer.c - the loop around andiron_generate: what is written goes to stdout at once and is remembered. */
#include "answer.h"
#include <string.h>
#include <unistd.h>

enum { LEAST_STEP = 16, FIRST_STEP = 64, MOST_STEP = 512 };

static bool is_interrupted(const struct answerer *a) { return a->interrupted && *a->interrupted; }

/* Bytes at the beginning of `text` that would drive a terminal: controls, except those that lay out text. */
static size_t n_control(const char *text, size_t n)
{
    unsigned char c = (unsigned char)text[0], next = n > 1 ? (unsigned char)text[1] : 0;
    if (c == 0xc2 && next >= 0x80 && next < 0xa0)
        return 2;
    return (c < 0x20 && c != '\n' && c != '\t' && c != '\r') || c == 0x7f;
}

/* A model may say anything, and who wrote its prompt may know what. Only a file or a pipe gets every byte. */
static bool write_out(const char *text, size_t n)
{
    if (!isatty(STDOUT_FILENO))
        return fwrite(text, 1, n, stdout) == n;
    for (size_t i = 0, m; i < n; i += m) {
        size_t control = n_control(text + i, n - i);
        m = control ? control : 1;
        if (control ? fputs("\xef\xbf\xbd", stdout) < 0 : fwrite(text + i, 1, 1, stdout) != 1)
            return false;
    }
    return true;
}

static bool write_piece(void *user, const char *text, size_t n)
{
    struct answerer *a = user;
    if (n && (!write_out(text, n) || fflush(stdout)))
        return false;
    return text_add(&a->text, text, n) && !is_interrupted(a);
}

/* Where reading a prompt has come to. */
struct reading {
    size_t step, done;
    double began, shown;
};

/* Steps of about half a second: Ctrl-C is heard, progress is seen, and nothing is lost by small steps. */
static void adapt_step(struct reading *r, double seconds)
{
    if (seconds < 0.25 && r->step < MOST_STEP)
        r->step *= 2;
    else if (seconds > 0.5 && r->step > LEAST_STEP)
        r->step /= 2;
}

static void show_reading(struct reading *r, size_t n_prompt)
{
    double now = model_seconds();
    if (now - r->began < 1 || now - r->shown < 0.2)
        return;
    fprintf(stderr, "\rreading the prompt: %zu of %zu tokens", r->done, n_prompt);
    r->shown = now;
}

/* The first step covers what the session may hold already and a little more: it computes the little only. *n_done tells
 * how far it came. */
static bool read_in_steps(struct answerer *a, const struct tokens *prompt, size_t *n_kept, size_t *n_done)
{
    andiron_error error;
    double began = model_seconds();
    struct reading r = {FIRST_STEP, andiron_session_length(a->session), began, began};
    size_t kept = 0;
    for (bool first = true; (first || r.done < prompt->n) && !is_interrupted(a); first = false) {
        double from = model_seconds();
        r.done = prompt->n < r.done + r.step ? prompt->n : r.done + r.step;
        if (andiron_session_sync(a->session, prompt->ids, r.done, &kept, &error))
            return fail_with(&error);
        if (first)
            *n_kept = kept;
        *n_done = r.done;
        adapt_step(&r, model_seconds() - from);
        if (a->show_progress)
            show_reading(&r, prompt->n);
    }
    if (r.shown > began)
        fprintf(stderr, "\r\033[K");
    return true;
}

/* The prompt is the source of a text that begins here, with what --begin or the file says. */
static bool read_source(struct answerer *a, const struct tokens *prompt)
{
    andiron_error error;
    andiron_model_info info;
    struct tokens begin = {0};
    const char *said = a->args->begin;
    andiron_model_get_info(a->model, &info);
    if (said && !tokens_from_text(&begin, a->model, said, strlen(said), ANDIRON_TOKENIZE_SPECIAL))
        return false;
    const andiron_token *next = said ? begin.ids : &info.forced_token;
    const size_t n_next = said ? begin.n : info.forced_token >= 0;
    bool ok = !(andiron_session_read_source(a->session, prompt->ids, prompt->n, &error) ||
                andiron_session_append(a->session, &info.first_token, 1, &error) ||
                (n_next && andiron_session_append(a->session, next, n_next, &error))) ||
              fail_with(&error);
    tokens_close(&begin);
    return ok;
}

static bool read_prompt(struct answerer *a, const struct tokens *prompt, size_t *n_kept, size_t *n_done)
{
    andiron_error error;
    *n_done = prompt->n;
    if (model_reads_source(a->model))
        return read_source(a, prompt);
    size_t room = andiron_session_capacity(a->session);
    if (prompt->n > room)
        return fail("the prompt has %zu tokens, but the context holds %zu; shorten it or give a larger --ctx",
                    prompt->n, room);
    if (a->interrupted || a->show_progress)
        return read_in_steps(a, prompt, n_kept, n_done);
    return !andiron_session_sync(a->session, prompt->ids, prompt->n, n_kept, &error) || fail_with(&error);
}

static void print_timings(const struct answerer *a, size_t n_prompt, size_t n_kept, double prompt_s)
{
    size_t n_read = n_prompt - n_kept, n = a->result.n_tokens;
    double total_s = (double)a->result.total_ns * 1e-9;
    fprintf(stderr, "prompt %zu tokens (%zu kept), %.2f s, %.1f tokens/s; answer %zu tokens, %.2f s, %.1f tokens/s\n",
            n_prompt, n_kept, prompt_s, prompt_s > 0 ? (double)n_read / prompt_s : 0, n, total_s,
            total_s > 0 ? (double)n / total_s : 0);
}

static bool generate(struct answerer *a, andiron_sampler *sampler, const struct tokens *prompt)
{
    andiron_error error;
    size_t n_kept = 0, n_done = 0;
    andiron_generate_options options = {
        .max_tokens = a->args->n,
        .stop = a->args->stop.items,
        .n_stop = a->args->stop.n,
        .write = write_piece,
        .user = a,
    };
    for (size_t i = 0; i < prompt->n; i++)
        andiron_sampler_accept(sampler, prompt->ids[i]);
    double from = model_seconds();
    if (!read_prompt(a, prompt, &n_kept, &n_done))
        return false;
    if (n_done < prompt->n) {
        a->result = (andiron_generate_result){.reason = ANDIRON_STOP_CANCELLED};
        return true;
    }
    double prompt_s = model_seconds() - from;
    if (andiron_generate(a->session, sampler, &options, &a->result, &error))
        return fail_with(&error);
    if (a->text.n == 0 || a->text.bytes[a->text.n - 1] != '\n')
        putchar('\n');
    if (fflush(stdout) || ferror(stdout))
        return true; /* main tells that, where someone is to be told */
    if (a->result.reason == ANDIRON_STOP_FULL)
        fprintf(stderr, "andiron: the answer was cut: the context of %zu tokens is full; --ctx N gives more%s\n",
                andiron_session_capacity(a->session), a->interrupted ? ", and a new message goes on here" : "");
    if (a->show_timings)
        print_timings(a, prompt->n, n_kept, prompt_s);
    return true;
}

bool answer(struct answerer *a, const struct tokens *prompt)
{
    andiron_error error;
    andiron_sampler *sampler;
    a->text.n = 0;
    if (prompt->n == 0)
        return fail("the prompt is empty");
    if (andiron_sampler_open(&sampler, a->model, &a->args->sampler, &error))
        return fail_with(&error);
    bool ok = text_add(&a->text, "", 0) ? generate(a, sampler, prompt) : fail_memory();
    andiron_sampler_close(sampler);
    return ok;
}

bool chat_prompt(struct tokens *prompt, const andiron_model *model, const andiron_message *messages, size_t n)
{
    andiron_error error;
    size_t needed = 0;
    do {
        if (!tokens_reserve(prompt, needed))
            return fail_memory();
        if (andiron_chat_tokens(model, messages, n, true, prompt->ids, prompt->room, &needed, &error))
            return fail_with(&error);
    } while (needed > prompt->room);
    prompt->n = needed;
    return true;
}
