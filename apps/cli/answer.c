/* answer.c - the loop around andiron_generate: what is written goes to stdout at once and is remembered. */
#include "answer.h"

static bool write_piece(void *user, const char *text, size_t n)
{
    struct answerer *a = user;
    if (n && (fwrite(text, 1, n, stdout) != n || fflush(stdout)))
        return false;
    return text_add(&a->text, text, n) && !(a->interrupted && *a->interrupted);
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
    size_t n_kept = 0;
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
    if (andiron_session_sync(a->session, prompt->ids, prompt->n, &n_kept, &error))
        return fail_with(&error);
    double prompt_s = model_seconds() - from;
    if (andiron_generate(a->session, sampler, &options, &a->result, &error))
        return fail_with(&error);
    if (a->text.n == 0 || a->text.bytes[a->text.n - 1] != '\n')
        putchar('\n');
    fflush(stdout);
    if (a->result.reason == ANDIRON_STOP_FULL)
        fprintf(stderr, "andiron: the answer was cut: the context of %zu tokens is full; --ctx N gives more\n",
                andiron_session_capacity(a->session));
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
