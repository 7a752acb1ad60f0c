/* jinja_methods.c - the methods of text: Python's str. */
#include "text/jinja_strings.h"
#include "text/jinja_unicode.h"

static bool give_case(struct run *run, const struct call *call, enum text_case to, struct value *out)
{
    return give_text(text_case(run, call->self.text, to), out);
}

static bool str_upper(struct run *run, const struct call *call, struct value *out)
{
    return give_case(run, call, CASE_UPPER, out);
}

static bool str_lower(struct run *run, const struct call *call, struct value *out)
{
    return give_case(run, call, CASE_LOWER, out);
}

static bool str_casefold(struct run *run, const struct call *call, struct value *out)
{
    return give_case(run, call, CASE_FOLD, out);
}

static bool str_capitalize(struct run *run, const struct call *call, struct value *out)
{
    return give_case(run, call, CASE_CAPITAL, out);
}

static bool str_title(struct run *run, const struct call *call, struct value *out)
{
    return give_case(run, call, CASE_TITLE, out);
}

static bool str_swapcase(struct run *run, const struct call *call, struct value *out)
{
    return give_case(run, call, CASE_SWAP, out);
}

static bool strip(struct run *run, const struct call *call, int ends, struct value *out)
{
    struct text *chars = call_text(run, call, 0);
    return !run->status && give_text(text_strip(run, call->self.text, chars, ends), out);
}

static bool str_strip(struct run *run, const struct call *call, struct value *out)
{
    return strip(run, call, STRIP_LEFT | STRIP_RIGHT, out);
}

static bool str_lstrip(struct run *run, const struct call *call, struct value *out)
{
    return strip(run, call, STRIP_LEFT, out);
}

static bool str_rstrip(struct run *run, const struct call *call, struct value *out)
{
    return strip(run, call, STRIP_RIGHT, out);
}

static bool split(struct run *run, const struct call *call, bool from_right, struct value *out)
{
    struct text *separator = call_text(run, call, 0);
    int64_t count;
    return !run->status && call_int(run, call, 1, -1, &count) &&
           give_list(text_split(run, call->self.text, separator, count, from_right), out);
}

static bool str_split(struct run *run, const struct call *call, struct value *out)
{
    return split(run, call, false, out);
}

static bool str_rsplit(struct run *run, const struct call *call, struct value *out)
{
    return split(run, call, true, out);
}

static bool str_splitlines(struct run *run, const struct call *call, struct value *out)
{
    return give_list(text_lines(run, call->self.text, call_truth(call, 0)), out);
}

/* The one text argument, which must be there. */
static struct text *need_text(struct run *run, const struct call *call, int slot)
{
    struct text *t = call_text(run, call, slot);
    if (!t)
        run_fail(run, "%s needs a text", call->builtin->name);
    return t;
}

/* (before, separator, after) */
static bool partition(struct run *run, const struct call *call, bool from_right, struct value *out)
{
    struct text *t = call->self.text, *separator = need_text(run, call, 0);
    struct list *parts = separator ? text_split(run, t, separator, 1, from_right) : NULL;
    struct list *three = jinja_list(run, 3);
    struct text *none = jinja_text(run, span_of(""), true);
    if (!parts || !three || !none)
        return false;
    bool found = parts->n == 2;
    const struct value empty = value_text(none), whole = value_text(t);
    three->items[0] = found ? parts->items[0] : from_right ? empty : whole;
    three->items[1] = found ? value_text(separator) : empty;
    three->items[2] = found ? parts->items[1] : from_right ? whole : empty;
    three->n = 3;
    *out = value_tuple(three);
    return true;
}

static bool str_partition(struct run *run, const struct call *call, struct value *out)
{
    return partition(run, call, false, out);
}

static bool str_rpartition(struct run *run, const struct call *call, struct value *out)
{
    return partition(run, call, true, out);
}

