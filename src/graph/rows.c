/* rows.c - running steps that look at one row only. */
#include "graph/program.h"
#include "kernels/math.h"
#include <string.h>

float *run_row(const struct run *r, struct view v, size_t row, int thread)
{
    if (v.constant)
        return (float *)(uintptr_t)(v.constant + v.offset); /* which nobody writes */
    const struct table *t = &r->program->tables[v.table];
    if (t->local) {
        char *scratch = r->plan->scratch + (size_t)thread * r->plan->scratch_bytes + r->plan->local_at;
        return (float *)(void *)(scratch + t->place) + v.offset;
    }
    return (float *)(void *)(r->program->memory + t->place) + row * t->items + v.offset;
}

struct q8 run_q8(const struct run *r, int32_t table)
{
    const struct table *t = &r->program->tables[table];
    const size_t n = r->program->max_rows * t->parts, blocks = t->items / Q_BLOCK;
    const struct table floats = {.items = (uint32_t)blocks}, bytes = {.items = t->items / 4};
    char *at = r->program->memory + t->place;
    struct q8 q = {.q = (int8_t *)at};
    q.d = (float *)(void *)(at += table_bytes(&bytes, n));
    q.ds = (float *)(void *)(at += table_bytes(&floats, n));
    q.sums = (int16_t *)(void *)(at + table_bytes(&floats, n));
    return q;
}

static const struct batch_row *batch_row_of(const struct run *r, size_t row)
{
    return &r->plan->rows[r->program->of ? r->plan->which[row] : row];
}

/* The place of a number in a list; the list's length where it does not stand there. */
static size_t list_place(const struct wholes *list, uint64_t x)
{
    size_t at = 0;
    while (at < list->n && list->at[at] != x)
        at++;
    return at;
}

/* Of a row, by a node that gives ids. */
static uint64_t id_of(const struct run *r, const struct node *ids, const struct batch_row *b)
{
    enum { IDS, N, FROM = 1, TO };
    switch (ids->op) {
    case OP_tokens: return (uint64_t)b->token;
    case OP_positions: return b->position;
    case OP_remainder: return id_of(r, &r->plan->graph->nodes[ids->arg[IDS].value], b) % (uint64_t)ids->arg[N].number;
    default: break; /* OP_replace */
    }
    const size_t at = list_place(ids->arg[FROM].list, (uint64_t)b->token);
    return at < ids->arg[FROM].list->n ? ids->arg[TO].list->at[at] : (uint64_t)b->token;
}

static void embed(const struct run *r, const struct step *s, size_t row, float *out)
{
    const struct weight *w = s->weight;
    const char *from = (const char *)w->data + id_of(r, s->node, batch_row_of(r, row)) * w->row_bytes;
    if (w->type != TYPE_I32) {
        kernels_dequantize(r->plan->kernels, w->type)(out, from, w->dims[0]);
        return;
    }
    for (size_t i = 0; i < w->dims[0]; i++) {
        int32_t x;
        memcpy(&x, from + i * sizeof x, sizeof x);
        out[i] = (float)x;
    }
}

/* Of 64 bits, whose first may be a sign: what is left then is as if size had been added until it is none. */
static uint64_t modulo(uint64_t x, uint64_t size, bool is_signed)
{
    return is_signed && x >> 63 ? size - 1 - ~x % size : x % size;
}

