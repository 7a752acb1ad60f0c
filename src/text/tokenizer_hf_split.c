/* tokenizer_hf_split.c - pre-tokenizers: a list of steps, each of which cuts a piece of text or changes it; a piece
 * goes through all of them before the next one is cut, and what comes out at the end is a word.
 *
 * A step that cuts finds matches; what becomes of them and of the text between them is its behavior. */
#include "base/error.h"
#include "text/tokenizer_hf_internal.h"

/* ---- reading ---- */

static struct hf_split *add(struct hf *h, enum hf_split_kind kind, enum hf_behavior behavior)
{
    static struct hf_split spare;
    struct hf_split *s = h->n_splits < HF_MAX_STEPS ? &h->splits[h->n_splits] : &spare;
    h->n_splits++; /* too many are refused at the end */
    *s = (struct hf_split){.kind = kind, .behavior = behavior};
    return s;
}

static bool read_behavior(const json_t *v, enum hf_behavior *out)
{
    static const char *const names[] = {"Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"};
    struct span text = hf_text_of(v);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (span_is(text, names[i])) {
            *out = (enum hf_behavior)i;
            return true;
        }
    return false;
}

static bool flag(const json_t *o, const char *key, bool usual)
{
    const json_t *v = json_object_get(o, key);
    return json_is_boolean(v) ? json_is_true(v) : usual;
}

static andiron_status read_split(struct hf *h, const json_t *o, andiron_error *error)
{
    enum hf_behavior behavior;
    const json_t *pattern = json_object_get(o, "pattern");
    struct span regex = hf_text_of(json_object_get(pattern, "Regex"));
    struct span text = hf_text_of(json_object_get(pattern, "String"));
    if (!read_behavior(json_object_get(o, "behavior"), &behavior) || (!regex.p && !text.n))
        return hf_refuse(error, "pre-tokenizer", "Split with this pattern or behavior");
    struct hf_split *s = add(h, regex.p ? HF_SPLIT_REGEX : HF_SPLIT_TEXT, behavior);
    s->invert = flag(o, "invert", false);
    if (regex.p)
        return hf_regex_open(h, &s->regex, regex, error);
    s->text = hf_keep(h, text);
    return s->text.p ? ANDIRON_OK : error_memory(error, text.n, "a pre-tokenizer");
}