/* Slots 1 and 2, where a search begins and ends, as byte offsets; false: an empty range beyond the end. */
static bool bounds(struct run *run, const struct call *call, size_t *from, size_t *to)
{
    struct text *t = call->self.text;
    int64_t n = (int64_t)jinja_text_chars(run, t), at[2] = {0, n};
    for (int i = 0; i < 2; i++) {
        if (call->slots[1 + i].kind != V_NONE && !call_int(run, call, 1 + i, at[i], &at[i]))
            return false;
        if (at[i] < 0)
            at[i] = at[i] + n < 0 ? 0 : at[i] + n;
    }
    if (at[0] > n || !run_charge(run, 1 + t->n / 16))
        return false;
    *from = jinja_text_offset(run, t, (size_t)at[0]);
    *to = jinja_text_offset(run, t, (size_t)(at[1] > n ? n : at[1]));
    return *from <= *to;
}

static bool ends_match(struct run *run, const struct call *call, const struct value *part, bool at_end, bool *out)
{
    const struct text *t = call->self.text;
    size_t from, to;
    *out = false;
    if (part->kind != V_TEXT)
        return run_fail(run, "%s needs a text or a tuple of texts", call->builtin->name);
    if (!bounds(run, call, &from, &to) || part->text->n > to - from)
        return !run->status;
    *out = part->text->n == 0 || !memcmp(t->p + (at_end ? to - part->text->n : from), part->text->p, part->text->n);
    return true;
}

static bool starts_or_ends(struct run *run, const struct call *call, bool at_end, struct value *out)
{
    bool found = false;
    if (call->slots[0].kind != V_TUPLE)
        return ends_match(run, call, &call->slots[0], at_end, &found) && give_bool(found, out);
    for (size_t i = 0; i < call->slots[0].list->n && !found; i++)
        if (!ends_match(run, call, &call->slots[0].list->items[i], at_end, &found))
            return false;
    return give_bool(found, out);
}

static bool str_startswith(struct run *run, const struct call *call, struct value *out)
{
    return starts_or_ends(run, call, false, out);
}

static bool str_endswith(struct run *run, const struct call *call, struct value *out)
{
    return starts_or_ends(run, call, true, out);
}

static size_t find_from_right(struct run *run, const struct text *t, const struct text *part, size_t from, size_t to)
{
    if (part->n > to - from || !run_charge(run, (to - from) * part->n / 256))
        return SIZE_MAX;
    for (size_t at = to - part->n + 1; at-- > from;)
        if (part->n == 0 || !memcmp(t->p + at, part->p, part->n))
            return at;
    return SIZE_MAX;
}

static bool find(struct run *run, const struct call *call, bool from_right, bool must, struct value *out)
{
    struct text *t = call->self.text, *part = need_text(run, call, 0);
    size_t from, to, found = SIZE_MAX;
    if (part && bounds(run, call, &from, &to))
        found = from_right ? find_from_right(run, t, part, from, to) : text_find(t, part, from, to);
    if (run->status)
        return false;
    if (found == SIZE_MAX)
        return must ? run_fail(run, "%s: the text is not found", call->builtin->name) : give_int(-1, out);
    return give_int((int64_t)jinja_count_chars((struct span){t->p, found}), out);
}

static bool str_find(struct run *run, const struct call *call, struct value *out)
{
    return find(run, call, false, false, out);
}

static bool str_rfind(struct run *run, const struct call *call, struct value *out)
{
    return find(run, call, true, false, out);
}

static bool str_index(struct run *run, const struct call *call, struct value *out)
{
    return find(run, call, false, true, out);
}

static bool str_rindex(struct run *run, const struct call *call, struct value *out)
{
    return find(run, call, true, true, out);
}

static bool str_count(struct run *run, const struct call *call, struct value *out)
{
    struct text *t = call->self.text, *part = need_text(run, call, 0);
    size_t from, to, at;
    int64_t count = 0;
    if (!part || !bounds(run, call, &from, &to))
        return !run->status && give_int(0, out);
    if (part->n == 0)
        return run_charge(run, t->n / 4) &&
               give_int((int64_t)jinja_count_chars((struct span){t->p + from, to - from}) + 1, out);
    for (; (at = text_find(t, part, from, to)) != SIZE_MAX; from = at + part->n)
        count++;
    return run_charge(run, (size_t)count) && give_int(count, out);
}

