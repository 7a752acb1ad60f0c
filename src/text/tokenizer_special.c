/* tokenizer_special.c - finds tokens that are matched as wholes: user-defined ones anywhere, control ones in markup.
 *
 * Where matches overlap, the longest wins, wherever it begins, then the leftmost: llama.cpp looks for the tokens one
 * after another, long ones first. Overlapping ones are rare, so text is searched once, from the left, and only
 * stretches where a match begins inside another are looked at again. */
#include "base/alloc.h"
#include "base/error.h"
#include "text/tokenizer_internal.h"

struct special_node {
    uint32_t child, sibling; /* 0: none */
    int32_t id;              /* the token whose text ends here, or -1 */
    uint8_t byte;
    bool markup; /* the token is found in markup only */
};

/* ---- building ---- */

static bool is_special(const struct tokenizer *t, size_t id)
{
    uint8_t kind = t->kinds[id];
    size_t n = t->source.texts[id].n;
    return n > 0 && n <= SPECIAL_MAX_BYTES &&
           (kind == TOKEN_CONTROL || kind == TOKEN_UNKNOWN || kind == TOKEN_USER_DEFINED);
}

static void add_text(struct tokenizer *t, size_t id, uint32_t *n_nodes)
{
    struct span text = t->source.texts[id];
    uint32_t *link = &t->special_root[(uint8_t)text.p[0]], node = 0;
    for (size_t i = 0; i < text.n; i++) {
        uint8_t byte = (uint8_t)text.p[i];
        while (*link && t->special[*link].byte != byte)
            link = &t->special[*link].sibling;
        if (!*link) {
            *link = ++*n_nodes;
            t->special[*link] = (struct special_node){.byte = byte, .id = -1};
        }
        node = *link;
        link = &t->special[node].child;
    }
    struct special_node *last = &t->special[node];
    if (last->id >= 0)
        return; /* another token with the same text came first */
    last->id = (int32_t)id;
    last->markup = t->kinds[id] != TOKEN_USER_DEFINED || (t->traits && t->traits[id] & TRAIT_MARKUP);
    t->special_lengths[text.n] = true;
}

andiron_status special_build(struct tokenizer *t, andiron_error *error)
{
    size_t n_bytes = 0;
    for (size_t id = 0; id < t->source.n_tokens; id++)
        if (is_special(t, id))
            n_bytes += t->source.texts[id].n;
    if (n_bytes >= UINT32_MAX)
        return error_set(error, ANDIRON_E_FORMAT, "a vocabulary with %zu MiB of control tokens cannot be used",
                         n_bytes >> 20);
    t->special = arena_alloc(&t->arena, n_bytes + 1, sizeof *t->special);
    if (!t->special)
        return error_memory(error, (n_bytes + 1) * sizeof *t->special, "the control tokens");
    uint32_t n_nodes = 0;
    for (size_t id = 0; id < t->source.n_tokens; id++)
        if (is_special(t, id))
            add_text(t, id, &n_nodes);
    return ANDIRON_OK;
}

/* ---- finding ---- */

struct finder {
    const struct tokenizer *t;
    struct span text;
    const struct tokenizer_run *runs;
    size_t n_runs, run, run_end; /* the run that holds where we are, and where it ends */
    struct buffer *out;
    struct buffer stretch; /* struct place for each byte of a stretch of overlapping matches */
    size_t last_next;      /* where text goes on after the last match */
};

struct place {
    int32_t id;        /* of the match chosen to begin here, or -1 */
    uint8_t longest;   /* bytes of the longest match that could begin here */
    bool taken;        /* by a chosen match */
    size_t markup_end; /* matches of control tokens that begin here end by there */
};

/* Where control tokens that begin at `at` must have ended; 0: none may begin. `at` never falls. */
static size_t markup_end(struct finder *f, size_t at)
{
    while (f->run < f->n_runs && at >= f->run_end) {
        if (++f->run < f->n_runs)
            f->run_end += f->runs[f->run].n_bytes;
    }
    return f->run < f->n_runs && f->runs[f->run].markup ? f->run_end : 0;
}

/* The longest match at `at` of at most `most` bytes, exactly `most` if `exact`. Its bytes; 0: none. */
static size_t match_at(const struct finder *f, size_t at, size_t most, bool exact, size_t markup, int32_t *id)
{
    const struct special_node *nodes = f->t->special;
    uint32_t node = f->t->special_root[(uint8_t)f->text.p[at]];
    size_t longest = 0;
    for (size_t n = 1; node && at + n <= f->text.n && n <= most; n++) {
        uint8_t byte = (uint8_t)f->text.p[at + n - 1];
        while (node && nodes[node].byte != byte)
            node = nodes[node].sibling;
        if (!node)
            break;
        if (nodes[node].id >= 0 && (!nodes[node].markup || at + n <= markup) && (!exact || n == most)) {
            longest = n;
            *id = nodes[node].id;
        }
        node = nodes[node].child;
    }
    return longest;
}

