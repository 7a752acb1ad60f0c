/* tokenizer_trie.c - tokens by their beginnings. */
#include "text/tokenizer_trie.h"

bool trie_init(struct trie *trie, struct arena *arena, const struct hash_key *key, size_t n_bytes)
{
    *trie = (struct trie){.key = key, .n = 1};
    trie->nodes = arena_alloc(arena, n_bytes + 1, sizeof *trie->nodes);
    if (!trie->nodes || !table_init(&trie->edges, arena, n_bytes + 1))
        return false;
    trie->nodes[0] = (struct trie_node){.id = -1};
    return true;
}

static uint32_t find_edge(const struct trie *trie, uint32_t parent, uint8_t byte, uint64_t *hash, uint32_t *slot)
{
    uint32_t item;
    *hash = hash_pair(trie->key, parent, byte);
    *slot = table_start(&trie->edges, *hash);
    while (table_next(&trie->edges, *hash, slot, &item))
        if (trie->nodes[item].parent == parent && trie->nodes[item].byte == byte)
            return item;
    return 0;
}

void trie_put(struct trie *trie, struct span text, int32_t id)
{
    uint32_t node = 0;
    for (size_t i = 0; i < text.n; i++) {
        uint64_t hash;
        uint32_t slot, next = find_edge(trie, node, (uint8_t)text.p[i], &hash, &slot);
        if (!next) {
            next = trie->n++;
            trie->nodes[next] = (struct trie_node){.parent = node, .id = -1, .byte = (uint8_t)text.p[i]};
            table_put(&trie->edges, hash, slot, next);
        }
        node = next;
    }
    trie->nodes[node].id = id;
}

uint32_t trie_next(const struct trie *trie, uint32_t node, uint8_t byte)
{
    uint64_t hash;
    uint32_t slot;
    return find_edge(trie, node, byte, &hash, &slot);
}
