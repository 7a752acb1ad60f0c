/* tokenizer_bpe.c - byte-level BPE: the merges of a vocabulary, and one word made into tokens.
 *
 * Every text that merging can meet has an id: tokens have theirs, other texts (parts of merges that are no tokens) get
 * ids after the tokens. A merge is then a pair of ids, and merging looks at no text. */
#include "base/error.h"
#include "text/tokenizer_class.h"
#include "text/tokenizer_internal.h"

struct merge {
    int32_t left, right, id;
};

struct bpe {
    struct table pairs;
    struct merge *merges; /* [n_merges], in the order of their ranks */
    struct table extras;  /* texts that are no tokens -> extra_texts */
    struct span *extra_texts;
    size_t n_extras, max_extras;
    int32_t symbols[256]; /* a byte's character of the printable alphabet */
    bool lacks_bytes;     /* some bytes above 0x7F have no token */
};

/* ---- the printable alphabet: bytes that are visible in Latin-1 stand for themselves, the rest for U+0100 and on ----
 */

static bool is_visible(unsigned byte)
{
    return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

/* The invisible ones in order: 0x00-0x20, 0x7F-0xA0, 0xAD. */
static unsigned place_of(unsigned byte) { return byte <= 0x20 ? byte : byte <= 0xA0 ? byte - 0x7F + 33 : 67; }

int bpe_byte_of(uint32_t c)
{
    if (c < 0x100)
        return is_visible(c) ? (int)c : -1;
    if (c >= 0x100 + 68)
        return -1;
    c -= 0x100;
    return (int)(c <= 0x20 ? c : c < 67 ? c - 33 + 0x7F : 0xAD);
}

size_t bpe_spell(char out[2], uint8_t byte)
{
    unsigned c = is_visible(byte) ? byte : 0x100 + place_of(byte);
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    out[0] = (char)(0xC0 | c >> 6);
    out[1] = (char)(0x80 | (c & 0x3F));
    return 2;
}

/* ---- ids of texts ---- */

static int32_t find_extra(const struct tokenizer *t, struct span text, uint64_t hash, uint32_t *slot)
{
    uint32_t item;
    *slot = 0;
    if (!t->bpe->extra_texts)
        return -1;
    *slot = table_start(&t->bpe->extras, hash);
    while (table_next(&t->bpe->extras, hash, slot, &item))
        if (span_same(t->bpe->extra_texts[item], text))
            return (int32_t)(t->source.n_tokens + item);
    return -1;
}

static int32_t find_text(const struct tokenizer *t, struct span text)
{
    uint64_t hash = hash_bytes(&t->key, text.p, text.n);
    uint32_t slot;
    int32_t id = tokenizer_lookup(t, text, hash);
    return id >= 0 ? id : find_extra(t, text, hash, &slot);
}

/* The id of `text`, which must live as long as the tokenizer; a new one if it has none. */
static int32_t intern(struct tokenizer *t, struct span text)
{
    struct bpe *b = t->bpe;
    uint64_t hash = hash_bytes(&t->key, text.p, text.n);
    int32_t id = tokenizer_lookup(t, text, hash);
    uint32_t slot;
    if (id < 0)
        id = find_extra(t, text, hash, &slot);
    if (id >= 0)
        return id;
    b->extra_texts[b->n_extras] = text;
    table_put(&b->extras, hash, slot, (uint32_t)b->n_extras);
    return (int32_t)(t->source.n_tokens + b->n_extras++);
}

/* ---- building ---- */

/* "left right" -> its halves; the first byte may be a space itself. Empty ones: no such merge. */
static void halves(struct span merge, struct span *left, struct span *right)
{
    const char *space = merge.n > 1 ? memchr(merge.p + 1, ' ', merge.n - 1) : NULL;
    *left = *right = (struct span){"", 0};
    if (!space)
        return;
    size_t n = (size_t)(space - merge.p);
    *left = (struct span){merge.p, n};
    *right = (struct span){space + 1, merge.n - n - 1};
}

static size_t join(char *out, struct span left, struct span right)
{
    memcpy(out, left.p, left.n);
    if (right.n)
        memcpy(out + left.n, right.p, right.n);
    return left.n + right.n;
}

/* Ids of a merge's texts as far as they are tokens; how many are not. */
static size_t find_merge(const struct tokenizer *t, struct span text, struct merge *m, char *scratch)
{
    struct span left, right;
    halves(text, &left, &right);
    *m = (struct merge){-1, -1, -1};
    if (!left.n || !right.n)
        return 0;
    m->left = tokenizer_find(t, left);
    m->right = tokenizer_find(t, right);
    if (left.n + right.n <= t->longest)
        m->id = tokenizer_find(t, (struct span){scratch, join(scratch, left, right)});
    return (size_t)(m->left < 0) + (size_t)(m->right < 0) + (size_t)(m->id < 0);
}

static bool intern_merge(struct tokenizer *t, struct span text, struct merge *m)
{
    struct span left, right;
    halves(text, &left, &right);
    if (!left.n || !right.n || (m->left >= 0 && m->right >= 0 && m->id >= 0))
        return true;
    m->left = intern(t, left);
    m->right = intern(t, right);
    if (m->id >= 0)
        return true;
    char *whole = arena_alloc(&t->arena, left.n + right.n, 1);
    if (!whole)
        return false;
    m->id = intern(t, (struct span){whole, join(whole, left, right)});
    return true;
}

/* Of equal pairs the first counts. */
static void put_pair(struct tokenizer *t, uint32_t rank)
{
    struct bpe *b = t->bpe;
    struct merge m = b->merges[rank];
    uint64_t hash = hash_pair(&t->key, (uint64_t)m.left, (uint64_t)m.right);
    uint32_t slot = table_start(&b->pairs, hash), item;
    while (table_next(&b->pairs, hash, &slot, &item))
        if (b->merges[item].left == m.left && b->merges[item].right == m.right)
            return;
    table_put(&b->pairs, hash, slot, rank);
}

static bool make_room(struct tokenizer *t, size_t n_missing)
{
    struct bpe *b = t->bpe;
    b->max_extras = n_missing + 256;
    b->extra_texts = arena_alloc(&t->arena, b->max_extras, sizeof *b->extra_texts);
    return b->extra_texts && table_init(&b->extras, &t->arena, b->max_extras);
}

static bool has_token(const struct tokenizer *t, uint8_t byte)
{
    return (size_t)t->bpe->symbols[byte] < t->source.n_tokens;
}

static bool build_symbols(struct tokenizer *t)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        char spelling[2];
        char *kept = arena_alloc(&t->arena, 2, 1);
        if (!kept)
            return false;
        size_t n = bpe_spell(spelling, (uint8_t)byte);
        memcpy(kept, spelling, n);
        t->bpe->symbols[byte] = intern(t, (struct span){kept, n});
        t->bpe->lacks_bytes |= byte >= 0x80 && !has_token(t, (uint8_t)byte);
    }
    return true;
}

