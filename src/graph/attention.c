/* attention.c - running attention: tiles of neighbouring rows of one session, a key/value head each, page after page.
 */
#include "graph/program.h"
#include "kernels/math.h"
#include <string.h>

enum { MAX_PART = 16 }; /* query heads of a group that are taken at once */

/* Places of attend's arguments in ops.def. */
enum {
    Q,
    K,
    V,
    CACHE,
    SCALE,
    WINDOW,
    CAP,
    SEES,
    WINDOW_STYLE,
    SINKS,
    ALIBI,
    RELATIVE,
    ONLY,
    ONLY_SPAN,
    NEAR,
    EVERY,
    OPEN,
    ALIBI_BY = 18
};
enum { BACK, CHUNKS, BOTH }; /* window_style */

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
            size_t group = g->nodes[n->arg[Q].value].shape.dims[1] / g->caches[(size_t)n->arg[CACHE].number].n_heads;
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
    return r->plan->graph->caches[(size_t)s->node->arg[CACHE].number].hd_v;
}

/* What a thread needs for TILE_QUERIES queries. */
struct queries {
    float *q, *o, *m, *l;
    float *bias;            /* [n][KV_PAGE] */
    uint32_t *position;     /* of the query */
    float *slope;           /* ALiBi's */
    uint32_t *head;         /* of the query */
    uint32_t *first, *last; /* positions seen: [first, last] */
    const float **only;     /* spans of positions that were chosen, rising; -1: no more */
    uint32_t *next;         /* of them, for the page at hand */
    const float **near;     /* scores of distances back */
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

/* The positions that a query at `position` sees, of a text, or a source, that ends with `end`. */
static void see(const struct node *n, uint32_t position, uint32_t end, uint32_t *first, uint32_t *last)
{
    const uint32_t window = (uint32_t)n->arg[WINDOW].number;
    const bool all = graph_sees(n) != SEES_BEFORE;
    *first = 0;
    *last = all ? end : position;
    if (window == 0)
        return;
    const int style = (int)n->arg[WINDOW_STYLE].number;
    if (style == CHUNKS) {
        *first = position / window * window;
    } else {
        const uint32_t back = style == BOTH ? window / 2 : window - 1;
        *first = position > back ? position - back : 0;
        if (style == BOTH && all && window / 2 < end - position)
            *last = position + window / 2;
    }
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
    const float *sinks = s->node->arg[SINKS].weight ? s->node->arg[SINKS].weight->data : NULL;
    x->m[at] = sinks ? sinks[head] : -__builtin_inff();
    x->l[at] = sinks ? 1 : 0;
    memset(x->o + at * n, 0, n * sizeof *x->o);
    if (!view_given(s->in[4]))
        return;
    const float *open = run_row(r, s->in[4], row, 0) + head * s->in[4].head_stride;
    memcpy(x->o + at * n, open, n * sizeof *open);
    x->m[at] = open[n];
    x->l[at] = open[n + 1];
}

/* Query heads [head, head + n) of the tile's rows, packed, and what each sees. Returns how many. */
static size_t take_queries(const struct run *r, const struct step *s, struct tile tile, size_t kv_head, size_t head,
                           size_t n, struct queries *x)
{
    const size_t hd = s->in[0].size, hd32 = round_up(hd, Q_BLOCK);
    const double alibi = s->node->arg[ALIBI].number;
    const float alibi_by = (float)s->node->arg[ALIBI_BY].number;
    size_t at = 0;
    for (size_t row = tile.first; row < tile.first + tile.n; row++) {
        const float *q = run_row(r, s->in[0], row, 0) + head * s->in[0].head_stride;
        const struct view chosen = s->in[2];
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
            x->near[at] = view_given(s->in[3]) ? run_row(r, s->in[3], row, 0) + (head + h) * s->in[3].head_stride
                                               : NULL;
            see(s->node, x->position[at], end, &x->first[at], &x->last[at]);
        }
    }
    if (r->plan->rows[tile.first].layout->type == KV_Q8_0)
        for (size_t j = 0; j < at; j++)
            r->plan->kernels->quantize_q8(q8_row(x->qq, j, hd32), x->q + j * hd32, hd32);
    return at;
}

/* The bucket of a distance, key less query: exact ones for the nearest, then wider and wider up to 128 positions
 * (Raffel et al. 2020, section 2.1). Both sides have half of them where a row sees both. */
static uint32_t bucket_of(double distance, uint32_t n, bool both)
{
    const uint32_t half = both ? n / 2 : n, exact = half / 2, side = both && distance > 0 ? half : 0;
    double d = both && distance > 0 ? distance : -distance;
    d = d > 0 ? d : 0;
    if (d < exact)
        return side + (uint32_t)d;
    const double wide = exact + math_log(d / exact) * (half - exact) / math_log(128.0 / exact);
    return side + (wide < half - 1 ? (uint32_t)wide : half - 1);
}

/* What is added to the scores of a page: ALiBi's slope times how far back a position is, its bucket's number, or the
 * query's for that distance. */
