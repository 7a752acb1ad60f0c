/* schedule.c - steps into phases, tables into memory.
 *
 * A phase holds steps of one kind that do not wait for each other, but for steps that look at one row only: those run
 * one after another on each row, so that what they pass on stays in the nearest cache. Tables that do not live at the
 * same time share memory. */
#include "base/error.h"
#include "graph/program.h"
#include <string.h>

enum { ALIGN = 64 };

enum phase_kind step_kind(enum step_op op)
{
    switch (op) {
    case STEP_LINEAR: return PHASE_LINEAR;
    case STEP_REFINE: return PHASE_REFINE;
    case STEP_SORT: return PHASE_SORT;
    case STEP_EXPERTS:
    case STEP_HEAD_LINEAR: return PHASE_EXPERTS;
    case STEP_ATTEND: return PHASE_ATTEND;
    case STEP_CHOOSE: return PHASE_CHOOSE;
    case STEP_LOOP: return PHASE_LOOP;
    default: return op >= STEP_PREVIOUS ? PHASE_STATE : PHASE_ROWS;
    }
}

const char *step_name(enum step_op op)
{
    static const char *const names[N_STEP_OPS] = {
        [STEP_EMBED] = "embed",
        [STEP_NGRAMS] = "ngrams",
        [STEP_RMSNORM] = "rmsnorm",
        [STEP_LAYERNORM] = "layernorm",
        [STEP_QUANTIZE] = "quantize",
        [STEP_ACTIVATE] = "activate",
        [STEP_GATE] = "gate",
        [STEP_ADD] = "add",
        [STEP_MUL] = "mul",
        [STEP_SHIFT] = "shift",
        [STEP_SCALE] = "scale",
        [STEP_DIV] = "div",
        [STEP_CLAMP] = "clamp",
        [STEP_SOFTCAP] = "softcap",
        [STEP_L2NORM] = "l2norm",
        [STEP_SOFTMAX] = "softmax",
        [STEP_SUM] = "sum",
        [STEP_NUMBERS] = "numbers",
        [STEP_CONCAT] = "concat",
        [STEP_REPEAT] = "repeat",
        [STEP_ARRANGE] = "arrange",
        [STEP_SINCOS] = "sincos",
        [STEP_TOP] = "top",
        [STEP_PLACES] = "places",
        [STEP_PICK] = "pick",
        [STEP_KEEP_GROUPS] = "keep_groups",
        [STEP_MIX] = "mix",
        [STEP_ROPE_TABLE] = "angles",
        [STEP_ROPE] = "rope",
        [STEP_STORE] = "store",
        [STEP_COPY] = "copy",
        [STEP_GATHER] = "gather",
        [STEP_CARRY] = "carry",
        [STEP_LARGEST] = "largest",
        [STEP_LINEAR] = "linear",
        [STEP_REFINE] = "refine",
        [STEP_SORT] = "sort",
        [STEP_EXPERTS] = "experts",
        [STEP_HEAD_LINEAR] = "head_linear",
        [STEP_ATTEND] = "attend",
        [STEP_CHOOSE] = "choose",
        [STEP_PREVIOUS] = "previous",
        [STEP_PEAK] = "peak",
        [STEP_CONV] = "conv",
        [STEP_AROUND] = "around",
        [STEP_GROUPNORM] = "groupnorm",
        [STEP_FOURIER] = "fourier",
        [STEP_SCAN] = "scan",
        [STEP_SELECTIVE_SCAN] = "selective_scan",
        [STEP_LOOP] = "loop",
    };
    return names[op];
}

static size_t align_up(size_t n) { return (n + ALIGN - 1) / ALIGN * ALIGN; }

size_t table_bytes(const struct table *t, size_t n)
{
    if (!t->parts)
        return align_up(n * t->items * sizeof(float));
    size_t blocks = t->items / Q_BLOCK;
    n *= t->parts;
    return align_up(n * t->items) + 2 * align_up(n * blocks * sizeof(float)) +
           align_up(n * blocks * 2 * sizeof(int16_t));
}

/* ---- phases ---- */

/* How many tables of its program a step may read, and which; -1: none. GATHER reads those of another program, so those
 * of a loop's program are what the loop reads. */
static size_t n_reads(const struct step *s)
{
    return s->op == STEP_LOOP ? s->loop->program.n_steps : s->op == STEP_GATHER ? 0 : STEP_INPUTS;
}

static int32_t reads(const struct step *s, size_t i)
{
    if (s->op != STEP_LOOP)
        return s->in[i].table;
    const struct step *of_loop = &s->loop->program.steps[i];
    return of_loop->op == STEP_GATHER ? of_loop->in[0].table : -1;
}

/* The first phase a step may be in: with what it reads where both look at one row only, else after it. */
static int32_t earliest(const struct program *p, const struct step *s)
{
    int32_t phase = 0;
    for (size_t i = 0; i < n_reads(s); i++) {
        if (reads(s, i) < 0)
            continue;
        const struct table *t = &p->tables[reads(s, i)];
        int32_t after = p->phases[t->first].kind == PHASE_ROWS && step_kind(s->op) == PHASE_ROWS ? t->first
                                                                                                 : t->first + 1;
        phase = after > phase ? after : phase;
    }
    return phase;
}

static void place_in_phases(struct program *p)
{
    for (size_t i = 0; i < p->n_steps; i++) {
        struct step *s = &p->steps[i];
        size_t at = (size_t)earliest(p, s);
        while (at < p->n_phases && p->phases[at].kind != step_kind(s->op))
            at++;
        if (at == p->n_phases)
            p->phases[p->n_phases++] = (struct phase){.kind = step_kind(s->op)};
        s->phase = (int32_t)at;
        p->phases[at].n++;
        struct table *out = &p->tables[s->out.table];
        out->first = out->last = s->phase;
        if (s->op == STEP_REFINE) /* its scores are ready then */
            p->tables[s->in[0].table].first = s->phase;
        for (size_t j = 0; j < n_reads(s); j++)
            if (reads(s, j) >= 0 && p->tables[reads(s, j)].last < s->phase)
                p->tables[reads(s, j)].last = s->phase;
    }
}

