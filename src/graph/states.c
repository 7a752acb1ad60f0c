/* states.c - running steps that keep a state of all rows before: the rows of each session in order, and all that is
 * independent within a row side by side.
 *
 * A session's state is read and written where it stands; at position 0 it counts as zeros. */
#include "graph/program.h"
#include "kernels/math.h"
#include <string.h>

enum { CHANNELS = 256 }; /* of a chunk, for steps whose channels are independent */
enum { CONV_STEP = 3, CONV_AHEAD, GROUPNORM_GROUPS = 3 };

enum { SCAN_Q, SCAN_K, SCAN_V, SCAN_DECAY, SCAN_A, SCAN_B, SCAN_ORDER, SCAN_STEPS };

static bool is_one(struct view v) { return v.constant && view_items(v) == 1 && v.constant[v.offset] == 1; }

/* Is each number of a scan a state of its own, as of sums along the text? */
static bool is_plain(const struct step *s)
{
    return s->op == STEP_SCAN && is_one(s->in[SCAN_Q]) && is_one(s->in[SCAN_K]) && s->out.size == 1 &&
           !view_given(s->in[SCAN_A]) && s->node->arg[SCAN_STEPS].number == 1;
}

/* Parts of a step that are independent of each other. */
static uint32_t n_parts(const struct step *s)
{
    if (s->op == STEP_GROUPNORM)
        return (uint32_t)s->node->arg[GROUPNORM_GROUPS].number;
    if (s->op == STEP_SCAN && !is_plain(s))
        return s->out.heads;
    return (view_items(s->op == STEP_SCAN ? s->out : s->in[0]) + CHANNELS - 1) / CHANNELS;
}

uint32_t states_count(const struct run *r, const struct phase *phase)
{
    uint32_t n = 0;
    for (size_t i = 0; i < phase->n; i++)
        n += n_parts(&r->program->steps[phase->first + i]) * (uint32_t)r->plan->n_runs;
    return n;
}

size_t states_scratch_bytes(const struct program *p)
{
    size_t most = 0;
    for (size_t i = 0; i < p->n_steps; i++)
        if (p->steps[i].op == STEP_SCAN && p->steps[i].out.size > most)
            most = p->steps[i].out.size;
    return most * sizeof(float);
}

/* Channels [from, from + n) of one run. */
static void previous(const struct run *r, const struct step *s, struct tile run, size_t from, size_t n)
{
    const struct batch_row *rows = &r->plan->rows[run.first];
    float *state = rows->state + s->node->state + from;
    if (rows->position == 0)
        memset(state, 0, n * sizeof *state);
    memcpy(run_row(r, s->out, run.first, 0) + from, state, n * sizeof *state);
    for (size_t row = run.first + 1; row < run.first + run.n; row++)
        memcpy(run_row(r, s->out, row, 0) + from, run_row(r, s->in[0], row - 1, 0) + from, n * sizeof *state);
    memcpy(state, run_row(r, s->in[0], run.first + run.n - 1, 0) + from, n * sizeof *state);
}

/* The state is the last row's result. */
static void peak(const struct run *r, const struct step *s, struct tile run, size_t from, size_t n)
{
    const struct batch_row *rows = &r->plan->rows[run.first];
    float *state = rows->state + s->node->state + from;
    if (rows->position == 0)
        memset(state, 0, n * sizeof *state);
    for (size_t row = run.first; row < run.first + run.n; row++) {
        const float *x = run_row(r, s->in[0], row, 0) + from, *decay = run_row(r, s->in[1], row, 0) + from;
        for (size_t i = 0; i < n; i++) {
            const float before = state[i] + decay[i];
            state[i] = before > x[i] ? before : x[i];
        }
        memcpy(run_row(r, s->out, row, 0) + from, state, n * sizeof *state);
    }
}