static bool build(struct tokenizer *t)
{
    const struct tokenizer_source *s = &t->source;
    size_t n = s->merges ? s->n_merges : 0, n_missing = 0;
    struct bpe *b = t->bpe = arena_alloc(&t->arena, 1, sizeof *b);
    char *scratch = arena_alloc(&t->arena, t->longest + 1, 1);
    if (!b || !scratch || !(b->merges = arena_alloc(&t->arena, n, sizeof *b->merges)) ||
        !table_init(&b->pairs, &t->arena, n))
        return false;
    for (size_t i = 0; i < n; i++)
        n_missing += find_merge(t, s->merges[i], &b->merges[i], scratch);
    if (!make_room(t, n_missing) || (!t->raw && !build_symbols(t)))
        return false;
    for (size_t i = 0; i < n; i++) {
        if (n_missing && !intern_merge(t, s->merges[i], &b->merges[i]))
            return false;
        if (b->merges[i].left >= 0)
            put_pair(t, (uint32_t)i);
    }
    return true;
}

andiron_status bpe_build(struct tokenizer *t, andiron_error *error)
{
    if (!build(t))
        return error_memory(error, t->source.n_merges * sizeof(struct merge), "the merges of a vocabulary");
    if (t->raw)
        spm_find_bytes(t);
    return ANDIRON_OK;
}

/* ---- words ---- */

static int32_t find_pair(const void *context, const struct symbol *left, const struct symbol *right, uint32_t *rank)
{
    const struct tokenizer *t = context;
    const struct bpe *b = t->bpe;
    uint64_t hash = hash_pair(&t->key, (uint64_t)left->id, (uint64_t)right->id);
    uint32_t slot = table_start(&b->pairs, hash), item;
    while (table_next(&b->pairs, hash, &slot, &item)) {
        const struct merge *m = &b->merges[item];
        if (m->left == left->id && m->right == right->id) {
            *rank = item;
            return m->id;
        }
    }
    return -1;
}

static struct span text_of(const struct tokenizer *t, int32_t id)
{
    size_t i = (size_t)id;
    return i < t->source.n_tokens ? t->source.texts[i] : t->bpe->extra_texts[i - t->source.n_tokens];
}

/* A merged text that is no token: its characters, as far as they are tokens. */
static bool emit_characters(struct encoder *e, struct span text)
{
    for (size_t at = 0, n; at < text.n; at += n) {
        uint8_t first = (uint8_t)text.p[at];
        n = first >= 0xC0 && at + 1 < text.n ? 2 : 1;
        int32_t id = tokenizer_find(e->t, (struct span){text.p + at, n});
        if (id >= 0 && tokenizer_is_content(e->t, id) && !encoder_add(e, id))
            return false;
    }
    return true;
}

