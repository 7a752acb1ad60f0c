/* tokenizer.c - a vocabulary opened, asked about and closed; encoding as a whole. */
#include "text/tokenizer.h"
#include "base/alloc.h"
#include "base/error.h"
#include "text/tokenizer_hf_internal.h"
#include "text/tokenizer_internal.h"
#include "text/tokenizer_pre.h"

enum { IDS_MAX = INT32_MAX / 4 }; /* bytes of a text, tokens of a vocabulary */

/* ---- tables ---- */

int32_t tokenizer_lookup(const struct tokenizer *t, struct span text, uint64_t hash)
{
    uint32_t slot = table_start(&t->tokens, hash), item;
    while (table_next(&t->tokens, hash, &slot, &item))
        if (span_same(t->source.texts[item], text))
            return (int32_t)item;
    return -1;
}

andiron_token tokenizer_find(const struct tokenizer *t, struct span spelling)
{
    return spelling.n ? tokenizer_lookup(t, spelling, hash_bytes(&t->key, spelling.p, spelling.n)) : -1;
}

/* Texts -> ids. An empty text is nobody's; of equal texts the first keeps the name. */
static andiron_status build_tokens(struct tokenizer *t, andiron_error *error)
{
    size_t n = t->source.n_tokens;
    if (!table_init(&t->tokens, &t->arena, n))
        return error_memory(error, n * 2 * sizeof(struct table_slot), "the vocabulary's table");
    for (size_t id = 0; id < n; id++) {
        struct span text = t->source.texts[id];
        if (!text.n)
            continue;
        t->longest = text.n > t->longest ? text.n : t->longest;
        uint64_t hash = hash_bytes(&t->key, text.p, text.n);
        uint32_t slot = table_start(&t->tokens, hash), item;
        bool known = false;
        while (!known && table_next(&t->tokens, hash, &slot, &item))
            known = span_same(t->source.texts[item], text);
        if (!known)
            table_put(&t->tokens, hash, slot, (uint32_t)id);
    }
    return ANDIRON_OK;
}

/* ---- opening ---- */

static void check_id(int32_t *id, size_t n)
{
    if (*id < 0 || (size_t)*id >= n)
        *id = -1;
}

static andiron_status check_source(struct tokenizer *t, andiron_error *error)
{
    struct tokenizer_source *s = &t->source;
    if (s->n_tokens == 0 || s->n_tokens > IDS_MAX || s->n_merges > IDS_MAX)
        return error_set(error, ANDIRON_E_FORMAT, "a vocabulary of %zu tokens and %zu merges cannot be used",
                         s->n_tokens, s->n_merges);
    if (t->hf)
        t->vocabulary = VOCABULARY_HF;
    else if (span_is(s->model, "gpt2"))
        t->vocabulary = VOCABULARY_BPE;
    else if (span_is(s->model, "llama"))
        t->vocabulary = VOCABULARY_SPM;
    else if (span_is(s->model, "rwkv"))
        t->vocabulary = VOCABULARY_RWKV;
    else if (span_is(s->model, "plamo2"))
        t->vocabulary = VOCABULARY_PLAMO;
    else if (span_is(s->model, "gemma4"))
        s->pre = s->model;
    else
        return error_set(
            error, ANDIRON_E_SUPPORT,
            "the tokenizer \"%.*s\" is not supported: \"gpt2\" (byte-level BPE), \"llama\" (SentencePiece), \"bert\" "
            "(WordPiece), \"t5\" (Unigram), \"rwkv\", \"plamo2\" and \"whitespace\" are",
            (int)(s->model.n < 60 ? s->model.n : 60), s->model.p ? s->model.p : "");
    int32_t *ids[] = {&s->bos, &s->eos, &s->eot, &s->eom, &s->unknown, &s->sep, &s->padding};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        check_id(ids[i], s->n_tokens);
    return ANDIRON_OK;
}

static andiron_status copy_kinds(struct tokenizer *t, andiron_error *error)
{
    size_t n = t->source.n_tokens;
    t->kinds = arena_alloc(&t->arena, n, 1);
    if (!t->kinds)
        return error_memory(error, n, "the kinds of tokens");
    for (size_t i = 0; i < n; i++) {
        uint8_t kind = t->source.kinds ? t->source.kinds[i] : TOKEN_NORMAL;
        t->kinds[i] = kind >= TOKEN_NORMAL && kind <= TOKEN_BYTE ? kind : TOKEN_UNUSED;
    }
    t->source.kinds = t->kinds;
    return ANDIRON_OK;
}

