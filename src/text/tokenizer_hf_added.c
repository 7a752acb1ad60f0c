/* tokenizer_hf_added.c - added tokens: read, laid out as tries, and found in a text: the leftmost, of those the
 * longest. */
#include "base/error.h"
#include "text/tokenizer_hf_internal.h"

struct special_trie_node {
    uint32_t child, sibling; /* 0: none */
    int32_t place;           /* of the token whose text ends here, in h->added; -1 */
    uint8_t byte;
};

/* ---- reading ---- */

static andiron_status read_one(struct hf *h, const json_t *o, andiron_error *error)
{
    struct hf_added *a = &h->added[h->n_added];
    struct span content = hf_text_of(json_object_get(o, "content"));
    const json_t *id = json_object_get(o, "id");
    if (!content.p || !json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) >= HF_MAX_TOKENS)
        return hf_broken(error, "added_tokens", "has an entry without a content or a usable id");
    if (content.n > SPECIAL_MAX_BYTES)
        return hf_refuse(error, "added token", "one of more than 255 bytes");
    if (!content.n)
        return ANDIRON_OK; /* nobody finds it */
    *a = (struct hf_added){
        .id = (int32_t)json_integer_value(id),
        .content = hf_keep(h, content),
        .special = json_is_true(json_object_get(o, "special")),
        .normalized = json_is_true(json_object_get(o, "normalized")),
        .single_word = json_is_true(json_object_get(o, "single_word")),
        .lstrip = json_is_true(json_object_get(o, "lstrip")),
        .rstrip = json_is_true(json_object_get(o, "rstrip")),
    };
    h->n_added++;
    return a->content.p ? ANDIRON_OK : error_memory(error, content.n, "an added token");
}

andiron_status hf_added_read(struct hf *h, const json_t *list, andiron_error *error)
{
    size_t n = json_array_size(list);
    if (list && !json_is_null(list) && !json_is_array(list))
        return hf_broken(error, "added_tokens", "is no list");
    if (!(h->added = arena_alloc(&h->arena, n, sizeof *h->added)))
        return error_memory(error, n * sizeof *h->added, "the added tokens");
    andiron_status status = ANDIRON_OK;
    for (size_t i = 0; !status && i < n; i++)
        status = read_one(h, json_array_get(list, i), error);
    return status;
}

/* ---- tries ---- */

static void insert(struct hf_trie *trie, struct span text, size_t place, uint32_t *n_nodes)
{
    uint32_t *link = &trie->root[(uint8_t)text.p[0]], node = 0;
    for (size_t i = 0; i < text.n; i++) {
        uint8_t byte = (uint8_t)text.p[i];
        while (*link && trie->nodes[*link].byte != byte)
            link = &trie->nodes[*link].sibling;
        if (!*link) {
            *link = ++*n_nodes;
            trie->nodes[*link] = (struct special_trie_node){.byte = byte, .place = -1};
        }
        node = *link;
        link = &trie->nodes[node].child;
    }
    if (trie->nodes[node].place < 0) /* of equal texts the first keeps it */
        trie->nodes[node].place = (int32_t)place;
}

/* The text of a token that is looked for after normalization. */
static bool normal_form(struct hf_run *run, const struct hf_added *a, struct span *out)
{
    struct hf_piece piece = {a->content, false};
    if (!hf_normalize(run, &piece))
        return false;
    *out = hf_keep((struct hf *)(uintptr_t)run->h, piece.text);
    return out->p != NULL;
}

static bool build_trie(struct hf *h, struct hf_trie *trie, struct span *texts)
{
    size_t n_bytes = 0;
    uint32_t n_nodes = 0;
    for (size_t i = 0; i < h->n_added; i++)
        n_bytes += texts[i].n;
    if (n_bytes >= UINT32_MAX || !(trie->nodes = arena_alloc(&h->arena, n_bytes + 1, sizeof *trie->nodes)))
        return false;
    for (size_t i = 0; i < h->n_added; i++)
        if (texts[i].n)
            insert(trie, texts[i], i, &n_nodes);
    return true;
}

static bool is_markup(const struct tokenizer *t, const struct hf_added *a)
{
    return a->special || t->kinds[a->id] == TOKEN_CONTROL || (t->traits && t->traits[a->id] & TRAIT_MARKUP);
}

