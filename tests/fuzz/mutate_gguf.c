/* mutate_gguf.c - changes of GGUF files. The file is walked before each change, by code that shares nothing with the
 * loader and stops where the file makes no sense any more. */
#include "mutate.h"
#include <stdlib.h>
#include <string.h>

enum kind { COUNTS, LENGTH, TEXT, TYPE, ITEM_TYPE, COUNT, NUMBER, ITEM, N_DIMS, DIM, TENSOR_TYPE, OFFSET, KINDS };

struct field {
    size_t at, width;
    enum kind kind;
    uint32_t type; /* of a number */
};

/* A key with its value, or a tensor's entry. */
struct entry {
    size_t at, end;
    size_t value; /* where the payload begins: of a list behind its count */
    uint32_t type, item_type;
};

enum { MAX_FIELDS = 1 << 15, MAX_ENTRIES = 1 << 11 };

struct walk {
    const uint8_t *data;
    size_t n, at;
    struct field fields[MAX_FIELDS];
    struct entry entries[MAX_ENTRIES]; /* keys, then tensors */
    size_t n_fields, n_entries, n_keys, of_kind[KINDS];
    uint64_t alignment;
    int whole; /* reached the end of the header */
};

static const uint8_t widths[13] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

static uint64_t take(struct walk *w, size_t width, enum kind kind, uint32_t type)
{
    uint64_t x = 0;
    if (w->n - w->at < width) {
        w->at = w->n;
        return UINT64_MAX;
    }
    memcpy(&x, w->data + w->at, width < 8 ? width : 8);
    if (w->n_fields < MAX_FIELDS && width) {
        w->fields[w->n_fields++] = (struct field){w->at, width, kind, type};
        w->of_kind[kind]++;
    }
    w->at += width;
    return x;
}

static int take_text(struct walk *w)
{
    uint64_t n = take(w, 8, LENGTH, 0);
    if (n > w->n - w->at)
        return 0;
    take(w, n, TEXT, 0);
    return 1;
}

static int take_value(struct walk *w, uint32_t type, enum kind kind)
{
    if (type == 8)
        return take_text(w);
    if (type > 12 || type == 9)
        return 0;
    take(w, widths[type], kind, type);
    return w->at < w->n;
}

static int take_key(struct walk *w)
{
    struct entry e = {.at = w->at};
    if (!take_text(w))
        return 0;
    size_t n_key = w->at - e.at - 8;
    int aligns = n_key == 17 && !memcmp(w->data + e.at + 8, "general.alignment", 17);
    e.type = e.item_type = (uint32_t)take(w, 4, TYPE, 0);
    uint64_t n = 1;
    if (e.type == 9) {
        e.item_type = (uint32_t)take(w, 4, ITEM_TYPE, 0);
        n = take(w, 8, COUNT, 0);
    }
    e.value = w->at;
    for (uint64_t i = 0; i < n; i++)
        if (!take_value(w, e.item_type, e.type == 9 ? ITEM : NUMBER))
            return 0;
    if (aligns && e.type == 4)
        memcpy(&w->alignment, w->data + e.value, 4);
    e.end = w->at;
    if (w->n_entries < MAX_ENTRIES)
        w->entries[w->n_entries++] = e;
    return 1;
}

static int take_tensor(struct walk *w)
{
    struct entry e = {.at = w->at};
    if (!take_text(w))
        return 0;
    uint64_t n_dims = take(w, 4, N_DIMS, 0);
    for (uint64_t i = 0; i < n_dims && i < 4; i++)
        take(w, 8, DIM, 0);
    take(w, 4, TENSOR_TYPE, 0);
    take(w, 8, OFFSET, 10);
    e.end = w->at;
    if (n_dims <= 4 && w->n_entries < MAX_ENTRIES)
        w->entries[w->n_entries++] = e;
    return n_dims <= 4 && w->at < w->n;
}

static void walk(struct walk *w, const uint8_t *data, size_t n)
{
    w->data = data;
    w->n = n;
    w->at = 8;
    w->n_fields = w->n_entries = w->n_keys = 0;
    w->alignment = 32;
    w->whole = 0;
    memset(w->of_kind, 0, sizeof w->of_kind);
    if (n < 24)
        return;
    uint64_t n_tensors = take(w, 8, COUNTS, 0), n_keys = take(w, 8, COUNTS, 0);
    for (uint64_t i = 0; i < n_keys; i++)
        if (!take_key(w))
            return;
    w->n_keys = w->n_entries;
    for (uint64_t i = 0; i < n_tensors; i++)
        if (!take_tensor(w))
            return;
    w->whole = w->alignment && w->alignment <= 1 << 16 && w->n_entries < MAX_ENTRIES;
}

