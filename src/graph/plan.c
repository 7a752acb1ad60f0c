/* plan.c - a graph made ready to run, and running its phases on the pool. */
#include "graph/plan.h"
#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"
#include "graph/program.h"

enum { N_PROGRAMS = 3, LOOP_ROWS = 16 };
static const size_t arena_max_bytes = (size_t)1 << 30;

/* ---- opening ---- */

static size_t align_up(size_t n) { return (n + 63) / 64 * 64; }

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

/* Chunks are counted in 32 bits: no phase of a step of most rows has more. */
static bool counts_fit(const struct program *p)
{
    uint64_t n = 0; /* below 2^17 steps of 2^48 */
    for (size_t i = 0; i < p->n_steps; i++) {
        const struct step *s = &p->steps[i];
        const enum phase_kind kind = step_kind(s->op);
        if (kind == PHASE_LINEAR || kind == PHASE_EXPERTS)
            n += (s->weight->dims[1] / 32 + 1) * (kind == PHASE_LINEAR ? 1 : s->n_matrices);
        else if (kind == PHASE_ATTEND || kind == PHASE_CHOOSE || kind == PHASE_STATE)
            n += p->max_rows * view_items(s->out);
        else if (kind == PHASE_REFINE)
            n += p->max_rows * view_items(s->in[2]);
    }
    return n <= UINT32_MAX;
}

static size_t scratch_of(const struct program *p)
{
    return larger(larger(products_scratch_bytes(p), states_scratch_bytes(p)), choose_scratch_bytes(p));
}

static size_t n_programs(const struct plan *p) { return N_PROGRAMS + p->n_loops; }

static struct program *nth_program(struct plan *p, size_t i)
{
    struct program *const first[N_PROGRAMS] = {&p->source, &p->body, &p->head};
    return i < N_PROGRAMS ? first[i] : &p->loops[i - N_PROGRAMS].program;
}

/* All programs and sizes; takes only the arena. */
static andiron_status prepare(struct plan *p, int n_threads, const struct plan_options *options, andiron_error *error)
{
    p->source.max_rows = p->body.max_rows = options->max_rows;
    p->head.max_rows = options->max_head_rows;
    andiron_status s = lower_graph(p->graph, p->kernels, p, error);
    size_t scratch = attention_scratch_bytes(p->graph), local = 0;
    for (size_t i = n_programs(p); i-- > 0 && !s;) {
        struct program *program = nth_program(p, i);
        if (i >= N_PROGRAMS)
            program->max_rows = options->max_rows < LOOP_ROWS ? options->max_rows : LOOP_ROWS;
        s = schedule_program(program, &p->arena, error);
        scratch = larger(scratch, scratch_of(program));
        local = larger(local, program->local_bytes);
    }
    if (s)
        return s;
    p->tile_most = attention_tile_most(p->graph);
    p->local_at = align_up(scratch);
    p->sums_at = p->local_at + align_up(local);
    p->scratch_bytes = p->sums_at + align_up(2 * options->max_head_rows * (MAX_SLAB + PANEL) * sizeof(float));
    uint64_t all = options->max_rows * (2 * sizeof(struct tile) + sizeof(uint32_t)), bytes = 0;
    bool fits = checked_mul(p->scratch_bytes, (uint64_t)n_threads, &bytes) && checked_add(all, bytes, &all);
    for (size_t i = 0; i < n_programs(p); i++)
        fits = fits && counts_fit(nth_program(p, i)) && checked_add(all, nth_program(p, i)->bytes, &all);
    if (!fits)
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
    size_t n_phases = 0;
    bool taken = true;
    for (size_t i = 0; i < n_programs(p); i++) {
        struct program *program = nth_program(p, i);
        program->memory = alloc_zeroed(program->bytes + 1, 1); /* a part may have nothing */
        taken = taken && program->memory;
        n_phases = larger(n_phases, program->n_phases);
    }
    p->turn = alloc_zeroed(options->max_rows, sizeof *p->turn);
    p->scratch = alloc_zeroed(p->scratch_bytes, (size_t)pool_threads(p->pool));
    p->tiles = alloc_zeroed(options->max_rows, sizeof *p->tiles);
    p->runs = alloc_zeroed(options->max_rows, sizeof *p->runs);
    if (!taken || !p->turn || !p->scratch || !p->tiles || !p->runs)
        return error_memory(error, p->bytes, "a step");
    return pool_reserve(p->pool, n_phases, error);
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
    for (size_t i = 0; i < n_programs(p); i++)
        alloc_free(nth_program(p, i)->memory);
    alloc_free(p->turn);
    alloc_free(p->scratch);
    alloc_free(p->tiles);
    alloc_free(p->runs);
    arena_reset(&p->arena);
    alloc_free(p);
}

/* ---- running ---- */

static uint32_t rows_per_chunk(const struct run *r)
{
    size_t n = r->n / ((size_t)pool_threads(r->plan->pool) * CHUNKS_EACH);
    return n < 1 ? 1 : n > 64 ? 64 : (uint32_t)n;
}

static void run_attention(const struct run *r, const struct phase *phase, uint32_t chunk, int thread)
{
    const struct step *s = &r->program->steps[phase->first];
    for (uint32_t n; chunk >= (n = attention_chunks(r, s)); s++)
        chunk -= n;
    attention_run(r, s, chunk, thread);
}

static void run_rows(const struct run *r, const struct phase *phase, uint32_t chunk, int thread)
{
    const size_t each = rows_per_chunk(r), end = (chunk + 1) * each < r->n ? (chunk + 1) * each : r->n;
    for (size_t row = chunk * each; row < end; row++)
        for (size_t i = 0; i < phase->n; i++)
            run_row_step(r, &r->program->steps[phase->first + i], row, thread);
}