/* The state holds the last (taps - 1) * step rows, oldest first. */
static void conv(const struct run *r, const struct step *s, struct tile run, size_t from, size_t n)
{
    const struct kernels *k = r->plan->kernels;
    const size_t d = view_items(s->out), taps = s->weight->dims[0], step = (size_t)s->node->arg[CONV_STEP].number,
                 before = (taps - 1) * step, ahead = (size_t)s->node->arg[CONV_AHEAD].number;
    float *state = r->plan->rows[run.first].state + s->node->state + from;
    for (size_t i = 0; i < before && r->plan->rows[run.first].position == 0; i++)
        memset(state + i * d, 0, n * sizeof *state);
    for (size_t at = 0; at < run.n; at++) {
        float *y = run_row(r, s->out, run.first + at, 0) + from;
        memset(y, 0, n * sizeof *y);
        for (size_t tap = 0; tap < taps; tap++) {
            const size_t of = at + ahead + tap * step; /* counted from the oldest in the state */
            if (of >= before + run.n)
                break; /* after the text */
            const float *x = of < before ? state + of * d : run_row(r, s->in[0], run.first + of - before, 0) + from;
            k->muladd(y, x, s->turned + tap * d + from, n);
        }
        if (s->bias)
            k->add(y, y, (const float *)s->bias->data + from, n);
    }
    for (size_t i = 0; i < before; i++) /* rising, so that what is still needed is not yet overwritten */
        memmove(state + i * d,
                run.n + i < before ? state + (run.n + i) * d
                                   : run_row(r, s->in[0], run.first + run.n + i - before, 0) + from,
                n * sizeof *state);
}

/* Numbers [from, from + n) of x. */
static void around(const struct run *r, const struct step *s, struct tile run, size_t from, size_t n)
{
    enum { BEFORE = 1 };
    const size_t before = (size_t)s->node->arg[BEFORE].number, wide = s->out.size;
    for (size_t at = 0; at < run.n; at++) {
        float *y = run_row(r, s->out, run.first + at, 0) + from * wide;
        memset(y, 0, n * wide * sizeof *y);
        for (size_t j = 0; j < wide; j++) {
            if (at + j < before || at + j - before >= run.n)
                continue;
            const float *x = run_row(r, s->in[0], run.first + at + j - before, 0) + from;
            for (size_t i = 0; i < n; i++)
                y[i * wide + j] = x[i];
        }
    }
}

/* Numbers [from, from + n): a group. Sums run over rows, in each over its numbers, in double precision. */
static void groupnorm(const struct run *r, const struct step *s, struct tile run, size_t from, size_t n)
{
    const float *weight = s->weight ? s->weight->data : NULL, *bias = s->bias ? s->bias->data : NULL;
    double sum = 0, squares = 0;
    for (size_t at = 0; at < run.n; at++)
        for (size_t i = from; i < from + n; i++)
            sum += (double)run_row(r, s->in[0], run.first + at, 0)[i];
    const double mean = sum / (double)(run.n * n);
    for (size_t at = 0; at < run.n; at++)
        for (size_t i = from; i < from + n; i++) {
            const double d = (double)run_row(r, s->in[0], run.first + at, 0)[i] - mean;
            squares += d * d;
        }
    const double by = 1 / __builtin_sqrt(squares / (double)(run.n * n) + (double)s->number);
    for (size_t at = 0; at < run.n; at++) {
        const float *x = run_row(r, s->in[0], run.first + at, 0);
        float *y = run_row(r, s->out, run.first + at, 0);
        for (size_t i = from; i < from + n; i++)
            y[i] = (float)(((double)x[i] - mean) * by) * (weight ? weight[i] : 1) + (bias ? bias[i] : 0);
    }
}

/* Channels [from, from + n). t * s counts modulo the rows, so that no angle is large. */
static void fourier(const struct run *r, const struct step *s, struct tile run, size_t from, size_t n)
{
    const struct kernels *k = r->plan->kernels;
    const double turn = 6.283185307179586 / (double)run.n;
    for (size_t t = 0; t < run.n; t++) {
        float *y = run_row(r, s->out, run.first + t, 0) + from;
        memset(y, 0, n * sizeof *y);
        for (size_t row = 0; row < run.n; row++) {
            double sin, cos;
            math_sincos(turn * (double)(t * row % run.n), &sin, &cos);
            k->axpy(y, run_row(r, s->in[0], run.first + row, 0) + from, (float)cos, n);
            k->axpy(y, run_row(r, s->in[1], run.first + row, 0) + from, (float)sin, n);
        }
    }
}

static void selective_scan(const struct run *r, const struct step *s, struct tile run, size_t from, size_t n)
{
    enum { X, DT, A, B, C };
    const size_t d = view_items(s->out), n_state = s->weight->dims[0];
    float *state = r->plan->rows[run.first].state + s->node->state + from;
    for (size_t i = 0; i < n_state && r->plan->rows[run.first].position == 0; i++)
        memset(state + i * d, 0, n * sizeof *state);
    for (size_t row = run.first; row < run.first + run.n; row++) {
        const struct selective_scan x = {
            .s = state,
            .y = run_row(r, s->out, row, 0) + from,
            .x = run_row(r, s->in[X], row, 0) + from,
            .dt = run_row(r, s->in[DT], row, 0) + from,
            .A = s->turned + from,
            .B = run_row(r, s->in[B], row, 0),
            .C = run_row(r, s->in[C], row, 0),
            .n = n,
            .n_state = n_state,
            .stride = d,
        };
        r->plan->kernels->selective_scan(&x);
    }
}

