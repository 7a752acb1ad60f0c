/* fuzz_tokenizer.c - a vocabulary and a text from any bytes: opened or refused with a sentence; what is open encodes
 * the text, as one run and as many, within room that is promised, and decodes it.
 *
 * The input's first bytes choose the kind; then lines: tokens (a digit for the kind, then the text), an empty line,
 * merges, an empty line, and the rest is the text. All 256 bytes have tokens when a bit of the first bytes says so, and
 * then the text must come back. */
#include "base/buffer.h"
#include "text/tokenizer.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { MAX_TOKENS = 512, MAX_MERGES = 256, N_HEAD = 3 };

static const char *const pres[] = {
    "default",
    "llama-bpe",
    "qwen2",
    "qwen35",
    "gpt-2",
    "smollm",
    "falcon",
    "deepseek-llm",
    "deepseek-coder",
    "deepseek-v3",
    "spark2_5",
    "youtu",
    "bloom",
    "viking",
    "tekken",
    "gpt-4o",
    "granite-embed-multi-97m",
    "tiny_aya",
    "chameleon",
    "superbpe",
    "kimi-k2",
    "afmoe",
    "exaone-moe",
    "bailingmoe",
    "seed-coder",
    "jais-2",
    "minicpm5",
    "laguna",
    "gemma4",
    "sarvam-moe",
    "",
    "none such",
};

struct input {
    struct tokenizer_source source;
    struct span texts[MAX_TOKENS + 512], merges[MAX_MERGES];
    uint8_t kinds[MAX_TOKENS + 512];
    float scores[MAX_TOKENS + 512];
    char bytes[256][8]; /* spellings of bytes */
    struct span text;
};

static bool next_line(struct span *rest, struct span *line)
{
    const char *end = rest->n ? memchr(rest->p, '\n', rest->n) : NULL;
    if (!rest->n)
        return false;
    *line = (struct span){rest->p, end ? (size_t)(end - rest->p) : rest->n};
    size_t taken = line->n + (end != NULL);
    *rest = (struct span){rest->p + taken, rest->n - taken};
    return true;
}

static size_t spell(char *out, unsigned byte, bool spm)
{
    static const char hex[] = "0123456789ABCDEF";
    if (spm) {
        memcpy(out, "<0x", 3);
        out[3] = hex[byte >> 4];
        out[4] = hex[byte & 15];
        out[5] = '>';
        return 6;
    }
    unsigned c = byte <= 0x20   ? 0x100 + byte
                 : byte < 0x7F  ? byte
                 : byte <= 0xA0 ? 0x121 + byte - 0x7F
                 : byte == 0xAD ? 0x143
                                : byte;
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    out[0] = (char)(0xC0 | c >> 6);
    out[1] = (char)(0x80 | (c & 0x3F));
    return 2;
}

static void add_token(struct input *in, struct span text, uint8_t kind)
{
    size_t i = in->source.n_tokens++;
    in->texts[i] = text;
    in->kinds[i] = kind;
    in->scores[i] = -(float)((i * 7) % 5);
}

static void read_lists(struct input *in, struct span *rest, bool all_bytes, bool spm)
{
    struct tokenizer_source *s = &in->source;
    struct span line;
    for (unsigned byte = 0; all_bytes && byte < 256; byte++)
        add_token(in, (struct span){in->bytes[byte], spell(in->bytes[byte], byte, spm)},
                  spm ? TOKEN_BYTE : TOKEN_NORMAL);
    while (s->n_tokens < MAX_TOKENS && next_line(rest, &line) && line.n)
        add_token(in, (struct span){line.p + 1, line.n - 1}, (uint8_t)(line.p[0] - '0'));
    while (s->n_merges < MAX_MERGES && next_line(rest, &line) && line.n)
        in->merges[s->n_merges++] = line;
}

static const char *const others[] = {"bert", "t5", "rwkv", "plamo2"};