/* Steps in the order of their phases, those of one phase in the order they were lowered. */
static andiron_status sort_steps(struct program *p, struct arena *arena, andiron_error *error)
{
    struct step *sorted = arena_alloc(arena, p->n_steps, sizeof *sorted);
    uint32_t at = 0;
    if (!sorted)
        return error_memory(error, p->n_steps * sizeof *sorted, "the steps of a graph");
    for (size_t i = 0; i < p->n_phases; i++) {
        p->phases[i].first = at;
        at += p->phases[i].n;
        p->phases[i].n = 0;
    }
    for (size_t i = 0; i < p->n_steps; i++) {
        struct phase *phase = &p->phases[p->steps[i].phase];
        sorted[phase->first + phase->n++] = p->steps[i];
    }
    p->steps = sorted;
    return ANDIRON_OK;
}

/* ---- memory ---- */

struct hole {
    size_t at, bytes;
};

/* Free places below `end`, in rising order, never touching each other. */
struct space {
    struct hole *holes;
    size_t n, end;
};

static size_t space_take(struct space *s, size_t bytes)
{
    for (size_t i = 0; i < s->n; i++) {
        struct hole *h = &s->holes[i];
        if (h->bytes < bytes)
            continue;
        size_t at = h->at;
        h->at += bytes;
        h->bytes -= bytes;
        if (h->bytes == 0)
            memmove(h, h + 1, (--s->n - i) * sizeof *h);
        return at;
    }
    if (s->n && s->holes[s->n - 1].at + s->holes[s->n - 1].bytes == s->end) { /* grow the last hole */
        size_t at = s->holes[--s->n].at;
        s->end = at + bytes;
        return at;
    }
    s->end += bytes;
    return s->end - bytes;
}

static void space_give(struct space *s, size_t at, size_t bytes)
{
    size_t i = 0;
    while (i < s->n && s->holes[i].at < at)
        i++;
    bool joins_left = i > 0 && s->holes[i - 1].at + s->holes[i - 1].bytes == at;
    bool joins_right = i < s->n && at + bytes == s->holes[i].at;
    if (joins_left && joins_right) {
        s->holes[i - 1].bytes += bytes + s->holes[i].bytes;
        memmove(&s->holes[i], &s->holes[i + 1], (--s->n - i) * sizeof *s->holes);
    } else if (joins_left) {
        s->holes[i - 1].bytes += bytes;
    } else if (joins_right) {
        s->holes[i].at = at;
        s->holes[i].bytes += bytes;
    } else {
        memmove(&s->holes[i + 1], &s->holes[i], (s->n++ - i) * sizeof *s->holes);
        s->holes[i] = (struct hole){at, bytes};
    }
}

/* Rows that live within one phase of rows stand in the thread's scratch. */
static void place_local(struct program *p)
{
    for (size_t i = 0; i < p->n_phases; i++) {
        size_t at = 0;
        for (size_t j = 0; j < p->phases[i].n; j++) {
            struct table *t = &p->tables[p->steps[p->phases[i].first + j].out.table];
            t->local = p->phases[i].kind == PHASE_ROWS && t->last == t->first && !t->kept && !t->parts;
            if (t->local) {
                t->place = at;
                at += table_bytes(t, 1);
            }
        }
        p->local_bytes = at > p->local_bytes ? at : p->local_bytes;
    }
}

/* Tables that end with each phase, as lists. */
struct endings {
    int32_t *head, *next; /* [n_phases], [n_tables]; -1: none */
};

static andiron_status place_tables(struct program *p, struct arena *arena, andiron_error *error)
{
    struct space space = {.holes = arena_alloc(arena, p->n_tables + 1, sizeof(struct hole))};
    struct endings ends = {arena_alloc(arena, p->n_phases, sizeof(int32_t)),
                           arena_alloc(arena, p->n_tables, sizeof(int32_t))};
    if (!space.holes || !ends.head || !ends.next)
        return error_memory(error, p->n_tables * sizeof(struct hole), "places of tables");
    memset(ends.head, -1, p->n_phases * sizeof *ends.head);
    for (size_t i = 0; i < p->n_phases; i++) {
        for (size_t j = 0; j < p->phases[i].n; j++) {
            int32_t id = p->steps[p->phases[i].first + j].out.table;
            struct table *t = &p->tables[id];
            if (t->local || t->items == 0)
                continue;
            t->place = space_take(&space, table_bytes(t, p->max_rows));
            if (!t->kept) {
                ends.next[id] = ends.head[t->last];
                ends.head[t->last] = id;
            }
        }
        for (int32_t id = ends.head[i]; id >= 0; id = ends.next[id])
            space_give(&space, p->tables[id].place, table_bytes(&p->tables[id], p->max_rows));
    }
    p->bytes = space.end;
    return ANDIRON_OK;
}

andiron_status schedule_program(struct program *p, struct arena *arena, andiron_error *error)
{
    p->phases = arena_alloc(arena, p->n_steps, sizeof *p->phases);
    p->n_chunks = arena_alloc(arena, p->n_steps, sizeof *p->n_chunks);
    if (!p->phases || !p->n_chunks)
        return error_memory(error, p->n_steps * sizeof *p->phases, "the phases of a graph");
    place_in_phases(p);
    andiron_status s = sort_steps(p, arena, error);
    if (s)
        return s;
    place_local(p);
    return place_tables(p, arena, error);
}