/* What stands before the text, or, with resets, before a token `end`, counts as `end`. */
static void ngrams(const struct run *r, const struct step *s, size_t row, float *out)
{
    enum { MULTIPLIERS = 2, SIZES, OFFSETS, END, JOIN, RESETS, SIGNED = 2 };
    const struct batch_row *b = batch_row_of(r, row);
    const struct weight *table = s->weight;
    const struct wholes *by = s->node->arg[MULTIPLIERS].list, *sizes = s->node->arg[SIZES].list;
    const uint64_t *offset = s->node->arg[OFFSETS].list->at, end = (uint64_t)s->node->arg[END].number;
    const size_t each = sizes->n / (by->n - 1);
    const bool sum = s->node->arg[JOIN].number != 0, resets = s->node->arg[RESETS].number == 0,
               is_signed = s->node->arg[JOIN].number == SIGNED;
    uint64_t token = (uint64_t)b->token, mixed = token * by->at[0];
    for (size_t back = 1, h = 0; back < by->n; back++) {
        const bool cut = back > b->position || (resets && back > 1 && token == end);
        token = cut ? end : (uint64_t)b->tokens[b->position - back];
        mixed = sum ? mixed + token * by->at[back] : mixed ^ token * by->at[back];
        for (size_t last = h + each; h < last; h++, out += table->dims[0]) {
            const uint64_t at = offset[h] + modulo(mixed, sizes->at[h], is_signed);
            kernels_dequantize(r->plan->kernels, table->type)(out, (const char *)table->data + at * table->row_bytes,
                                                              table->dims[0]);
        }
    }
}

static void quantize(const struct run *r, const struct step *s, size_t row, const float *x)
{
    const struct kernels *kernels = r->plan->kernels;
    const struct table *t = &r->program->tables[s->out.table];
    const size_t k = view_items(s->out);
    const struct q8 all = run_q8(r, s->out.table), first = q8_row(all, row, k);
    void (*const quantize_row)(struct q8, const float *, size_t) = t->wide ? kernels->quantize_q8_wide
                                                                           : kernels->quantize_q8;
    quantize_row(first, x, k);
    if (t->parts == 1)
        return;
    const struct q8 second = q8_row(all, r->n + row, k);
    float rest[Q_WIDE];
    for (size_t at = 0, n; at < k; at += n) {
        n = k - at < Q_WIDE ? k - at : Q_WIDE;
        for (size_t i = 0; i < n; i++)
            rest[i] = x[at + i] - first.d[(at + i) / Q_BLOCK] * (float)first.q[at + i];
        quantize_row(q8_row(second, at / Q_BLOCK, Q_BLOCK), rest, n);
    }
}

static void norm(const struct kernels *k, const struct step *s, const float *x, float *out)
{
    for (size_t h = 0; h < s->in[0].heads; h++, x += s->in[0].head_stride, out += s->out.size) {
        if (s->op == STEP_RMSNORM)
            k->rmsnorm(out, x, s->weight ? s->weight->data : NULL, s->in[0].size, s->number);
        else
            k->layernorm(out, x, s->weight ? s->weight->data : NULL, s->bias ? s->bias->data : NULL, s->in[0].size,
                         s->number);
    }
}

static void rope(const struct kernels *k, const struct step *s, const float *x, const float *table, float *out)
{
    const size_t n_pairs = s->rope->dims / 2, rest = s->in[0].size - s->rope->dims;
    for (size_t h = 0; h < s->in[0].heads; h++, x += s->in[0].head_stride, out += s->out.size) {
        (s->rope->halves ? k->rope_halves : k->rope_pairs)(out, x, table, table + n_pairs, n_pairs);
        memcpy(out + s->rope->dims, x + s->rope->dims, rest * sizeof *x);
    }
}

static void store(const struct run *r, const struct step *s, size_t row, const float *key, const float *value)
{
    const struct kernels *k = r->plan->kernels;
    const struct batch_row *b = &r->plan->rows[row];
    const struct kv_layout *layout = b->layout;
    const size_t c = s->node->op == OP_choose ? s->node->state : (size_t)s->node->arg[3].number,
                 head_bytes = layout->key_bytes[c] + layout->value_bytes[c];
    char *at = b->pages[b->position / KV_PAGE] + layout->offset[c];
    for (size_t h = 0; h < s->in[0].heads;
         h++, at += head_bytes, key += s->in[0].head_stride, value += s->in[1].head_stride) {
        void (*fn)(void *, void *, size_t, const float *, const float *, size_t, size_t) = layout->type == KV_F32
                                                                                               ? k->kv_store_f32
                                                                                           : layout->type == KV_F16
                                                                                               ? k->kv_store_f16
                                                                                               : k->kv_store_q8_0;
        fn(at, at + layout->key_bytes[c], b->position % KV_PAGE, key, value, s->in[0].size, s->in[1].size);
    }
}

