/* tokenizer_table.h - hash tables from bytes to numbers that stand in arrays elsewhere. Open addressing, a keyed hash
 * (64-bit multiply and fold, in the manner of wyhash) so that nobody can make a file whose keys all collide. */
#ifndef TEXT_TOKENIZER_TABLE_H
#define TEXT_TOKENIZER_TABLE_H

#include "base/arena.h"
#include "base/span.h"
#include <stdint.h>

struct hash_key {
    uint64_t a, b;
};
struct table_slot {
    uint32_t tag, item; /* item + 1; 0: free */
};
struct table {
    struct table_slot *slots;
    uint32_t mask;
};

void hash_key_init(struct hash_key *key);
/* Room for `n` items at half load; slots come from the arena. False: out of memory or too many. */
bool table_init(struct table *table, struct arena *arena, size_t n);

static inline uint64_t hash_mix(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t hash_bytes(const struct hash_key *key, const char *p, size_t n)
{
    uint64_t h = key->a ^ n, x = 0;
    for (; n >= 8; p += 8, n -= 8) {
        memcpy(&x, p, 8);
        h = hash_mix(h ^ x, key->b);
    }
    x = 0;
    if (n >= 4) {
        uint32_t low, high;
        memcpy(&low, p, 4);
        memcpy(&high, p + n - 4, 4);
        x = low | (uint64_t)high << 32;
    } else if (n) {
        x = (uint8_t)p[0] | (uint64_t)(uint8_t)p[n / 2] << 8 | (uint64_t)(uint8_t)p[n - 1] << 16;
    }
    return hash_mix(h ^ x ^ 0x9e3779b97f4a7c15u, key->b);
}

static inline uint64_t hash_pair(const struct hash_key *key, uint64_t left, uint64_t right)
{
    return hash_mix(left ^ key->b, (right << 1 | 1) ^ key->a);
}

/* Walk the items that may have this hash: start with *slot = table_start, then until false. */
static inline uint32_t table_start(const struct table *table, uint64_t hash)
{
    return (uint32_t)(hash >> 32) & table->mask;
}
static inline bool table_next(const struct table *table, uint64_t hash, uint32_t *slot, uint32_t *item)
{
    for (;; *slot = (*slot + 1) & table->mask) {
        struct table_slot s = table->slots[*slot];
        if (!s.item)
            return false;
        if (s.tag == (uint32_t)hash) {
            *item = s.item - 1;
            *slot = (*slot + 1) & table->mask;
            return true;
        }
    }
}
/* Put an item that is not there at the free slot where table_next stopped. */
static inline void table_put(struct table *table, uint64_t hash, uint32_t slot, uint32_t item)
{
    table->slots[slot] = (struct table_slot){(uint32_t)hash, item + 1};
}

#endif
