/* hf_tokens_of.c - the ids of many texts by a tokenizer.json, for tools/oracle/make_tokenizer_json.py.
 *
 *     hf_tokens_of TOKENIZER.json < texts > ids
 *
 * In: a text each as u32 flags (andiron_tokenize_flags), u32 bytes, bytes. Out: u32 tokens, i32 ids, u32 bytes and the
 * bytes that they are decoded to. Little-endian. */
#include "files/json.h"
#include "files/mapped.h"
#include "text/tokenizer_hf.h"
#include <stdio.h>
#include <stdlib.h>

static bool run(const struct tokenizer *t, uint32_t flags, struct span text)
{
    struct buffer ids, back;
    andiron_error error = {0};
    buffer_init(&ids, SIZE_MAX);
    buffer_init(&back, SIZE_MAX);
    bool fine = !tokenizer_encode(t, text, flags, &ids, &error);
    uint32_t n = (uint32_t)(ids.n / sizeof(andiron_token));
    fine = fine && !tokenizer_decode(t, (const andiron_token *)(const void *)ids.data, n, true, &back, &error);
    uint32_t n_back = (uint32_t)back.n;
    if (fine) {
        fwrite(&n, sizeof n, 1, stdout);
        fwrite(ids.data, sizeof(andiron_token), n, stdout);
        fwrite(&n_back, sizeof n_back, 1, stdout);
        fwrite(back.data, 1, n_back, stdout);
    } else {
        fprintf(stderr, "hf_tokens_of: %s\n", error.text);
    }
    buffer_reset(&ids);
    buffer_reset(&back);
    return fine;
}

static struct tokenizer *open_file(const char *path)
{
    struct mapped file;
    json_t *root = NULL;
    struct tokenizer *t = NULL;
    andiron_error error = {0};
    andiron_status status = mapped_open(&file, path, &error);
    if (!status)
        status = json_read(&root, (struct span){file.data, file.n_bytes}, path, &json_vocab_limits, &error);
    mapped_close(&file);
    if (!status)
        status = tokenizer_hf_open(&t, &(struct tokenizer_hf_source){.tokenizer = root}, &error);
    json_decref(root);
    if (status)
        fprintf(stderr, "hf_tokens_of: %s\n", error.text);
    return t;
}

int main(int argc, char **argv)
{
    struct tokenizer *t = argc == 2 ? open_file(argv[1]) : NULL;
    uint32_t head[2];
    bool fine = t != NULL;
    while (fine && fread(head, sizeof head, 1, stdin) == 1) {
        char *text = malloc((size_t)head[1] + 1);
        fine = text && fread(text, 1, head[1], stdin) == head[1] && run(t, head[0], (struct span){text, head[1]});
        free(text);
    }
    tokenizer_close(t);
    return !fine;
}