static andiron_status read_byte_level(struct hf *h, const json_t *o, andiron_error *error)
{
    static const char gpt2[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
    andiron_status status = ANDIRON_OK;
    if (flag(o, "add_prefix_space", true))
        add(h, HF_PUT_SPACE, HF_ISOLATED);
    if (flag(o, "use_regex", true))
        status = hf_regex_open(h, &add(h, HF_SPLIT_REGEX, HF_ISOLATED)->regex, span_of(gpt2), error);
    add(h, HF_PUT_BYTES, HF_ISOLATED);
    return status;
}

static andiron_status read_metaspace(struct hf *h, const json_t *o, andiron_error *error)
{
    struct span mark = hf_text_of(json_object_get(o, "replacement"));
    struct span scheme = hf_text_of(json_object_get(o, "prepend_scheme"));
    struct hf_split *s = add(h, HF_PUT_MARKS, HF_ISOLATED);
    size_t bytes = 0;
    if (!mark.n || (hf_char(mark.p, &bytes), bytes != mark.n))
        return hf_refuse(error, "pre-tokenizer", "Metaspace without a replacement of one character");
    s->prepend = span_is(scheme, "never") ? 0 : span_is(scheme, "first") ? 1 : 2;
    if (!scheme.p && !flag(o, "add_prefix_space", true))
        s->prepend = 0;
    s->text = hf_keep(h, mark);
    if (flag(o, "split", true)) {
        struct hf_split *cut = add(h, HF_SPLIT_TEXT, HF_MERGED_NEXT);
        cut->text = s->text;
    }
    return s->text.p ? ANDIRON_OK : error_memory(error, mark.n, "a pre-tokenizer");
}

static andiron_status read_delimiter(struct hf *h, const json_t *o, andiron_error *error)
{
    struct span text = hf_text_of(json_object_get(o, "delimiter"));
    if (!text.n)
        return hf_refuse(error, "pre-tokenizer", "CharDelimiterSplit without a delimiter");
    struct hf_split *s = add(h, HF_SPLIT_TEXT, HF_REMOVED);
    s->text = hf_keep(h, text);
    return s->text.p ? ANDIRON_OK : error_memory(error, text.n, "a pre-tokenizer");
}

static andiron_status read_plain(struct hf *h, const json_t *o, andiron_error *error)
{
    const char *type = hf_type(o);
    enum hf_behavior behavior = HF_ISOLATED;
    if (!strcmp(type, "BertPreTokenizer")) {
        add(h, HF_SPLIT_SPACE, HF_REMOVED);
        add(h, HF_SPLIT_PUNCTUATION, HF_ISOLATED);
    } else if (!strcmp(type, "Whitespace")) {
        add(h, HF_SPLIT_WORDS, HF_ISOLATED);
    } else if (!strcmp(type, "WhitespaceSplit")) {
        add(h, HF_SPLIT_SPACE, HF_REMOVED);
    } else if (!strcmp(type, "Digits")) {
        add(h, HF_SPLIT_DIGITS, flag(o, "individual_digits", false) ? HF_ISOLATED : HF_CONTIGUOUS);
    } else if (!strcmp(type, "Punctuation")) {
        const json_t *given = json_object_get(o, "behavior");
        if (given && !read_behavior(given, &behavior))
            return hf_refuse(error, "pre-tokenizer", "Punctuation with this behavior");
        add(h, HF_SPLIT_PUNCTUATION, behavior);
    } else {
        return hf_refuse(error, "pre-tokenizer", type);
    }
    return ANDIRON_OK;
}

static andiron_status read_one(struct hf *h, const json_t *o, unsigned depth, andiron_error *error)
{
    static const struct {
        const char *type;
        andiron_status (*read)(struct hf *, const json_t *, andiron_error *);
    } kinds[] = {
        {"Split", read_split},
        {"ByteLevel", read_byte_level},
        {"Metaspace", read_metaspace},
        {"CharDelimiterSplit", read_delimiter},
    };
    const char *type = hf_type(o);
    if (!strcmp(type, "Sequence") && depth < 8) {
        const json_t *list = json_object_get(o, "pretokenizers");
        andiron_status status = ANDIRON_OK;
        for (size_t i = 0; !status && i < json_array_size(list) && h->n_splits <= HF_MAX_STEPS; i++)
            status = read_one(h, json_array_get(list, i), depth + 1, error);
        return status;
    }
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (!strcmp(type, kinds[i].type))
            return kinds[i].read(h, o, error);
    return read_plain(h, o, error);
}

andiron_status hf_split_open(struct hf *h, const json_t *pre_tokenizer, andiron_error *error)
{
    if (!pre_tokenizer || json_is_null(pre_tokenizer))
        return ANDIRON_OK;
    andiron_status status = read_one(h, pre_tokenizer, 0, error);
    if (!status && h->n_splits > HF_MAX_STEPS)
        status = hf_refuse(error, "pre-tokenizer", "a sequence of more than 24 steps");
    return status;
}

/* ---- what becomes of matches ---- */

struct cutter {
    struct hf_run *run;
    const struct hf_split *s;
    size_t step;
    struct hf_piece whole;
    size_t begin, end; /* of what is held back */
    bool holds, held_match;
};

static bool hand_on(struct cutter *c, size_t begin, size_t end)
{
    struct hf_piece piece = {{c->whole.text.p + begin, end - begin}, c->whole.first && begin == 0};
    return begin == end || hf_split_run(c->run, c->step + 1, piece);
}

static bool hold(struct cutter *c, size_t begin, size_t end, bool match)
{
    c->begin = begin;
    c->end = end;
    c->holds = true;
    c->held_match = match;
    return true;
}

static bool let_go(struct cutter *c)
{
    bool held = c->holds;
    c->holds = false;
    return !held || hand_on(c, c->begin, c->end);
}

static bool put_merged_next(struct cutter *c, size_t begin, size_t end, bool match)
{
    if (match)
        return let_go(c) && hold(c, begin, end, true);
    size_t from = c->holds ? c->begin : begin;
    c->holds = false;
    return hand_on(c, from, end);
}

/* The next stretch of the text: a match, or what lies between two. */
static bool put(struct cutter *c, size_t begin, size_t end, bool match)
{
    match ^= c->s->invert;
    switch (c->s->behavior) {
    case HF_REMOVED: return match || hand_on(c, begin, end);
    case HF_ISOLATED: return hand_on(c, begin, end);
    case HF_CONTIGUOUS:
        if (c->holds && c->held_match == match) {
            c->end = end;
            return true;
        }
        return let_go(c) && hold(c, begin, end, match);
    case HF_MERGED_PREVIOUS:
        if (match && c->holds && !c->held_match) {
            c->end = end;
            c->held_match = true;
            return true;
        }
        return let_go(c) && hold(c, begin, end, match);
    default: return put_merged_next(c, begin, end, match);
    }
}

/* ---- cutting ---- */

static size_t char_bytes(const char *p)
{
    size_t n;
    hf_char(p, &n);
    return n;
}

/* As Oniguruma's iterator: no empty match right behind another match. */
static bool cut_by_regex(struct cutter *c)
{
    struct span text = c->whole.text;
    size_t from = 0, at = 0, last_end = SIZE_MAX, begin, end;
    struct span subject = hf_regex_subject(c->s->regex, text, &c->run->texts[c->step]);
    if (!subject.p)
        return false;
    while (at <= text.n) {
        int found = hf_regex_find(c->run, c->s->regex, subject, at, &begin, &end);
        if (found < 0)
            return false;
        if (!found)
            break;
        if (begin == end && end == last_end) {
            at = end < text.n ? end + char_bytes(text.p + end) : end + 1;
            continue;
        }
        if ((begin > from && !put(c, from, begin, false)) || !put(c, begin, end, true))
            return false;
        from = at = last_end = end;
    }
    return from == text.n || put(c, from, text.n, false);
}

static bool cut_by_text(struct cutter *c)
{
    struct span text = c->whole.text, mark = c->s->text;
    size_t from = 0;
    for (const char *p; (p = memmem(text.p + from, text.n - from, mark.p, mark.n)) != NULL;) {
        size_t at = (size_t)(p - text.p);
        if ((at > from && !put(c, from, at, false)) || !put(c, at, at + mark.n, true))
            return false;
        from = at + mark.n;
    }
    return from == text.n || put(c, from, text.n, false);
}

static bool cut_by_class(struct cutter *c, bool (*is)(uint32_t))
{
    struct span text = c->whole.text;
    size_t from = 0, n;
    for (size_t at = 0; at < text.n; at += n) {
        if (!is(hf_char(text.p + at, &n)))
            continue;
        if ((at > from && !put(c, from, at, false)) || !put(c, at, at + n, true))
            return false;
        from = at + n;
    }
    return from == text.n || put(c, from, text.n, false);
}

static int word_class(uint32_t c) { return hf_is_word(c) ? 1 : hf_is_space(c) ? 0 : 2; }

static bool cut_words(struct cutter *c)
{
    struct span text = c->whole.text;
    size_t from = 0, n;
    int now = 0;
    for (size_t at = 0; at < text.n; at += n) {
        int next = word_class(hf_char(text.p + at, &n));
        if (next == now)
            continue;
        if (now && !hand_on(c, from, at))
            return false;
        from = at;
        now = next;
    }
    return !now || hand_on(c, from, text.n);
}

/* ---- changing ---- */

bool hf_spell_bytes(struct buffer *out, struct span text)
{
    for (size_t i = 0; i < text.n; i++) {
        char spelled[2];
        if (!buffer_add(out, spelled, bpe_spell(spelled, (uint8_t)text.p[i])))
            return false;
    }
    return true;
}

static bool put_marks(const struct hf_split *s, struct hf_piece piece, struct buffer *out)
{
    struct span text = piece.text, mark = s->text;
    bool marked = text.n && (text.p[0] == ' ' || (text.n >= mark.n && !memcmp(text.p, mark.p, mark.n)));
    if (!marked && (s->prepend == 2 || (s->prepend == 1 && piece.first)))
        buffer_add_span(out, mark);
    for (size_t at = 0; at < text.n;) {
        const char *space = memchr(text.p + at, ' ', text.n - at);
        size_t n = space ? (size_t)(space - text.p) - at : text.n - at;
        buffer_add(out, text.p + at, n);
        if (space)
            buffer_add_span(out, mark);
        at += n + (space != NULL);
    }
    return !out->failed;
}

static bool change(struct hf_run *run, size_t step, struct hf_piece piece)
{
    const struct hf_split *s = &run->h->splits[step];
    struct buffer *out = &run->texts[step];
    out->n = 0;
    if (s->kind == HF_PUT_MARKS)
        put_marks(s, piece, out);
    else if (s->kind == HF_PUT_BYTES)
        hf_spell_bytes(out, piece.text);
    else if (piece.text.p[0] == ' ')
        return hf_split_run(run, step + 1, piece);
    else if (buffer_add(out, " ", 1))
        buffer_add_span(out, piece.text);
    return !out->failed && hf_split_run(run, step + 1, (struct hf_piece){buffer_span(out), piece.first});
}

bool hf_split_run(struct hf_run *run, size_t step, struct hf_piece piece)
{
    if (step >= run->h->n_splits)
        return hf_word(run, piece.text);
    struct cutter c = {.run = run, .s = &run->h->splits[step], .step = step, .whole = piece};
    bool fine;
    switch (c.s->kind) {
    case HF_SPLIT_REGEX: fine = cut_by_regex(&c); break;
    case HF_SPLIT_TEXT: fine = cut_by_text(&c); break;
    case HF_SPLIT_SPACE: fine = cut_by_class(&c, hf_is_space); break;
    case HF_SPLIT_PUNCTUATION: fine = cut_by_class(&c, hf_is_punctuation); break;
    case HF_SPLIT_DIGITS: fine = cut_by_class(&c, hf_is_number); break;
    case HF_SPLIT_WORDS: return cut_words(&c);
    default: return change(run, step, piece);
    }
    return fine && let_go(&c);
}
