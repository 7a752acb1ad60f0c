/* plan.c - a graph made ready to run, and running its phases on the pool. */
#include "graph/plan.h"
#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"
#include "graph/program.h"

enum { SLAB = 32, MAX_SLAB = 256 }; /* rows of a weight matrix in a chunk of work */
enum { CHUNKS_EACH = 8 };           /* chunks of a phase for each thread, about */
static const size_t arena_max_bytes = (size_t)1 << 30;

/* ---- opening ---- */

static size_t scratch_of_products(const struct program *p)
{
    size_t most = 0;
    for (size_t i = 0; i < p->n_steps; i++)
        if (p->steps[i].op == STEP_LINEAR) {
            size_t bytes = mul_scratch_bytes(p->steps[i].weight->dims[0]);
            most = bytes > most ? bytes : most;
        }
    return most;
}

static size_t align_up(size_t n) { return (n + 63) / 64 * 64; }

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

/* Chunks are counted in 32 bits: no phase of a step of most rows has more. */
static bool counts_fit(const struct program *p)
{
    uint64_t n = 0; /* below 2^17 steps of 2^40 */
    for (size_t i = 0; i < p->n_steps; i++)
        if (p->steps[i].op == STEP_LINEAR)
            n += p->steps[i].weight->dims[1] / SLAB + 1;
        else if (p->steps[i].op == STEP_ATTEND)
            n += p->max_rows * p->steps[i].in[0].heads;
    return n <= UINT32_MAX;
}

/* Both programs and all sizes; takes only the arena. */
static andiron_status prepare(struct plan *p, int n_threads, const struct plan_options *options, andiron_error *error)
{
    p->body.max_rows = options->max_rows;
    p->head.max_rows = options->max_head_rows;
    andiron_status s = lower_graph(p->graph, &p->body, &p->head, &p->arena, error);
    if (!s)
        s = schedule_program(&p->body, &p->arena, error);
    if (!s)
        s = schedule_program(&p->head, &p->arena, error);
    if (s)
        return s;
    p->tile_most = attention_tile_most(p->graph);
    p->local_at = align_up(larger(attention_scratch_bytes(p->graph),
                                  larger(scratch_of_products(&p->body), scratch_of_products(&p->head))));
    p->sums_at = p->local_at + align_up(larger(p->body.local_bytes, p->head.local_bytes));
    p->scratch_bytes = p->sums_at + align_up(2 * options->max_head_rows * (MAX_SLAB + PANEL) * sizeof(float));
    uint64_t bytes, all;
    if (!counts_fit(&p->body) || !counts_fit(&p->head) || !checked_mul(p->scratch_bytes, (uint64_t)n_threads, &bytes) ||
        !checked_add(bytes, p->body.bytes, &all) || !checked_add(all, p->head.bytes, &all) ||
        !checked_add(all, options->max_rows * sizeof(struct tile), &all))
        return error_set(error, ANDIRON_E_SUPPORT, "a step of %zu rows is beyond any machine", options->max_rows);
    p->bytes = all;
    return ANDIRON_OK;
}

andiron_status plan_measure(const struct graph *g, const struct kernels *kernels, int n_threads,
                            const struct plan_options *options, size_t *bytes, andiron_error *error)
{
    struct plan p = {.graph = g, .kernels = kernels};
    arena_init(&p.arena, arena_max_bytes);
    andiron_status s = prepare(&p, n_threads, options, error);
    *bytes = p.bytes + p.arena.used_bytes;
    arena_reset(&p.arena);
    return s;
}

static andiron_status take_memory(struct plan *p, const struct plan_options *options, size_t memory_bytes,
                                  andiron_error *error)
{
    if (p->bytes > memory_bytes)
        return error_set(error, ANDIRON_E_MEMORY,
                         "a step of %zu tokens needs %zu bytes, but only %zu are available; use a smaller step",
                         options->max_rows, p->bytes, memory_bytes);
    p->body.memory = alloc_zeroed(p->body.bytes, 1);
    p->head.memory = alloc_zeroed(p->head.bytes, 1);
    p->scratch = alloc_zeroed(p->scratch_bytes, (size_t)pool_threads(p->pool));
    p->tiles = alloc_zeroed(options->max_rows, sizeof *p->tiles);
    if (!p->body.memory || !p->head.memory || !p->scratch || !p->tiles)
        return error_memory(error, p->bytes, "a step");
    return pool_reserve(p->pool, larger(p->body.n_phases, p->head.n_phases), error);
}

