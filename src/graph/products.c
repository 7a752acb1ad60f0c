/* products.c - running products: of all rows with one matrix, and of chosen rows with one of several. */
#include "graph/program.h"
#include <string.h>

enum { SLAB = 32 };     /* rows of a weight matrix in a chunk of work, at least */
enum { GATHERED = 16 }; /* rows that are brought together for one of several matrices */

/* ---- one matrix ---- */

/* Where the products of quantized rows go: into the output, or beside it where two parts are read. */
static void read_q8(const struct run *r, const struct step *s, struct mul *m, char *sums)
{
    m->xq = run_q8(r, s->in[0].table);
    if (s->parts == 1)
        return;
    m->n_tokens = r->n * s->parts;
    m->y = (float *)(void *)sums;
    m->y_stride = m->n_rows;
}

/* Rows [from, to) of one matrix times all rows of the run. */
static void multiply(const struct run *r, const struct step *s, size_t from, size_t to, int thread)
{
    const struct plan *p = r->plan;
    const struct weight *w = s->weight;
    char *scratch = p->scratch + (size_t)thread * p->scratch_bytes;
    float *y = run_row(r, s->out, 0, thread) + from;
    struct mul m = {
        .y = y,
        .y_stride = s->out.size,
        .w = (const char *)w->data + from * w->row_bytes,
        .row_bytes = w->row_bytes,
        .n_rows = to - from,
        .k = w->dims[0],
        .n_tokens = r->n,
        .scratch = scratch,
    };
    if (mul_reads_q8(w->type))
        read_q8(r, s, &m, scratch + p->sums_at);
    else
        m.x = run_row(r, s->in[0], 0, thread);
    kernels_mul(p->kernels, w->type)(&m);
    for (size_t t = 0; m.n_tokens > r->n && t < r->n; t++)
        p->kernels->add(y + t * s->out.size, m.y + t * m.y_stride, m.y + (r->n + t) * m.y_stride, m.n_rows);
    for (size_t t = 0; s->bias && t < r->n; t++)
        p->kernels->add(y + t * s->out.size, y + t * s->out.size, (const float *)s->bias->data + from, m.n_rows);
}

void products_run(const struct run *r, const struct phase *phase, uint32_t chunk, int thread)
{
    const struct step *s = &r->program->steps[phase->first];
    for (; chunk >= s->n_slabs; s++)
        chunk -= s->n_slabs;
    size_t n_rows = s->weight->dims[1], from = (size_t)chunk * s->slab;
    multiply(r, s, from, chunk + 1 == s->n_slabs ? n_rows : from + s->slab, thread);
}

/* ---- the second part of activations for some scores ---- */

static size_t aligned(size_t n) { return (n + 63) / 64 * 64; }

static uint32_t chunks_of_row(const struct step *s) { return (view_items(s->in[2]) + SLAB - 1) / SLAB; }

uint32_t refine_count(const struct run *r, const struct step *s) { return chunks_of_row(s) * (uint32_t)r->n; }

void refine_run(const struct run *r, const struct step *s, uint32_t chunk, int thread)
{
    const struct plan *p = r->plan;
    const struct weight *w = s->weight;
    const size_t row = chunk / chunks_of_row(s), from = chunk % chunks_of_row(s) * SLAB, k = w->dims[0];
    const uint32_t *list = (const uint32_t *)(const void *)run_row(r, s->in[2], row, thread), *at = list + 1 + from;
    const size_t n = *list < from ? 0 : *list - from < SLAB ? *list - from : SLAB;
    char *scratch = p->scratch + (size_t)thread * p->scratch_bytes, *rows = scratch + aligned(mul_scratch_bytes(k));
    float y[SLAB], *scores = run_row(r, s->in[0], row, thread);
    for (size_t i = 0; i < n; i++)
        memcpy(rows + i * w->row_bytes, (const char *)w->data + at[i] * w->row_bytes, w->row_bytes);
    const struct mul m = {
        .y = y,
        .y_stride = n,
        .w = rows,
        .row_bytes = w->row_bytes,
        .n_rows = n,
        .k = k,
        .xq = q8_row(run_q8(r, s->in[1].table), r->n + row, k),
        .n_tokens = 1,
        .scratch = scratch,
    };
    if (n > 0)
        kernels_mul(p->kernels, w->type)(&m);
    for (size_t i = 0; i < n; i++)
        scores[at[i]] += y[i];
}