static bool emit(struct encoder *e, const struct symbol *s, size_t n)
{
    const struct tokenizer *t = e->t;
    for (size_t i = 0; i < n; i++) {
        bool token = (size_t)s[i].id < t->source.n_tokens && tokenizer_is_content(t, s[i].id);
        if (!(token ? encoder_add(e, s[i].id) : emit_characters(e, text_of(t, s[i].id))))
            return false;
    }
    return true;
}

/* The token that a whole word is, or -1. */
static int32_t find_word(struct encoder *e, struct span word, bool *fine)
{
    const struct tokenizer *t = e->t;
    *fine = true;
    if (word.n > t->longest)
        return -1;
    if (!(*fine = encoder_reserve(&e->text, &e->text_bytes, word.n * 2, 1)))
        return -1;
    size_t n = 0;
    for (size_t i = 0; i < word.n; i++)
        n += bpe_spell((char *)e->text + n, (uint8_t)word.p[i]);
    int32_t id = tokenizer_find(t, (struct span){e->text, n});
    return id >= 0 && tokenizer_is_content(t, id) ? id : -1;
}

/* A byte that begins no character and has no token stands as U+FFFD, as in llama.cpp; with a token it stays itself. */
static size_t put_bytes(const struct tokenizer *t, struct span word, struct symbol *s)
{
    static const uint8_t replacement[3] = {0xEF, 0xBF, 0xBD};
    size_t n = 0;
    for (size_t at = 0; at < word.n;) {
        uint8_t byte = (uint8_t)word.p[at];
        size_t bytes = class_character((struct span){word.p + at, word.n - at});
        if (!bytes && !has_token(t, byte)) {
            for (size_t i = 0; i < 3; i++)
                s[n++] = (struct symbol){.id = t->bpe->symbols[replacement[i]]};
            at++;
            continue;
        }
        for (size_t end = at + (bytes ? bytes : 1); at < end; at++)
            s[n++] = (struct symbol){.id = t->bpe->symbols[(uint8_t)word.p[at]]};
    }
    return n;
}

static bool raw_word(struct encoder *e, struct span word);

bool bpe_word(struct encoder *e, struct span word)
{
    const struct tokenizer *t = e->t;
    size_t n = word.n;
    if (t->raw)
        return raw_word(e, word);
    if (t->ignore_merges) {
        bool fine;
        int32_t id = find_word(e, word, &fine);
        if (!fine || id >= 0)
            return fine && encoder_add(e, id);
    }
    if (!encoder_reserve(&e->symbols, &e->symbols_bytes, t->bpe->lacks_bytes ? n * 3 : n, sizeof(struct symbol)))
        return false;
    struct symbol *s = e->symbols;
    if (t->bpe->lacks_bytes)
        n = put_bytes(t, word, s);
    else
        for (size_t i = 0; i < n; i++)
            s[i] = (struct symbol){.id = t->bpe->symbols[(uint8_t)word.p[i]]};
    return merge_symbols(e, s, &n, find_pair, t) && emit(e, s, n);
}

/* ---- words of raw vocabularies (Gemma 4): characters, U+2581 for a space, bytes for what is unknown ---- */

static bool end_raw(struct encoder *e, size_t n)
{
    return n == 0 || (merge_symbols(e, e->symbols, &n, find_pair, e->t) && spm_emit(e, e->text, e->symbols, n));
}

/* The symbol at `p` to the end of e->text; `at` is where that ends. The bytes of `p` taken. */
static size_t put_raw(struct encoder *e, const char *p, size_t left, struct symbol *s, size_t *at)
{
    bool space = *p == ' ';
    size_t taken = space ? 1 : spm_symbol_bytes(p, left), n = space ? sizeof space_mark : taken;
    char *to = (char *)e->text + *at;
    memcpy(to, space ? space_mark : p, n);
    *s = (struct symbol){(uint32_t)*at, (uint32_t)n, find_text(e->t, (struct span){to, n}), 0};
    *at += n;
    return taken;
}

static bool raw_word(struct encoder *e, struct span word)
{
    size_t n = 0, n_bytes = 0;
    int32_t whole = word.p[0] == '\n' ? tokenizer_find(e->t, word) : -1;
    if (whole >= 0 && tokenizer_is_content(e->t, whole))
        return encoder_add(e, whole);
    if (!encoder_reserve(&e->symbols, &e->symbols_bytes, word.n, sizeof(struct symbol)) ||
        !encoder_reserve(&e->text, &e->text_bytes, word.n, 3))
        return false;
    for (size_t at = 0; at < word.n;) {
        const char *p = word.p + at;
        if (!spm_is_mark(p, word.n - at)) {
            at += put_raw(e, p, word.n - at, (struct symbol *)e->symbols + n++, &n_bytes);
            continue;
        }
        if (!end_raw(e, n) || !spm_emit_bytes(e, p, sizeof space_mark)) /* the text's own U+2581 */
            return false;
        n = n_bytes = 0;
        at += sizeof space_mark;
    }
    return end_raw(e, n);
}
