/* tokenizer_trie.h - tokens by their beginnings: each beginning is a node, a child of the one that lacks its last
 * byte. Nodes lie in one array and are found by a keyed hash, so that no vocabulary makes a search slow. */
#ifndef TEXT_TOKENIZER_TRIE_H
#define TEXT_TOKENIZER_TRIE_H

#include "text/tokenizer_table.h"

enum { TRIE_MAX_BYTES = 512 }; /* of a token: bounds the work at each place of a text */

struct trie_node {
    uint32_t parent;
    int32_t id; /* the token that ends here, or -1 */
    uint8_t byte;
};
struct trie {
    const struct hash_key *key; /* borrowed */
    struct table edges;         /* (parent, byte) -> node */
    struct trie_node *nodes;    /* node 0 is the empty beginning */
    uint32_t n;
};

/* Room for tokens of `n_bytes` bytes together. False: out of memory or too many. */
bool trie_init(struct trie *trie, struct arena *arena, const struct hash_key *key, size_t n_bytes);
void trie_put(struct trie *trie, struct span text, int32_t id);           /* of equal texts the last counts */
uint32_t trie_next(const struct trie *trie, uint32_t node, uint8_t byte); /* 0: no token begins so */

#endif