static bool build(struct tokenizer *t, struct hf_run *run)
{
    struct hf *h = t->hf;
    struct span *texts = arena_alloc(&h->arena, h->n_added, sizeof *texts);
    if (!texts)
        return false;
    for (size_t i = 0; i < h->n_added; i++) {
        h->added[i].special = is_markup(t, &h->added[i]);
        texts[i] = h->added[i].normalized ? (struct span){NULL, 0} : h->added[i].content;
    }
    if (!build_trie(h, &h->raw, texts))
        return false;
    for (size_t i = 0; i < h->n_added; i++)
        texts[i] = h->added[i].normalized && !h->added[i].special ? (struct span){NULL, 0} : h->added[i].content;
    if (!build_trie(h, &h->all_raw, texts))
        return false;
    for (size_t i = 0; i < h->n_added; i++) {
        texts[i] = (struct span){NULL, 0};
        if (h->added[i].normalized && !normal_form(run, &h->added[i], &texts[i]))
            return false;
    }
    return build_trie(h, &h->normalized, texts);
}

andiron_status hf_added_build(struct tokenizer *t, andiron_error *error)
{
    struct encoder e = {.t = t};
    struct hf_run run;
    bool fine = hf_run_open(&run, &e) && build(t, &run);
    hf_run_close(&run);
    pre_release(&e);
    if (fine)
        return ANDIRON_OK;
    return e.refused ? error_set(error, ANDIRON_E_SUPPORT, "tokenizer.json: %s", e.refused)
                     : error_memory(error, t->hf->n_added * sizeof(struct hf_added), "the added tokens");
}

/* ---- finding ---- */

/* Where control tokens that begin at `at` must have ended; 0: none may begin. `at` never falls. */
static size_t markup_end(struct hf_finder *f, size_t at)
{
    while (f->run < f->n_runs && at >= f->run_end)
        if (++f->run < f->n_runs)
            f->run_end += f->runs[f->run].n_bytes;
    return f->run < f->n_runs && f->runs[f->run].markup ? f->run_end : 0;
}

/* The longest match at f->at; of one run, control tokens are matched everywhere, and the caller passes over them. */
static size_t match_at(struct hf_finder *f, const struct hf_added **found)
{
    const struct hf *h = f->t->hf;
    uint32_t node = f->trie->root[(uint8_t)f->text.p[f->at]];
    size_t longest = 0, markup = f->n_runs == 1 ? f->text.n : markup_end(f, f->at);
    for (size_t n = 1; node && f->at + n <= f->text.n; n++) {
        uint8_t byte = (uint8_t)f->text.p[f->at + n - 1];
        while (node && f->trie->nodes[node].byte != byte)
            node = f->trie->nodes[node].sibling;
        if (!node)
            break;
        int32_t place = f->trie->nodes[node].place;
        if (place >= 0 && (!h->added[place].special || f->at + n <= markup)) {
            longest = n;
            *found = &h->added[place];
        }
        node = f->trie->nodes[node].child;
    }
    return longest;
}

static size_t char_before(struct span text, size_t at)
{
    do
        at--;
    while (at && ((uint8_t)text.p[at] & 0xC0) == 0x80);
    return at;
}

static bool stands_alone(struct span text, size_t begin, size_t end)
{
    size_t n;
    if (begin && hf_is_word(hf_char(text.p + char_before(text, begin), &n)))
        return false;
    return end == text.n || !hf_is_word(hf_char(text.p + end, &n));
}

static void set_match(struct hf_finder *f, const struct hf_added *a, size_t begin, size_t end, struct hf_match *m)
{
    size_t n;
    while (a->lstrip && begin > f->last_next) {
        size_t before = char_before(f->text, begin);
        if (!hf_is_space(hf_char(f->text.p + before, &n)))
            break;
        begin = before;
    }
    while (a->rstrip && end < f->text.n && hf_is_space(hf_char(f->text.p + end, &n)))
        end += n;
    f->last_next = end; /* before where it was, if the match before had stripped further: so does the package */
    *m = (struct hf_match){begin, end, a->id};
}

bool hf_added_next(struct hf_finder *f, struct hf_match *m)
{
    while (f->at < f->text.n) {
        const struct hf_added *a = NULL;
        if (!f->trie->root[(uint8_t)f->text.p[f->at]]) {
            f->at++;
            continue;
        }
        size_t begin = f->at, n = match_at(f, &a);
        f->at += n ? n : 1;
        if (n == 0 || (a->special && f->n_runs == 1 && !f->runs[0].markup) ||
            (a->single_word && !stands_alone(f->text, begin, begin + n)))
            continue;
        set_match(f, a, begin, begin + n, m);
        return true;
    }
    return false;
}
