/* tokenizer_pre.c - cuts text into words by the patterns of tokenizer_patterns.c, step by step.
 *
 * Patterns are compiled when the vocabulary is opened and run by PCRE2 over classes (one byte a character), with its
 * JIT where there is one. They are written so that a match never goes back over more than it then consumes, which keeps
 * the whole linear in the text. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "text/tokenizer_pre.h"
#include "base/alloc.h"
#include "base/error.h"
#include "text/tokenizer_internal.h"
#include <pcre2.h>

struct pre {
    const struct pre_step *steps;
    size_t n_steps;
    pcre2_general_context *memory;
    pcre2_code *codes[PRE_MAX_STEPS];
};

void *pre_take(size_t bytes, void *user)
{
    (void)user;
    return alloc_resize(NULL, bytes ? bytes : 1);
}

void pre_give(void *p, void *user)
{
    (void)user;
    alloc_free(p);
}

void pre_close(struct pre *pre)
{
    if (!pre)
        return;
    for (size_t i = 0; i < PRE_MAX_STEPS; i++)
        pcre2_code_free(pre->codes[i]);
    pcre2_general_context_free(pre->memory);
    alloc_free(pre);
}

static bool compile(struct pre *pre)
{
    if (!(pre->memory = pcre2_general_context_create(pre_take, pre_give, NULL)))
        return false;
    pcre2_compile_context *context = pcre2_compile_context_create(pre->memory);
    bool fine = context != NULL;
    for (size_t i = 0; fine && pre->steps[i].pattern; i++) {
        int code = 0;
        PCRE2_SIZE at = 0;
        pre->n_steps = i + 1;
        if (pre->steps[i].how != PRE_PATTERN)
            continue;
        pre->codes[i] = pcre2_compile((PCRE2_SPTR)pre->steps[i].pattern, PCRE2_ZERO_TERMINATED, PCRE2_NO_AUTO_CAPTURE,
                                      &code, &at, context);
        fine = pre->codes[i] != NULL;
        if (fine)
            pcre2_jit_compile(pre->codes[i], PCRE2_JIT_COMPLETE); /* without it the same matches come slower */
    }
    pcre2_compile_context_free(context);
    return fine;
}

static andiron_status unknown(struct span name, andiron_error *error)
{
    struct buffer known;
    buffer_init(&known, 4096);
    pre_list(&known);
    andiron_status status = error_set(
        error, ANDIRON_E_SUPPORT, "the pre-tokenizer \"%.*s\" is not known; these and their like are: %s",
        (int)(name.n < 40 ? name.n : 40), name.p, known.data ? known.data : "(out of memory)");
    buffer_reset(&known);
    return status;
}

andiron_status pre_open(struct tokenizer *t, unsigned *flags, andiron_error *error)
{
    const struct pre_name *name = pre_find(t->source.pre);
    if (!name)
        return unknown(t->source.pre, error);
    *flags = name->flags;
    t->pre = alloc_zeroed(1, sizeof *t->pre);
    if (!t->pre)
        return error_memory(error, sizeof *t->pre, "a pre-tokenizer");
    t->pre->steps = name->kind->steps;
    return compile(t->pre) ? ANDIRON_OK : error_memory(error, 4096, "a pre-tokenizer's patterns");
}

/* ---- splitting ---- */

/* A step's work on one text: where it is, and where its pieces go. */
struct split {
    const struct pre *pre;
    struct encoder *e;
    size_t step;
    const uint8_t *classes; /* of the whole text, at this step */
    struct span rest;       /* of the text: what no word was made of yet */
    bool ascii;
    struct buffer *out; /* lengths in characters, or NULL: the last step, pieces are words */
};

static bool put_piece(struct split *s, size_t n)
{
    if (n == 0)
        return true;
    if (s->out) {
        uint32_t length = (uint32_t)n;
        return buffer_add(s->out, &length, sizeof length);
    }
    size_t bytes = s->ascii ? n : class_bytes(s->rest, n);
    struct span word = {s->rest.p, bytes};
    s->rest = (struct span){s->rest.p + bytes, s->rest.n - bytes};
    return bpe_word(s->e, word);
}