/* How many they are, and which. */
static void largest(const struct kernels *k, const struct step *s, const float *x, float *out)
{
    uint32_t *list = (uint32_t *)(void *)out;
    *list = (uint32_t)k->largest(list + 1, x, view_items(s->in[0]), view_items(s->out) - 1);
}

static void copy(const struct step *s, const float *x, float *out)
{
    for (size_t h = 0; h < s->in[0].heads; h++, x += s->in[0].head_stride, out += s->out.size)
        memcpy(out, x, s->out.size * sizeof *x);
}

/* From the row of the same token. */
static void gather(const struct run *r, const struct step *s, size_t row, float *out)
{
    const struct run of = {r->plan, r->program->of, r->plan->n_rows, 0};
    copy(s, run_row(&of, s->in[0], r->plan->which[row], 0), out);
}

static void carry(const struct run *r, const struct step *s, size_t row, float *out)
{
    const struct batch_row *b = batch_row_of(r, row);
    if (b->position == 0)
        memset(out, 0, s->out.size * sizeof *out);
    else
        memcpy(out, b->state + s->node->state, s->out.size * sizeof *out);
}

/* b: as many numbers as a, or one row for all heads of a, or a number for each head, or one for all. */
static void binary(const struct kernels *k, const struct step *s, const float *a, const float *b, float *out)
{
    const size_t n = view_items(s->in[0]), each = view_items(s->in[1]), size = s->in[0].size;
    if (s->in[1].size == size) {
        for (size_t i = 0; i < n; i += each)
            (s->op == STEP_ADD ? k->add : s->op == STEP_MUL ? k->mul : k->divide)(out + i, a + i, b, each);
        return;
    }
    for (size_t i = 0, h = 0; i < n; i += size, h++) {
        const float by = b[each == 1 ? 0 : h];
        if (s->op == STEP_ADD)
            k->shift(out + i, a + i, by, size);
        else
            k->scale(out + i, a + i, s->op == STEP_MUL ? by : 1.0f / by, size);
    }
}

/* Ops over each head's numbers. */
static void reduce(const struct kernels *k, const struct step *s, const float *x, float *out)
{
    for (size_t h = 0; h < s->in[0].heads; h++, x += s->in[0].head_stride, out += s->out.size) {
        if (s->op == STEP_L2NORM)
            k->l2norm(out, x, s->in[0].size, s->number);
        else if (s->op == STEP_SOFTMAX)
            k->softmax(out, x, s->in[0].size);
        else
            *out = k->sum(x, s->in[0].size);
    }
}

static void concat(const struct step *s, const float *a, const float *b, float *out)
{
    const struct view x = s->in[0], y = s->in[1];
    for (size_t h = 0; h < x.heads; h++, out += s->out.size) {
        memcpy(out, a + h * x.head_stride, x.size * sizeof *a);
        memcpy(out + x.size, b + h * y.head_stride, y.size * sizeof *b);
    }
}

static void repeat(const struct step *s, const float *x, float *out)
{
    enum { N = 1, STYLE };
    const size_t n = (size_t)s->node->arg[N].number;
    const bool whole = s->node->arg[STYLE].number != 0;
    for (size_t h = 0; h < s->out.heads; h++) {
        const size_t from = whole ? h % s->in[0].heads : h / n;
        memcpy(out + h * s->out.size, x + from * s->in[0].head_stride, s->out.size * sizeof *x);
    }
}

static void arrange(const struct step *s, const float *x, float *out)
{
    size_t arg[8];
    for (size_t i = 1; i < 8; i++)
        arg[i] = (size_t)s->node->arg[i].number;
    const float *from = x + arg[1];
    for (size_t k = 0; k < arg[6]; k++)
        for (size_t j = 0; j < arg[4]; j++)
            for (size_t i = 0; i < arg[2]; i++)
                *out++ = from[i * arg[3] + j * arg[5] + k * arg[7]];
}

static void sincos_of(const struct step *s, const float *x, float *out)
{
    const size_t n = view_items(s->out);
    for (size_t i = 0; i < n; i++) {
        double sin, cos;
        math_sincos((double)x[i], &sin, &cos);
        out[i] = (float)(s->node->op == OP_cos ? cos : sin);
    }
}

