/* use_model.c - see use_model.h. */
#include "use_model.h"
#include "base/alloc.h"
#include "base/memory.h"
#include "base/printable.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Memory that steps and caches may have, and what all else may take: a template may have 48 MiB when it is parsed and
 * 288 when it runs, a definition 128 (docs/security.md); everything that describes the file grows with it. */
enum { MIB = 1 << 20, MACHINE_BYTES = 64 * MIB, FIXED_BYTES = 400 * MIB, BYTES_PER_BYTE = 64 };
enum { MAX_WEIGHT_BYTES = 16 * MIB }; /* of a run's token: more is only more of the same work */

static const char text[] =
    "Hello world, 12 times: \xe4\xbd\xa0\xe5\xa5\xbd \xf0\x9f\x98\x80 <|im_start|> \xff\x80  \n\t  it's <s>";

/* Told at the end, so that one sees how deep the inputs reach. */
static struct {
    size_t n, n_opened, n_ran, n_chats, peak_bytes;
} seen;

static void say_seen(void)
{
    fprintf(stderr, "%zu models: %zu opened, %zu ran, %zu chats rendered; most memory %.1f MiB\n", seen.n,
            seen.n_opened, seen.n_ran, seen.n_chats, (double)seen.peak_bytes / MIB);
}

static void must(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "does not hold: %s\n", what);
    abort();
}

/* A failure has its status and one printable sentence. */
static void check(andiron_status s, const andiron_error *e)
{
    char copy[sizeof e->text];
    if (!s)
        return;
    must(e->status == s, "an error has its status");
    must(e->text[0] && strlen(e->text) < sizeof e->text, "an error has a sentence");
    memcpy(copy, e->text, sizeof copy);
    printable(copy, strlen(copy), false);
    must(!strcmp(copy, e->text), "an error can be printed");
}

static void use_tokens(const andiron_model *m)
{
    andiron_token ids[sizeof text + 16];
    char back[4 * sizeof text];
    andiron_error e = {0};
    size_t n = 0, n_back = 0, n_piece = 0;
    andiron_status s;
    for (unsigned flags = 0; flags < 4; flags++) {
        s = andiron_tokenize(m, text, sizeof text - 1, flags, ids, sizeof ids / sizeof *ids, &n, &e);
        check(s, &e);
        if (s)
            continue;
        must(n <= sizeof ids / sizeof *ids, "n + 16 ids are room enough");
        check(andiron_detokenize(m, ids, n, flags & 1, back, sizeof back, &n_back, &e), &e);
        for (size_t i = 0; i < n; i++) {
            andiron_token_piece(m, ids[i], true, &n_piece);
            andiron_token_ends_turn(m, ids[i]);
        }
    }
    andiron_token_piece(m, -1, true, &n_piece);
    must(n_piece == 0, "no piece of a token that is not there");
    const andiron_message messages[] = {{"system", "Be <|im_end|> brief."}, {"user", "Hi"}, {"assistant", "Yes"}};
    s = andiron_chat_tokens(m, messages, 3, true, ids, 8, &n, &e);
    check(s, &e);
    seen.n_chats += s == ANDIRON_OK;
}

static void generate(andiron_model *m, andiron_session *s, size_t length)
{
    andiron_sampler *sampler = NULL;
    andiron_error e = {0};
    const andiron_sampler_options o = {.temperature = 0.8f, .top_k = 5, .top_p = 0.9f, .seed = length};
    check(andiron_sampler_open(&sampler, m, &o, &e), &e);
    if (sampler)
        check(andiron_generate(s, sampler, &(andiron_generate_options){.max_tokens = 3}, NULL, &e), &e);
    andiron_sampler_close(sampler);
}

static void read_source(const andiron_model *m, andiron_session *s)
{
    andiron_error e = {0};
    andiron_model_info info;
    andiron_model_get_info(m, &info);
    if (info.reads_source)
        check(andiron_session_read_source(s, (andiron_token[]){info.first_token, 0, 1}, 3, &e), &e);
}

static void use_session(andiron_model *m, const char *kv_type)
{
    andiron_session *s = NULL;
    andiron_batch *b = NULL;
    andiron_error e = {0};
    enum { MOST = 12 };
    andiron_token ids[MOST];
    size_t n = 0;
    check(andiron_session_open(&s, m, &(andiron_session_options){.n_ctx = 70, .kv_type = kv_type}, &e), &e);
    check(andiron_batch_open(&b, m, &e), &e);
    if (andiron_tokenize(m, text, 11, 0, ids, MOST, &n, &e)) /* without a tokenizer: ids */
        for (n = 0; n < 8; n++)
            ids[n] = (andiron_token)n;
    if (s && b) {
        read_source(m, s);
        if (n < MOST)
            ids[n++] = 0;
        andiron_status status = andiron_session_append(s, ids, n < MOST ? n : MOST, &e);
        check(status, &e);
        if (!status)
            generate(m, s, n);
        check(andiron_session_truncate(s, 0, &e), &e);
        andiron_batch_add(b, s, 0, true, &e);
        status = andiron_batch_run(b, &e);
        check(status, &e);
        seen.n_ran += status == ANDIRON_OK;
        andiron_batch_logits(b, 0);
    }
    andiron_batch_close(b);
    andiron_session_close(s);
}

static bool count(void *user, const char *p, size_t n)
{
    *(size_t *)user += n && p[0] && p[n - 1];
    return true;
}

static void describe(const struct model_source *source, const andiron_model_options *options)
{
    size_t n_written = 0;
    andiron_error e = {0};
    struct describe_options wanted = {.n_ctx = 100, .write = count, .user = &n_written};
    const unsigned all = ANDIRON_DESCRIBE_METADATA | ANDIRON_DESCRIBE_TENSORS | ANDIRON_DESCRIBE_GRAPH;
    wanted.flags = all;
    check(describe_source(source, options, &wanted, &e), &e);
    wanted.flags = all | ANDIRON_DESCRIBE_JSON;
    check(describe_source(source, options, &wanted, &e), &e);
}

void use_model(const struct model_source *source, size_t n)
{
    const andiron_model_options options = {.n_threads = 1, .max_step_tokens = 8};
    andiron_model *m = NULL;
    andiron_error e = {0};
    andiron_model_info info;
    if (seen.n++ == 0)
        atexit(say_seen);
    memory_limit(MACHINE_BYTES + n);
    alloc_peak_reset();
    andiron_status s = model_open_source(&m, source, &options, &e);
    check(s, &e);
    must((s == ANDIRON_OK) == (m != NULL), "a model, or why not");
    if (m) {
        seen.n_opened++;
        andiron_model_get_info(m, &info);
        use_tokens(m);
        for (int type = 0; type < KV_TYPES && info.weight_bytes < MAX_WEIGHT_BYTES; type++)
            use_session(m, kv_type_name((enum kv_type)type));
    }
    andiron_model_close(m);
    if (n % 4 == 0)
        describe(source, &options);
    seen.peak_bytes = alloc_peak_bytes() > seen.peak_bytes ? alloc_peak_bytes() : seen.peak_bytes;
    must(alloc_peak_bytes() <= FIXED_BYTES + BYTES_PER_BYTE * n, "memory stays within its budget");
}
