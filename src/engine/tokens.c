/* tokens.c - the public calls on tokens and chats: they pass through to the text room and copy into callers' memory. */
#include "base/alloc.h"
#include "base/error.h"
#include "engine/vocab.h"
#include <string.h>

enum { TEXT_MAX = 1 << 30 }; /* bytes of one text or its ids */

/* Copy what fits and tell the whole count; takes `ids`. */
static andiron_status give_ids(struct buffer *ids, andiron_token *tokens, size_t capacity, size_t *n_tokens,
                               andiron_status status)
{
    if (!status) {
        *n_tokens = ids->n / sizeof *tokens;
        size_t n = *n_tokens < capacity ? *n_tokens : capacity;
        if (n)
            memcpy(tokens, ids->data, n * sizeof *tokens);
    }
    buffer_reset(ids);
    return status;
}

static andiron_status no_tokenizer(const andiron_model *model, andiron_error *error)
{
    return error_set(error, ANDIRON_E_SUPPORT, "%s has no tokenizer, so it takes token ids, not texts",
                     gguf_path(model->file));
}

andiron_status andiron_tokenize(const andiron_model *model, const char *text, size_t n, unsigned flags,
                                andiron_token *tokens, size_t capacity, size_t *n_tokens, andiron_error *error)
{
    struct buffer ids;
    if (!model->tokenizer)
        return no_tokenizer(model, error);
    buffer_init(&ids, TEXT_MAX);
    andiron_status status = tokenizer_encode(model->tokenizer, (struct span){text, n}, flags, &ids, error);
    return give_ids(&ids, tokens, capacity, n_tokens, status);
}

const char *andiron_token_piece(const andiron_model *model, andiron_token token, bool special, size_t *n)
{
    struct span piece = model->tokenizer ? tokenizer_piece(model->tokenizer, token, special) : (struct span){0};
    *n = piece.n;
    return piece.n ? piece.p : "";
}

andiron_status andiron_detokenize(const andiron_model *model, const andiron_token *tokens, size_t n_tokens,
                                  bool special, char *text, size_t capacity, size_t *n, andiron_error *error)
{
    struct buffer bytes;
    if (!model->tokenizer)
        return no_tokenizer(model, error);
    buffer_init(&bytes, TEXT_MAX);
    andiron_status status = tokenizer_decode(model->tokenizer, tokens, n_tokens, special, &bytes, error);
    if (!status) {
        *n = bytes.n;
        if (bytes.n && capacity)
            memcpy(text, bytes.data, bytes.n < capacity ? bytes.n : capacity);
    }
    buffer_reset(&bytes);
    return status;
}

bool andiron_token_ends_turn(const andiron_model *model, andiron_token token)
{
    return model->tokenizer && tokenizer_ends_turn(model->tokenizer, token);
}

bool andiron_model_has_chat(const andiron_model *model) { return model->chat != NULL; }

andiron_status andiron_chat_tokens(const andiron_model *model, const andiron_message *messages, size_t n_messages,
                                   bool add_generation, andiron_token *tokens, size_t capacity, size_t *n_tokens,
                                   andiron_error *error)
{
    if (!model->chat) {
        if (error)
            *error = model->chat_error;
        return model->chat_error.status;
    }
    if (!model->tokenizer)
        return no_tokenizer(model, error);
    struct template_input input = {
        .messages = messages,
        .n_messages = n_messages,
        .add_generation_prompt = add_generation,
        .bos_token = tokenizer_bos_text(model->tokenizer),
        .eos_token = tokenizer_eos_text(model->tokenizer),
    };
    struct template_output *rendered = NULL;
    struct buffer ids;
    buffer_init(&ids, TEXT_MAX);
    andiron_status status = template_run(model->chat, &input, &rendered, error);
    if (!status)
        status = vocab_encode_chat(model->tokenizer, rendered, &ids, error);
    template_output_close(rendered);
    return give_ids(&ids, tokens, capacity, n_tokens, status);
}
