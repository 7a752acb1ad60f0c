/* tokenizer_table.c - the key of the hash, and room for tables. */
#include "text/tokenizer_table.h"
#include "base/clock.h"
#include <sys/random.h>

void hash_key_init(struct hash_key *key)
{
    uint64_t words[2] = {0};
    if (getrandom(words, sizeof words, GRND_NONBLOCK) != sizeof words) { /* early in the system's life */
        words[0] = clock_ns() * 0x9e3779b97f4a7c15u;
        words[1] = (uint64_t)(uintptr_t)key * 0xd6e8feb86659fd93u ^ clock_ns();
    }
    key->a = words[0];
    key->b = words[1] | 1; /* never a product with nothing */
}

bool table_init(struct table *table, struct arena *arena, size_t n)
{
    if (n > UINT32_MAX / 4)
        return false;
    uint32_t slots = 16;
    while (slots < n * 2)
        slots *= 2;
    table->mask = slots - 1;
    table->slots = arena_alloc(arena, slots, sizeof *table->slots);
    return table->slots != NULL;
}