andiron_status plan_open(struct plan **out, const struct graph *g, const struct kernels *kernels, struct pool *pool,
                         const struct plan_options *options, size_t memory_bytes, andiron_error *error)
{
    *out = NULL;
    struct plan *p = alloc_zeroed(1, sizeof *p);
    if (!p)
        return error_memory(error, sizeof *p, "a plan");
    p->graph = g;
    p->kernels = kernels;
    p->pool = pool;
    arena_init(&p->arena, arena_max_bytes);
    andiron_status s = prepare(p, pool_threads(pool), options, error);
    if (!s)
        s = take_memory(p, options, memory_bytes, error);
    if (s)
        plan_close(p);
    else
        *out = p;
    return s;
}

void plan_close(struct plan *p)
{
    if (!p)
        return;
    alloc_free(p->body.memory);
    alloc_free(p->head.memory);
    alloc_free(p->scratch);
    alloc_free(p->tiles);
    arena_reset(&p->arena);
    alloc_free(p);
}

/* ---- running ---- */

static uint32_t rows_per_chunk(const struct run *r)
{
    size_t n = r->n / ((size_t)pool_threads(r->plan->pool) * CHUNKS_EACH);
    return n < 1 ? 1 : n > 64 ? 64 : (uint32_t)n;
}

/* Where the products of quantized rows go: into the output, or beside it where rows have two parts. */
static void read_q8(const struct run *r, const struct step *s, struct mul *m, char *sums)
{
    const size_t parts = r->program->tables[s->in[0].table].parts;
    m->xq = run_q8(r, s->in[0].table);
    if (parts == 1)
        return;
    m->n_tokens = r->n * parts;
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
        p->kernels->add(y + t * s->out.size, m.y + 2 * t * m.y_stride, m.y + (2 * t + 1) * m.y_stride, m.n_rows);
    for (size_t t = 0; s->bias && t < r->n; t++)
        p->kernels->add(y + t * s->out.size, y + t * s->out.size, (const float *)s->bias->data + from, m.n_rows);
}

/* Which matrix of the phase the chunk belongs to, and which of its slabs. */
static void run_product(const struct run *r, const struct phase *phase, uint32_t chunk, int thread)
{
    const struct step *s = &r->program->steps[phase->first];
    for (; chunk >= s->n_slabs; s++)
        chunk -= s->n_slabs;
    size_t n_rows = s->weight->dims[1], from = (size_t)chunk * s->slab;
    multiply(r, s, from, chunk + 1 == s->n_slabs ? n_rows : from + s->slab, thread);
}

static void run_attention(const struct run *r, const struct phase *phase, uint32_t chunk, int thread)
{
    const struct step *s = &r->program->steps[phase->first];
    for (uint32_t n; chunk >= (n = attention_chunks(r, s)); s++)
        chunk -= n;
    attention_run(r, s, chunk, thread);
}

static void run_chunk(void *context, size_t phase_at, uint32_t chunk, int thread)
{
    const struct run *r = context;
    const struct phase *phase = &r->program->phases[phase_at];
    if (phase->kind == PHASE_LINEAR) {
        run_product(r, phase, chunk, thread);
    } else if (phase->kind == PHASE_ATTEND) {
        run_attention(r, phase, chunk, thread);
    } else {
        const size_t each = rows_per_chunk(r), end = (chunk + 1) * each < r->n ? (chunk + 1) * each : r->n;
        for (size_t row = chunk * each; row < end; row++)
            for (size_t i = 0; i < phase->n; i++)
                run_row_step(r, &r->program->steps[phase->first + i], row, thread);
    }
}

/* Slabs of a phase's matrices: small enough to share work evenly, and whole panels. The last one takes what is left, so
 * that none is smaller than a panel. */
