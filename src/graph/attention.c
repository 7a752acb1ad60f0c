/* attention.c - running attention: tiles of neighbouring rows of one session, a key/value head each, page after page.
 */
#include "graph/attention.h"
#include "kernels/math.h"
#include <string.h>

enum { MAX_PART = 16 }; /* query heads of a group that are taken at once */

/* How an attend step is cut: the queries of a key/value head that are taken at once. */
struct cut {
    size_t n_kv, group;   /* key/value heads; query heads of each */
    size_t part, n_parts; /* query heads taken at once; parts of a group */
};

static struct cut cut_of(const struct run *r, const struct step *s)
{
    const struct cache *c = &r->plan->graph->caches[(size_t)s->node->arg[ATTEND_CACHE].number];
    struct cut cut = {.n_kv = c->n_heads, .group = s->in[0].heads / c->n_heads};
    size_t n_threads = (size_t)pool_threads(r->plan->pool);
    cut.part = cut.group < MAX_PART ? cut.group : MAX_PART;
    while (cut.part > 1 && r->plan->n_tiles * cut.n_kv * ((cut.group + cut.part - 1) / cut.part) < n_threads)
        cut.part = (cut.part + 1) / 2; /* few rows and heads: rather read the keys again than leave threads idle */
    cut.n_parts = (cut.group + cut.part - 1) / cut.part;
    return cut;
}

size_t attention_tile_most(const struct graph *g)
{
    size_t most = 1;
    for (size_t i = 0; i < g->n_nodes; i++) {
        const struct node *n = &g->nodes[i];
        if (n->op == OP_attend) {
            size_t group = g->nodes[n->arg[ATTEND_Q].value].shape.dims[1] /
                           g->caches[(size_t)n->arg[ATTEND_CACHE].number].n_heads;
            most = group > most ? group : most;
        }
    }
    return TILE_QUERIES / (most < MAX_PART ? most : MAX_PART);
}

void attention_tile_rows(struct plan *p)
{
    p->n_tiles = p->n_runs = 0;
    for (size_t i = 0, n; i < p->n_rows; i += n) {
        for (n = 1; i + n < p->n_rows && p->rows[i + n].pages == p->rows[i].pages; n++)
            ;
        const uint32_t last = p->rows[i + n - 1].position;
        p->runs[p->n_runs++] = (struct tile){(uint32_t)i, (uint32_t)n, last};
        for (size_t at = 0; at < n; at += p->tile_most)
            p->tiles[p->n_tiles++] = (struct tile){(uint32_t)(i + at),
                                                   (uint32_t)(n - at < p->tile_most ? n - at : p->tile_most), last};
    }
}

uint32_t attention_chunks(const struct run *r, const struct step *s)
{
    struct cut cut = cut_of(r, s);
    return (uint32_t)(r->plan->n_tiles * cut.n_kv * cut.n_parts);
}

static size_t value_size(const struct run *r, const struct step *s)
{
    return r->plan->graph->caches[(size_t)s->node->arg[ATTEND_CACHE].number].hd_v;
}

static size_t round_up(size_t n, size_t unit) { return (n + unit - 1) / unit * unit; }

static size_t lay_out(char *scratch, size_t hd_k, size_t hd_v, struct queries *out)
{
    const size_t n = TILE_QUERIES, hd32 = round_up(hd_k, Q_BLOCK), blocks = hd32 / Q_BLOCK;
    size_t at = 0;
#define PLACE(member, bytes) (out->member = (void *)(scratch ? scratch + at : NULL), at = round_up(at + (bytes), 64))
    PLACE(q, n * hd32 * sizeof(float));
    PLACE(o, n * hd_v * sizeof(float));
    PLACE(m, n * sizeof(float));
    PLACE(l, n * sizeof(float));
    PLACE(bias, n * KV_PAGE * sizeof(float));
    PLACE(position, n * sizeof(uint32_t));
    PLACE(slope, n * sizeof(float));
    PLACE(head, n * sizeof(uint32_t));
    PLACE(first, n * sizeof(uint32_t));
    PLACE(last, n * sizeof(uint32_t));
    PLACE(only, n * sizeof *out->only);
    PLACE(next, n * sizeof(uint32_t));
    PLACE(near, n * sizeof *out->near);
    PLACE(lo, n);
    PLACE(hi, n);
    PLACE(qq.q, n * hd32);
    PLACE(qq.d, n * blocks * sizeof(float));
    PLACE(qq.ds, n * blocks * sizeof(float));
    PLACE(qq.sums, n * blocks * 2 * sizeof(int16_t));
#undef PLACE
    return at;
}

