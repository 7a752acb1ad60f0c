/* graph_print.c - a graph for a person: a line a node, then what it reads and keeps in all. */
#include "base/alloc.h"
#include "graph/graph.h"
#include "graph/shapes.h"
#include <inttypes.h>
#include <stdlib.h>

/* Names come from files: what is not printable ASCII must not reach a terminal. */
static void add_name(struct buffer *out, const char *name)
{
    for (const char *p = name ? name : ""; *p; p++) {
        bool plain = *p >= 0x20 && *p < 0x7f;
        buffer_add(out, plain ? p : "?", 1);
    }
}

static void add_weight(struct buffer *out, const struct weight *w)
{
    const struct type_info *type = type_info(w->type);
    add_name(out, w->name);
    buffer_printf(out, " %s [", type ? type->name : "?");
    for (uint32_t d = 0; d < w->n_dims; d++)
        buffer_printf(out, "%s%" PRIu64, d ? ", " : "", w->dims[d]);
    buffer_add_text(out, "]");
}

static void add_word(struct buffer *out, const char *words, size_t i)
{
    for (; i && *words; words++)
        i -= *words == ' ';
    buffer_add(out, words, strcspn(words, " "));
}

/* Left out: -1, NULL or the fallback of an optional argument. */
static bool is_given(const struct op_arg *arg, union arg a)
{
    if (arg->kind == ARG_VALUE)
        return a.value >= 0;
    if (arg->kind == ARG_WEIGHT)
        return a.weight != NULL;
    if (arg->kind == ARG_LIST)
        return a.list != NULL;
    return !arg->optional || a.number != arg->fallback;
}

static void add_argument(struct buffer *out, const struct op_arg *arg, union arg a)
{
    if (arg->kind == ARG_VALUE) {
        buffer_printf(out, "%%%" PRId32, a.value);
        return;
    }
    if (arg->kind == ARG_WEIGHT) {
        add_weight(out, a.weight);
        return;
    }
    buffer_printf(out, "%s: ", arg->name);
    if (arg->kind == ARG_LIST)
        buffer_printf(out, "%zu numbers", a.list->n);
    else if (arg->kind == ARG_CHOICE)
        add_word(out, arg->choices, (size_t)a.number);
    else
        buffer_printf(out, "%.9g", a.number);
}

static void add_node(struct buffer *out, const struct graph *g, size_t i)
{
    const struct node *node = &g->nodes[i];
    const struct op_info *info = &op_infos[node->op];
    char shape[SHAPE_TEXT];
    const char *between = "(";
    buffer_printf(out, "%%%-5zu %-18s %s", i, shape_text(node->shape, shape), info->name);
    for (size_t a = 0; a < OP_MAX_ARGS && info->arg[a].kind != ARG_NONE; a++)
        if (is_given(&info->arg[a], node->arg[a])) {
            buffer_add_text(out, between);
            add_argument(out, &info->arg[a], node->arg[a]);
            between = ", ";
        }
    buffer_add_text(out, *between == ',' ? ")" : "");
    if (node->label[0] || node->layer >= 0)
        buffer_add_text(out, "  #");
    if (node->label[0]) {
        buffer_add_text(out, " ");
        add_name(out, node->label);
    }
    if (node->layer >= 0)
        buffer_printf(out, " layer %" PRId32, node->layer);
    buffer_add_text(out, "\n");
}

/* ---- totals: tied tensors count once ---- */

struct total {
    uint64_t n_tensors, n_numbers, n_bytes;
};

static int by_address(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t) * (const struct weight *const *)a, y = (uintptr_t) * (const struct weight *const *)b;
    return x < y ? -1 : x > y;
}

static size_t list_weights(const struct graph *g, const struct weight **list)
{
    size_t n = 0;
    for (size_t i = 0; i < g->n_nodes; i++) {
        const struct op_info *info = &op_infos[g->nodes[i].op];
        for (size_t a = 0; a < OP_MAX_ARGS && info->arg[a].kind != ARG_NONE; a++)
            if (info->arg[a].kind == ARG_WEIGHT && g->nodes[i].arg[a].weight) {
                if (list)
                    list[n] = g->nodes[i].arg[a].weight;
                n++;
            }
    }
    return n;
}

static void add_totals(struct buffer *out, const struct graph *g, const struct weight **list, size_t n)
{
    struct total of[TYPE_LIMIT] = {{0}}, all = {0};
    qsort(list, n, sizeof(const struct weight *), by_address);
    for (size_t i = 0; i < n; i++) {
        const struct weight *w = list[i];
        const struct type_info *type = type_info(w->type);
        if (!type || (i && w == list[i - 1]))
            continue;
        uint64_t numbers = 1;
        for (uint32_t d = 0; d < w->n_dims; d++)
            numbers *= w->dims[d];
        of[w->type].n_tensors++;
        of[w->type].n_numbers += numbers;
        of[w->type].n_bytes += type_bytes(type, numbers);
    }
    for (size_t t = 0; t < TYPE_LIMIT; t++) {
        all.n_tensors += of[t].n_tensors;
        all.n_numbers += of[t].n_numbers;
        all.n_bytes += of[t].n_bytes;
    }
    buffer_printf(out, "%zu nodes, %zu caches, %" PRIu64 " tensors of %.2f M numbers in %.2f MiB\n", g->n_nodes,
                  g->n_caches, all.n_tensors, (double)all.n_numbers / 1e6, (double)all.n_bytes / 0x1p20);
    for (uint32_t t = 0; t < TYPE_LIMIT; t++)
        if (of[t].n_tensors)
            buffer_printf(out, "  %-8s %6" PRIu64 " tensors %10.2f M numbers %10.2f MiB\n", type_info(t)->name,
                          of[t].n_tensors, (double)of[t].n_numbers / 1e6, (double)of[t].n_bytes / 0x1p20);
}

static void add_caches(struct buffer *out, const struct graph *g)
{
    uint64_t numbers = 0;
    size_t n_windowed = 0;
    for (size_t i = 0; i < g->n_caches; i++)
        numbers += (uint64_t)g->caches[i].n_heads * ((uint64_t)g->caches[i].hd_k + g->caches[i].hd_v);
    for (size_t i = 0; i < g->n_nodes; i++)
        n_windowed += g->nodes[i].op == OP_attend && g->nodes[i].arg[ATTEND_WINDOW].number > 0;
    if (g->n_caches)
        buffer_printf(out, "  caches   %" PRIu64 " numbers a position, %zu with a window\n", numbers, n_windowed);
    if (g->n_state)
        buffer_printf(out, "  state    %zu numbers a session\n", g->n_state);
    if (g->n_positions_max)
        buffer_printf(out, "  positions up to %" PRIu32 ", the rows of a table\n", g->n_positions_max);
}

bool graph_print(const struct graph *g, struct buffer *out)
{
    for (size_t i = 0; i < g->n_nodes; i++)
        add_node(out, g, i);
    if (g->output >= 0)
        buffer_printf(out, "output %%%" PRId32 "\n", g->output);
    size_t n = list_weights(g, NULL);
    const struct weight **list = alloc_zeroed(n, sizeof *list);
    if (!list) {
        out->failed = true;
        return false;
    }
    list_weights(g, list);
    add_totals(out, g, list, n);
    alloc_free(list);
    add_caches(out, g);
    return !out->failed;
}
