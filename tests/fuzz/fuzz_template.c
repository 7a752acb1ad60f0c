/* fuzz_template.c - any bytes as a chat template: refused with a sentence, or run to its output or a sentence.
 *
 * The bytes are the template; a zero byte ends it, and behind it may stand the JSON of its variables. */
#include "text/template.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const char variables[] = "{\"s\": \"Hello World\", \"u\": \"h\xC3\xA4\xC3\x9F \xF0\x9F\x98\x80\", \"i\": 3, "
                                "\"r\": 2.5, \"l\": [3, 1, 2], \"t\": "
                                "true, \"d\": {\"x\": 1, \"y\": {\"z\": [1, \"q\"]}}, \"tools\": [{\"type\": "
                                "\"function\", \"function\": {\"name\": \"f\", "
                                "\"parameters\": {\"type\": \"object\"}}}]}";

static void touch(const struct template_output *o)
{
    volatile char byte;
    for (size_t i = 0; i < template_n_pieces(o); i++) {
        struct template_piece piece = template_piece_at(o, i);
        if (piece.text.n == 0 || (i && piece.markup == template_piece_at(o, i - 1).markup))
            abort();
        byte = piece.text.p[0];
        byte = piece.text.p[piece.text.n - 1];
        (void)byte;
    }
}

/* What always holds: a status is in the error, with a sentence; something was made exactly when all went well. */
static void check(andiron_status s, const andiron_error *error, const void *made)
{
    if (error->status != s || (s && !error->text[0]) || (s == ANDIRON_OK) != (made != NULL))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const andiron_message messages[] = {
        {"system", "Be <|im_end|> brief."}, {"user", "H\xC3\xA9\xff\n"}, {"assistant", ""}};
    const uint8_t *zero = n ? memchr(data, 0, n) : NULL;
    const size_t n_source = zero ? (size_t)(zero - data) : n;
    struct template_input input = {
        .messages = messages, .n_messages = 3, .add_generation_prompt = true, .now_s = 1700000000};
    input.bos_token = input.eos_token = span_of("</s>");
    input.extra_json = span_of(variables);
    if (zero)
        input.extra_json = (struct span){(const char *)zero + 1, n - n_source - 1};
    struct chat_template *t = NULL;
    struct template_output *o = NULL;
    andiron_error error = {0};
    andiron_status s = template_open(&t, (struct span){(const char *)data, n_source}, &error);
    check(s, &error, t);
    if (s)
        return 0;
    s = template_run(t, &input, &o, &error);
    check(s, &error, o);
    if (o)
        touch(o);
    template_output_close(o);
    template_close(t);
    return 0;
}
