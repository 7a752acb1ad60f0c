/* answer.h - one answer of a model to a prompt of tokens: sampled, printed as it comes, timed. */
#ifndef CLI_ANSWER_H
#define CLI_ANSWER_H

#include "model.h"
#include "text.h"
#include <signal.h>

enum { MOST_BIASES = 64 };

struct run_args {
    struct model_args model;
    const char *system, *file, *kv_type, *begin;
    bool raw;
    size_t n, ctx;
    andiron_sampler_options sampler;
    struct text_list stop, biases;
    andiron_logit_bias parsed_biases[MOST_BIASES];
};

struct answerer {
    andiron_model *model;
    andiron_session *session;
    const struct run_args *args;
    volatile sig_atomic_t *interrupted; /* of a conversation: an answer ends when it is not 0; NULL: one answer only */
    bool show_timings, show_progress;
    struct text text; /* of the last answer */
    andiron_generate_result result;
};

/* Make the session's text `prompt`, which keeps what it already has in common with it, and print the continuation on
 * stdout. Interrupted while it reads the prompt, it produces nothing and is not a failure: the result's reason is
 * ANDIRON_STOP_CANCELLED. False with a sentence on stderr. */
bool answer(struct answerer *a, const struct tokens *prompt);
/* The model's chat template over `messages` as the prompt of an answer. False with a sentence on stderr. */
bool chat_prompt(struct tokens *prompt, const andiron_model *model, const andiron_message *messages, size_t n);

#endif
