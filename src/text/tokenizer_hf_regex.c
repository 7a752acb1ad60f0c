/* tokenizer_hf_regex.c - patterns out of tokenizer.json, compiled and run by PCRE2 within limits.
 *
 * They are hostile until they have proven otherwise: PCRE2's limits end one match that goes on too long, and a whole
 * text may take 5 seconds of patterns and 20 microseconds more for each byte, hundreds of times what published ones
 * need. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "text/tokenizer_hf_regex.h"
#include "base/alloc.h"
#include "base/error.h"
#include "text/tokenizer_hf_classes.h"
#include "text/tokenizer_hf_internal.h"
#include "text/tokenizer_pre.h"
#include <pcre2.h>
#include <time.h>

enum {
    MATCH_LIMIT = 2000000,
    HEAP_LIMIT_KIB = 65536,
    MATCHES_BETWEEN_LOOKS = 64,
    MAX_PATTERN = 16384,
};

struct hf_regex {
    struct hf_regex *next; /* of the tokenizer's, for closing */
    pcre2_code *code;
    bool by_kind; /* stand-ins may stand for characters */
};

/* ---- compiling ---- */

static bool make_contexts(struct hf *h)
{
    if (!h->regex_memory && !(h->regex_memory = pcre2_general_context_create(pre_take, pre_give, NULL)))
        return false;
    if (!h->regex_limits) {
        if (!(h->regex_limits = pcre2_match_context_create(h->regex_memory)))
            return false;
        pcre2_set_match_limit(h->regex_limits, MATCH_LIMIT);
        pcre2_set_depth_limit(h->regex_limits, MATCH_LIMIT);
        pcre2_set_heap_limit(h->regex_limits, HEAP_LIMIT_KIB);
    }
    return true;
}

static andiron_status compile(struct hf *h, struct hf_regex *r, const struct buffer *text, struct span pattern,
                              andiron_error *error)
{
    int code = 0;
    PCRE2_SIZE at = 0;
    pcre2_compile_context *context = pcre2_compile_context_create(h->regex_memory);
    if (!context)
        return error_memory(error, text->n, "a pattern");
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    r->code = pcre2_compile((PCRE2_SPTR)text->data, text->n,
                            PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &code, &at, context);
    pcre2_compile_context_free(context);
    if (r->code) {
        pcre2_jit_compile(r->code, PCRE2_JIT_COMPLETE); /* without it the same matches come slower */
        return ANDIRON_OK;
    }
    if (code == PCRE2_ERROR_HEAP_FAILED)
        return error_memory(error, text->n, "a pattern");
    char why[160] = "";
    pcre2_get_error_message(code, (PCRE2_UCHAR *)why, sizeof why);
    return error_set(error, ANDIRON_E_SUPPORT, "tokenizer.json: the pattern \"%.*s\" cannot be used: %s",
                     (int)(pattern.n < 200 ? pattern.n : 200), pattern.p, why);
}

andiron_status hf_regex_open(struct hf *h, struct hf_regex **out, struct span pattern, andiron_error *error)
{
    struct buffer text;
    const char *why = "it is too long";
    struct hf_regex *r = arena_alloc(&h->arena, 1, sizeof *r);
    *out = NULL;
    if (!r || !make_contexts(h))
        return error_memory(error, sizeof *r, "a pattern");
    buffer_init(&text, 1 << 20);
    andiron_status status = ANDIRON_OK;
    if (pattern.n > MAX_PATTERN || !hf_is_whole(pattern) || !hf_regex_translate(pattern, &text, &r->by_kind, &why))
        status = error_set(error, ANDIRON_E_SUPPORT, "tokenizer.json: the pattern \"%.*s\" cannot be used: %s",
                           (int)(pattern.n < 200 ? pattern.n : 200), pattern.p, why);
    else if (text.failed)
        status = error_memory(error, text.n, "a pattern");
    else
        status = compile(h, r, &text, pattern, error);
    buffer_reset(&text);
    if (!status) {
        r->next = h->regexes;
        *out = h->regexes = r;
    }
    return status;
}

void hf_regex_close(struct hf *h)
{
    for (struct hf_regex *r = h->regexes; r; r = r->next)
        pcre2_code_free(r->code);
    pcre2_match_context_free(h->regex_limits);
    pcre2_general_context_free(h->regex_memory);
}

bool hf_regex_matches_nothing(const struct hf_regex *r)
{
    uint32_t empty = 1;
    pcre2_pattern_info(r->code, PCRE2_INFO_MATCHEMPTY, &empty);
    return empty;
}

/* ---- running ---- */

static uint64_t processor_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static bool in_time(struct hf_run *run)
{
    if (run->n_matches++ % MATCHES_BETWEEN_LOOKS)
        return true;
    uint64_t now = processor_ns();
    if (!run->began_ns)
        run->began_ns = now;
    return now - run->began_ns < 5000000000u + run->n_bytes * 20000u;
}

static uint32_t stand_in(uint32_t c)
{
    const struct hf_stand_in *in = hf_find_range(hf_stand_ins, n_hf_stand_ins, sizeof *hf_stand_ins, c);
    return in ? in->to : c;
}

struct span hf_regex_subject(const struct hf_regex *r, struct span text, struct buffer *copy)
{
    struct span subject = text;
    size_t bytes;
    for (size_t at = 0; r->by_kind && at < text.n; at += bytes) {
        bytes = 1;
        if ((uint8_t)text.p[at] < 0xE0)
            continue;
        uint32_t c = hf_char(text.p + at, &bytes), to = stand_in(c);
        if (to == c)
            continue;
        if (subject.p == text.p) {
            copy->n = 0;
            if (!buffer_add_span(copy, text))
                return (struct span){NULL, 0};
            subject = buffer_span(copy);
        }
        hf_put_char(copy->data + at, to);
    }
    return subject;
}

int hf_regex_find(struct hf_run *run, const struct hf_regex *r, struct span text, size_t at, size_t *begin, size_t *end)
{
    static const char slow[] = "a pattern of the tokenizer takes too long with this text";
    struct encoder *e = run->e;
    if (!e->match && !(e->match = pcre2_match_data_create(1, run->h->regex_memory)))
        return -1;
    if (!in_time(run)) {
        e->refused = slow;
        return -1;
    }
    int rc = pcre2_match(r->code, (PCRE2_SPTR)text.p, text.n, at, PCRE2_NO_UTF_CHECK, e->match, run->h->regex_limits);
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT)
        rc = pcre2_match(r->code, (PCRE2_SPTR)text.p, text.n, at, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, e->match,
                         run->h->regex_limits);
    if (rc == PCRE2_ERROR_NOMATCH)
        return 0;
    if (rc < 0) {
        e->refused = rc == PCRE2_ERROR_NOMEMORY ? NULL : slow;
        return -1;
    }
    const PCRE2_SIZE *found = pcre2_get_ovector_pointer(e->match);
    *begin = found[0];
    *end = found[1];
    return 1;
}
