/* kv_layout.c - where a page of the KV cache keeps the keys and values of each layer and head. */
#include "base/checked.h"
#include "base/error.h"
#include "graph/plan.h"

andiron_status kv_layout_init(struct kv_layout *out, const struct graph *g, enum kv_type type, struct arena *arena,
                              andiron_error *error)
{
    const size_t n = g->n_caches;
    *out = (struct kv_layout){.type = type};
    out->offset = arena_alloc(arena, n, sizeof *out->offset);
    out->key_bytes = arena_alloc(arena, n, sizeof *out->key_bytes);
    out->value_bytes = arena_alloc(arena, n, sizeof *out->value_bytes);
    if (!out->offset || !out->key_bytes || !out->value_bytes)
        return error_memory(error, n * sizeof *out->offset, "the layout of the cache");
    uint64_t at = 0;
    for (size_t c = 0; c < n; c++) {
        const struct cache *cache = &g->caches[c];
        uint64_t bytes;
        out->offset[c] = at;
        out->key_bytes[c] = kv_key_page_bytes(type, cache->hd_k);
        out->value_bytes[c] = kv_value_page_bytes(type, cache->hd_v);
        if (!checked_mul(out->key_bytes[c] + out->value_bytes[c], cache->n_heads, &bytes) ||
            !checked_add(at, bytes, &at))
            return error_set(error, ANDIRON_E_SUPPORT, "a page of the cache is beyond any machine");
    }
    out->page_bytes = at;
    return ANDIRON_OK;
}
