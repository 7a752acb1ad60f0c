/* tokenizer_spm.c - SentencePiece BPE: neighbours whose text together is a token are merged, best score first; what is
 * no token at the end is spelled in bytes.
 *
 * A space is U+2581 in the vocabulary. Merging cannot cross a space that no token has inside after the same byte, so
 * text is worked on word by word; the result is that of the whole text.
 *
 * Where llama.cpp gives up bytes we do not: a U+2581 in the text itself is spelled in bytes, and a broken character
 * ends before a space. */
#include "base/error.h"
#include "text/tokenizer_internal.h"
#include <math.h>

/* ---- building ---- */

static int32_t find_byte(const struct tokenizer *t, unsigned byte)
{
    static const char hex[] = "0123456789ABCDEF";
    char name[6] = {'<', '0', 'x', hex[byte >> 4], hex[byte & 15], '>'}, plain = (char)byte;
    int32_t id = tokenizer_find(t, (struct span){name, sizeof name});
    if (id < 0)
        id = tokenizer_find(t, (struct span){&plain, 1});
    return id >= 0 && t->kinds[id] != TOKEN_CONTROL ? id : -1; /* content never becomes a control token */
}

void spm_find_bytes(struct tokenizer *t)
{
    for (unsigned byte = 0; byte < 256; byte++)
        t->byte_ids[byte] = find_byte(t, byte);
}

andiron_status spm_build(struct tokenizer *t, andiron_error *error)
{
    (void)error;
    spm_find_bytes(t);
    for (size_t id = 0; id < t->source.n_tokens; id++) {
        struct span text = t->source.texts[id];
        if (!tokenizer_is_content(t, (int32_t)id))
            continue;
        const char *end = text.p + text.n, *mark = text.n ? text.p + 1 : end;
        for (; mark < end && (mark = memchr(mark, space_mark[0], (size_t)(end - mark))) != NULL; mark++)
            if (spm_is_mark(mark, (size_t)(end - mark)))
                t->joins_space[(uint8_t)mark[-1]] = true;
    }
    return ANDIRON_OK;
}

/* ---- symbols ---- */

size_t spm_symbol_bytes(const char *text, size_t n)
{
    uint8_t first = (uint8_t)text[0];
    size_t bytes = first < 0xC0 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    bytes = bytes < n ? bytes : n;
    for (size_t i = 1; i < bytes; i++)
        if (text[i] == ' ' || spm_is_mark(text + i, n - i))
            return i;
    return bytes;
}

/* The higher the score, the lower the rank. */
static uint32_t rank_of(float score)
{
    uint32_t bits;
    score += 0.0f; /* -0 is 0 */
    memcpy(&bits, &score, sizeof bits);
    return bits & 0x80000000u ? bits : ~(bits | 0x80000000u);
}

struct pair_context {
    const struct tokenizer *t;
    const char *text;
};

static int32_t find_pair(const void *context, const struct symbol *left, const struct symbol *right, uint32_t *rank)
{
    const struct pair_context *c = context;
    struct span text = {c->text + left->at, left->n + right->n};
    if (text.n > c->t->longest)
        return -1;
    int32_t id = tokenizer_lookup(c->t, text, hash_bytes(&c->t->key, text.p, text.n));
    if (id < 0 || !tokenizer_is_content(c->t, id))
        return -1;
    *rank = rank_of(c->t->source.scores ? c->t->source.scores[id] : 0.0f);
    return id;
}

bool spm_emit_bytes(struct encoder *e, const char *text, size_t n)
{
    bool known = true;
    for (size_t i = 0; i < n; i++)
        known &= e->t->byte_ids[(uint8_t)text[i]] >= 0;
    if (!known)
        return encoder_add(e, e->t->source.unknown);
    for (size_t i = 0; i < n; i++)
        if (!encoder_add(e, e->t->byte_ids[(uint8_t)text[i]]))
            return false;
    return true;
}

