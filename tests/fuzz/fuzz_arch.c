/* fuzz_arch.c - any text as a definition, over a model that its comments describe (tests/arch/fake_source.h). */
#include "../arch/fake_source.h"
#include "base/alloc.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void check_graph(const struct graph *g)
{
    must(g->n_nodes >= 2 && g->n_nodes <= GRAPH_MAX_NODES);
    must(g->output >= 0 && (size_t)g->output < g->n_nodes);
    for (size_t i = 0; i < g->n_nodes; i++)
        must(g->nodes[i].file && g->nodes[i].label && g->nodes[i].layer < 4096);
}

/* What it says of a folder's type, its own or an inherited one. */
static void check_folder(struct arch *a, const char *type)
{
    struct arch_folder f;
    andiron_error error = {0};
    must(arch_find_folder(a, span_of(type), &f, &error) == ANDIRON_OK);
    for (size_t i = 0; i < f.n; i++)
        must(f.type && f.lines[i]->verb != ARCH_FOLDER);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const struct span text = {(const char *)data, n};
    andiron_error error = {0};
    struct arch *a = NULL;
    andiron_status s = arch_open(&a, text, "input.arch", arch_builtin, NULL, &error);
    must((s == ANDIRON_OK) == (a != NULL) && (s == ANDIRON_OK || error.text[0]));
    if (s)
        return 0;
    check_folder(a, "own");
    check_folder(a, "llama");
    struct fake_source model;
    struct arena arena;
    struct graph g;
    arena_init(&arena, 64 << 20);
    fake_source_init(&model, text);
    s = arch_expand(a, &model.source, &arena, &g, &error);
    arch_close(a);
    must(s == ANDIRON_OK || error.text[0]);
    if (!s) {
        struct buffer out;
        check_graph(&g);
        buffer_init(&out, 1 << 20);
        graph_print(&g, &out);
        buffer_reset(&out);
    }
    arena_reset(&arena);
    return 0;
}
