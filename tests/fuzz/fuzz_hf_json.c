/* fuzz_hf_json.c - any bytes as config.json and as tokenizer.json: read or refused with a sentence; what is read is
 * asked by paths; a tokenizer that opens encodes texts, as one run and as many, and decodes what it made.
 *
 * What stands after a line feed and "#TEXT " is the text; without it there is a usual one. Control tokens come of
 * markup only, and no id lies outside of the vocabulary. */
#include "files/json.h"
#include "text/tokenizer_hf.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const char usual[] = "Hello, World! It's 12345 <s>\xc3\xa9t\xc3\xa9</s>  \n\n\xe4\xb8\xad\xe6\x96\x87 a\xcc\x80 "
                            "[MASK] \xf0\x9f\x98\x80\xff <unk>\t\xe2\x96\x81word";
enum { MAX_TEXT = 2000 };

static void ask(const json_t *root)
{
    static const char *const paths[] = {"model_type", "rope_scaling.factor", "eos_token_id.0", "model.vocab.a",
                                        "",           "architectures.0",     "x.y.z",          "added_tokens.1.id"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        uint64_t u;
        double f;
        bool yes;
        struct span text;
        if (json_at_u64(root, paths[i], &u) && (!json_at_f64(root, paths[i], &f) || !json_at(root, paths[i])))
            abort();
        if (json_at_text(root, paths[i], &text) && json_at_bool(root, paths[i], &yes))
            abort();
    }
}

static void check(const struct tokenizer *t, const struct buffer *ids, bool content)
{
    const andiron_token *p = (const andiron_token *)(const void *)ids->data;
    struct buffer back;
    buffer_init(&back, 1 << 26);
    for (size_t i = 0; i < ids->n / sizeof *p; i++)
        if (p[i] < 0 || (size_t)p[i] >= tokenizer_n_tokens(t) || (content && tokenizer_kind(t, p[i]) == TOKEN_CONTROL))
            abort();
    tokenizer_decode(t, p, ids->n / sizeof *p, true, &back, NULL);
    buffer_reset(&back);
}

static void run(const struct tokenizer *t, struct span text)
{
    const size_t half = text.n / 2;
    const struct tokenizer_run parts[] = {{half, true}, {0, false}, {text.n - half, false}};
    for (unsigned flags = 0; flags < 5; flags++) {
        struct buffer ids;
        andiron_error error = {0};
        buffer_init(&ids, 1 << 26);
        andiron_status status = flags < 4 ? tokenizer_encode(t, text, flags, &ids, &error)
                                          : tokenizer_encode_runs(t, text, parts, 3, 0, &ids, &error);
        if (status && !error.text[0])
            abort();
        check(t, &ids, flags == 0);
        buffer_reset(&ids);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const char mark[] = "\n#TEXT ";
    const struct json_limits limits = {1 << 20, 32 << 20, 64};
    struct span json = {(const char *)data, n}, text = {usual, sizeof usual - 1};
    json_t *root = NULL;
    struct tokenizer *t = NULL;
    andiron_error error = {0};
    const char *at = n ? memmem(data, n, mark, sizeof mark - 1) : NULL;
    if (at) {
        json.n = (size_t)(at - json.p);
        text = (struct span){at + sizeof mark - 1, n - json.n - (sizeof mark - 1)};
        text.n = text.n < MAX_TEXT ? text.n : MAX_TEXT;
    }
    andiron_status status = json_read(&root, json, "fuzz.json", &limits, &error);
    if (status && (root || !error.text[0]))
        abort();
    if (status)
        return 0;
    ask(root);
    const struct tokenizer_hf_source source = {root, root, root, root, root};
    error = (andiron_error){0};
    status = tokenizer_hf_open(&t, &source, &error);
    if (status && (t || error.status != status || !error.text[0]))
        abort();
    if (!status)
        run(t, text);
    tokenizer_close(t);
    json_decref(root);
    return 0;
}
