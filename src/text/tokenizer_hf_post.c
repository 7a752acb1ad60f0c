/* tokenizer_hf_post.c - what stands before and behind a text (post-processors), and what tokens stand for (decoders).
 *
 * A decoder works on a list of tokens; here on each alone, so that text can be given out token by token. What a decoder
 * does at the beginning of a text is the one thing beside: the first space goes. */
#include "base/error.h"
#include "text/tokenizer_hf_internal.h"

/* ---- post-processors ---- */

/* The ids go outside of what stands there. */
static andiron_status put_around(int32_t *list, size_t *n, bool before, const int32_t *ids, size_t n_ids,
                                 andiron_error *error)
{
    if (*n + n_ids > HF_MAX_AROUND)
        return hf_refuse(error, "post-processor", "more than 64 tokens before or behind a text");
    if (before)
        memmove(list + n_ids, list, *n * sizeof *list);
    memcpy(before ? list : list + *n, ids, n_ids * sizeof *ids);
    *n += n_ids;
    return ANDIRON_OK;
}

static bool read_id(const json_t *v, int32_t *id)
{
    json_int_t x = json_integer_value(v);
    *id = (int32_t)x;
    return json_is_integer(v) && x >= 0 && x < HF_MAX_TOKENS;
}

static andiron_status read_template(struct hf *h, const json_t *o, andiron_error *error)
{
    const json_t *list = json_object_get(o, "single"), *known = json_object_get(o, "special_tokens");
    int32_t ids[2][HF_MAX_AROUND]; /* before, behind */
    size_t n[2] = {0, 0}, side = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *part = json_array_get(list, i);
        const json_t *special = json_object_get(part, "SpecialToken");
        struct span name = hf_text_of(json_object_get(special, "id"));
        if (json_object_get(part, "Sequence")) {
            if (side++)
                return hf_refuse(error, "post-processor", "TemplateProcessing with the text twice");
            continue;
        }
        const json_t *token = name.p ? json_object_getn(known, name.p, name.n) : NULL;
        const json_t *numbers = json_object_get(token, "ids");
        for (size_t k = 0; k < json_array_size(numbers); k++)
            if (n[side] == HF_MAX_AROUND || !read_id(json_array_get(numbers, k), &ids[side][n[side]++]))
                return hf_refuse(error, "post-processor", "TemplateProcessing with these special tokens");
        if (!json_array_size(numbers))
            return hf_broken(error, "post-processor", "names a special token that it does not define");
    }
    if (side != 1)
        return hf_refuse(error, "post-processor", "TemplateProcessing without the text");
    andiron_status status = put_around(h->before, &h->n_before, true, ids[0], n[0], error);
    return status ? status : put_around(h->behind, &h->n_behind, false, ids[1], n[1], error);
}

static andiron_status read_pair(struct hf *h, const json_t *o, andiron_error *error)
{
    int32_t cls, sep;
    if (!read_id(json_array_get(json_object_get(o, "cls"), 1), &cls) ||
        !read_id(json_array_get(json_object_get(o, "sep"), 1), &sep))
        return hf_broken(error, "post-processor", "has no ids for cls and sep");
    andiron_status status = put_around(h->before, &h->n_before, true, &cls, 1, error);
    return status ? status : put_around(h->behind, &h->n_behind, false, &sep, 1, error);
}

static andiron_status read_post(struct hf *h, const json_t *o, unsigned depth, andiron_error *error)
{
    const char *type = hf_type(o);
    if (!strcmp(type, "Sequence") && depth < 8) {
        const json_t *list = json_object_get(o, "processors");
        andiron_status status = ANDIRON_OK;
        for (size_t i = 0; !status && i < json_array_size(list); i++)
            status = read_post(h, json_array_get(list, i), depth + 1, error);
        return status;
    }
    if (!strcmp(type, "TemplateProcessing"))
        return read_template(h, o, error);
    if (!strcmp(type, "BertProcessing") || !strcmp(type, "RobertaProcessing"))
        return read_pair(h, o, error);
    return strcmp(type, "ByteLevel") ? hf_refuse(error, "post-processor", type)
                                     : ANDIRON_OK; /* it moves offsets only */
}

andiron_status hf_post_open(struct hf *h, const json_t *post_processor, andiron_error *error)
{
    return !post_processor || json_is_null(post_processor) ? ANDIRON_OK : read_post(h, post_processor, 0, error);
}

/* ---- decoders ---- */

static andiron_status add(struct hf *h, enum hf_decode_kind kind, struct span from, struct span to, bool cleanup,
                          andiron_error *error)
{
    if (h->n_decodes == HF_MAX_STEPS)
        return hf_refuse(error, "decoder", "a sequence of more than 24 steps");
    struct hf_decode *d = &h->decodes[h->n_decodes++];
    *d = (struct hf_decode){kind, cleanup, hf_keep(h, from), hf_keep(h, to)};
    return d->from.p && d->to.p ? ANDIRON_OK : error_memory(error, from.n + to.n, "a decoder");
}

