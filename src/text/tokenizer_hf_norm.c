/* tokenizer_hf_norm.c - normalizers: a list of steps, each of which makes a new text of the whole text. */
#include "base/error.h"
#include "text/tokenizer_hf_internal.h"

/* ---- reading ---- */

static struct hf_norm *add(struct hf *h, enum hf_norm_kind kind, unsigned options)
{
    static struct hf_norm spare;
    struct hf_norm *n = h->n_norms < HF_MAX_STEPS ? &h->norms[h->n_norms] : &spare;
    h->n_norms++; /* too many are refused at the end */
    *n = (struct hf_norm){.kind = kind, .options = options};
    return n;
}

static bool flag(const json_t *o, const char *key, bool usual)
{
    const json_t *v = json_object_get(o, key);
    return json_is_boolean(v) ? json_is_true(v) : usual;
}

static andiron_status read_bert(struct hf *h, const json_t *o, andiron_error *error)
{
    (void)error;
    bool lower = flag(o, "lowercase", true);
    if (flag(o, "clean_text", true))
        add(h, HF_NORM_CLEAN, 0);
    if (flag(o, "handle_chinese_chars", true))
        add(h, HF_NORM_CHINESE, 0);
    if (flag(o, "strip_accents", lower)) {
        add(h, HF_NORM_FORM, 0);
        add(h, HF_NORM_STRIP_NONSPACING, 0);
    }
    if (lower)
        add(h, HF_NORM_LOWER, 0);
    return ANDIRON_OK;
}

static andiron_status keep(struct hf *h, struct span *out, struct span text, andiron_error *error)
{
    *out = hf_keep(h, text);
    return out->p ? ANDIRON_OK : error_memory(error, text.n, "a normalizer");
}

static andiron_status read_replace(struct hf *h, const json_t *o, andiron_error *error)
{
    const json_t *pattern = json_object_get(o, "pattern");
    struct span regex = hf_text_of(json_object_get(pattern, "Regex"));
    struct span text = hf_text_of(json_object_get(pattern, "String"));
    struct span content = hf_text_of(json_object_get(o, "content"));
    if (!content.p || (!regex.p && !text.n))
        return hf_refuse(error, "normalizer", "Replace with this pattern or content");
    struct hf_norm *n = add(h, regex.p ? HF_NORM_REPLACE_REGEX : HF_NORM_REPLACE, 0);
    andiron_status status = keep(h, &n->to, content, error);
    if (!status)
        status = regex.p ? hf_regex_open(h, &n->regex, regex, error) : keep(h, &n->from, text, error);
    if (!status && regex.p && hf_regex_matches_nothing(n->regex))
        status = hf_refuse(error, "normalizer", "Replace with a pattern that matches the empty text");
    return status;
}

static andiron_status read_prepend(struct hf *h, const json_t *o, andiron_error *error)
{
    struct span text = hf_text_of(json_object_get(o, "prepend"));
    if (!text.p)
        return hf_refuse(error, "normalizer", "Prepend without a text");
    return keep(h, &add(h, HF_NORM_PREPEND, 0)->to, text, error);
}

static andiron_status read_strip(struct hf *h, const json_t *o, andiron_error *error)
{
    (void)error;
    add(h, HF_NORM_STRIP, (flag(o, "strip_left", true) ? 1 : 0) | (flag(o, "strip_right", true) ? 2 : 0));
    return ANDIRON_OK;
}

static andiron_status read_charsmap(struct hf *h, const json_t *o, andiron_error *error)
{
    struct span base64 = hf_text_of(json_object_get(o, "precompiled_charsmap"));
    if (!base64.n)
        return ANDIRON_OK; /* an empty map changes nothing */
    return hf_charsmap_open(h, &add(h, HF_NORM_CHARSMAP, 0)->charsmap, base64,
                            json_is_true(json_object_get(o, "longest")), error);
}