static void numbers(const struct run *r, const struct step *s, size_t row, float *out)
{
    enum { LIST = 1 };
    const struct batch_row *b = batch_row_of(r, row);
    if (s->node->op != OP_place_of) {
        *out = (float)id_of(r, s->node, b);
        return;
    }
    const struct wholes *list = s->node->arg[LIST].list;
    const size_t at = list_place(list, (uint64_t)b->token);
    *out = at < list->n ? (float)(at + 1) : 0;
}

static void angles(const struct run *r, const struct step *s, size_t row, float *out)
{
    const struct batch_row *at = batch_row_of(r, row);
    rope_angles(s->rope, at->position, at->n_ctx, out, out + s->rope->dims / 2);
}

/* Steps of numbers only: a and b to out, n of them. */
static void arithmetic(const struct kernels *k, const struct step *s, const float *a, const float *b, float *out)
{
    const size_t n = view_items(s->out);
    switch (s->op) {
    case STEP_ACTIVATE: k->activate(s->function, out, a, n); break;
    case STEP_GATE: k->gate(s->function, out, a, b, n); break;
    case STEP_ADD:
    case STEP_MUL:
    case STEP_DIV: binary(k, s, a, b, out); break;
    case STEP_CLAMP: k->clamp(out, a, s->number, (float)s->node->arg[2].number, n); break;
    case STEP_SHIFT: k->shift(out, a, s->number, n); break;
    case STEP_SCALE: k->scale(out, a, s->number, n); break;
    default: k->softcap(out, a, s->number, n); break;
    }
}

/* Steps that move numbers, or take each with its like. */
static void move(const struct run *r, const struct step *s, size_t row, const float *a, const float *b, float *out)
{
    switch (s->op) {
    case STEP_EMBED: embed(r, s, row, out); break;
    case STEP_NGRAMS: ngrams(r, s, row, out); break;
    case STEP_NUMBERS: numbers(r, s, row, out); break;
    case STEP_STORE: store(r, s, row, a, b); break;
    case STEP_CONCAT: concat(s, a, b, out); break;
    case STEP_REPEAT: repeat(s, a, out); break;
    case STEP_ARRANGE: arrange(s, a, out); break;
    case STEP_SINCOS: sincos_of(s, a, out); break;
    case STEP_GATHER: gather(r, s, row, out); break;
    case STEP_CARRY: carry(r, s, row, out); break;
    case STEP_COPY: copy(s, a, out); break;
    case STEP_LARGEST: largest(r->plan->kernels, s, a, out); break;
    default: arithmetic(r->plan->kernels, s, a, b, out); break;
    }
}

static void run_on(const struct run *r, const struct step *s, size_t row, const float *a, const float *b, float *out)
{
    const struct kernels *k = r->plan->kernels;
    switch (s->op) {
    case STEP_QUANTIZE: quantize(r, s, row, a); break;
    case STEP_RMSNORM:
    case STEP_LAYERNORM: norm(k, s, a, out); break;
    case STEP_L2NORM:
    case STEP_SOFTMAX:
    case STEP_SUM: reduce(k, s, a, out); break;
    case STEP_ROPE_TABLE: angles(r, s, row, out); break;
    case STEP_ROPE: rope(k, s, a, b, out); break;
    case STEP_TOP:
    case STEP_PLACES:
    case STEP_PICK:
    case STEP_KEEP_GROUPS:
    case STEP_MIX: run_selection(r, s, a, b, out); break;
    default: move(r, s, row, a, b, out); break;
    }
}

void run_row_step(const struct run *r, const struct step *s, size_t row, int thread)
{
    const bool reads = view_given(s->in[0]) && s->op != STEP_GATHER; /* GATHER reads another program's */
    const float *a = reads ? run_row(r, s->in[0], row, thread) : NULL;
    const float *b = view_given(s->in[1]) ? run_row(r, s->in[1], row, thread) : NULL;
    run_on(r, s, row, a, b, s->op != STEP_QUANTIZE ? run_row(r, s->out, row, thread) : NULL);
}
