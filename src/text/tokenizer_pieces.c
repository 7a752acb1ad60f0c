/* tokenizer_pieces.c - what tokens stand for: their bytes, worked out once when the vocabulary is opened. */
#include "base/error.h"
#include "text/tokenizer_hf_internal.h"
#include "text/tokenizer_internal.h"

const char space_mark[3] = {'\xE2', '\x96', '\x81'};

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* "e2" -> 0xE2, or -1. */
static int two_digits(const char *p)
{
    int high = hex_digit(p[0]), low = hex_digit(p[1]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/* "<0xE2>" -> 0xE2, or -1. */
static int byte_of(struct span text)
{
    if (text.n != 6 || memcmp(text.p, "<0x", 3) || text.p[5] != '>')
        return -1;
    return two_digits(text.p + 3);
}

static size_t unmark(char *out, struct span text)
{
    size_t n = 0, at = 0;
    while (at < text.n) {
        const char *lead = memchr(text.p + at, space_mark[0], text.n - at);
        size_t plain = lead ? (size_t)(lead - text.p) - at : text.n - at;
        memcpy(out + n, text.p + at, plain);
        n += plain;
        at += plain;
        if (text.n - at >= 3 && !memcmp(text.p + at, space_mark, 3)) {
            out[n++] = ' ';
            at += 3;
        } else if (at < text.n) {
            out[n++] = text.p[at++];
        }
    }
    return n;
}

/* GPT-2's printable alphabet back to bytes; a character outside it stands for itself. */
static size_t unspell(char *out, struct span text)
{
    size_t n = 0;
    for (size_t at = 0; at < text.n;) {
        uint8_t lead = (uint8_t)text.p[at];
        uint32_t code = lead;
        size_t length = 1;
        if ((lead & 0xE0) == 0xC0 && at + 1 < text.n) {
            code = (lead & 0x1Fu) << 6 | ((uint8_t)text.p[at + 1] & 0x3Fu);
            length = 2;
        }
        int byte = length == 2 || lead < 0x80 ? bpe_byte_of(code) : -1;
        if (byte >= 0)
            out[n++] = (char)byte;
        else
            for (size_t i = 0; i < length; i++)
                out[n++] = text.p[at + i];
        at += length;
    }
    return n;
}

/* RWKV's texts are written as Python writes bytes: \n, \t, \r, \xe2; any other character behind a \ is itself. */
static size_t unescape(char *out, struct span text)
{
    static const char names[] = "ntr", meant[] = "\n\t\r";
    size_t n = 0;
    for (size_t at = 0; at < text.n; at++) {
        char c = text.p[at];
        if (c == '\\' && at + 1 < text.n) {
            c = text.p[++at];
            const char *name = memchr(names, c, 3);
            const int byte = c == 'x' && text.n - at > 2 ? two_digits(text.p + at + 1) : -1;
            at += byte >= 0 ? 2 : 0;
            c = byte >= 0 ? (char)byte : name ? meant[name - names] : c;
        }
        out[n++] = c;
    }
    return n;
}

static size_t piece_of(const struct tokenizer *t, size_t id, char *out)
{
    struct span text = t->source.texts[id];
    int byte = t->kinds[id] == TOKEN_BYTE ? byte_of(text) : -1;
    if (byte >= 0) {
        *out = (char)byte;
        return 1;
    }
    if (t->vocabulary == VOCABULARY_RWKV)
        return unescape(out, text);
    bool as_is = t->vocabulary == VOCABULARY_PLAMO ||
                 (t->kinds[id] != TOKEN_NORMAL && t->kinds[id] != TOKEN_UNUSED && t->kinds[id] != TOKEN_BYTE);
    if (as_is) {
        if (text.n)
            memcpy(out, text.p, text.n);
        return text.n;
    }
    return t->vocabulary == VOCABULARY_SPM || t->raw ? unmark(out, text) : unspell(out, text);
}

andiron_status pieces_build(struct tokenizer *t, andiron_error *error)
{
    if (t->hf)
        return hf_pieces_build(t, error);
    size_t n = t->source.n_tokens;
    uint64_t total = 0;
    for (size_t id = 0; id < n; id++)
        total += t->source.texts[id].n;
    if (total > UINT32_MAX - 1)
        return error_set(error, ANDIRON_E_FORMAT, "a vocabulary with %zu MiB of text cannot be used",
                         (size_t)(total >> 20));
    t->piece_at = arena_alloc(&t->arena, n + 1, sizeof *t->piece_at);
    t->piece_bytes = arena_alloc(&t->arena, total + 1, 1);
    if (!t->piece_at || !t->piece_bytes)
        return error_memory(error, total, "the text of tokens");
    size_t at = 0;
    for (size_t id = 0; id < n; id++) {
        t->piece_at[id] = (uint32_t)at;
        at += piece_of(t, id, t->piece_bytes + at);
    }
    t->piece_at[n] = (uint32_t)at;
    return ANDIRON_OK;
}

struct span tokenizer_piece(const struct tokenizer *t, andiron_token id, bool special)
{
    if (id < 0 || (size_t)id >= t->source.n_tokens)
        return (struct span){"", 0};
    if (!special && (t->kinds[id] == TOKEN_CONTROL || t->kinds[id] == TOKEN_UNKNOWN))
        return (struct span){"", 0};
    return (struct span){t->piece_bytes + t->piece_at[id], t->piece_at[id + 1] - t->piece_at[id]};
}

/* A SentencePiece vocabulary with add_space_prefix puts a space before the text and before what follows a token that
 * was matched as a whole; here it is taken away again. A tokenizer.json's decoder takes it from the text's beginning
 * only. */
andiron_status tokenizer_decode(const struct tokenizer *t, const andiron_token *ids, size_t n, bool special,
                                struct buffer *text, andiron_error *error)
{
    bool space_first = t->hf ? t->hf->strips_first : t->source.add_space_prefix;
    for (size_t i = 0; i < n; i++) {
        struct span piece = tokenizer_piece(t, ids[i], special);
        enum token_kind kind = tokenizer_kind(t, ids[i]);
        bool whole = kind == TOKEN_CONTROL || kind == TOKEN_UNKNOWN || kind == TOKEN_USER_DEFINED;
        const bool begun = piece.n > 0;
        if (space_first && (t->hf || !whole) && piece.n && piece.p[0] == ' ')
            piece = (struct span){piece.p + 1, piece.n - 1};
        space_first = t->hf ? space_first && !begun : whole && t->source.add_space_prefix;
        buffer_add_span(text, piece);
    }
    return text->failed ? error_memory(error, text->n, "the text of tokens") : ANDIRON_OK;
}