static andiron_status read_plain(struct hf *h, const char *type, andiron_error *error)
{
    static const struct {
        const char *type;
        enum hf_norm_kind kind;
        unsigned options;
    } kinds[] = {
        {"NFC", HF_NORM_FORM, 1},        {"NFD", HF_NORM_FORM, 0},        {"NFKC", HF_NORM_FORM, 3},
        {"NFKD", HF_NORM_FORM, 2},       {"Lowercase", HF_NORM_LOWER, 0}, {"StripAccents", HF_NORM_STRIP_ACCENTS, 0},
        {"ByteLevel", HF_NORM_BYTES, 0}, {"Nmt", HF_NORM_NMT, 0},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (!strcmp(type, kinds[i].type)) {
            add(h, kinds[i].kind, kinds[i].options);
            return ANDIRON_OK;
        }
    return hf_refuse(error, "normalizer", type);
}

static andiron_status read_one(struct hf *h, const json_t *o, unsigned depth, andiron_error *error)
{
    static const struct {
        const char *type;
        andiron_status (*read)(struct hf *, const json_t *, andiron_error *);
    } kinds[] = {
        {"BertNormalizer", read_bert}, {"Replace", read_replace},      {"Prepend", read_prepend},
        {"Strip", read_strip},         {"Precompiled", read_charsmap},
    };
    const char *type = hf_type(o);
    if (!strcmp(type, "Sequence") && depth < 8) {
        const json_t *list = json_object_get(o, "normalizers");
        andiron_status status = ANDIRON_OK;
        for (size_t i = 0; !status && i < json_array_size(list) && h->n_norms <= HF_MAX_STEPS; i++)
            status = read_one(h, json_array_get(list, i), depth + 1, error);
        return status;
    }
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (!strcmp(type, kinds[i].type))
            return kinds[i].read(h, o, error);
    return read_plain(h, type, error);
}

andiron_status hf_norm_open(struct hf *h, const json_t *normalizer, andiron_error *error)
{
    if (!normalizer || json_is_null(normalizer))
        return ANDIRON_OK;
    andiron_status status = read_one(h, normalizer, 0, error);
    if (!status && h->n_norms > HF_MAX_STEPS)
        status = hf_refuse(error, "normalizer", "a sequence of more than 24 steps");
    return status;
}

/* ---- characters ---- */

static bool is_among(const uint32_t (*ranges)[2], size_t n, uint32_t c)
{
    for (size_t i = 0; i < n; i++)
        if (c >= ranges[i][0] && c <= ranges[i][1])
            return true;
    return false;
}

static bool is_chinese(uint32_t c)
{
    static const uint32_t ranges[][2] = {
        {0x4E00, 0x9FFF},   {0x3400, 0x4DBF},   {0xF900, 0xFAFF},   {0x20000, 0x2A6DF},
        {0x2A700, 0x2B73F}, {0x2B740, 0x2B81F}, {0x2B920, 0x2CEAF}, {0x2F800, 0x2FA1F},
    };
    return c >= 0x3400 && is_among(ranges, sizeof ranges / sizeof *ranges, c);
}

enum { GONE = 0x110000 };

static uint32_t clean(uint32_t c)
{
    if (hf_is_cleaned(c))
        return GONE;
    return hf_is_space(c) ? ' ' : c;
}

static uint32_t nmt(uint32_t c)
{
    static const uint32_t gone[][2] = {{1, 8}, {0x0B, 0x0B}, {0x0E, 0x1F}, {0x7F, 0x7F}, {0x8F, 0x8F}, {0x9F, 0x9F}};
    static const uint32_t spaces[][2] = {
        {9, 10},          {12, 13},         {0x1680, 0x1680}, {0x200B, 0x200F},
        {0x2028, 0x2029}, {0x2581, 0x2581}, {0xFEFF, 0xFEFF}, {0xFFFD, 0xFFFD},
    };
    if (is_among(gone, sizeof gone / sizeof *gone, c))
        return GONE;
    return is_among(spaces, sizeof spaces / sizeof *spaces, c) ? ' ' : c;
}

/* What becomes of one character, in at most 8 bytes. */
static size_t change(enum hf_norm_kind kind, uint32_t c, char *out)
{
    switch (kind) {
    case HF_NORM_LOWER:
        if (c == 0x130) { /* the only letter whose small form is two characters */
            memcpy(out, "i\xCC\x87", 3);
            return 3;
        }
        c = hf_lower_of(c);
        break;
    case HF_NORM_STRIP_ACCENTS: c = hf_is_mark(c) ? GONE : c; break;
    case HF_NORM_STRIP_NONSPACING: c = hf_is_nonspacing(c) ? GONE : c; break;
    case HF_NORM_CLEAN: c = clean(c); break;
    case HF_NORM_NMT: c = nmt(c); break;
    default:
        if (is_chinese(c)) {
            size_t n = hf_put_char(out + 1, c);
            out[0] = out[n + 1] = ' ';
            return n + 2;
        }
    }
    return c == GONE ? 0 : hf_put_char(out, c);
}

static bool change_all(enum hf_norm_kind kind, struct hf_piece *piece, struct buffer *out)
{
    struct span text = piece->text;
    size_t bytes;
    char changed[8];
    for (size_t at = 0; at < text.n; at += bytes) {
        size_t n = change(kind, hf_char(text.p + at, &bytes), changed);
        piece->first &= n > 0 || out->n > 0;
        if (!buffer_add(out, changed, n))
            return false;
    }
    return true;
}

/* ---- texts ---- */

static bool replace_text(const struct hf_norm *s, struct hf_piece *piece, struct buffer *out)
{
    struct span text = piece->text;
    size_t at = 0;
    for (const char *p; (p = memmem(text.p + at, text.n - at, s->from.p, s->from.n)) != NULL;) {
        buffer_add(out, text.p + at, (size_t)(p - text.p) - at);
        buffer_add_span(out, s->to);
        at = (size_t)(p - text.p) + s->from.n;
        piece->first &= out->n > 0;
    }
    return buffer_add(out, text.p + at, text.n - at);
}

static bool replace_regex(struct hf_run *run, const struct hf_norm *s, struct hf_piece *piece, struct buffer *out)
{
    struct span text = piece->text;
    size_t at = 0, begin, end;
    int found;
    struct span subject = hf_regex_subject(s->regex, text, &run->scratch);
    if (!subject.p)
        return false;
    while ((found = hf_regex_find(run, s->regex, subject, at, &begin, &end)) > 0 && end > begin) {
        buffer_add(out, text.p + at, begin - at);
        buffer_add_span(out, s->to);
        at = end;
        piece->first &= out->n > 0;
    }
    return found >= 0 && buffer_add(out, text.p + at, text.n - at);
}

static bool strip(const struct hf_norm *s, struct hf_piece *piece, struct buffer *out)
{
    struct span text = piece->text;
    size_t begin = 0, end = 0, n;
    while (s->options & 1 && begin < text.n && hf_is_space(hf_char(text.p + begin, &n)))
        begin += n;
    for (size_t at = begin; at < text.n; at += n)
        if (!hf_is_space(hf_char(text.p + at, &n)))
            end = at + n;
    end = s->options & 2 ? end : text.n;
    piece->first &= begin == 0;
    return end <= begin || buffer_add(out, text.p + begin, end - begin);
}

static bool run_step(struct hf_run *run, const struct hf_norm *s, struct hf_piece *piece, struct buffer *out)
{
    switch (s->kind) {
    case HF_NORM_FORM: return hf_form(run, piece->text, s->options, out);
    case HF_NORM_STRIP: return strip(s, piece, out);
    case HF_NORM_PREPEND: return (!piece->text.n || buffer_add_span(out, s->to)) && buffer_add_span(out, piece->text);
    case HF_NORM_REPLACE: return replace_text(s, piece, out);
    case HF_NORM_REPLACE_REGEX: return replace_regex(run, s, piece, out);
    case HF_NORM_CHARSMAP: return hf_charsmap_run(s->charsmap, piece->text, out, &piece->first);
    case HF_NORM_BYTES: return hf_spell_bytes(out, piece->text);
    default: return change_all(s->kind, piece, out);
    }
}

bool hf_normalize(struct hf_run *run, struct hf_piece *piece)
{
    const struct hf *h = run->h;
    for (size_t i = 0; i < h->n_norms; i++) {
        struct buffer *out = &run->norms[i % 2];
        out->n = 0;
        if (!run_step(run, &h->norms[i], piece, out))
            return false;
        piece->text = (struct span){out->data ? out->data : "", out->n};
    }
    return true;
}
