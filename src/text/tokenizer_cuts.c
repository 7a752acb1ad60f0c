/* tokenizer_cuts.c - vocabularies without merges, which cut a text from its characters on: "rwkv" takes the longest
 * token each time; "plamo2" the tokens whose costs together are the least, where a token costs what its score lacks. */
#include "base/error.h"
#include "text/tokenizer_class.h"
#include "text/tokenizer_internal.h"
#include "text/tokenizer_trie.h"
#include <math.h>

/* ---- building ---- */

static const int64_t UNKNOWN_COST = 10000000; /* of a character that is spelled in bytes */
static const double MOST_COST = 20000000;     /* tokens that cost so much are not used */

static double cost_of(const struct tokenizer *t, int32_t id)
{
    return t->source.scores ? -round((double)t->source.scores[id] * 1e4) : 0;
}

static bool is_used(const struct tokenizer *t, int32_t id)
{
    return tokenizer_is_content(t, id) && tokenizer_piece(t, id, true).n > 0 &&
           (t->vocabulary == VOCABULARY_RWKV || fabs(cost_of(t, id)) < MOST_COST);
}

andiron_status cuts_build(struct tokenizer *t, andiron_error *error)
{
    size_t n_bytes = 0;
    for (size_t id = 0; id < t->source.n_tokens; id++) {
        const size_t n = tokenizer_piece(t, (int32_t)id, true).n;
        if (n > TRIE_MAX_BYTES)
            return error_set(error, ANDIRON_E_SUPPORT,
                             "token %zu of the vocabulary has %zu bytes; a \"%s\" vocabulary may have %d in a token",
                             id, n, t->vocabulary == VOCABULARY_RWKV ? "rwkv" : "plamo2", TRIE_MAX_BYTES);
        n_bytes += n;
    }
    spm_find_bytes(t);
    t->trie = arena_alloc(&t->arena, 1, sizeof *t->trie);
    if (!t->trie || !trie_init(t->trie, &t->arena, &t->key, n_bytes))
        return error_memory(error, n_bytes * 32, "the tokens' beginnings");
    for (size_t id = 0; id < t->source.n_tokens; id++)
        if (is_used(t, (int32_t)id))
            trie_put(t->trie, tokenizer_piece(t, (int32_t)id, true), (int32_t)id);
    return ANDIRON_OK;
}

/* ---- encoding ---- */

bool rwkv_fragment(struct encoder *e, struct span text)
{
    const struct trie *trie = e->t->trie;
    for (size_t at = 0, next; at < text.n; at = next) {
        int32_t id = e->t->source.unknown;
        uint32_t node = 0;
        next = at + 1;
        for (size_t i = at; i < text.n && (node = trie_next(trie, node, (uint8_t)text.p[i])) != 0; i++)
            if (trie->nodes[node].id >= 0) {
                id = trie->nodes[node].id;
                next = i + 1;
            }
        if (!encoder_add(e, id))
            return false;
    }
    return true;
}

/* The cheapest way from a place in the text to its end. */
struct cut {
    int64_t cost;
    int32_t id; /* of the first token; -1: bytes */
    uint32_t n; /* its bytes */
};

/* Of ways that cost the same the one whose first token is the longest. */
static struct cut cheapest(const struct tokenizer *t, struct span text, size_t at, const struct cut *cuts)
{
    const size_t n = class_character((struct span){text.p + at, text.n - at});
    struct cut best = {.id = -1, .n = n ? (uint32_t)n : 1};
    best.cost = cuts[at + best.n].cost + UNKNOWN_COST;
    uint32_t node = 0;
    for (size_t i = at; i < text.n && (node = trie_next(t->trie, node, (uint8_t)text.p[i])) != 0; i++) {
        const int32_t id = t->trie->nodes[node].id;
        const int64_t cost = id < 0 ? INT64_MAX : cuts[i + 1].cost + (int64_t)cost_of(t, id);
        if (cost <= best.cost)
            best = (struct cut){cost, id, (uint32_t)(i + 1 - at)};
    }
    return best;
}

bool plamo_fragment(struct encoder *e, struct span text)
{
    if (!encoder_reserve(&e->symbols, &e->symbols_bytes, text.n + 1, sizeof(struct cut)))
        return false;
    struct cut *cuts = e->symbols;
    cuts[text.n] = (struct cut){0};
    for (size_t at = text.n; at-- > 0;)
        cuts[at] = cheapest(e->t, text, at, cuts);
    for (size_t at = 0; at < text.n; at += cuts[at].n) {
        const int32_t id = cuts[at].id;
        if (!(id >= 0 ? encoder_add(e, id) : spm_emit_bytes(e, text.p + at, cuts[at].n)))
            return false;
    }
    return true;
}
