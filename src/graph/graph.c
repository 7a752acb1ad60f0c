/* graph.c - a graph as a growing list of nodes.
 *
 * The list doubles inside the arena, which gives nothing back before its end: the outgrown copies cost at most as much
 * again, and GRAPH_MAX_NODES bounds both. */
#include "graph/graph.h"
#include "base/error.h"
#include "graph/shapes.h"
#include <inttypes.h>

enum { FIRST_NODES = 256, FIRST_CACHES = 32 };

/* Room for one item more in a list of `arena`. */
static andiron_status grow(struct arena *arena, void *list_pointer, size_t n, size_t *capacity, size_t first,
                           size_t item_bytes, const char *what, andiron_error *error)
{
    void *old;
    if (n < *capacity)
        return ANDIRON_OK;
    size_t wanted = *capacity ? *capacity * 2 : first;
    void *list = arena_alloc(arena, wanted, item_bytes);
    if (!list)
        return error_memory(error, wanted * item_bytes, what);
    memcpy(&old, list_pointer, sizeof old);
    if (n)
        memcpy(list, old, n * item_bytes);
    memcpy(list_pointer, &list, sizeof list);
    *capacity = wanted;
    return ANDIRON_OK;
}

andiron_status graph_init(struct graph *g, struct arena *arena, andiron_error *error)
{
    *g = (struct graph){.output = -1, .arena = arena};
    static const enum op inputs[] = {OP_tokens, OP_positions};
    andiron_status s = ANDIRON_OK;
    for (size_t i = 0; i < 2 && !s; i++) {
        struct node node = {.op = inputs[i], .label = op_infos[inputs[i]].name, .layer = -1, .file = "graph"};
        s = graph_add(g, &node, NULL, error);
    }
    return s;
}

int graph_sees(const struct node *attend) { return (int)attend->arg[ATTEND_SEES].number; }

static void keep_cache(struct graph *g, struct node *attend)
{
    if (attend->op == OP_choose) {
        attend->state = g->n_caches;
        g->caches[g->n_caches++] = (struct cache){1, g->nodes[attend->arg[1].value].shape.dims[0], 0};
        return;
    }
    g->reads_source = g->reads_source || graph_sees(attend) == SEES_SOURCE;
    if (attend->arg[ATTEND_K].value < 0)
        return;
    const struct shape k = g->nodes[attend->arg[ATTEND_K].value].shape, v = g->nodes[attend->arg[ATTEND_V].value].shape;
    g->caches[g->n_caches++] = (struct cache){k.dims[1], k.dims[0], v.dims[0]};
}

uint64_t graph_state_items(const struct graph *g, const struct node *n)
{
    const size_t out = shape_items(n->shape);
    switch (n->op) {
    case OP_carry:
    case OP_previous:
    case OP_peak: return out;
    case OP_conv: return (n->arg[1].weight->dims[0] - 1) * (uint64_t)n->arg[3].number * out;
    case OP_scan: return (uint64_t)g->nodes[n->arg[1].value].shape.dims[0] * out;
    case OP_selective_scan: return n->arg[2].weight->dims[0] * out;
    default: return 0;
    }
}

/* A row sees rows after it. */
static bool looks_ahead(const struct node *n)
{
    enum { CONV_AHEAD = 4 };
    return (n->op == OP_attend && graph_sees(n) == SEES_ALL) || n->op == OP_around || n->op == OP_groupnorm ||
           n->op == OP_fourier || (n->op == OP_conv && n->arg[CONV_AHEAD].number > 0);
}

bool graph_spans_rows(const struct graph *g, const struct node *n)
{
    return n->op == OP_attend || n->op == OP_keep || looks_ahead(n) || graph_state_items(g, n) > 0;
}

static void limit_positions(struct graph *g, const struct node *embed)
{
    uint32_t rows = (uint32_t)embed->arg[1].weight->dims[1];
    if (g->nodes[embed->arg[0].value].op == OP_positions && (g->n_positions_max == 0 || rows < g->n_positions_max))
        g->n_positions_max = rows;
}

andiron_status graph_add(struct graph *g, const struct node *node, node_id *out, andiron_error *error)
{
    struct node added = *node;
    added.label = node->label ? node->label : "";
    andiron_status s = shapes_check(g, &added, error);
    if (s)
        return s;
    const uint64_t state = graph_state_items(g, &added);
    if (state > GRAPH_MAX_STATE - g->n_state)
        return error_set(error, ANDIRON_E_FORMAT, "%.80s:%" PRIu32 ": %s: expected at most %d numbers of state",
                         node->file ? node->file : "graph", node->line, op_infos[node->op].name, GRAPH_MAX_STATE);
    added.state = g->n_state;
    if (g->n_nodes >= GRAPH_MAX_NODES)
        return error_set(error, ANDIRON_E_FORMAT,
                         "%.80s:%" PRIu32 ": %s: expected at most %d nodes in a graph, got one more",
                         node->file ? node->file : "graph", node->line, op_infos[node->op].name, GRAPH_MAX_NODES);
    s = grow(g->arena, &g->nodes, g->n_nodes, &g->capacity, FIRST_NODES, sizeof *g->nodes, "a graph's nodes", error);
    const bool caches = added.op == OP_attend || added.op == OP_choose;
    if (!s && caches)
        s = grow(g->arena, &g->caches, g->n_caches, &g->cache_capacity, FIRST_CACHES, sizeof *g->caches,
                 "a graph's caches", error);
    if (s)
        return s;
    if (caches)
        keep_cache(g, &added);
    g->whole_texts = g->whole_texts || looks_ahead(&added);
    if (added.op == OP_embed)
        limit_positions(g, &added);
    if (out)
        *out = (node_id)g->n_nodes;
    g->n_loops += added.op == OP_carry;
    g->n_state += (size_t)state;
    g->nodes[g->n_nodes++] = added;
    return ANDIRON_OK;
}
