/* tokenizer_hf_words.c - models that look words up: WordLevel as wholes, WordPiece by their longest beginnings. */
#include "text/tokenizer_hf_internal.h"

int32_t hf_lookup(const struct tokenizer *t, struct span text)
{
    if (!text.n || text.n > t->longest)
        return -1;
    int32_t id = tokenizer_lookup(t, text, hash_bytes(&t->key, text.p, text.n));
    return id >= 0 && t->hf->in_model[id] && t->kinds[id] != TOKEN_CONTROL ? id : -1;
}

void hf_find_bytes(struct tokenizer *t)
{
    static const char hex[] = "0123456789ABCDEF";
    for (unsigned byte = 0; byte < 256; byte++) {
        char name[6] = {'<', '0', 'x', hex[byte >> 4], hex[byte & 15], '>'};
        t->hf->bytes[byte] = hf_lookup(t, (struct span){name, sizeof name});
    }
}

/* The longest token that word[from..] begins with, and where it ends. -2: out of memory. */
static int32_t longest_at(struct hf_run *run, struct span word, size_t from, size_t *end)
{
    struct buffer *b = &run->scratch;
    const struct span prefix = from ? run->h->prefix : (struct span){"", 0};
    size_t most = run->t->longest > prefix.n ? run->t->longest - prefix.n : 0, n = word.n - from;
    n = n < most ? n : most;
    while (n && from + n < word.n && ((uint8_t)word.p[from + n] & 0xC0) == 0x80)
        n--;
    b->n = 0;
    if (!buffer_add_span(b, prefix) || !buffer_add(b, word.p + from, n))
        return -2;
    while (n) {
        int32_t id = hf_lookup(run->t, (struct span){b->data, prefix.n + n});
        if (id >= 0) {
            *end = from + n;
            return id;
        }
        do
            n--;
        while (n && ((uint8_t)word.p[from + n] & 0xC0) == 0x80);
    }
    return -1;
}

static bool is_too_long(const struct hf *h, struct span word)
{
    uint64_t n = 0;
    for (size_t i = 0; i < word.n; i++)
        n += ((uint8_t)word.p[i] & 0xC0) != 0x80;
    return n > h->max_word;
}

bool hf_wordpiece_word(struct hf_run *run, struct span word)
{
    struct buffer *ids = run->e->ids;
    const size_t begin = ids->n;
    if (is_too_long(run->h, word))
        return encoder_add(run->e, run->h->unknown);
    for (size_t at = 0; at < word.n;) {
        int32_t id = longest_at(run, word, at, &at);
        if (id == -2)
            return false;
        if (id < 0) { /* the word is unknown as a whole */
            ids->n = begin;
            return encoder_add(run->e, run->h->unknown);
        }
        if (!encoder_add(run->e, id))
            return false;
    }
    return true;
}

static bool wordlevel_word(struct hf_run *run, struct span word)
{
    int32_t id = hf_lookup(run->t, word);
    return encoder_add(run->e, id >= 0 ? id : run->h->unknown);
}

bool hf_word(struct hf_run *run, struct span word)
{
    if (!word.n)
        return true;
    switch (run->h->model) {
    case HF_BPE: return hf_bpe_word(run, word);
    case HF_WORDPIECE: return hf_wordpiece_word(run, word);
    case HF_WORDLEVEL: return wordlevel_word(run, word);
    default: return hf_unigram_word(run, word);
    }
}
