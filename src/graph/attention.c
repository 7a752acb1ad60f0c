/* attention.c - running attention: tiles of neighbouring rows of one session, a key/value head each, page after page.
 */
#include "graph/program.h"
#include <string.h>

enum { MAX_PART = 16 }; /* query heads of a group that are taken at once */

/* Places of attend's arguments in ops.def. */
enum { Q, K, V, CACHE, SCALE, WINDOW, CAP };

/* How an attend step is cut: the queries of a key/value head that are taken at once. */
struct cut {
    size_t n_kv, group;   /* key/value heads; query heads of each */
    size_t part, n_parts; /* query heads taken at once; parts of a group */
};

static struct cut cut_of(const struct run *r, const struct step *s)
{
    const struct cache *c = &r->plan->graph->caches[(size_t)s->node->arg[CACHE].number];
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
            size_t group = g->nodes[n->arg[Q].value].shape.dims[1] / g->nodes[n->arg[K].value].shape.dims[1];
            most = group > most ? group : most;
        }
    }
    return TILE_QUERIES / (most < MAX_PART ? most : MAX_PART);
}

void attention_tile_rows(struct plan *p)
{
    p->n_tiles = 0;
    for (size_t i = 0, n; i < p->n_rows; i += n) {
        for (n = 1; n < p->tile_most && i + n < p->n_rows && p->rows[i + n].pages == p->rows[i].pages; n++)
            ;
        p->tiles[p->n_tiles++] = (struct tile){(uint32_t)i, (uint32_t)n};
    }
}

uint32_t attention_chunks(const struct run *r, const struct step *s)
{
    struct cut cut = cut_of(r, s);
    return (uint32_t)(r->plan->n_tiles * cut.n_kv * cut.n_parts);
}

/* What a thread needs for TILE_QUERIES queries. */
struct queries {
    float *q, *o, *m, *l;
    uint32_t *first, *last; /* positions seen: [first, last] */
    uint8_t *lo, *hi;
    struct q8 qq;
};

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
    PLACE(first, n * sizeof(uint32_t));
    PLACE(last, n * sizeof(uint32_t));
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

/* Query heads [head, head + n) of the tile's rows, packed, and what each sees. Returns how many. */
static size_t take_queries(const struct run *r, const struct step *s, struct tile tile, size_t head, size_t n,
                           struct queries *x)
{
    const size_t hd = s->in[0].size, hd32 = round_up(hd, Q_BLOCK);
    const uint32_t window = r->plan->graph->caches[(size_t)s->node->arg[CACHE].number].window;
    size_t at = 0;
    for (size_t row = tile.first; row < tile.first + tile.n; row++) {
        const uint32_t position = r->plan->rows[row].position;
        const float *q = run_row(r, s->in[0], row, 0) + head * s->in[0].head_stride;
        for (size_t h = 0; h < n; h++, at++, q += s->in[0].head_stride) {
            memcpy(x->q + at * hd32, q, hd * sizeof *q);
            memset(x->q + at * hd32 + hd, 0, (hd32 - hd) * sizeof *q);
            x->m[at] = -__builtin_inff();
            x->l[at] = 0;
            x->last[at] = position;
            x->first[at] = window && position >= window ? position + 1 - window : 0;
        }
    }
    memset(x->o, 0, at * s->out.size * sizeof *x->o);
    if (r->plan->rows[tile.first].layout->type == KV_Q8_0)
        for (size_t j = 0; j < at; j++)
            r->plan->kernels->quantize_q8(q8_row(x->qq, j, hd32), x->q + j * hd32, hd32);
    return at;
}

static void give_outputs(const struct run *r, const struct step *s, struct tile tile, size_t head, size_t n,
                         const struct queries *x)
{
    size_t at = 0;
    for (size_t row = tile.first; row < tile.first + tile.n; row++) {
        float *out = run_row(r, s->out, row, 0) + head * s->out.size;
        for (size_t h = 0; h < n; h++, at++)
            r->plan->kernels->scale(out + h * s->out.size, x->o + at * s->out.size, 1.0f / x->l[at], s->out.size);
    }
}

static void attend_pages(const struct run *r, const struct step *s, const struct batch_row *row, size_t kv_head,
                         size_t n, struct queries *x)
{
    const struct kernels *k = r->plan->kernels;
    const struct kv_layout *layout = row->layout;
    const size_t c = (size_t)s->node->arg[CACHE].number, key_bytes = layout->key_bytes[c];
    const double scale = s->node->arg[SCALE].number;
    struct attend a = {
        .q = x->q,
        .q_stride = round_up(s->in[0].size, Q_BLOCK),
        .qq = x->qq,
        .n_q = n,
        .hd_k = s->in[0].size,
        .hd_v = s->out.size,
        .lo = x->lo,
        .hi = x->hi,
        .cap = (float)s->node->arg[CAP].number,
        .m = x->m,
        .l = x->l,
        .o = x->o,
        .o_stride = s->out.size,
        .scale = scale != 0 ? (float)scale : 1.0f / __builtin_sqrtf((float)s->in[0].size),
    };
    const size_t head = layout->offset[c] + kv_head * (key_bytes + layout->value_bytes[c]);
    const uint32_t last = x->last[n - 1] / KV_PAGE;
    for (uint32_t page = x->first[0] / KV_PAGE; page <= last; page++) {
        const uint32_t start = page * KV_PAGE;
        for (size_t j = 0; j < n; j++) {
            uint32_t first = x->first[j] > start ? x->first[j] - start : 0,
                     end = x->last[j] + 1 > start ? x->last[j] + 1 - start : 0;
            x->lo[j] = (uint8_t)(first < KV_PAGE ? first : KV_PAGE);
            x->hi[j] = (uint8_t)(end < KV_PAGE ? end : KV_PAGE);
        }
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
    lay_out(r->plan->scratch + (size_t)thread * r->plan->scratch_bytes, s->in[0].size, s->out.size, &x);
    size_t n = take_queries(r, s, tile, head, n_heads, &x);
    attend_pages(r, s, &r->plan->rows[tile.first], kv_head, n, &x);
    give_outputs(r, s, tile, head, n_heads, &x);
}
