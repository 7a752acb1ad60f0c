/* tokenizer_hf_charsmap.c - SentencePiece's precompiled map of characters ("Precompiled"): a double-array trie over
 * UTF-8 whose values are places in a list of texts. Every unit that is reached is checked against the array's size. */
#include "base/error.h"
#include "text/tokenizer_hf_internal.h"
#include <utf8proc.h>

enum { MAX_KEY_BYTES = 64 }; /* bounds the work at each character of a text */

struct hf_charsmap {
    const uint32_t *units;
    size_t n_units;
    struct span texts; /* zero-terminated ones, the last one, too */
    bool longest;      /* as SentencePiece itself, which knows of no clusters */
};

/* ---- reading ---- */

static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static bool decode_base64(struct span text, char *out, size_t *n)
{
    uint32_t bits = 0;
    size_t n_bits = 0;
    *n = 0;
    while (text.n && text.p[text.n - 1] == '=')
        text.n--;
    for (size_t i = 0; i < text.n; i++) {
        int value = value_of(text.p[i]);
        if (value < 0)
            return false;
        bits = bits << 6 | (uint32_t)value;
        n_bits += 6;
        if (n_bits >= 8) {
            n_bits -= 8;
            out[(*n)++] = (char)(bits >> n_bits);
        }
    }
    return true;
}

andiron_status hf_charsmap_open(struct hf *h, struct hf_charsmap **out, struct span base64, bool longest,
                                andiron_error *error)
{
    size_t n = 0;
    uint32_t n_trie = 0;
    struct hf_charsmap *map = arena_alloc(&h->arena, 1, sizeof *map);
    char *bytes = arena_alloc(&h->arena, base64.n + 8, 1);
    if (!map || !bytes)
        return error_memory(error, base64.n, "a map of characters");
    bool fine = decode_base64(base64, bytes + 4, &n) && n >= 4; /* the units are then aligned to 8 */
    for (size_t i = 0; fine && i < 4; i++)
        n_trie |= (uint32_t)(uint8_t)bytes[4 + i] << 8 * i;
    fine = fine && n_trie % 4 == 0 && n_trie >= 4 && n_trie < n - 4 && bytes[4 + n - 1] == 0;
    if (!fine)
        return hf_broken(error, "normalizer", "has a precompiled_charsmap that is broken");
    map->units = (const uint32_t *)(const void *)(bytes + 8);
    map->n_units = n_trie / 4;
    map->texts = (struct span){bytes + 8 + n_trie, n - 4 - n_trie};
    if (!hf_is_whole(map->texts))
        return hf_broken(error, "normalizer", "has a precompiled_charsmap that is broken");
    map->longest = longest;
    *out = map;
    return ANDIRON_OK;
}

struct span hf_charsmap_bytes(const struct hf_charsmap *map)
{
    return (struct span){(const char *)map->units - 4, 4 + map->n_units * 4 + map->texts.n};
}

/* ---- running ---- */

static uint32_t offset_of(uint32_t unit) { return (unit >> 10) << ((unit & (1u << 9)) >> 6); }

/* What the shortest beginning of `text` that the map has, or the longest, stands for; *n: its bytes. */
static bool look_up(const struct hf_charsmap *map, struct span text, struct span *out, size_t *n)
{
    bool found = false;
    size_t place = offset_of(map->units[0]);
    for (size_t i = 0; i < text.n; i++) {
        uint8_t byte = (uint8_t)text.p[i];
        place ^= byte;
        if (byte == 0 || place >= map->n_units)
            break;
        uint32_t unit = map->units[place];
        if ((unit & (1u << 31 | 0xFF)) != byte)
            break;
        place ^= offset_of(unit);
        if (!(unit >> 8 & 1))
            continue;
        size_t at = place < map->n_units ? map->units[place] & 0x7FFFFFFF : SIZE_MAX;
        if (at >= map->texts.n || ((uint8_t)map->texts.p[at] & 0xC0) == 0x80)
            break;
        *out = span_of(map->texts.p + at);
        *n = i + 1;
        found = true;
        if (!map->longest)
            break;
    }
    return found;
}

static size_t next_cluster(struct span text, size_t at)
{
    int32_t state = 0;
    size_t n, end = at;
    uint32_t c = hf_char(text.p + at, &n);
    for (end += n; end < text.n; end += n) {
        uint32_t next = hf_char(text.p + end, &n);
        if (utf8proc_grapheme_break_stateful((utf8proc_int32_t)c, (utf8proc_int32_t)next, &state))
            break;
        c = next;
    }
    return end;
}

static bool put_characters(const struct hf_charsmap *map, struct span text, struct buffer *out, bool *first)
{
    size_t n;
    for (size_t at = 0; at < text.n; at += n) {
        struct span found;
        size_t n_found;
        hf_char(text.p + at, &n);
        const size_t left = text.n - at < MAX_KEY_BYTES ? text.n - at : MAX_KEY_BYTES;
        if (look_up(map, (struct span){text.p + at, map->longest ? left : n}, &found, &n_found))
            n = map->longest ? n_found : n;
        else
            found = (struct span){text.p + at, n};
        *first &= found.n > 0 || out->n > 0;
        if (!buffer_add_span(out, found))
            return false;
    }
    return true;
}

bool hf_charsmap_run(const struct hf_charsmap *map, struct span text, struct buffer *out, bool *first)
{
    if (map->longest)
        return put_characters(map, text, out, first);
    for (size_t at = 0, end, n; at < text.n; at = end) {
        struct span found;
        end = next_cluster(text, at);
        struct span cluster = {text.p + at, end - at};
        bool known = cluster.n < 6 && look_up(map, cluster, &found, &n);
        if (known)
            *first &= found.n > 0 || out->n > 0;
        if (!(known ? buffer_add_span(out, found) : put_characters(map, cluster, out, first)))
            return false;
    }
    return true;
}
