/* tokenizer_hf_bpe.c - byte-pair encoding as tokenizer.json has it: merges are pairs of tokens, and what they make is a
 * token, too. Characters without a token are spelled in bytes or are unknown. */
#include "base/error.h"
#include "text/tokenizer_hf_internal.h"

/* ---- building ---- */

struct builder {
    struct tokenizer *t;
    struct buffer joined;
    andiron_error *error;
};

static andiron_status bad_merge(struct builder *b, size_t rank, const char *what)
{
    return error_set(b->error, ANDIRON_E_FORMAT, "tokenizer.json: merge %zu %s", rank, what);
}

/* "left right", or a list of the two. */
static bool halves(const json_t *v, struct span *left, struct span *right)
{
    *left = hf_text_of(json_array_get(v, 0));
    *right = hf_text_of(json_array_get(v, 1));
    struct span whole = hf_text_of(v);
    if (!whole.p)
        return json_array_size(v) == 2 && left->n && right->n;
    const char *space = whole.n ? memchr(whole.p, ' ', whole.n) : NULL;
    if (!space)
        return false;
    size_t n = (size_t)(space - whole.p);
    *left = (struct span){whole.p, n};
    *right = (struct span){space + 1, whole.n - n - 1};
    return left->n && right->n && !memchr(right->p, ' ', right->n);
}

static int32_t model_token(const struct tokenizer *t, struct span text)
{
    int32_t id = tokenizer_find(t, text);
    return id >= 0 && t->hf->in_model[id] ? id : -1;
}

/* Of equal pairs the last counts, as in the package. */
static void put_pair(struct tokenizer *t, struct hf_merge m, uint32_t rank)
{
    struct hf *h = t->hf;
    uint64_t hash = hash_pair(&t->key, (uint64_t)m.left, (uint64_t)m.right);
    uint32_t slot = table_start(&h->pairs, hash), item;
    h->merges[rank] = m;
    while (table_next(&h->pairs, hash, &slot, &item))
        if (h->merges[item].left == m.left && h->merges[item].right == m.right) {
            slot = (slot - 1) & h->pairs.mask;
            h->pairs.slots[slot].item = rank + 1;
            return;
        }
    table_put(&h->pairs, hash, slot, rank);
}

static andiron_status read_merge(struct builder *b, const json_t *v, uint32_t rank)
{
    struct tokenizer *t = b->t;
    struct span left, right, prefix = t->hf->prefix;
    if (!halves(v, &left, &right))
        return bad_merge(b, rank, "is no pair of tokens");
    b->joined.n = 0;
    size_t cut = prefix.n <= right.n ? prefix.n : right.n;
    if (!buffer_add_span(&b->joined, left) || !buffer_add_span(&b->joined, (struct span){right.p + cut, right.n - cut}))
        return error_memory(b->error, left.n + right.n, "a merge");
    struct hf_merge m = {model_token(t, left), model_token(t, right), model_token(t, buffer_span(&b->joined))};
    if (m.left < 0 || m.right < 0 || m.id < 0)
        return bad_merge(b, rank, "has a part or a result that is no token");
    put_pair(t, m, rank);
    return ANDIRON_OK;
}

andiron_status hf_bpe_open(struct tokenizer *t, const json_t *model, andiron_error *error)
{
    const json_t *list = json_object_get(model, "merges");
    struct hf *h = t->hf;
    struct builder b = {.t = t, .error = error};
    size_t n = json_array_size(list);
    const json_t *dropout = json_object_get(model, "dropout");
    if (json_number_value(dropout) > 0)
        return hf_refuse(error, "model", "BPE with dropout");
    if (!json_is_array(list) || n > HF_MAX_TOKENS)
        return hf_broken(error, "model", "has no list of merges");
    if (!(h->merges = arena_alloc(&h->arena, n, sizeof *h->merges)) || !table_init(&h->pairs, &h->arena, n))
        return error_memory(error, n * sizeof *h->merges, "the merges of a vocabulary");
    buffer_init(&b.joined, SIZE_MAX);
    andiron_status status = ANDIRON_OK;
    for (size_t i = 0; !status && i < n; i++)
        status = read_merge(&b, json_array_get(list, i), (uint32_t)i);
    buffer_reset(&b.joined);
    h->n_merges = n;
    return status;
}