/* As spm_emit_bytes, with a U+2581, which only a space can have become here, as the byte of a space. */
static bool emit_unmarked(struct encoder *e, const char *text, size_t n)
{
    static const char space = ' ';
    if (e->t->byte_ids[' '] < 0)
        return spm_emit_bytes(e, text, n);
    for (size_t at = 0, bytes; at < n; at += bytes) {
        bool mark = spm_is_mark(text + at, n - at);
        bytes = mark ? sizeof space_mark : 1;
        while (!mark && at + bytes < n && !spm_is_mark(text + at + bytes, n - at - bytes))
            bytes++;
        if (!(mark ? spm_emit_bytes(e, &space, 1) : spm_emit_bytes(e, text + at, bytes)))
            return false;
    }
    return true;
}

bool spm_emit(struct encoder *e, const char *text, const struct symbol *symbols, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct span s = {text + symbols[i].at, symbols[i].n};
        int32_t id = symbols[i].id;
        if (id < 0)
            id = tokenizer_lookup(e->t, s, hash_bytes(&e->t->key, s.p, s.n));
        if (id >= 0 && ((size_t)id >= e->t->source.n_tokens || !tokenizer_is_content(e->t, id)))
            id = -1;
        if (!(id >= 0 ? encoder_add(e, id) : emit_unmarked(e, s.p, s.n)))
            return false;
    }
    return true;
}

/* ---- encoding ---- */

/* The word that is being gathered: e->text with spaces marked, and its symbols. */
struct word {
    struct encoder *e;
    size_t n_bytes, n_symbols;
};

static bool end_word(struct word *w)
{
    struct encoder *e = w->e;
    size_t n = w->n_symbols;
    struct pair_context context = {e->t, e->text};
    w->n_bytes = w->n_symbols = 0;
    return n == 0 || (merge_symbols(e, e->symbols, &n, find_pair, &context) && spm_emit(e, e->text, e->symbols, n));
}

static bool add_symbol(struct word *w, const char *p, size_t n)
{
    struct encoder *e = w->e;
    if (!encoder_reserve(&e->text, &e->text_bytes, w->n_bytes + n, 1) ||
        !encoder_reserve(&e->symbols, &e->symbols_bytes, w->n_symbols + 1, sizeof(struct symbol)))
        return false;
    memcpy((char *)e->text + w->n_bytes, p, n);
    ((struct symbol *)e->symbols)[w->n_symbols++] = (struct symbol){(uint32_t)w->n_bytes, (uint32_t)n, -1, 0};
    w->n_bytes += n;
    return true;
}

static bool add_space(struct word *w)
{
    if (w->n_bytes && !w->e->t->joins_space[((const uint8_t *)w->e->text)[w->n_bytes - 1]] && !end_word(w))
        return false;
    return add_symbol(w, space_mark, sizeof space_mark);
}

/* A U+2581 of the text's own. Vocabularies without bytes have no other way to write it than as a space. */
static bool add_mark(struct word *w)
{
    const int32_t *bytes = w->e->t->byte_ids;
    for (size_t i = 0; i < sizeof space_mark; i++)
        if (bytes[(uint8_t)space_mark[i]] < 0)
            return add_space(w);
    return end_word(w) && spm_emit_bytes(w->e, space_mark, sizeof space_mark);
}

bool spm_fragment(struct encoder *e, struct span text, bool space_first)
{
    struct word w = {.e = e};
    if (space_first && !add_space(&w))
        return false;
    for (size_t at = 0; at < text.n;) {
        const char *p = text.p + at;
        bool fine;
        if (*p == ' ') {
            fine = add_space(&w);
            at++;
        } else if (spm_is_mark(p, text.n - at)) {
            fine = add_mark(&w);
            at += sizeof space_mark;
        } else {
            size_t n = spm_symbol_bytes(p, text.n - at);
            fine = add_symbol(&w, p, n);
            at += n;
        }
        if (!fine)
            return false;
    }
    return end_word(&w);
}