static bool split_by_pattern(struct split *s, const uint8_t *classes, size_t n)
{
    const pcre2_code *code = s->pre->codes[s->step];
    pcre2_match_data *match = s->e->match;
    const PCRE2_SIZE *found = pcre2_get_ovector_pointer(match);
    size_t at = 0;
    while (at < n) {
        int rc = pcre2_match(code, classes, n, at, 0, match, NULL);
        if (rc < 0 && rc != PCRE2_ERROR_NOMATCH)
            return false;
        if (rc < 0 || found[1] <= found[0])
            break;
        if (!put_piece(s, found[0] - at) || !put_piece(s, found[1] - found[0]))
            return false;
        at = found[1];
    }
    return put_piece(s, n - at);
}

static size_t end_of_digits(const uint8_t *classes, size_t at, size_t n, bool ascii)
{
    while (at < n && ((classes[at] >= '0' && classes[at] <= '9') || (!ascii && classes[at] == CLASS_NUMBER)))
        at++;
    return at;
}

static bool split_digits(struct split *s, const uint8_t *classes, size_t n)
{
    size_t begin = 0; /* of what no piece was made of yet */
    for (size_t at = 0, end; at < n; at = end) {
        end = end_of_digits(classes, at, n, false);
        if (end == at) {
            end++;
            continue;
        }
        size_t cut = at + (end - at) % 3;
        for (cut = cut == at ? at + 3 : cut; cut <= end; cut += 3) {
            if (!put_piece(s, cut - begin))
                return false;
            begin = cut;
        }
    }
    return put_piece(s, n - begin);
}

static bool split_ascii_digits(struct split *s, const uint8_t *classes, size_t n)
{
    size_t begin = 0;
    for (size_t at = 0, end; at < n; at = end) {
        end = end_of_digits(classes, at, n, true);
        for (size_t cut = at + (end - at) % 3; cut + 3 <= end; cut += 3) {
            if (!put_piece(s, cut - begin))
                return false;
            begin = cut;
        }
        end += end == at;
    }
    return put_piece(s, n - begin);
}

static bool split_piece(struct split *s, const uint8_t *classes, size_t n)
{
    switch (s->pre->steps[s->step].how) {
    case PRE_DIGITS: return split_digits(s, classes, n);
    case PRE_ASCII_DIGITS: return split_ascii_digits(s, classes, n);
    default: return split_by_pattern(s, classes, n);
    }
}

static bool run_step(struct split *s, size_t n_characters, const struct buffer *in)
{
    if (!in)
        return split_piece(s, s->classes, n_characters);
    const uint32_t *lengths = (const uint32_t *)(const void *)in->data;
    const uint8_t *classes = s->classes;
    for (size_t i = 0; i < in->n / sizeof *lengths; classes += lengths[i++])
        if (!split_piece(s, classes, lengths[i]))
            return false;
    return true;
}

bool pre_split(const struct pre *pre, struct encoder *e, struct span text)
{
    struct split s = {.pre = pre, .e = e, .rest = text, .ascii = class_is_ascii(text)};
    if (!e->match && !(e->match = pcre2_match_data_create(1, pre->memory)))
        return false;
    if (!s.ascii && !encoder_reserve(&e->classes, &e->classes_bytes, text.n, 1))
        return false;
    s.classes = s.ascii ? (const uint8_t *)text.p : e->classes;
    const struct buffer *in = NULL;
    size_t n = text.n;
    for (; s.step < pre->n_steps; s.step++) {
        const struct class_set *set = pre->steps[s.step].set;
        if (!s.ascii && (s.step == 0 || set != pre->steps[s.step - 1].set))
            n = class_text(text, set, e->classes);
        s.out = s.step + 1 < pre->n_steps ? &e->pieces[s.step % 2] : NULL;
        if (s.out)
            s.out->n = 0;
        if (!run_step(&s, n, in))
            return false;
        in = s.out;
    }
    return true;
}

void pre_release(struct encoder *e)
{
    pcre2_match_data_free(e->match);
    buffer_reset(&e->pieces[0]);
    buffer_reset(&e->pieces[1]);
}