static void run_chunk(void *context, size_t phase_at, uint32_t chunk, int thread)
{
    const struct run *r = context;
    const struct phase *phase = &r->program->phases[r->first_phase + phase_at];
    switch (phase->kind) {
    case PHASE_LINEAR: products_run(r, phase, chunk, thread); return;
    case PHASE_REFINE: refine_run(r, &r->program->steps[phase->first], chunk, thread); return;
    case PHASE_EXPERTS: experts_run(r, phase, chunk, thread); return;
    case PHASE_ATTEND: run_attention(r, phase, chunk, thread); return;
    case PHASE_CHOOSE: choose_run(r, &r->program->steps[phase->first + chunk / r->n], chunk % r->n, thread); return;
    case PHASE_STATE: states_run(r, phase, chunk, thread); return;
    case PHASE_SORT: experts_sort(r, &r->program->steps[phase->first + chunk]); return;
    case PHASE_ROWS: run_rows(r, phase, chunk, thread); return;
    case PHASE_LOOP: return; /* by run_program */
    }
}

static uint32_t count_chunks(const struct run *r, const struct phase *phase)
{
    uint32_t n = 0;
    switch (phase->kind) {
    case PHASE_LINEAR: return products_count(r, phase);
    case PHASE_REFINE: return refine_count(r, &r->program->steps[phase->first]);
    case PHASE_EXPERTS: return experts_count(r, phase);
    case PHASE_STATE: return states_count(r, phase);
    case PHASE_SORT: return phase->n;
    case PHASE_CHOOSE: return phase->n * (uint32_t)r->n;
    case PHASE_ATTEND:
        for (size_t i = 0; i < phase->n; i++)
            n += attention_chunks(r, &r->program->steps[phase->first + i]);
        return n;
    default: break;
    }
    uint32_t each = rows_per_chunk(r);
    return (uint32_t)((r->n + each - 1) / each);
}

void run_phases(const struct run *r, size_t from, size_t to)
{
    const struct program *p = r->program;
    struct run own = *r;
    own.first_phase = from;
    for (size_t i = from; i < to; i++)
        p->n_chunks[i] = count_chunks(r, &p->phases[i]);
    struct work work = {&own, to - from, p->n_chunks + from, run_chunk};
    if (to > from)
        pool_run(r->plan->pool, &work);
}

static void run_program(struct plan *p, const struct program *program, size_t n)
{
    const struct run r = {p, program, n, 0};
    size_t from = 0;
    for (size_t i = 0; i < program->n_phases; i++) {
        const struct phase *phase = &program->phases[i];
        if (phase->kind != PHASE_LOOP)
            continue;
        run_phases(&r, from, i);
        for (size_t j = 0; j < phase->n; j++)
            loop_run(&r, &program->steps[phase->first + j]);
        from = i + 1;
    }
    run_phases(&r, from, program->n_phases);
}

static void run_rows_by(struct plan *p, struct program *program, const struct batch_row *rows, size_t n_rows)
{
    p->rows = rows;
    p->n_rows = n_rows;
    attention_tile_rows(p);
    run_program(p, program, n_rows);
}

void plan_run(struct plan *p, const struct batch_row *rows, size_t n_rows) { run_rows_by(p, &p->body, rows, n_rows); }

void plan_run_source(struct plan *p, const struct batch_row *rows, size_t n_rows)
{
    run_rows_by(p, &p->source, rows, n_rows);
}

const float *plan_head(struct plan *p, const uint32_t *which, size_t n)
{
    const struct run r = {p, &p->head, n, 0};
    p->which = which;
    run_program(p, &p->head, n);
    return run_row(&r, p->head.output, 0, 0);
}

/* ---- telling ---- */

static uint64_t weight_bytes(const struct program *p)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < p->n_steps; i++) {
        const struct step *s = &p->steps[i];
        if (!s->weight || s->op == STEP_REFINE) /* which reads some rows again */
            continue;
        uint64_t rows = step_kind(s->op) == PHASE_LINEAR ? s->weight->dims[1] : 1;
        if (s->op == STEP_NGRAMS)
            rows = s->out.heads;
        if (step_kind(s->op) == PHASE_EXPERTS)
            rows = s->weight->dims[1] * s->n_places;
        bytes += s->weight->row_bytes * rows;
    }
    return bytes;
}

uint64_t plan_weight_bytes(const struct plan *p)
{
    uint64_t bytes = weight_bytes(&p->body) + weight_bytes(&p->head);
    for (size_t i = 0; i < p->n_loops; i++)
        bytes += weight_bytes(&p->loops[i].program);
    return bytes;
}

static void print_program(const struct program *p, const char *name, struct buffer *out)
{
    static const char *const kinds[] = {
        [PHASE_ROWS] = "rows",       [PHASE_LINEAR] = "linear", [PHASE_SORT] = "sort",
        [PHASE_EXPERTS] = "experts", [PHASE_ATTEND] = "attend", [PHASE_STATE] = "state",
        [PHASE_CHOOSE] = "choose",   [PHASE_REFINE] = "refine", [PHASE_LOOP] = "loop",
    };
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
    if (p->graph->reads_source)
        print_program(&p->source, "source, every row of a text that is read before", out);
    print_program(&p->body, "body, every row of a step", out);
    for (size_t i = 0; i < p->n_loops; i++)
        print_program(&p->loops[i].program, "loop, row after row", out);
    print_program(&p->head, "head, rows whose logits are asked for", out);
    buffer_printf(out, "memory of a step: %zu bytes, %zu of them scratch for each thread\n", p->bytes,
                  p->scratch_bytes);
    return !out->failed;
}