static int value_or(int given, int usual) { return given < 0 ? usual : given != 0; }

/* What the vocabulary's kind says where the file says nothing. */
static andiron_status fill_defaults(struct tokenizer *t, andiron_error *error)
{
    struct tokenizer_source *s = &t->source;
    unsigned pre = 0;
    bool spm = t->vocabulary == VOCABULARY_SPM;
    if (t->vocabulary == VOCABULARY_BPE) {
        andiron_status status = pre_open(t, &pre, error);
        if (status)
            return status;
    }
    t->ignore_merges = pre & PRE_IGNORE_MERGES;
    t->raw = pre & PRE_RAW;
    s->add_bos = value_or(s->add_bos, spm || pre & PRE_ADD_BOS) && s->bos >= 0;
    if (pre & PRE_ALWAYS_BOS && s->bos >= 0)
        s->add_bos = true;
    s->add_eos = value_or(s->add_eos, false) && s->eos >= 0;
    s->add_space_prefix = spm && value_or(s->add_space_prefix, true);
    return ANDIRON_OK;
}

static andiron_status build(struct tokenizer *t, andiron_error *error)
{
    andiron_status (*const steps[])(struct tokenizer *, andiron_error *) = {
        check_source, copy_kinds, fill_defaults, build_tokens, names_apply, pieces_build,
    };
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        andiron_status status = steps[i](t, error);
        if (status)
            return status;
    }
    if (t->hf)
        return ANDIRON_OK; /* tokenizer_hf.c does the rest */
    andiron_status status = special_build(t, error);
    if (status)
        return status;
    if (t->vocabulary == VOCABULARY_BPE)
        return bpe_build(t, error);
    return t->vocabulary == VOCABULARY_SPM ? spm_build(t, error) : cuts_build(t, error);
}

andiron_status tokenizer_open_steps(struct tokenizer **out, const struct tokenizer_source *source, struct hf *hf,
                                    andiron_error *error)
{
    *out = NULL;
    struct tokenizer *t = alloc_zeroed(1, sizeof *t);
    if (!t) {
        hf_close(hf);
        return error_memory(error, sizeof *t, "a tokenizer");
    }
    t->source = *source;
    t->hf = hf;
    arena_init(&t->arena, SIZE_MAX);
    hash_key_init(&t->key);
    andiron_status status = build(t, error);
    if (status) {
        tokenizer_close(t);
        return status;
    }
    *out = t;
    return ANDIRON_OK;
}

andiron_status tokenizer_open(struct tokenizer **out, const struct tokenizer_source *source, andiron_error *error)
{
    if (tokenizer_is_of_words(source->model))
        return tokenizer_open_of_words(out, source, error);
    return tokenizer_open_steps(out, source, NULL, error);
}

void tokenizer_close(struct tokenizer *t)
{
    if (!t)
        return;
    hf_close(t->hf);
    pre_close(t->pre);
    arena_reset(&t->arena);
    alloc_free(t);
}

/* ---- asking ---- */

static bool has(const struct tokenizer *t, andiron_token id) { return id >= 0 && (size_t)id < t->source.n_tokens; }

size_t tokenizer_n_tokens(const struct tokenizer *t) { return t->source.n_tokens; }

enum token_kind tokenizer_kind(const struct tokenizer *t, andiron_token id)
{
    return has(t, id) ? (enum token_kind)t->kinds[id] : TOKEN_UNUSED;
}

bool tokenizer_set_trait(struct tokenizer *t, int32_t id, enum trait trait)
{
    if (!t->traits && !(t->traits = arena_alloc(&t->arena, t->source.n_tokens, 1)))
        return false;
    t->traits[id] |= (uint8_t)trait;
    return true;
}

bool tokenizer_ends_turn(const struct tokenizer *t, andiron_token id)
{
    for (size_t i = 0; i < t->n_ends; i++)
        if (t->ends[i] == id)
            return true;
    return false;
}

static struct span text_of(const struct tokenizer *t, int32_t id)
{
    return has(t, id) ? t->source.texts[id] : (struct span){"", 0};
}

