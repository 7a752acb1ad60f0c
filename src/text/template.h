/* template.h - chat templates: a Jinja interpreter (the language of jinja2 3.1 as Transformers runs it: trim_blocks,
 * lstrip_blocks, loop controls, sandboxed; no autoescape).
 *
 * A real lexer, parser and evaluator with budgets: source bytes, nodes, nesting depth, evaluation steps, memory and
 * output bytes are all bounded, so that no template from a file can hang or exhaust the process.
 *
 * The output is a list of pieces, each marked as markup (from the template's own text and literals) or content (from
 * the messages), so that the tokenizer can turn markup into control tokens and never content. The mark follows every
 * byte through filters, slicing and concatenation; where an operation mixes sources byte by byte the result is content.
 *
 * Two things of a message can become markup, as neither can spell a control token of its own choice: its role, if it is
 * one of the usual ones (templates write "<|" + role + "|>"), and numbers, whose digits are markup wherever printed. */
#ifndef TEXT_TEMPLATE_H
#define TEXT_TEMPLATE_H

#include "andiron.h"
#include "base/span.h"

struct chat_template;

/* Parse. The error says line and what was expected. `source` is copied. */
andiron_status template_open(struct chat_template **out, struct span source, andiron_error *error);
void template_close(struct chat_template *t); /* NULL is fine */

struct template_input {
    const andiron_message *messages;
    size_t n_messages;
    bool add_generation_prompt;
    struct span bos_token, eos_token; /* markup */
    int64_t now_s;                    /* seconds since 1970 for strftime_now; 0: the clock */
    /* More variables for the template (enable_thinking, tools, ...; "messages" replaces those above): one JSON object,
     * or empty. Content. */
    struct span extra_json;
};

struct template_piece {
    struct span text;
    bool markup;
};

struct template_output;

/* Run. raise_exception in the template becomes an ANDIRON_E_ARGUMENT error with its message; a budget or a type error
 * is ANDIRON_E_FORMAT with the line. */
andiron_status template_run(const struct chat_template *t, const struct template_input *input,
                            struct template_output **out, andiron_error *error);
size_t template_n_pieces(const struct template_output *o);
struct template_piece template_piece_at(const struct template_output *o, size_t i); /* neighbours differ in markup */
void template_output_close(struct template_output *o);                              /* NULL is fine */

#endif