/* Channels [from, from + n) of one run: what kernels' scan gives for a head each. */
static void plain_scan(const struct run *r, const struct step *s, struct tile run, size_t from, size_t n)
{
    const struct kernels *k = r->plan->kernels;
    const bool before = s->node->arg[SCAN_ORDER].number != 0;
    float *state = r->plan->rows[run.first].state + s->node->state + from;
    if (r->plan->rows[run.first].position == 0)
        memset(state, 0, n * sizeof *state);
    for (size_t row = run.first; row < run.first + run.n; row++) {
        float *y = run_row(r, s->out, row, 0) + from;
        if (before)
            memcpy(y, state, n * sizeof *y);
        k->mul(state, state, run_row(r, s->in[SCAN_DECAY], row, 0) + from, n);
        k->add(state, state, run_row(r, s->in[SCAN_V], row, 0) + from, n);
        if (!before)
            memcpy(y, state, n * sizeof *y);
    }
}

/* One head of one run. */
static void scan(const struct run *r, const struct step *s, struct tile run, size_t head, int thread)
{
    const size_t dk = s->in[SCAN_K].size, dv = s->out.size, key = head / (s->out.heads / s->in[SCAN_Q].heads),
                 decays = s->in[SCAN_DECAY].size, steps = (size_t)s->node->arg[SCAN_STEPS].number;
    float *state = r->plan->rows[run.first].state + s->node->state + head * dk * dv;
    if (r->plan->rows[run.first].position == 0)
        memset(state, 0, dk * dv * sizeof *state);
    for (size_t i = 0; i < run.n * steps; i++) {
        const bool delta = view_given(s->in[SCAN_A]);
        const size_t row = run.first + i / steps, of_key = key * steps + i % steps, of_head = head * steps + i % steps;
        const struct scan x = {
            .s = state,
            .q = run_row(r, s->in[SCAN_Q], row, 0) + key * dk,
            .k = run_row(r, s->in[SCAN_K], row, 0) + of_key * dk,
            .a = delta ? run_row(r, s->in[SCAN_A], row, 0) + of_key * dk : NULL,
            .b = delta ? run_row(r, s->in[SCAN_B], row, 0) + of_key * dk : NULL,
            .decay = run_row(r, s->in[SCAN_DECAY], row, 0) + of_head * decays,
            .v = run_row(r, s->in[SCAN_V], row, 0) + of_head * dv,
            .y = run_row(r, s->out, row, 0) + head * dv,
            .u = (float *)(void *)(r->plan->scratch + (size_t)thread * r->plan->scratch_bytes),
            .dk = dk,
            .dv = dv,
            .decay_one = decays == 1,
            .before = s->node->arg[SCAN_ORDER].number != 0,
        };
        r->plan->kernels->scan(&x);
    }
}

void states_run(const struct run *r, const struct phase *phase, uint32_t chunk, int thread)
{
    const struct step *s = &r->program->steps[phase->first];
    for (uint32_t n; chunk >= (n = n_parts(s) * (uint32_t)r->plan->n_runs); s++)
        chunk -= n;
    const struct tile run = r->plan->runs[chunk / n_parts(s)];
    const bool plain = is_plain(s);
    const size_t part = chunk % n_parts(s), from = part * CHANNELS, left = view_items(plain ? s->out : s->in[0]) - from,
                 n = left < CHANNELS ? left : CHANNELS, each = view_items(s->out) / n_parts(s);
    switch (s->op) {
    case STEP_SCAN: plain ? plain_scan(r, s, run, from, n) : scan(r, s, run, part, thread); break;
    case STEP_PEAK: peak(r, s, run, from, n); break;
    case STEP_CONV: conv(r, s, run, from, n); break;
    case STEP_AROUND: around(r, s, run, from, n); break;
    case STEP_GROUPNORM: groupnorm(r, s, run, part * each, each); break;
    case STEP_FOURIER: fourier(r, s, run, from, n); break;
    case STEP_SELECTIVE_SCAN: selective_scan(r, s, run, from, n); break;
    default: previous(r, s, run, from, n); break;
    }
}