struct span tokenizer_bos_text(const struct tokenizer *t) { return text_of(t, t->source.bos); }
struct span tokenizer_eos_text(const struct tokenizer *t) { return text_of(t, t->source.eos); }

andiron_token tokenizer_added_bos(const struct tokenizer *t)
{
    if (t->hf)
        return t->hf->n_before && t->hf->before[0] == t->source.bos ? t->source.bos : -1;
    return t->source.add_bos ? t->source.bos : -1;
}

/* ---- encoding ---- */

bool encoder_reserve(void **p, size_t *bytes, size_t n, size_t item_bytes)
{
    size_t wanted;
    if (__builtin_mul_overflow(n, item_bytes, &wanted) || wanted > SIZE_MAX / 2)
        return false;
    if (wanted <= *bytes)
        return true;
    wanted += wanted / 2;
    void *more = alloc_resize(*p, wanted);
    if (!more)
        return false;
    *p = more;
    *bytes = wanted;
    return true;
}

/* What stands before, between and after tokens matched as wholes. */
static bool encode_plain(struct encoder *e, struct span text)
{
    if (!text.n)
        return true;
    switch (e->t->vocabulary) {
    case VOCABULARY_SPM: return spm_fragment(e, text, e->t->source.add_space_prefix);
    case VOCABULARY_RWKV: return rwkv_fragment(e, text);
    case VOCABULARY_PLAMO: return plamo_fragment(e, text);
    default: return pre_split(e->t->pre, e, text);
    }
}

static bool encode_text(struct encoder *e, struct span text, const struct special_match *matches, size_t n_matches)
{
    size_t at = 0;
    for (size_t i = 0; i < n_matches; i++) {
        struct special_match m = matches[i];
        if (m.at > at && !encode_plain(e, (struct span){text.p + at, m.at - at}))
            return false;
        if (!encoder_add(e, m.id))
            return false;
        at = m.next;
    }
    return encode_plain(e, (struct span){text.p + at, text.n - at});
}

static void release(struct encoder *e)
{
    alloc_free(e->heap);
    alloc_free(e->before);
    alloc_free(e->symbols);
    alloc_free(e->text);
    alloc_free(e->classes);
    pre_release(e);
}

static bool encode_runs(struct encoder *e, struct span text, const struct tokenizer_run *runs, size_t n_runs,
                        bool whole)
{
    const struct tokenizer_source *s = &e->t->source;
    struct buffer matches;
    buffer_init(&matches, SIZE_MAX);
    bool fine = special_find(e->t, text, runs, n_runs, &matches);
    if (fine && whole && s->add_bos)
        fine = encoder_add(e, s->bos);
    fine = fine && encode_text(e, text, (const struct special_match *)(const void *)matches.data,
                               matches.n / sizeof(struct special_match));
    if (fine && whole && s->add_eos)
        fine = encoder_add(e, s->eos);
    buffer_reset(&matches);
    return fine;
}

andiron_status tokenizer_encode_runs(const struct tokenizer *t, struct span text, const struct tokenizer_run *runs,
                                     size_t n_runs, unsigned flags, struct buffer *ids, andiron_error *error)
{
    if (text.n > IDS_MAX)
        return error_set(error, ANDIRON_E_ARGUMENT, "a text of %zu bytes is too long to tokenize at once", text.n);
    struct encoder e = {.t = t, .ids = ids};
    buffer_init(&e.pieces[0], SIZE_MAX);
    buffer_init(&e.pieces[1], SIZE_MAX);
    bool whole = flags & ANDIRON_TOKENIZE_BOS;
    bool fine = t->hf ? hf_encode(&e, text, runs, n_runs, whole) : encode_runs(&e, text, runs, n_runs, whole);
    release(&e);
    if (fine && !ids->failed)
        return ANDIRON_OK;
    ids->failed = true;
    return e.refused ? error_set(error, ANDIRON_E_SUPPORT, "%s", e.refused)
                     : error_memory(error, text.n, "tokens of a text");
}

andiron_status tokenizer_encode(const struct tokenizer *t, struct span text, unsigned flags, struct buffer *ids,
                                andiron_error *error)
{
    struct tokenizer_run whole = {text.n, flags & ANDIRON_TOKENIZE_SPECIAL};
    return tokenizer_encode_runs(t, text, &whole, 1, flags, ids, error);
}