size_t attention_scratch_bytes(const struct graph *g)
{
    size_t most = 0;
    for (size_t i = 0; i < g->n_caches; i++) {
        struct queries unused;
        size_t bytes = lay_out(NULL, g->caches[i].hd_k, g->caches[i].hd_v, &unused);
        most = bytes > most ? bytes : most;
    }
    return most;
}

/* Slope of head h of n (Press et al. 2022), from the largest power of two of heads on those between. */
static float alibi_slope(double most, size_t h, size_t n)
{
    size_t two = 1;
    while (two * 2 <= n)
        two *= 2;
    const double exponent = h < two ? -most * (double)(h + 1) / (double)two
                                    : -most / 2 * (double)(2 * (h - two) + 1) / (double)two;
    return (float)math_pow(2, exponent);
}

/* What the sum of a query head begins with: nothing, a sink, or what another attend left open. */
static void begin_sum(const struct run *r, const struct step *s, size_t row, size_t head, size_t at, struct queries *x)
{
    const size_t n = value_size(r, s);
    const float *sinks = s->node->arg[ATTEND_SINKS].weight ? s->node->arg[ATTEND_SINKS].weight->data : NULL;
    x->m[at] = sinks ? sinks[head] : -__builtin_inff();
    x->l[at] = sinks ? 1 : 0;
    memset(x->o + at * n, 0, n * sizeof *x->o);
    if (!view_given(s->in[ATTEND_IN_OPEN]))
        return;
    const float *open = run_row(r, s->in[ATTEND_IN_OPEN], row, 0) + head * s->in[ATTEND_IN_OPEN].head_stride;
    memcpy(x->o + at * n, open, n * sizeof *open);
    x->m[at] = open[n];
    x->l[at] = open[n + 1];
}

/* Query heads [head, head + n) of the tile's rows, packed, and what each sees. Returns how many. */
static size_t take_queries(const struct run *r, const struct step *s, struct tile tile, size_t kv_head, size_t head,
                           size_t n, struct queries *x)
{
    const size_t hd = s->in[0].size, hd32 = round_up(hd, Q_BLOCK);
    const double alibi = s->node->arg[ATTEND_ALIBI].number;
    const float alibi_by = (float)s->node->arg[ATTEND_ALIBI_BY].number;
    size_t at = 0;
    x->first_row = tile.first - r->plan->rows[tile.first].position;
    for (size_t row = tile.first; row < tile.first + tile.n; row++) {
        const float *q = run_row(r, s->in[0], row, 0) + head * s->in[0].head_stride;
        const struct view chosen = s->in[ATTEND_IN_ONLY];
        const float *only = view_given(chosen) ? run_row(r, chosen, row, 0) : NULL;
        const uint32_t end = graph_sees(s->node) == SEES_SOURCE ? r->plan->rows[row].n_source - 1 : tile.last;
        for (size_t h = 0; h < n; h++, at++, q += s->in[0].head_stride) {
            memcpy(x->q + at * hd32, q, hd * sizeof *q);
            memset(x->q + at * hd32 + hd, 0, (hd32 - hd) * sizeof *q);
            begin_sum(r, s, row, head + h, at, x);
            x->position[at] = r->plan->rows[row].position;
            x->head[at] = (uint32_t)(head + h);
            x->slope[at] = alibi > 0 ? alibi_by * alibi_slope(alibi, head + h, s->in[0].heads) : 0;
            x->only[at] = only && chosen.heads > 1 ? only + kv_head * chosen.head_stride : only;
            x->next[at] = 0;
            x->near[at] = view_given(s->in[ATTEND_IN_NEAR]) ? run_row(r, s->in[ATTEND_IN_NEAR], row, 0) +
                                                                  (head + h) * s->in[ATTEND_IN_NEAR].head_stride
                                                            : NULL;
            sight_range(s->node, x->position[at], end, &x->first[at], &x->last[at]);
            if (view_given(s->in[ATTEND_IN_REACH]))
                sight_reach(run_row(r, s->in[ATTEND_IN_REACH], row, 0)[0], x->position[at], &x->first[at]);
        }
    }
    if (r->plan->rows[tile.first].layout->type == KV_Q8_0)
        r->plan->kernels->quantize_q8(x->qq, x->q, at * hd32);
    return at;
}