static void bias_page(const struct step *s, struct queries *x, size_t n, uint32_t start)
{
    const struct node *node = s->node;
    const struct weight *relative = node->arg[RELATIVE].weight;
    for (size_t j = 0; j < n; j++)
        for (uint32_t p = 0; p < KV_PAGE; p++) {
            const float distance = (float)x->position[j] - (float)(start + p);
            float bias = -x->slope[j] * (distance < 0 ? -distance : distance);
            if (relative) {
                const uint32_t bucket = bucket_of(-(double)distance, (uint32_t)relative->dims[1],
                                                  graph_sees(node) != SEES_BEFORE);
                bias += ((const float *)relative->data)[bucket * relative->dims[0] + x->head[j]];
            }
            if (x->near[j] && distance >= 0 && distance < (float)s->in[3].size)
                bias += x->near[j][(size_t)distance];
            x->bias[j * KV_PAGE + p] = bias;
        }
}

/* What queries see of a page. */
static void bound_page(struct queries *x, size_t n, uint32_t start)
{
    for (size_t j = 0; j < n; j++) {
        uint32_t first = x->first[j] > start ? x->first[j] - start : 0,
                 end = x->last[j] + 1 > start ? x->last[j] + 1 - start : 0;
        x->lo[j] = (uint8_t)(first < KV_PAGE ? first : KV_PAGE);
        x->hi[j] = (uint8_t)(end < KV_PAGE ? end : KV_PAGE);
    }
}

/* Of a page, queries see only what was chosen for them; false: nothing was. */
static bool keep_chosen(const struct step *s, struct queries *x, size_t n, uint32_t start)
{
    const uint32_t span = (uint32_t)s->node->arg[ONLY_SPAN].number, n_only = s->in[2].size;
    bool any = false;
    for (size_t j = 0; j < n; j++) {
        const float *only = x->only[j];
        uint32_t at = x->next[j];
        bool seen = false;
        for (uint32_t p = x->lo[j]; p < x->hi[j]; p++) {
            const float wanted = (float)((start + p) / span);
            while (at < n_only && only[at] >= 0 && only[at] < wanted)
                at++;
            if (at < n_only && only[at] == wanted)
                seen = true;
            else
                x->bias[j * KV_PAGE + p] = -__builtin_inff();
        }
        x->next[j] = at;
        if (!seen)
            x->lo[j] = x->hi[j] = 0;
        any = any || seen;
    }
    return any;
}

/* Of a page, queries see the last of so many neighbours only; false: there is none. */
static bool keep_every(uint32_t every, struct queries *x, size_t n, uint32_t start)
{
    bool any = false;
    for (size_t j = 0; j < n; j++) {
        bool seen = false;
        for (uint32_t p = x->lo[j]; p < x->hi[j]; p++) {
            float *bias = &x->bias[j * KV_PAGE + p];
            *bias = (start + p + 1) % every ? -__builtin_inff() : *bias;
            seen = seen || *bias > -__builtin_inff();
        }
        if (!seen)
            x->lo[j] = x->hi[j] = 0;
        any = any || seen;
    }
    return any;
}

/* False: nothing of the page is seen. */
static bool keep_some(const struct step *s, struct queries *x, size_t n, uint32_t start)
{
    const uint32_t every = (uint32_t)s->node->arg[EVERY].number;
    return (!x->only[0] || keep_chosen(s, x, n, start)) && (every == 1 || keep_every(every, x, n, start));
}

static bool is_biased(const struct step *s, const struct queries *x)
{
    const struct node *n = s->node;
    return n->arg[ALIBI].number > 0 || n->arg[RELATIVE].weight || x->only[0] || x->near[0] || n->arg[EVERY].number > 1;
}

static void give_outputs(const struct run *r, const struct step *s, struct tile tile, size_t head, size_t n,
                         const struct queries *x)
{
    const size_t hd_v = value_size(r, s);
    size_t at = 0;
    for (size_t row = tile.first; row < tile.first + tile.n; row++) {
        float *out = run_row(r, s->out, row, 0) + head * s->out.size;
        for (size_t h = 0; h < n; h++, at++, out += s->out.size) {
            const float *o = x->o + at * hd_v, l = x->l[at];
            const bool open = s->node->arg[OPEN].number != 0;
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
    const size_t c = (size_t)s->node->arg[CACHE].number, key_bytes = layout->key_bytes[c];
    const double scale = s->node->arg[SCALE].number;
    struct attend a = {
        .q = x->q,
        .q_stride = round_up(s->in[0].size, Q_BLOCK),
        .qq = x->qq,
        .n_q = n,
        .hd_k = s->in[0].size,
        .hd_v = value_size(r, s),
        .lo = x->lo,
        .hi = x->hi,
        .cap = (float)s->node->arg[CAP].number,
        .bias = is_biased(s, x) ? x->bias : NULL,
        .m = x->m,
        .l = x->l,
        .o = x->o,
        .o_stride = value_size(r, s),
        .scale = scale != 0 ? (float)scale : 1.0f / __builtin_sqrtf((float)s->in[0].size),
    };
    const size_t head = layout->offset[c] + kv_head * (key_bytes + layout->value_bytes[c]);
    const uint32_t last = x->last[n - 1] / KV_PAGE;
    for (uint32_t page = x->first[0] / KV_PAGE; page <= last; page++) {
        const uint32_t start = page * KV_PAGE;
        bound_page(x, n, start);
        if (a.bias)
            bias_page(s, x, n, start);
        if (!keep_some(s, x, n, start))
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
