/* tokenizer_hf_unigram.c - Unigram: of all ways to cut a word into tokens the one whose scores have the highest sum.
 *
 * Tokens are looked up from each character on, as long as some token begins so. The order of the sums and the choice
 * among equal ones are the package's. */
#include "base/error.h"
#include "text/tokenizer_hf_internal.h"
#include "text/tokenizer_trie.h"
#include <math.h>

static struct span text_at(const json_t *list, size_t i)
{
    const json_t *text = json_array_get(json_array_get(list, i), 0);
    return (struct span){json_string_value(text), json_string_length(text)};
}

static bool build(struct tokenizer *t, const json_t *nameless, size_t n_bytes)
{
    struct hf *h = t->hf;
    struct trie *trie = h->beginnings = arena_alloc(&h->arena, 1, sizeof *trie);
    if (!trie || !trie_init(trie, &h->arena, &t->key, n_bytes))
        return false;
    for (size_t id = 0; id < t->source.n_tokens; id++)
        if ((int32_t)id != h->unknown && !isinf(h->scores[id]) && hf_lookup(t, t->source.texts[id]) == (int32_t)id)
            trie_put(trie, t->source.texts[id], (int32_t)id);
    for (size_t i = 0; i < json_array_size(nameless); i++)
        trie_put(trie, text_at(nameless, i), (int32_t)(t->source.n_tokens + i));
    return true;
}

/* The score of an item of a list; null, which the package does not know: no text becomes the token. */
static bool read_score(const json_t *list, size_t i, double *score, double *least)
{
    const json_t *said = json_array_get(json_array_get(list, i), 1);
    *score = json_is_null(said) ? -(double)INFINITY : json_number_value(said);
    *least = !json_is_null(said) && *score < *least ? *score : *least;
    return json_is_number(said) || json_is_null(said);
}

andiron_status hf_unigram_open(struct tokenizer *t, const json_t *model, andiron_error *error)
{
    const json_t *vocab = json_object_get(model, "vocab"), *nameless = json_object_get(model, "nameless");
    size_t n = json_array_size(vocab), n_bytes = 0;
    const size_t n_all = t->source.n_tokens + json_array_size(nameless);
    double *scores = arena_alloc(&t->hf->arena, n_all, sizeof *scores), least = (double)INFINITY;
    if (!scores)
        return error_memory(error, n * sizeof *scores, "the scores of a vocabulary");
    for (size_t i = 0; i < n; i++) {
        if (!read_score(vocab, i, &scores[i], &least))
            return hf_broken(error, "model", "has a token without a score");
        if (t->source.texts[i].n > TRIE_MAX_BYTES)
            return hf_refuse(error, "model", "Unigram with tokens of more than 512 bytes");
        if (t->source.texts[i].n && tokenizer_find(t, t->source.texts[i]) != (int32_t)i)
            return hf_refuse(error, "model", "Unigram with a token that stands there twice");
        n_bytes += t->source.texts[i].n;
    }
    for (size_t i = 0; i < json_array_size(nameless); i++) {
        const struct span text = text_at(nameless, i);
        if (!read_score(nameless, i, &scores[t->source.n_tokens + i], &least) || !text.n || text.n > TRIE_MAX_BYTES)
            return hf_broken(error, "model", "has a piece without an id and a text or a score");
        n_bytes += text.n;
    }
    t->hf->scores = scores;
    t->hf->single_sums = json_is_array(nameless);
    t->hf->unknown_score = least - 10;
    return build(t, nameless, n_bytes) ? ANDIRON_OK : error_memory(error, n_bytes * 32, "the tokens' beginnings");
}

/* The best way to get to a place in the word. */
struct way {
    double score;
    uint32_t from; /* where its last token begins; NONE: nobody came here */
    int32_t id;
};
static const uint32_t NONE = UINT32_MAX;

static double sum_of(const struct hf *h, double a, double b)
{
    return h->single_sums ? (double)((float)a + (float)b) : a + b;
}

static void offer(struct way *to, double score, uint32_t from, int32_t id)
{
    if (to->from == NONE || score > to->score)
        *to = (struct way){score, from, id};
}

static void step(const struct tokenizer *t, struct span word, size_t at, struct way *ways)
{
    const struct trie *trie = t->hf->beginnings;
    uint32_t node = 0;
    size_t bytes;
    bool single = false;
    hf_char(word.p + at, &bytes);
    for (size_t end = at; end < word.n;) {
        node = trie_next(trie, node, (uint8_t)word.p[end++]);
        if (!node)
            break;
        int32_t id = trie->nodes[node].id;
        if (id < 0)
            continue;
        offer(&ways[end], sum_of(t->hf, t->hf->scores[id], ways[at].score), (uint32_t)at, id);
        single |= end - at == bytes;
    }
    if (!single)
        offer(&ways[at + bytes], sum_of(t->hf, t->hf->unknown_score, ways[at].score), (uint32_t)at, t->hf->unknown);
}

/* A stretch that no token covers: its bytes, or the unknown token. */
static bool put_unknown(struct hf_run *run, struct span text)
{
    const struct hf *h = run->h;
    bool bytes = h->byte_fallback;
    int32_t id = hf_lookup(run->t, text);
    if (id >= 0)
        return encoder_add(run->e, id);
    for (size_t i = 0; bytes && i < text.n; i++)
        bytes = h->bytes[(uint8_t)text.p[i]] >= 0;
    if (!bytes)
        return encoder_add(run->e, h->unknown);
    for (size_t i = 0; i < text.n; i++)
        if (!encoder_add(run->e, h->bytes[(uint8_t)text.p[i]]))
            return false;
    return true;
}

/* Turns the ways, which lead backwards, round: ways[i].from becomes where the token that begins at i ends. */
static void turn(struct way *ways, size_t n)
{
    uint32_t end = (uint32_t)n;
    int32_t id = ways[end].id;
    for (uint32_t from = ways[end].from;;) {
        struct way before = ways[from];
        ways[from] = (struct way){0, end, id};
        if (from == 0)
            return;
        end = from;
        from = before.from;
        id = before.id;
    }
}

bool hf_unigram_word(struct hf_run *run, struct span word)
{
    struct encoder *e = run->e;
    if (run->h->unknown < 0) {
        e->refused = "a Unigram vocabulary without an unknown token cannot be used";
        return false;
    }
    if (!encoder_reserve(&e->symbols, &e->symbols_bytes, word.n + 1, sizeof(struct way)))
        return false;
    struct way *ways = e->symbols;
    for (size_t i = 0; i <= word.n; i++)
        ways[i] = (struct way){0, NONE, -1};
    for (size_t at = 0, bytes; at < word.n; at += bytes) {
        hf_char(word.p + at, &bytes);
        step(run->t, word, at, ways);
    }
    turn(ways, word.n);
    for (size_t at = 0, end; at < word.n; at = end) {
        end = ways[at].from;
        bool unknown = ways[at].id == run->h->unknown;
        while (unknown && end < word.n && ways[end].id == run->h->unknown)
            end = ways[end].from;
        const bool has_id = (size_t)ways[at].id < run->t->source.n_tokens;
        if (!(unknown ? put_unknown(run, (struct span){word.p + at, end - at})
                      : encoder_add(e, has_id ? ways[at].id : run->h->unknown)))
            return false;
    }
    return true;
}