/* ---- words ---- */

static int32_t find_pair(const void *context, const struct symbol *left, const struct symbol *right, uint32_t *rank)
{
    const struct tokenizer *t = context;
    const struct hf *h = t->hf;
    uint64_t hash = hash_pair(&t->key, (uint64_t)left->id, (uint64_t)right->id);
    uint32_t slot = table_start(&h->pairs, hash), item;
    while (table_next(&h->pairs, hash, &slot, &item)) {
        const struct hf_merge *m = &h->merges[item];
        if (m->left == left->id && m->right == right->id) {
            *rank = item;
            return t->kinds[m->id] == TOKEN_CONTROL ? -1 : m->id;
        }
    }
    return -1;
}

struct word {
    struct hf_run *run;
    struct symbol *symbols;
    size_t n;
    bool pending; /* an unknown token that is not put yet */
};

static void put(struct word *w, int32_t id) { w->symbols[w->n++] = (struct symbol){.id = id}; }

static void put_pending(struct word *w)
{
    if (w->pending)
        put(w, w->run->h->unknown);
    w->pending = false;
}

static bool put_fallback(struct word *w, struct span text)
{
    const struct hf *h = w->run->h;
    for (size_t i = 0; i < text.n; i++)
        if (h->bytes[(uint8_t)text.p[i]] < 0)
            return false;
    for (size_t i = 0; i < text.n; i++)
        put(w, h->bytes[(uint8_t)text.p[i]]);
    return true;
}

static void put_text(struct word *w, struct span text)
{
    const struct hf *h = w->run->h;
    int32_t id = hf_lookup(w->run->t, text);
    if (id >= 0) {
        put_pending(w);
        put(w, id);
        return;
    }
    if (h->byte_fallback && put_fallback(w, text))
        return;
    if (h->unknown < 0)
        return;
    if (!h->fuse_unknown)
        put_pending(w);
    w->pending = true;
}

/* A character with the vocabulary's prefix or suffix. False: out of memory. */
static bool put_character(struct word *w, struct span text, bool first, bool last)
{
    const struct hf *h = w->run->h;
    struct buffer *b = &w->run->scratch;
    bool prefix = !first && h->prefix.n, suffix = last && h->suffix.n;
    if (prefix || suffix) {
        b->n = 0;
        if ((prefix && !buffer_add_span(b, h->prefix)) || !buffer_add_span(b, text) ||
            (suffix && !buffer_add_span(b, h->suffix)))
            return false;
        text = buffer_span(b);
    }
    put_text(w, text);
    return true;
}

bool hf_bpe_word(struct hf_run *run, struct span word)
{
    struct encoder *e = run->e;
    const struct hf *h = run->h;
    size_t around = h->prefix.n + h->suffix.n;
    if (h->ignore_merges) {
        int32_t id = hf_lookup(run->t, word);
        if (id >= 0)
            return encoder_add(e, id);
    }
    if (!encoder_reserve(&e->symbols, &e->symbols_bytes, word.n * (1 + around) + 1, sizeof(struct symbol)))
        return false;
    struct word w = {.run = run, .symbols = e->symbols};
    for (size_t at = 0, n; at < word.n; at += n) {
        hf_char(word.p + at, &n);
        if (!put_character(&w, (struct span){word.p + at, n}, at == 0, at + n == word.n))
            return false;
    }
    put_pending(&w);
    if (!merge_symbols(e, w.symbols, &w.n, find_pair, run->t))
        return false;
    for (size_t i = 0; i < w.n; i++)
        if (!encoder_add(e, w.symbols[i].id))
            return false;
    return true;
}
