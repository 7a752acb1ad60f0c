/* tokens_of.c - a vocabulary's ids of many texts, for tools/oracle/compare_tokens.py.
 *
 *     tokens_of MODEL < texts > ids
 *
 * In: a text each as u32 flags (andiron_tokenize_flags), u32 bytes, bytes. Out: u32 tokens, i32 ids, and u8: whether
 * detokenize gave the text back. Little-endian. */
#include "andiron.h"
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool comes_back(const andiron_model *model, const andiron_token *ids, size_t n_ids, const char *text, size_t n)
{
    size_t got = 0;
    char *back = malloc(n + 16);
    bool same = back && !andiron_detokenize(model, ids, n_ids, true, back, n + 16, &got, NULL) && got == n &&
                !memcmp(back, text, n);
    free(back);
    return same;
}

static bool run(const andiron_model *model, uint32_t flags, const char *text, uint32_t n)
{
    size_t n_ids = 0, capacity = (size_t)n + 16;
    andiron_error error;
    andiron_token *ids = malloc(capacity * sizeof *ids);
    bool fine = ids && !andiron_tokenize(model, text, n, flags, ids, capacity, &n_ids, &error) && n_ids <= capacity;
    if (fine) {
        uint32_t count = (uint32_t)n_ids;
        uint8_t back = comes_back(model, ids, n_ids, text, n);
        fwrite(&count, sizeof count, 1, stdout);
        fwrite(ids, sizeof *ids, n_ids, stdout);
        fwrite(&back, 1, 1, stdout);
    }
    free(ids);
    return fine;
}

int main(int argc, char **argv)
{
    andiron_model *model = NULL;
    andiron_error error = {0};
    andiron_model_options options = {.vocab_only = true};
    if (argc != 2 || andiron_model_open(&model, argv[1], &options, &error)) {
        fprintf(stderr, "tokens_of: %s\n", argc == 2 ? error.text : "tokens_of MODEL < texts > ids");
        return 1;
    }
    uint32_t head[2];
    bool fine = true;
    while (fine && fread(head, sizeof head, 1, stdin) == 1) {
        char *text = malloc((size_t)head[1] + 1);
        fine = text && fread(text, 1, head[1], stdin) == head[1] && run(model, head[0], text, head[1]);
        free(text);
    }
    andiron_model_close(model);
    return !fine;
}