/* ---- cutting ---- */

/* Slabs of a phase's matrices: small enough to share work evenly, and whole panels. The last one takes what is left, so
 * that none is smaller than a panel. `n_times`: how many of a step's matrices are read. */
static void cut(const struct run *r, const struct phase *phase,
                size_t (*n_times)(const struct run *, const struct step *))
{
    struct step *s = &r->program->steps[phase->first];
    size_t n_rows = 0;
    for (size_t i = 0; i < phase->n; i++)
        n_rows += s[i].weight->dims[1] * n_times(r, &s[i]);
    size_t slab = n_rows / ((size_t)pool_threads(r->plan->pool) * CHUNKS_EACH) / SLAB * SLAB;
    slab = slab < SLAB ? SLAB : slab > MAX_SLAB ? MAX_SLAB : slab;
    for (size_t i = 0; i < phase->n; i++) {
        s[i].slab = (uint32_t)slab;
        s[i].n_slabs = (uint32_t)((s[i].weight->dims[1] + slab - PANEL) / slab);
        if (s[i].n_slabs == 0)
            s[i].n_slabs = 1;
    }
}

static size_t once(const struct run *r, const struct step *s)
{
    (void)r;
    (void)s;
    return 1;
}

/* Groups of rows with one matrix at most: each head, or each expert that may be chosen. */
static size_t n_groups(const struct run *r, const struct step *s)
{
    const size_t most = r->n * s->n_places;
    return most < s->n_matrices || s->op == STEP_HEAD_LINEAR ? (s->op == STEP_HEAD_LINEAR ? s->n_matrices : most)
                                                             : s->n_matrices;
}

static uint32_t count(const struct run *r, const struct phase *phase,
                      size_t (*n_times)(const struct run *, const struct step *))
{
    uint32_t n = 0;
    cut(r, phase, n_times);
    for (size_t i = 0; i < phase->n; i++) {
        const struct step *s = &r->program->steps[phase->first + i];
        n += s->n_slabs * (uint32_t)n_times(r, s);
    }
    return n;
}

uint32_t products_count(const struct run *r, const struct phase *phase) { return count(r, phase, once); }

uint32_t experts_count(const struct run *r, const struct phase *phase) { return count(r, phase, n_groups); }

/* ---- one of several matrices ---- */

/* Some rows of activations with one matrix: where they are read and where their results go. */
struct group {
    size_t matrix, n;
    const uint32_t *order; /* [n] row * n_places + place; NULL: row i, place `matrix` */
};

static struct group group_of(const struct run *r, const struct step *s, uint32_t at)
{
    if (s->op == STEP_HEAD_LINEAR)
        return (struct group){at, r->n, NULL};
    const size_t n = r->n * s->n_places;
    const uint32_t *order = (const uint32_t *)(const void *)run_row(r, s->in[1], 0, 0), *start = order + n,
                   *expert = start + n + 1;
    const uint32_t first = start[at], end = start[at + 1];
    return (struct group){first < end ? expert[at] : 0, end - first, order + first};
}

/* Row times places plus place. */
static size_t result_of(const struct step *s, const struct group *g, size_t i)
{
    return g->order ? g->order[i] : i * s->n_places + g->matrix;
}

/* Where gathered rows of activations and their results stand in a thread's scratch. */
struct gathered {
    struct q8 q;
    float *x, *y;
};

static size_t lay_out(char *scratch, size_t k, struct gathered *out)
{
    const size_t blocks = (k + Q_BLOCK - 1) / Q_BLOCK, n = GATHERED;
    size_t at = 0;
#define PLACE(member, bytes) (out->member = (void *)(scratch ? scratch + at : NULL), at = (at + (bytes) + 63) / 64 * 64)
    PLACE(y, n * (MAX_SLAB + PANEL) * sizeof(float));
    PLACE(x, n * k * sizeof(float));
    PLACE(q.q, n * blocks * Q_BLOCK);
    PLACE(q.d, n * blocks * sizeof(float));
    PLACE(q.ds, n * blocks * sizeof(float));
    PLACE(q.sums, n * blocks * 2 * sizeof(int16_t));
#undef PLACE
    return at;
}