/* ---- one field ---- */

/* For a field of at most 8 bytes. */
static uint64_t new_number(struct random *r, const struct walk *w, const struct field *f)
{
    static const uint64_t extremes[] = {0,          1,          2,          3,          31,         32,
                                        33,         127,        128,        255,        256,        65535,
                                        65536,      1u << 24,   0x7fffffff, 0x80000000, 0xffffffff, 1ull << 32,
                                        1ull << 62, 1ull << 63, ~0ull,      ~0ull - 7};
    uint64_t x = 0, other = random_below(r, w->n_fields);
    memcpy(&x, w->data + f->at, f->width);
    switch (random_below(r, 7)) {
    case 0: return extremes[random_below(r, sizeof extremes / sizeof *extremes)];
    case 1: return random_below(r, 64);
    case 2: return x + 1;
    case 3: return x - 1;
    case 4: return random_below(r, 2) ? x * 2 : x / 2;
    case 5: return x ^ 1ull << random_below(r, 8 * f->width);
    default: /* another field's */
        for (size_t i = 0; i < w->n_fields && w->fields[other].kind != f->kind; i++)
            other = (other + 1) % w->n_fields;
        if (w->fields[other].width <= f->width)
            memcpy(&x, w->data + w->fields[other].at, w->fields[other].width);
        return x;
    }
}

static void change_float(struct random *r, uint8_t *at, size_t width)
{
    static const double numbers[] = {0, -0.0, 1, -1, 0.5, 1e-45, 1e-300, 3e38, -3e38, 1e300, 1e9, 4294967296.0};
    double d = numbers[random_below(r, sizeof numbers / sizeof *numbers)];
    uint64_t odd = random_below(r, 4);
    if (odd == 0)
        d = (double)__builtin_nanf("");
    else if (odd == 1)
        d = random_below(r, 2) ? (double)__builtin_inff() : -(double)__builtin_inff();
    float f = d > 3.4e38 ? __builtin_inff() : d < -3.4e38 ? -__builtin_inff() : (float)d;
    if (width == 4)
        memcpy(at, &f, 4);
    else
        memcpy(at, &d, 8);
}

/* A field of a random kind. */
static const struct field *random_field(struct random *r, const struct walk *w)
{
    enum kind kind = (enum kind)random_below(r, KINDS);
    if (kind <= COUNT && kind != TEXT && random_below(r, 2)) /* most of these are found by the loader */
        kind = (enum kind)(NUMBER + random_below(r, KINDS - NUMBER));
    for (int i = 0; i < KINDS && !w->of_kind[kind]; i++)
        kind = (enum kind)((kind + 1) % KINDS);
    size_t nth = random_below(r, w->of_kind[kind]), i = 0;
    while (w->fields[i].kind != kind || nth-- > 0)
        i++;
    return &w->fields[i];
}

static void change_field(struct random *r, const struct walk *w, uint8_t *data)
{
    const struct field *f = random_field(r, w);
    const enum kind kind = f->kind;
    if (kind == TEXT) {
        size_t n = f->width;
        mutate_bytes(r, data + f->at, &n, n);
        return;
    }
    uint64_t x = new_number(r, w, f);
    if (kind == TYPE || kind == ITEM_TYPE)
        x = random_below(r, 14);
    if (kind == TENSOR_TYPE && random_below(r, 4))
        x = random_below(r, 43); /* ids that GGUF has given, about */
    if ((kind == NUMBER || kind == ITEM) && (f->type == 6 || f->type == 12) && random_below(r, 4))
        change_float(r, data + f->at, f->width);
    else
        memcpy(data + f->at, &x, f->width);
}

/* ---- changes that leave the rest well formed ---- */

/* Put bytes into the header in the place of others; the data keeps its alignment behind it. */
static void rebuild(const struct walk *w, uint8_t *data, size_t *n, size_t capacity, size_t at, size_t n_old,
                    const void *with, size_t n_new)
{
    static const uint8_t zeros[1 << 16];
    size_t header = w->at, unit = w->whole ? w->alignment : 1, begin = (header + unit - 1) / unit * unit;
    if (!mutate_splice(data, n, capacity, at, n_old, with, n_new) || begin > w->n)
        return;
    size_t now = header + n_new - n_old, needed = (now + unit - 1) / unit * unit - now;
    mutate_splice(data, n, capacity, now, begin - header, zeros, needed);
}

static void change_count(uint8_t *data, int tensors, int64_t by)
{
    uint64_t n;
    memcpy(&n, data + (tensors ? 8 : 16), 8);
    n += (uint64_t)by;
    memcpy(data + (tensors ? 8 : 16), &n, 8);
}