static const struct span nothing = {"", 0}, space = {" ", 1};

static andiron_status read_decode_replace(struct hf *h, const json_t *o, andiron_error *error)
{
    struct span from = hf_text_of(json_object_get(json_object_get(o, "pattern"), "String"));
    struct span to = hf_text_of(json_object_get(o, "content"));
    if (!from.n || !to.p)
        return hf_refuse(error, "decoder", "Replace with this pattern or content");
    return add(h, HF_DECODE_REPLACE, from, to, false, error);
}

static andiron_status read_decode_metaspace(struct hf *h, const json_t *o, andiron_error *error)
{
    struct span mark = hf_text_of(json_object_get(o, "replacement"));
    struct span scheme = hf_text_of(json_object_get(o, "prepend_scheme"));
    const json_t *prefix = json_object_get(o, "add_prefix_space");
    if (!mark.n)
        return hf_refuse(error, "decoder", "Metaspace without a replacement");
    h->strips_first = scheme.p ? !span_is(scheme, "never") : !json_is_false(prefix);
    return add(h, HF_DECODE_REPLACE, mark, space, false, error);
}

static andiron_status read_strip(struct hf *h, const json_t *o, bool fused, andiron_error *error)
{
    json_int_t start = json_integer_value(json_object_get(o, "start"));
    json_int_t stop = json_integer_value(json_object_get(o, "stop"));
    if (start == 0 && stop == 0)
        return ANDIRON_OK;
    if (!fused || start != 1 || stop != 0 || !span_is(hf_text_of(json_object_get(o, "content")), " "))
        return hf_refuse(error, "decoder", "Strip of something other than the text's first space");
    h->strips_first = true;
    return ANDIRON_OK;
}

static andiron_status read_wordpiece(struct hf *h, const json_t *o, andiron_error *error)
{
    struct span prefix = hf_text_of(json_object_get(o, "prefix"));
    h->strips_first = true;
    return add(h, HF_DECODE_WORDPIECE, prefix.p ? prefix : span_of("##"), nothing,
               !json_is_false(json_object_get(o, "cleanup")), error);
}

static andiron_status read_suffix(struct hf *h, const json_t *o, andiron_error *error)
{
    struct span suffix = hf_text_of(json_object_get(o, "suffix"));
    if (!suffix.n)
        return hf_refuse(error, "decoder", "BPEDecoder without a suffix");
    return add(h, HF_DECODE_REPLACE, suffix, space, false, error);
}

static andiron_status read_decode(struct hf *h, const json_t *o, unsigned depth, bool *fused, andiron_error *error)
{
    const char *type = hf_type(o);
    if (!strcmp(type, "Sequence") && depth < 8) {
        const json_t *list = json_object_get(o, "decoders");
        andiron_status status = ANDIRON_OK;
        for (size_t i = 0; !status && i < json_array_size(list); i++)
            status = read_decode(h, json_array_get(list, i), depth + 1, fused, error);
        return status;
    }
    if (!strcmp(type, "ByteLevel"))
        return add(h, HF_DECODE_BYTES, nothing, nothing, false, error);
    if (!strcmp(type, "ByteFallback"))
        return add(h, HF_DECODE_FALLBACK, nothing, nothing, false, error);
    if (!strcmp(type, "Replace"))
        return read_decode_replace(h, o, error);
    if (!strcmp(type, "Metaspace"))
        return read_decode_metaspace(h, o, error);
    if (!strcmp(type, "WordPiece"))
        return read_wordpiece(h, o, error);
    if (!strcmp(type, "BPEDecoder"))
        return read_suffix(h, o, error);
    if (!strcmp(type, "Strip"))
        return read_strip(h, o, *fused, error);
    *fused = true;
    return strcmp(type, "Fuse") ? hf_refuse(error, "decoder", type) : ANDIRON_OK;
}

andiron_status hf_decode_open(struct hf *h, const json_t *decoder, andiron_error *error)
{
    bool fused = false;
    if (decoder && !json_is_null(decoder))
        return read_decode(h, decoder, 0, &fused, error);
    h->strips_first = true; /* without a decoder, tokens stand with spaces between them */
    return add(h, HF_DECODE_SPACED, nothing, nothing, false, error);
}

/* ---- what a token stands for ---- */

static int hex_value(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                  : -1;
}