static uint32_t cut_products(const struct run *r, const struct phase *phase)
{
    struct step *s = &r->program->steps[phase->first];
    size_t n_rows = 0;
    for (size_t i = 0; i < phase->n; i++)
        n_rows += s[i].weight->dims[1];
    size_t slab = n_rows / ((size_t)pool_threads(r->plan->pool) * CHUNKS_EACH) / SLAB * SLAB;
    slab = slab < SLAB ? SLAB : slab > MAX_SLAB ? MAX_SLAB : slab;
    uint32_t n_chunks = 0;
    for (size_t i = 0; i < phase->n; i++) {
        s[i].slab = (uint32_t)slab;
        s[i].n_slabs = (uint32_t)((s[i].weight->dims[1] + slab - PANEL) / slab);
        if (s[i].n_slabs == 0)
            s[i].n_slabs = 1;
        n_chunks += s[i].n_slabs;
    }
    return n_chunks;
}

static uint32_t count_chunks(const struct run *r, const struct phase *phase)
{
    if (phase->kind == PHASE_LINEAR)
        return cut_products(r, phase);
    if (phase->kind == PHASE_ATTEND) {
        uint32_t n = 0;
        for (size_t i = 0; i < phase->n; i++)
            n += attention_chunks(r, &r->program->steps[phase->first + i]);
        return n;
    }
    uint32_t each = rows_per_chunk(r);
    return (uint32_t)((r->n + each - 1) / each);
}

static void run_program(struct plan *p, struct program *program, size_t n)
{
    struct run r = {p, program, n};
    for (size_t i = 0; i < program->n_phases; i++)
        program->n_chunks[i] = count_chunks(&r, &program->phases[i]);
    struct work work = {&r, program->n_phases, program->n_chunks, run_chunk};
    pool_run(p->pool, &work);
}

void plan_run(struct plan *p, const struct batch_row *rows, size_t n_rows)
{
    p->rows = rows;
    p->n_rows = n_rows;
    attention_tile_rows(p);
    run_program(p, &p->body, n_rows);
}

const float *plan_head(struct plan *p, const uint32_t *which, size_t n)
{
    struct run r = {p, &p->head, n};
    p->which = which;
    run_program(p, &p->head, n);
    return run_row(&r, p->head.output, 0, 0);
}

/* ---- telling ---- */

static uint64_t weight_bytes(const struct program *p)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < p->n_steps; i++)
        if (p->steps[i].weight)
            bytes += p->steps[i].weight->row_bytes * (p->steps[i].op == STEP_LINEAR ? p->steps[i].weight->dims[1] : 1);
    return bytes;
}

uint64_t plan_weight_bytes(const struct plan *p) { return weight_bytes(&p->body) + weight_bytes(&p->head); }

static void print_program(const struct program *p, const char *name, struct buffer *out)
{
    static const char *const kinds[] = {[PHASE_ROWS] = "rows", [PHASE_LINEAR] = "linear", [PHASE_ATTEND] = "attend"};
    buffer_printf(out, "%s: %zu steps in %zu phases, %zu bytes for %zu rows\n", name, p->n_steps, p->n_phases, p->bytes,
                  p->max_rows);
    for (size_t i = 0; i < p->n_phases; i++) {
        buffer_printf(out, "  phase %zu, %s:", i, kinds[p->phases[i].kind]);
        for (size_t j = 0; j < p->phases[i].n; j++) {
            const struct step *s = &p->steps[p->phases[i].first + j];
            buffer_printf(out, " %s%s%s[%u]", step_name(s->op), s->weight ? " " : "", s->weight ? s->weight->name : "",
                          view_items(s->out));
        }
        buffer_add_text(out, "\n");
    }
}

bool plan_print(const struct plan *p, struct buffer *out)
{
    print_program(&p->body, "body, every row of a step", out);
    print_program(&p->head, "head, rows whose logits are asked for", out);
    buffer_printf(out, "memory of a step: %zu bytes, %zu of them scratch for each thread\n", p->bytes,
                  p->scratch_bytes);
    return !out->failed;
}