static bool str_replace(struct run *run, const struct call *call, struct value *out)
{
    struct text *old = need_text(run, call, 0), *with = need_text(run, call, 1);
    int64_t count;
    return old && with && call_int(run, call, 2, -1, &count) &&
           give_text(text_replace(run, call->self.text, old, with, count), out);
}

static bool str_join(struct run *run, const struct call *call, struct value *out)
{
    struct list *list = jinja_iterate(run, &call->slots[0]);
    struct builder b;
    builder_init(&b, run);
    for (size_t i = 0; list && i < list->n && !run->status; i++) {
        if (list->items[i].kind != V_TEXT)
            return run_fail(run, "join: item %zu is a %s, not a text", i, jinja_type_name(&list->items[i]));
        if (i)
            builder_add_text(&b, call->self.text);
        builder_add_text(&b, list->items[i].text);
    }
    return give_text(builder_text(&b), out);
}

static bool remove_end(struct run *run, const struct call *call, bool at_end, struct value *out)
{
    struct text *t = call->self.text, *part = need_text(run, call, 0);
    if (!part || !run_charge(run, part->n / 64))
        return false;
    if (part->n == 0 || part->n > t->n || memcmp(t->p + (at_end ? t->n - part->n : 0), part->p, part->n) != 0)
        return give_text(t, out);
    return give_text(jinja_text_slice(run, t, at_end ? 0 : part->n, at_end ? t->n - part->n : t->n), out);
}

static bool str_removeprefix(struct run *run, const struct call *call, struct value *out)
{
    return remove_end(run, call, false, out);
}

static bool str_removesuffix(struct run *run, const struct call *call, struct value *out)
{
    return remove_end(run, call, true, out);
}

/* Every character passes, and there is one. */
static bool all_are(struct run *run, const struct call *call, bool (*is)(uint32_t), struct value *out)
{
    const struct text *t = call->self.text;
    bool all = t->n > 0;
    uint32_t c;
    for (size_t at = 0; at < t->n && all;) {
        at += jinja_char(t->p + at, t->n - at, &c);
        all = is(c);
    }
    return run_charge(run, t->n / 4) && give_bool(all, out);
}

static bool is_alphanumeric(uint32_t c) { return c != '_' && jinja_is_word(c); }

static bool str_isdigit(struct run *run, const struct call *call, struct value *out)
{
    return all_are(run, call, jinja_is_digit, out);
}

static bool str_isalpha(struct run *run, const struct call *call, struct value *out)
{
    return all_are(run, call, jinja_is_letter, out);
}

static bool str_isalnum(struct run *run, const struct call *call, struct value *out)
{
    return all_are(run, call, is_alphanumeric, out);
}

static bool str_isspace(struct run *run, const struct call *call, struct value *out)
{
    return all_are(run, call, jinja_is_space, out);
}

static bool str_isupper(struct run *run, const struct call *call, struct value *out)
{
    const struct arguments none = {0};
    return jinja_call_builtin(run, jinja_test(span_of("upper")), &call->self, &none, out);
}

static bool str_islower(struct run *run, const struct call *call, struct value *out)
{
    const struct arguments none = {0};
    return jinja_call_builtin(run, jinja_test(span_of("lower")), &call->self, &none, out);
}

/* Characters missing to the width asked for. */
static bool missing_to_width(struct run *run, const struct call *call, int64_t *width, int64_t *missing)
{
    if (!call_int(run, call, 0, 0, width))
        return false;
    int64_t n = (int64_t)jinja_text_chars(run, call->self.text);
    *missing = *width <= n ? 0 : *width > RUN_OUTPUT_MAX ? RUN_OUTPUT_MAX : *width - n;
    return true;
}

