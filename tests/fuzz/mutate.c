/* mutate.c - changes of plain bytes and of texts. */
#include "mutate.h"
#include <string.h>

int mutate_splice(uint8_t *data, size_t *n, size_t capacity, size_t at, size_t n_old, const void *with, size_t n_new)
{
    if (at > *n || n_old > *n - at || *n - n_old > capacity || n_new > capacity - (*n - n_old))
        return 0;
    memmove(data + at + n_new, data + at + n_old, *n - at - n_old);
    if (n_new)
        memcpy(data + at, with, n_new);
    *n += n_new - n_old;
    return 1;
}

void mutate_bytes(struct random *r, uint8_t *data, size_t *n, size_t capacity)
{
    static const uint64_t extremes[] = {0, 1, 0x7f, 0x80, 0xff, 0x7fffffff, 0x80000000, 0xffffffff, 1ull << 62, ~0ull};
    if (*n == 0)
        return;
    size_t at = random_below(r, *n), width = 1u << random_below(r, 4), from = random_below(r, *n);
    uint8_t noise[8];
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (uint8_t)random_u64(r);
    switch (random_below(r, 7)) {
    case 0: data[at] ^= (uint8_t)(1u << random_below(r, 8)); break;
    case 1: data[at] = noise[0]; break;
    case 2: /* a number made extreme */
        if (at + width <= *n)
            memcpy(data + at, &extremes[random_below(r, 10)], width);
        break;
    case 3: /* a run copied elsewhere */
    {
        size_t most = *n - (at > from ? at : from);
        memmove(data + at, data + from, random_below(r, most < 64 ? most + 1 : 65));
    } break;
    case 4: mutate_splice(data, n, capacity, at, 0, noise, width); break;
    case 5: mutate_splice(data, n, capacity, at, width, NULL, 0); break;
    default: /* the end cut off, rarely */
        if (random_below(r, 8) == 0)
            *n = at + 1;
    }
}

/* ---- texts ---- */

static int is_word(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c >= 0x80;
}

struct piece {
    size_t at, n;
};

/* The word or sign at or after a random place. */
static struct piece random_word(struct random *r, const uint8_t *data, size_t n)
{
    size_t at = random_below(r, n);
    while (at > 0 && is_word(data[at]) && is_word(data[at - 1]))
        at--;
    while (at + 1 < n && data[at] <= ' ')
        at++;
    size_t end = at + 1;
    while (end < n && is_word(data[at]) && is_word(data[end]))
        end++;
    return (struct piece){at, end - at};
}

static struct piece random_line(struct random *r, const uint8_t *data, size_t n)
{
    size_t at = random_below(r, n), end = at;
    while (at > 0 && data[at - 1] != '\n')
        at--;
    while (end < n && data[end] != '\n')
        end++;
    return (struct piece){at, end + (end < n) - at};
}

/* clang-format off */
static const char *const vocabulary[] = {
    "0", "1", "-1", "2", "0.5", "7", "1e30", "1e99", "4096", "65536", "4294967295", "4294967296", "1e-30", "none",
    "tokens", "positions", "token_embd", "output", "x", "l", "l.attn_q", "l.index", "n_layer", "n_head", "head_size",
    "embed(tokens, token_embd)", "linear(x, output)", "linear(x, l.attn_q)", "rmsnorm(x, none, 0)", "heads(x, 1)",
    "heads(x, 64)", "flat(x)", "slice(x, 0, 1)", "slice(x, 8, 8)", "rope(x, 2, 1)", "attend(x, x, x, cache: l)",
    "softcap(x, 1)", "silu(x)", "exp(x)", "gelu(x) * x", "add(x, x)", "mul(x, x)", "parent.layer(x, l)",
    "meta(\"a\", 1)", "meta_at(\"attention.head_count\", l.index, 1)", "has(output)", "rows(token_embd)",
    "floor(1e14)", "sqrt(0)", "pow(2, 1023)", "log(1e-300)", "return x", "if 1 { x = x }",
    "for l in layers(\"blk\", 4096) { x = x + 1 }", "{", "}", "(", ")", "\"", ",", ":", "=", "|", ".", "/ 0", "% 0",
    "* 1e300", "param a = a", "block layer(x, l) { return x }", "graph(t) { return t }", "arch b : b", "#", "\n",
    "{{", "}}", "{%", "%}", "range(99999999)", "'x' * 99999999",
};
/* clang-format on */

/* The piece behind brackets within brackets, or calls within calls. */
static void nest(struct random *r, uint8_t *data, size_t *n, size_t capacity, struct piece p)
{
    static const char *const opens[] = {"(", "-", "not ", "silu(", "flat(", "max(1, ", "layer(", "parent.layer(", "{"};
    static const char *const shuts[] = {")", "", "", ")", ")", ")", ", l)", ", l)", "}"};
    size_t kind = random_below(r, 9), depth = 1u << random_below(r, 10), n_open = strlen(opens[kind]);
    for (size_t i = 0; i < depth; i++)
        if (!mutate_splice(data, n, capacity, p.at + p.n + i * n_open, 0, shuts[kind], strlen(shuts[kind])) ||
            !mutate_splice(data, n, capacity, p.at, 0, opens[kind], n_open))
            return;
}

void mutate_text(struct random *r, uint8_t *data, size_t *n, size_t capacity)
{
    uint8_t copy[256];
    if (*n == 0)
        return;
    struct piece a = random_word(r, data, *n), b = random_word(r, data, *n);
    if (random_below(r, 3) == 0)
        a = random_line(r, data, *n), b = random_line(r, data, *n);
    size_t n_copy = b.n < sizeof copy ? b.n : sizeof copy;
    memcpy(copy, data + b.at, n_copy);
    const char *word = vocabulary[random_below(r, sizeof vocabulary / sizeof *vocabulary)];
    switch (random_below(r, 8)) {
    case 0: mutate_splice(data, n, capacity, a.at, a.n, NULL, 0); break;
    case 1: mutate_splice(data, n, capacity, a.at, 0, copy, n_copy); break;
    case 2: mutate_splice(data, n, capacity, a.at, a.n, copy, n_copy); break;
    case 3: mutate_splice(data, n, capacity, a.at, a.n, word, strlen(word)); break;
    case 4: mutate_splice(data, n, capacity, a.at, 0, word, strlen(word)); break;
    case 5: nest(r, data, n, capacity, a); break;
    case 6: /* one thing many times */
        for (size_t times = 1u << random_below(r, 12); times--;)
            if (!mutate_splice(data, n, capacity, b.at, 0, copy, n_copy))
                break;
        break;
    default: mutate_bytes(r, data, n, capacity);
    }
}

void mutate(struct random *r, uint8_t *data, size_t *n, size_t capacity)
{
    size_t n_odd = 0, n_seen = *n < 512 ? *n : 512;
    for (size_t i = 0; i < n_seen; i++)
        n_odd += data[i] < 9 || data[i] == 127;
    if (*n > 4 && !memcmp(data, "GGUF", 4))
        mutate_gguf(r, data, n, capacity);
    else if (n_odd * 50 < n_seen)
        mutate_text(r, data, n, capacity);
    else
        mutate_bytes(r, data, n, capacity);
}