static bool is_white(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/* Where text goes on after a match that ends at `at`. */
static size_t after_match(const struct finder *f, size_t at, int32_t id)
{
    if (f->t->traits && f->t->traits[id] & TRAIT_STRIP_RIGHT)
        while (at < f->text.n && is_white(f->text.p[at]))
            at++;
    return at;
}

static bool add_match(struct finder *f, size_t at, size_t n, int32_t id)
{
    unsigned traits = f->t->traits ? f->t->traits[id] : 0;
    size_t before = at, next = after_match(f, at + n, id);
    while (traits & TRAIT_STRIP_LEFT && before > f->last_next && is_white(f->text.p[before - 1]))
        before--;
    if (before < f->last_next)
        before = f->last_next; /* the match before has stripped up to here */
    f->last_next = next;
    struct special_match match = {(uint32_t)before, (uint32_t)next, id};
    return buffer_add(f->out, &match, sizeof match);
}

/* Choose, in a stretch of `n` bytes, the matches of exactly `bytes` bytes that overlap none chosen before. */
static void choose(struct finder *f, size_t begin, struct place *places, size_t n, size_t bytes)
{
    size_t taken = 0; /* the first taken place at or after i */
    for (size_t i = 0; i + bytes <= n;) {
        taken = taken < i ? i : taken;
        while (taken < n && !places[taken].taken)
            taken++;
        if (taken < i + bytes) {
            i = taken + 1;
            continue;
        }
        int32_t id = -1;
        if (places[i].longest < bytes || !match_at(f, begin + i, bytes, true, places[i].markup_end, &id)) {
            i++;
            continue;
        }
        places[i].id = id;
        size_t end = after_match(f, begin + i + bytes, id) - begin;
        for (size_t must = i + bytes; i < n && i < end && (i < must || !places[i].taken); i++)
            places[i].taken = true;
    }
}

/* A stretch begins with the match that begins at `at`, and goes on as long as one begins before the last has ended,
 * with the white space that it takes. */
static bool find_stretch(struct finder *f, size_t at, size_t first, int32_t first_id, size_t markup, size_t *next)
{
    size_t end = at + first, most = 0, n_matches = 0;
    f->stretch.n = 0;
    for (size_t i = at; i < end; i++) {
        struct place p = {.id = -1, .markup_end = i == at ? markup : markup_end(f, i)};
        int32_t id = first_id;
        size_t n = i == at ? first : match_at(f, i, SPECIAL_MAX_BYTES, false, p.markup_end, &id);
        p.longest = (uint8_t)n;
        n_matches += n > 0;
        most = n > most ? n : most;
        size_t reach = n ? after_match(f, i + n, id) : i;
        end = reach > end ? reach : end;
        if (!buffer_add(&f->stretch, &p, sizeof p))
            return false;
    }
    *next = end;
    if (n_matches == 1)
        return add_match(f, at, first, first_id);
    struct place *places = (struct place *)(void *)f->stretch.data;
    for (size_t bytes = most; bytes; bytes--)
        if (f->t->special_lengths[bytes])
            choose(f, at, places, end - at, bytes);
    for (size_t i = 0; i < end - at; i++) {
        if (places[i].id < 0)
            continue;
        size_t n = f->t->source.texts[places[i].id].n;
        if (!add_match(f, at + i, n, places[i].id))
            return false;
    }
    return true;
}

bool special_find(const struct tokenizer *t, struct span text, const struct tokenizer_run *runs, size_t n_runs,
                  struct buffer *out)
{
    struct finder f = {.t = t, .text = text, .runs = runs, .n_runs = n_runs, .out = out};
    buffer_init(&f.stretch, SIZE_MAX);
    f.run_end = n_runs ? runs[0].n_bytes : 0;
    bool fine = true;
    for (size_t at = 0; fine && at < text.n;) {
        if (!t->special_root[(uint8_t)text.p[at]]) {
            at++;
            continue;
        }
        int32_t id = -1;
        size_t markup = markup_end(&f, at), n = match_at(&f, at, SPECIAL_MAX_BYTES, false, markup, &id);
        if (n == 0)
            at++;
        else
            fine = find_stretch(&f, at, n, id, markup, &at);
    }
    buffer_reset(&f.stretch);
    return fine;
}
