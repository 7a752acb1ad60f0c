/* tokenizer_hf_form.c - Unicode's normal forms. Characters are decomposed and composed by utf8proc; marks are put in
 * order here, since its way takes n^2 for many marks behind one letter. */
#include "text/tokenizer_class.h"
#include "text/tokenizer_hf_internal.h"
#include <utf8proc.h>

enum { MOST_OF_ONE = 32 }; /* characters that one decomposes to: 18 */

static unsigned class_of(int32_t c)
{
    unsigned k = c < 0x300 ? 0 : (unsigned)utf8proc_get_property(c)->combining_class;
    return k && hf_is_combining((uint32_t)c) ? k : 0;
}

/* Stable, by class: insertion for few, by counting for many. */
static void order_marks(int32_t *c, size_t n, int32_t *spare)
{
    size_t starts[257] = {0};
    if (n < 32) {
        for (size_t i = 1; i < n; i++)
            for (size_t k = i; k && class_of(c[k - 1]) > class_of(c[k]); k--) {
                int32_t moving = c[k];
                c[k] = c[k - 1];
                c[k - 1] = moving;
            }
        return;
    }
    for (size_t i = 0; i < n; i++)
        starts[class_of(c[i]) + 1]++;
    for (size_t i = 1; i < 257; i++)
        starts[i] += starts[i - 1];
    for (size_t i = 0; i < n; i++)
        spare[starts[class_of(c[i])]++] = c[i];
    memcpy(c, spare, n * sizeof *c);
}

static void order_all(int32_t *c, size_t n, int32_t *spare)
{
    for (size_t at = 0, end; at < n; at = end) {
        end = at + 1;
        if (c[at] < 0x300 || class_of(c[at]) == 0)
            continue;
        while (end < n && class_of(c[end]) != 0)
            end++;
        order_marks(c + at, end - at, spare);
    }
}

static bool decompose(struct buffer *out, struct span text, unsigned options)
{
    utf8proc_option_t how = UTF8PROC_DECOMPOSE | UTF8PROC_STABLE;
    if (options & 2)
        how |= UTF8PROC_COMPAT;
    size_t bytes;
    for (size_t at = 0; at < text.n; at += bytes) {
        int32_t parts[MOST_OF_ONE], last = 0;
        int32_t c = (int32_t)hf_char(text.p + at, &bytes);
        utf8proc_ssize_t n = 0;
        if (!hf_is_indivisible((uint32_t)c))
            n = utf8proc_decompose_char(c, parts, MOST_OF_ONE, how, &last);
        if (n < 1 || n > MOST_OF_ONE) {
            parts[0] = c;
            n = 1;
        }
        if (!buffer_add(out, parts, (size_t)n * sizeof *parts))
            return false;
    }
    return true;
}

bool hf_form(struct hf_run *run, struct span text, unsigned options, struct buffer *out)
{
    struct buffer *list = &run->scratch;
    if (class_is_ascii(text))
        return buffer_add_span(out, text);
    list->n = 0;
    if (!decompose(list, text, options))
        return false;
    size_t n = list->n / sizeof(int32_t);
    if (!encoder_reserve(&run->e->classes, &run->e->classes_bytes, n, sizeof(int32_t)))
        return false;
    int32_t *c = (int32_t *)(void *)list->data;
    order_all(c, n, run->e->classes);
    if (options & 1) {
        utf8proc_ssize_t m = utf8proc_normalize_utf32(c, (utf8proc_ssize_t)n, UTF8PROC_COMPOSE | UTF8PROC_STABLE);
        n = m < 0 ? n : (size_t)m;
    }
    for (size_t i = 0; i < n; i++) {
        char bytes[4];
        if (!buffer_add(out, bytes, hf_put_char(bytes, (uint32_t)c[i])))
            return false;
    }
    return true;
}