/* What products of a program's steps take of a thread's scratch. */
size_t products_scratch_bytes(const struct program *p)
{
    size_t most = 0;
    for (size_t i = 0; i < p->n_steps; i++) {
        const struct step *s = &p->steps[i];
        const enum phase_kind kind = step_kind(s->op);
        struct gathered unused;
        if (kind != PHASE_LINEAR && kind != PHASE_REFINE && kind != PHASE_EXPERTS)
            continue;
        size_t bytes = aligned(mul_scratch_bytes(s->weight->dims[0]));
        if (kind == PHASE_REFINE)
            bytes += SLAB * s->weight->row_bytes;
        if (kind == PHASE_EXPERTS)
            bytes += lay_out(NULL, s->weight->dims[0], &unused);
        most = bytes > most ? bytes : most;
    }
    return most;
}

static void gather(const struct run *r, const struct step *s, const size_t *result, size_t n, struct mul *m,
                   const struct gathered *to)
{
    const bool quantized = mul_reads_q8(s->weight->type);
    const size_t k = m->k, blocks = k / Q_BLOCK, inputs = s->each ? s->n_places : 1;
    const struct q8 all = quantized ? run_q8(r, s->in[0].table) : (struct q8){0};
    for (size_t i = 0; i < n; i++) {
        const size_t row = result[i] / s->n_places, at = row * inputs + (s->each ? result[i] % s->n_places : 0);
        if (!quantized) {
            const float *x = run_row(r, s->in[0], row, 0) + (s->each ? result[i] % s->n_places * k : 0);
            memcpy(to->x + i * k, x, k * sizeof *x);
            continue;
        }
        const struct q8 from = q8_row(all, at, k), q = q8_row(to->q, i, k);
        memcpy(q.q, from.q, k);
        memcpy(q.d, from.d, blocks * sizeof *q.d);
        memcpy(q.ds, from.ds, blocks * sizeof *q.ds);
        memcpy(q.sums, from.sums, blocks * 2 * sizeof *q.sums);
    }
    m->x = to->x;
    m->xq = to->q;
    m->n_tokens = n;
}

/* Rows [from, to) of one matrix times a group's rows. */
static void multiply_group(const struct run *r, const struct step *s, const struct group *g, size_t from, size_t to,
                           int thread)
{
    const struct plan *p = r->plan;
    const struct weight *w = s->weight;
    char *scratch = p->scratch + (size_t)thread * p->scratch_bytes;
    struct gathered place;
    lay_out(scratch + aligned(mul_scratch_bytes(w->dims[0])), w->dims[0], &place);
    const size_t first = g->matrix * w->dims[1] + from;
    const char *matrix = w->parts ? w->parts[g->matrix] : (const char *)w->data + g->matrix * w->dims[1] * w->row_bytes;
    struct mul m = {
        .y = place.y,
        .y_stride = to - from,
        .w = matrix + from * w->row_bytes,
        .row_bytes = w->row_bytes,
        .n_rows = to - from,
        .k = w->dims[0],
        .scratch = scratch,
    };
    for (size_t at = 0, n; at < g->n; at += n) {
        size_t result[GATHERED];
        n = g->n - at < GATHERED ? g->n - at : GATHERED;
        for (size_t i = 0; i < n; i++)
            result[i] = result_of(s, g, at + i);
        gather(r, s, result, n, &m, &place);
        kernels_mul(p->kernels, w->type)(&m);
        for (size_t i = 0; i < n; i++) {
            float *y = run_row(r, s->out, result[i] / s->n_places, thread) + result[i] % s->n_places * w->dims[1] +
                       from;
            if (s->bias)
                p->kernels->add(y, place.y + i * m.n_rows, (const float *)s->bias->data + first, m.n_rows);
            else
                memcpy(y, place.y + i * m.n_rows, m.n_rows * sizeof *y);
        }
    }
}

void experts_run(const struct run *r, const struct phase *phase, uint32_t chunk, int thread)
{
    const struct step *s = &r->program->steps[phase->first];
    for (uint32_t n; chunk >= (n = s->n_slabs * (uint32_t)n_groups(r, s)); s++)
        chunk -= n;
    const struct group g = group_of(r, s, chunk / s->n_slabs);
    const uint32_t slab = chunk % s->n_slabs;
    const size_t n_rows = s->weight->dims[1], from = (size_t)slab * s->slab;
    if (g.n > 0)
        multiply_group(r, s, &g, from, slab + 1 == s->n_slabs ? n_rows : from + s->slab, thread);
}