static void give_outputs(const struct run *r, const struct step *s, struct tile tile, size_t head, size_t n,
                         const struct queries *x)
{
    const size_t hd_v = value_size(r, s);
    size_t at = 0;
    for (size_t row = tile.first; row < tile.first + tile.n; row++) {
        float *out = run_row(r, s->out, row, 0) + head * s->out.size;
        for (size_t h = 0; h < n; h++, at++, out += s->out.size) {
            const float *o = x->o + at * hd_v, l = s->node->arg[ATTEND_BY].number != 0 ? 1 : x->l[at];
            const bool open = s->node->arg[ATTEND_OPEN].number != 0;
            if (open) {
                memcpy(out, o, hd_v * sizeof *o);
                out[hd_v] = x->m[at];
                out[hd_v + 1] = l;
            } else {
                r->plan->kernels->scale(out, o, l > 0 ? 1.0f / l : 0.0f, hd_v); /* 0: nothing was seen */
            }
        }
    }
}

static void attend_pages(const struct run *r, const struct step *s, const struct batch_row *row, size_t kv_head,
                         size_t n, struct queries *x)
{
    const struct kernels *k = r->plan->kernels;
    const struct kv_layout *layout = row->layout;
    const size_t c = (size_t)s->node->arg[ATTEND_CACHE].number, key_bytes = layout->key_bytes[c];
    const double scale = s->node->arg[ATTEND_SCALE].number, by = s->node->arg[ATTEND_BY].number; /* 0: softmax */
    struct attend a = {
        .q = x->q,
        .q_stride = round_up(s->in[0].size, Q_BLOCK),
        .qq = x->qq,
        .n_q = n,
        .hd_k = s->in[0].size,
        .hd_v = value_size(r, s),
        .lo = x->lo,
        .hi = x->hi,
        .cap = (float)s->node->arg[ATTEND_CAP].number,
        .bias = sight_biased(s, x) ? x->bias : NULL,
        .m = x->m,
        .l = x->l,
        .o = x->o,
        .o_stride = value_size(r, s),
        .scale = scale != 0 ? (float)scale : 1.0f / __builtin_sqrtf((float)s->in[0].size),
        .activate = by > 0 ? k->activate : NULL,
        .by = by > 0 ? (enum activation)(by - 1) : ACT_NONE,
    };
    const size_t head = layout->offset[c] + kv_head * (key_bytes + layout->value_bytes[c]);
    const uint32_t last = x->last[n - 1] / KV_PAGE;
    for (uint32_t page = sight_first(s->node, x, n) / KV_PAGE; page <= last; page++) {
        const uint32_t start = page * KV_PAGE;
        if (!sight_page(r, s, x, n, start))
            continue;
        a.k = row->pages[page] + head;
        a.v = (const char *)a.k + key_bytes;
        a.k_next = page < last ? row->pages[page + 1] + head : NULL;
        a.v_next = a.k_next ? (const char *)a.k_next + key_bytes : NULL;
        (layout->type == KV_F32 ? k->attend_f32 : layout->type == KV_F16 ? k->attend_f16 : k->attend_q8_0)(&a);
    }
}

void attention_run(const struct run *r, const struct step *s, uint32_t chunk, int thread)
{
    const struct cut cut = cut_of(r, s);
    const size_t part = chunk % cut.n_parts, kv_head = chunk / cut.n_parts % cut.n_kv, at = part * cut.part;
    const struct tile tile = r->plan->tiles[chunk / cut.n_parts / cut.n_kv];
    const size_t head = kv_head * cut.group + at, n_heads = cut.group - at < cut.part ? cut.group - at : cut.part;
    struct queries x;
    lay_out(r->plan->scratch + (size_t)thread * r->plan->scratch_bytes, s->in[0].size, value_size(r, s), &x);
    size_t n = take_queries(r, s, tile, kv_head, head, n_heads, &x);
    attend_pages(r, s, &r->plan->rows[tile.first], kv_head, n, &x);
    give_outputs(r, s, tile, head, n_heads, &x);
}