static void drop_or_double_entry(struct random *r, const struct walk *w, uint8_t *data, size_t *n, size_t capacity)
{
    size_t i = random_below(r, w->n_entries);
    struct entry e = w->entries[i];
    int drop = random_below(r, 3) != 0;
    change_count(data, i >= w->n_keys, drop ? -1 : 1);
    if (drop) {
        rebuild(w, data, n, capacity, e.at, e.end - e.at, NULL, 0);
        return;
    }
    uint8_t *copy = malloc(e.end - e.at);
    if (copy) {
        memcpy(copy, data + e.at, e.end - e.at);
        if (random_below(r, 2) && e.end - e.at > 9)
            copy[8] ^= 1; /* by another name */
        rebuild(w, data, n, capacity, e.end, 0, copy, e.end - e.at);
        free(copy);
    }
}

/* A list becomes its first items. */
static void cut_list(struct random *r, const struct walk *w, uint8_t *data, size_t *n, size_t capacity)
{
    const struct entry *e = &w->entries[random_below(r, w->n_keys)];
    for (size_t i = 0; i < w->n_keys && e->type != 9; i++)
        e = &w->entries[(size_t)(e - w->entries + 1) % w->n_keys];
    uint64_t count, kept;
    if (e->type != 9 || e->item_type == 9 || e->item_type > 12)
        return;
    memcpy(&count, data + e->value - 8, 8);
    kept = random_below(r, 2) ? random_below(r, count + 1) : random_below(r, 4);
    size_t at = e->value;
    for (uint64_t i = 0, length; i < kept && at < e->end; i++) {
        memcpy(&length, data + at, 8);
        at += e->item_type == 8 ? 8 + length : widths[e->item_type];
    }
    if (kept > count)
        return;
    memcpy(data + e->value - 8, &kept, 8);
    rebuild(w, data, n, capacity, at, e->end - at, NULL, 0);
}

/* A text value (a template, a definition, a name) changed as a text. */
static void change_text_value(struct random *r, const struct walk *w, uint8_t *data, size_t *n, size_t capacity)
{
    static const char *const words[] = {"llama",  "gpt2",    "qwen2",   "qwen3", "gemma3",  "phi3",    "mistral",
                                        "olmo2",  "smollm3", "bert",    "rwkv",  "t5",      "default", "llama-bpe",
                                        "smollm", "",        "\033[2J", "yarn",  "longrope"};
    const struct entry *e = &w->entries[random_below(r, w->n_keys)];
    for (size_t i = 0; i < w->n_keys && e->type != 8; i++)
        e = &w->entries[(size_t)(e - w->entries + 1) % w->n_keys];
    if (e->type != 8)
        return;
    size_t n_old = e->end - e->value - 8, n_new = n_old, room = n_old + MUTANT_ROOM / 2;
    uint8_t *text = malloc(8 + room);
    if (!text)
        return;
    memcpy(text + 8, data + e->value + 8, n_old);
    if (n_old < 40 && random_below(r, 2)) {
        const char *word = words[random_below(r, sizeof words / sizeof *words)];
        n_new = strlen(word);
        memcpy(text + 8, word, n_new);
    } else {
        mutate_text(r, text + 8, &n_new, room);
    }
    uint64_t length = n_new;
    memcpy(text, &length, 8);
    rebuild(w, data, n, capacity, e->value, e->end - e->value, text, 8 + n_new);
    free(text);
}

/* Bytes of the header, or rarely of all. */
static void change_bytes(struct random *r, const struct walk *w, uint8_t *data, size_t *n, size_t capacity)
{
    size_t header = w->at < *n ? w->at : *n, before = header, room = header + (capacity - *n);
    if (random_below(r, 8) == 0) {
        mutate_bytes(r, data, n, capacity);
        return;
    }
    uint8_t *copy = malloc(room);
    if (!copy)
        return;
    memcpy(copy, data, header);
    mutate_bytes(r, copy, &header, room);
    mutate_splice(data, n, capacity, 0, before, copy, header);
    free(copy);
}

void mutate_gguf(struct random *r, uint8_t *data, size_t *n, size_t capacity)
{
    static struct walk w;
    walk(&w, data, *n);
    uint64_t way = random_below(r, 16);
    if (w.n_fields == 0 || way == 0)
        change_bytes(r, &w, data, n, capacity);
    else if (way <= 8 || w.n_keys == 0)
        change_field(r, &w, data);
    else if (way <= 10)
        drop_or_double_entry(r, &w, data, n, capacity);
    else if (way <= 12)
        cut_list(r, &w, data, n, capacity);
    else if (way <= 14)
        change_text_value(r, &w, data, n, capacity);
    else if (random_below(r, 4) == 0)
        *n = 1 + random_below(r, *n);
}