/* `sides`: STRIP_LEFT fills on the left, STRIP_RIGHT on the right. */
static bool justify(struct run *run, const struct call *call, int sides, struct value *out)
{
    int64_t width, missing;
    struct text *fill = call_text(run, call, 1);
    if (run->status || !missing_to_width(run, call, &width, &missing))
        return false;
    int64_t left = sides == (STRIP_LEFT | STRIP_RIGHT) ? missing / 2 + (missing & width & 1)
                   : sides == STRIP_LEFT               ? missing
                                                       : 0;
    return give_text(text_pad(run, call->self.text, left, missing - left, fill), out);
}

static bool str_center(struct run *run, const struct call *call, struct value *out)
{
    return justify(run, call, STRIP_LEFT | STRIP_RIGHT, out);
}

static bool str_ljust(struct run *run, const struct call *call, struct value *out)
{
    return justify(run, call, STRIP_RIGHT, out);
}

static bool str_rjust(struct run *run, const struct call *call, struct value *out)
{
    return justify(run, call, STRIP_LEFT, out);
}

static bool str_zfill(struct run *run, const struct call *call, struct value *out)
{
    int64_t width, missing;
    struct text *t = call->self.text, *zero = jinja_text(run, span_of("0"), true);
    if (!zero || !missing_to_width(run, call, &width, &missing))
        return false;
    size_t sign = t->n && (t->p[0] == '-' || t->p[0] == '+');
    struct text *digits = jinja_text_slice(run, t, sign, t->n);
    struct builder b;
    builder_init(&b, run);
    if (digits && (digits = text_pad(run, digits, missing, 0, zero)) != NULL) {
        builder_add_range(&b, t, 0, sign);
        builder_add_text(&b, digits);
    }
    return give_text(builder_text(&b), out);
}

static bool str_format(struct run *run, const struct call *call, struct value *out)
{
    return jinja_format(run, call->self.text, call->given, out);
}

static const struct builtin methods[] = {
    {"capitalize", "", 0, str_capitalize},
    {"casefold", "", 0, str_casefold},
    {"center", "width fillchar", 1, str_center},
    {"count", "sub start end", 1, str_count},
    {"endswith", "suffix start end", 1, str_endswith},
    {"find", "sub start end", 1, str_find},
    {"format", NULL, 0, str_format},
    {"index", "sub start end", 1, str_index},
    {"isalnum", "", 0, str_isalnum},
    {"isalpha", "", 0, str_isalpha},
    {"isdecimal", "", 0, str_isdigit},
    {"isdigit", "", 0, str_isdigit},
    {"islower", "", 0, str_islower},
    {"isnumeric", "", 0, str_isdigit},
    {"isspace", "", 0, str_isspace},
    {"isupper", "", 0, str_isupper},
    {"join", "iterable", 1, str_join},
    {"ljust", "width fillchar", 1, str_ljust},
    {"lower", "", 0, str_lower},
    {"lstrip", "chars", 0, str_lstrip},
    {"partition", "sep", 1, str_partition},
    {"removeprefix", "prefix", 1, str_removeprefix},
    {"removesuffix", "suffix", 1, str_removesuffix},
    {"replace", "old new count", 2, str_replace},
    {"rfind", "sub start end", 1, str_rfind},
    {"rindex", "sub start end", 1, str_rindex},
    {"rjust", "width fillchar", 1, str_rjust},
    {"rpartition", "sep", 1, str_rpartition},
    {"rsplit", "sep maxsplit", 0, str_rsplit},
    {"rstrip", "chars", 0, str_rstrip},
    {"split", "sep maxsplit", 0, str_split},
    {"splitlines", "keepends", 0, str_splitlines},
    {"startswith", "prefix start end", 1, str_startswith},
    {"strip", "chars", 0, str_strip},
    {"swapcase", "", 0, str_swapcase},
    {"title", "", 0, str_title},
    {"upper", "", 0, str_upper},
    {"zfill", "width", 1, str_zfill},
    {0},
};

const struct builtin *jinja_text_method(struct span name) { return jinja_lookup(methods, name); }