/* As it is where a character is none of the alphabet. */
static bool put_bytes(struct span text, struct buffer *out)
{
    const size_t begin = out->n;
    for (size_t at = 0, n; at < text.n; at += n) {
        int byte = bpe_byte_of(hf_char(text.p + at, &n));
        if (byte < 0) {
            out->n = begin;
            return buffer_add_span(out, text);
        }
        if (!buffer_add(out, &(char){(char)byte}, 1))
            return false;
    }
    return true;
}

static bool put_replaced(struct span text, struct span from, struct span to, struct buffer *out)
{
    size_t at = 0;
    for (const char *p; (p = memmem(text.p + at, text.n - at, from.p, from.n)) != NULL;) {
        buffer_add(out, text.p + at, (size_t)(p - text.p) - at);
        buffer_add_span(out, to);
        at = (size_t)(p - text.p) + from.n;
    }
    return buffer_add(out, text.p + at, text.n - at);
}

/* No space before marks that English writes without one. */
static bool put_clean(struct span text, struct buffer *out)
{
    static const char *const marks[] = {".", "?", "!", ",", "n't", "'m", "'s", "'ve", "'re"};
    if (text.n && text.p[0] == ' ')
        for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
            size_t n = strlen(marks[i]);
            if (text.n > n && !memcmp(text.p + 1, marks[i], n))
                return buffer_add(out, text.p + 1, text.n - 1);
        }
    return buffer_add_span(out, text);
}

static bool put_wordpiece(const struct hf_decode *d, struct span text, struct buffer *out)
{
    char spaced[1 + SPECIAL_MAX_BYTES * 4];
    if (d->from.n && text.n >= d->from.n && !memcmp(text.p, d->from.p, d->from.n))
        return buffer_add(out, text.p + d->from.n, text.n - d->from.n);
    if (!d->cleanup || text.n >= sizeof spaced)
        return buffer_add(out, " ", 1) && buffer_add_span(out, text);
    spaced[0] = ' ';
    memcpy(spaced + 1, text.p, text.n);
    return put_clean((struct span){spaced, text.n + 1}, out);
}

static bool put_fallback(struct span text, struct buffer *out)
{
    if (text.n == 6 && !memcmp(text.p, "<0x", 3) && text.p[5] == '>' && hex_value(text.p[3]) >= 0 &&
        hex_value(text.p[4]) >= 0)
        return buffer_add(out, &(char){(char)(hex_value(text.p[3]) * 16 + hex_value(text.p[4]))}, 1);
    return buffer_add_span(out, text);
}

static bool run_decode(const struct hf_decode *d, struct span text, struct buffer *out)
{
    switch (d->kind) {
    case HF_DECODE_BYTES: return put_bytes(text, out);
    case HF_DECODE_FALLBACK: return put_fallback(text, out);
    case HF_DECODE_REPLACE: return put_replaced(text, d->from, d->to, out);
    case HF_DECODE_WORDPIECE: return put_wordpiece(d, text, out);
    default: return buffer_add(out, " ", 1) && buffer_add_span(out, text);
    }
}

static bool put_piece(const struct tokenizer *t, size_t id, struct buffer steps[2], struct buffer *out)
{
    const struct hf *h = t->hf;
    struct span text = t->source.texts[id];
    bool added = t->kinds[id] != TOKEN_NORMAL;
    if (!text.n)
        return true;
    for (size_t i = 0; i < h->n_decodes; i++) {
        if (added && h->decodes[i].kind == HF_DECODE_BYTES)
            continue;
        struct buffer *to = &steps[i % 2];
        to->n = 0;
        if (!run_decode(&h->decodes[i], text, to))
            return false;
        text = (struct span){to->data ? to->data : "", to->n};
    }
    return buffer_add_span(out, text);
}

andiron_status hf_pieces_build(struct tokenizer *t, andiron_error *error)
{
    size_t n = t->source.n_tokens;
    struct buffer out, steps[2];
    buffer_init(&out, UINT32_MAX - 1);
    buffer_init(&steps[0], UINT32_MAX - 1);
    buffer_init(&steps[1], UINT32_MAX - 1);
    t->piece_at = arena_alloc(&t->arena, n + 1, sizeof *t->piece_at);
    bool fine = t->piece_at != NULL;
    for (size_t id = 0; fine && id < n; id++) {
        t->piece_at[id] = (uint32_t)out.n;
        fine = put_piece(t, id, steps, &out);
    }
    fine = fine && (t->piece_bytes = arena_alloc(&t->arena, out.n + 1, 1)) != NULL;
    if (fine) {
        t->piece_at[n] = (uint32_t)out.n;
        if (out.n)
            memcpy(t->piece_bytes, out.data, out.n);
    }
    andiron_status status = fine ? ANDIRON_OK : error_memory(error, out.n, "the text of tokens");
    buffer_reset(&out);
    buffer_reset(&steps[0]);
    buffer_reset(&steps[1]);
    return status;
}