static void read_input(struct input *in, const uint8_t *data, size_t n)
{
    struct tokenizer_source *s = &in->source;
    struct span rest = {(const char *)data + N_HEAD, n - N_HEAD};
    bool spm = data[0] & 1, words = data[0] & 32, raw = words || (!spm && (data[1] % 32 == 28 || data[1] % 32 == 29));
    s->model = span_of(words ? others[(data[1] & 64) / 32 + spm] : spm ? "llama" : "gpt2");
    s->lowercase = s->strip_accents = s->remove_extra_whitespaces = (data[0] >> 6 & 3) - 1;
    s->pre = span_of(pres[data[1] % 32]);
    s->name = span_of(data[0] & 8 ? "phi-3" : "");
    s->bos = data[2] & 7;
    s->eos = data[2] >> 3 & 7;
    s->eot = s->eom = s->sep = s->padding = -1;
    s->unknown = data[0] & 16 ? 0 : -1;
    s->add_bos = s->add_eos = -1;
    s->add_space_prefix = data[0] >> 2 & 1;
    read_lists(in, &rest, data[0] & 2, spm || raw);
    s->texts = in->texts;
    s->merges = in->merges;
    s->kinds = in->kinds;
    s->scores = in->scores;
    in->text = rest;
}

static void check_ids(const struct tokenizer *t, const struct buffer *ids, size_t n_text)
{
    const int32_t *p = (const int32_t *)(const void *)ids->data;
    size_t n = ids->n / sizeof *p;
    if (n > n_text * 3 + 16)
        abort();
    for (size_t i = 0; i < n; i++)
        if (p[i] < 0 || (size_t)p[i] >= tokenizer_n_tokens(t))
            abort();
}

static void no_control_tokens(const struct tokenizer *t, const struct buffer *ids)
{
    const int32_t *p = (const int32_t *)(const void *)ids->data;
    for (size_t i = 0; i < ids->n / sizeof *p; i++)
        if (tokenizer_kind(t, p[i]) == TOKEN_CONTROL)
            abort();
}

/* Where every byte has a token and none drops white space, bytes come back. */
static void check_text(const struct tokenizer *t, const struct input *in, const struct buffer *ids, bool promised)
{
    struct buffer back;
    buffer_init(&back, 1 << 26);
    if (tokenizer_decode(t, (const andiron_token *)(const void *)ids->data, ids->n / sizeof(andiron_token), true, &back,
                         NULL))
        abort();
    if (promised && !span_same(buffer_span(&back), in->text))
        abort();
    buffer_reset(&back);
}

static void run(const struct tokenizer *t, const struct input *in, bool promised)
{
    struct buffer plain, runs;
    buffer_init(&plain, 1 << 26);
    buffer_init(&runs, 1 << 26);
    size_t half = in->text.n / 2;
    struct tokenizer_run parts[] = {{half, true}, {0, false}, {in->text.n - half, false}};
    if (tokenizer_encode(t, in->text, 0, &plain, NULL))
        abort();
    check_ids(t, &plain, in->text.n);
    if (in->source.unknown < 0)
        no_control_tokens(t, &plain);
    check_text(t, in, &plain, promised);
    if (tokenizer_encode_runs(t, in->text, parts, 3, ANDIRON_TOKENIZE_BOS, &runs, NULL))
        abort();
    check_ids(t, &runs, in->text.n);
    buffer_reset(&runs);
    if (tokenizer_encode(t, in->text, ANDIRON_TOKENIZE_SPECIAL, &runs, NULL))
        abort();
    check_ids(t, &runs, in->text.n);
    check_text(t, in, &runs, promised);
    buffer_reset(&runs);
    buffer_reset(&plain);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < N_HEAD || n > 1 << 16)
        return 0;
    struct input *in = calloc(1, sizeof *in);
    if (!in)
        return 0;
    read_input(in, data, n);
    struct tokenizer *t = NULL;
    andiron_error error = {0};
    andiron_status status = tokenizer_open(&t, &in->source, &error);
    if (status && (t || error.status != status || !error.text[0]))
        abort();
    if (!status)
        run(t, in, data[0] & 2 && !(data[0] & 44)); /* words come back in other ways; with spaces in front, a token may
                                                       stand for the one that was put */
    tokenizer_close(t);
    free(in);
    return 0;
}
