/* answer.c - a model answers one question, through the library. Build:
 *     cc answer.c $(pkg-config --cflags --libs andiron) -o answer && ./answer model.gguf "Why is the sky blue?" */
#include <andiron.h>
#include <stdio.h>

static bool print(void *user, const char *text, size_t n) { return fwrite(text, 1, n, user) == n && !fflush(user); }

int main(int argc, char **argv)
{
    andiron_model *model = NULL;
    andiron_session *session = NULL;
    andiron_sampler *sampler = NULL;
    andiron_token tokens[2048];
    size_t n = 0;
    andiron_error error = {.text = "usage: answer MODEL QUESTION, which is at most 2048 tokens"};
    andiron_message question = {.role = "user", .content = argc > 2 ? argv[2] : ""};
    andiron_generate_options options = {.max_tokens = 256, .write = print, .user = stdout};

    bool failed = argc != 3 || andiron_model_open(&model, argv[1], NULL, &error) ||
                  andiron_session_open(&session, model, NULL, &error) ||
                  andiron_sampler_open(&sampler, model, NULL, &error) ||
                  andiron_chat_tokens(model, &question, 1, true, tokens, 2048, &n, &error) || n > 2048 ||
                  andiron_session_append(session, tokens, n, &error) ||
                  andiron_generate(session, sampler, &options, NULL, &error);
    failed ? fprintf(stderr, "answer: %s\n", error.text) : printf("\n");
    andiron_sampler_close(sampler);
    andiron_session_close(session);
    andiron_model_close(model);
    return failed;
}
