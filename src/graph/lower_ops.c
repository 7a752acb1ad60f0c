/* lower_ops.c - the steps of each op. */
#include "base/error.h"
#include "graph/lower.h"

enum activation lower_activation(enum op op)
{
    switch (op) {
    case OP_silu: return ACT_SILU;
    case OP_gelu: return ACT_GELU;
    case OP_gelu_tanh: return ACT_GELU_TANH;
    case OP_gelu_quick: return ACT_GELU_QUICK;
    case OP_relu: return ACT_RELU;
    case OP_relu2: return ACT_RELU2;
    case OP_sigmoid: return ACT_SIGMOID;
    case OP_tanh: return ACT_TANH;
    case OP_exp: return ACT_EXP;
    case OP_softplus: return ACT_SOFTPLUS;
    case OP_log: return ACT_LOG;
    case OP_sqrt: return ACT_SQRT;
    case OP_floor: return ACT_FLOOR;
    default: return ACT_NONE;
    }
}

static struct view lower_heads(struct lower *l, const struct node *n)
{
    struct view v = lower_packed(l, lower_input(l, n->arg[0].value), false);
    v.size = n->shape.dims[0];
    v.heads = (uint32_t)(shape_items(n->shape) / n->shape.dims[0]);
    v.head_stride = v.size;
    return v;
}

static struct view lower_slice(struct lower *l, const struct node *n)
{
    struct view v = lower_input(l, n->arg[0].value);
    v.offset += (uint32_t)n->arg[1].number;
    v.size = (uint32_t)n->arg[2].number;
    return v;
}

static struct view lower_concat(struct lower *l, const struct node *n)
{
    struct view a = lower_input(l, n->arg[0].value), b = lower_input(l, n->arg[1].value);
    struct step s = lower_step(STEP_CONCAT, a);
    s.in[1] = b;
    return lower_emit(l, s, a.size + b.size, a.heads, 0);
}

static struct view lower_repeat(struct lower *l, const struct node *n)
{
    struct view x = lower_input(l, n->arg[0].value);
    struct step s = lower_step(STEP_REPEAT, x);
    s.node = n;
    return lower_emit(l, s, x.size, (uint32_t)(shape_items(n->shape) / x.size), 0);
}

static struct view lower_arrange(struct lower *l, const struct node *n)
{
    struct step s = lower_step(STEP_ARRANGE, lower_packed(l, lower_input(l, n->arg[0].value), false));
    s.node = n;
    return lower_emit(l, s, n->shape.dims[0], n->shape.dims[1], 0);
}

/* Numbers of a tensor as they are used: in place where they are floats. */
static struct view lower_constant(struct lower *l, const struct node *n)
{
    const struct weight *w = n->arg[0].weight;
    const size_t items = shape_items(n->shape), rows = items / w->dims[0];
    struct view v = lower_whole(-1, n->shape.dims[0], (uint32_t)rows);
    v.constant = w->data;
    if (w->type == TYPE_F32)
        return v;
    float *out = arena_alloc(l->arena, items, sizeof *out);
    if (!out) {
        if (!l->status)
            l->status = error_memory(l->error, items * sizeof *out, "a tensor's numbers");
        return no_view;
    }
    v.constant = out;
    for (size_t i = 0; i < rows; i++)
        kernels_dequantize(l->kernels, w->type)(out + i * w->dims[0], (const char *)w->data + i * w->row_bytes,
                                                w->dims[0]);
    return v;
}

static struct view lower_geometric(struct lower *l, const struct node *n)
{
    struct view v = lower_whole(-1, n->shape.dims[0], 1);
    float *out = arena_alloc(l->arena, v.size, sizeof *out);
    if (!out) {
        if (!l->status)
            l->status = error_memory(l->error, v.size * sizeof *out, "a row of numbers");
        return no_view;
    }
    double x = n->arg[1].number;
    for (size_t i = 0; i < v.size; i++, x *= n->arg[2].number)
        out[i] = (float)x;
    v.constant = out;
    return v;
}

/* What a product with `w` reads of x. */
static struct view product_input(struct lower *l, struct view x, const struct weight *w, uint8_t parts)
{
    return mul_reads_q8(w->type) ? lower_quantized(l, x, w->type, parts) : lower_packed(l, x, true);
}

/* The same numbers as n matrices of rows of so many. */
static const struct weight *reshaped(struct lower *l, const struct weight *w, uint64_t columns, uint64_t n)
{
    struct weight *as = arena_alloc(l->arena, 1, sizeof *as);
    if (!as) {
        if (!l->status)
            l->status = error_memory(l->error, sizeof *as, "a matrix");
        return w;
    }
    *as = *w;
    as->n_dims = n > 1 ? 3 : 2;
    as->dims[0] = columns;
    as->dims[1] = w->dims[0] * w->dims[1] * w->dims[2] / columns / n;
    as->dims[2] = n;
    as->row_bytes = w->row_bytes * (columns / w->dims[0]);
    return as;
}

/* A weight of 3 dimensions as the matrix that it is. */
static const struct weight *matrix_of(struct lower *l, const struct weight *w)
{
    return w->n_dims < 3 ? w : reshaped(l, w, w->dims[0] * w->dims[1], 1);
}

/* The product that gives scores, whatever each of them goes through afterwards; NULL: something else does. */
static const struct node *scores_of(const struct graph *g)
{
    const struct node *n = &g->nodes[g->output];
    while (n->op == OP_softcap || n->op == OP_add || n->op == OP_mul || n->op == OP_div)
        n = &g->nodes[n->arg[0].value];
    return n->op == OP_linear ? n : NULL;
}

/* The second part of x for the largest of a product's scores. */
static void refine(struct lower *l, const struct step *product, struct view scores)
{
    struct step s = lower_step(STEP_REFINE, scores);
    s.in[1] = product->in[0];
    s.in[2] = lower_emit(l, lower_step(STEP_LARGEST, scores), 1 + REFINED, 1, 0);
    s.weight = product->weight;
    lower_emit(l, s, 0, 0, 0);
}

static struct view lower_linear(struct lower *l, const struct node *n)
{
    const struct weight *w = matrix_of(l, n->arg[1].weight);
    const uint8_t parts = l->head ? HEAD_PARTS : 1;
    const bool refined = l->head && mul_reads_q8(w->type) && scores_of(l->g) == n;
    struct step s = lower_step(STEP_LINEAR, product_input(l, lower_input(l, n->arg[0].value), w, parts));
    s.weight = w;
    s.bias = n->arg[2].weight;
    s.parts = refined ? 1 : parts;
    const struct view scores = lower_emit(l, s, (uint32_t)w->dims[1], 1, 0);
    if (refined)
        refine(l, &s, scores);
    return scores;
}

static struct view lower_head_linear(struct lower *l, const struct node *n)
{
    const struct weight *w = reshaped(l, n->arg[1].weight, n->arg[1].weight->dims[0], n->shape.dims[1]);
    struct step s = lower_step(STEP_HEAD_LINEAR, product_input(l, lower_input(l, n->arg[0].value), w, 1));
    s.weight = w;
    s.n_matrices = s.n_places = n->shape.dims[1];
    s.each = true;
    return lower_emit(l, s, (uint32_t)w->dims[1], s.n_places, 0);
}

static struct view lower_experts(struct lower *l, const struct node *n)
{
    const struct weight *w = n->arg[2].weight;
    const struct view x = lower_input(l, n->arg[0].value), places = lower_input(l, n->arg[1].value);
    struct step s = lower_step(STEP_EXPERTS, product_input(l, x, w, 1));
    s.n_matrices = (uint32_t)(w->n_dims == 3 ? w->dims[2] : 1);
    s.in[1] = lower_sorted(l, places, s.n_matrices);
    s.weight = w;
    s.bias = n->arg[3].weight;
    s.n_places = view_items(places);
    s.each = view_items(x) != w->dims[0];
    return lower_emit(l, s, (uint32_t)w->dims[1], s.n_places, 0);
}

static struct view lower_norm(struct lower *l, const struct node *n)
{
    struct view x = lower_input(l, n->arg[0].value);
    struct step s = lower_step(n->op == OP_rmsnorm ? STEP_RMSNORM : STEP_LAYERNORM, x);
    s.weight = n->arg[1].weight;
    if (n->op == OP_layernorm)
        s.bias = n->arg[2].weight;
    s.number = (float)n->arg[n->op == OP_rmsnorm ? 2 : 3].number;
    return lower_emit(l, s, x.size, x.heads, 0);
}

/* The same rotation may serve every layer. */
static bool same_rope(const struct node *a, const struct node *b)
{
    for (int i = 1; i < OP_MAX_ARGS; i++) {
        bool weight = op_infos[OP_rope].arg[i].kind == ARG_WEIGHT;
        if (op_infos[OP_rope].arg[i].kind == ARG_NONE)
            break;
        if (weight ? a->arg[i].weight != b->arg[i].weight : a->arg[i].number != b->arg[i].number)
            return false;
    }
    return true;
}

static const struct rope *rope_of(struct lower *l, const struct node *n)
{
    struct program *p = l->p;
    for (size_t i = 0; i < p->n_steps && i < LOOK_BACK; i++)
        if (p->steps[i].op == STEP_ROPE_TABLE && same_rope(p->steps[i].rope->node, n))
            return p->steps[i].rope;
    struct rope *r = arena_alloc(l->arena, 1, sizeof *r);
    if (!r || rope_init(r, n, l->arena, l->error)) {
        if (!l->status)
            l->status = error_memory(l->error, sizeof *r, "rotary positions");
        return NULL;
    }
    struct step s = lower_step(STEP_ROPE_TABLE, no_view);
    s.rope = r;
    r->table = lower_emit(l, s, r->dims, 1, 0);
    return r;
}

static struct view lower_rope(struct lower *l, const struct node *n)
{
    const struct rope *r = rope_of(l, n);
    if (!r)
        return no_view;
    struct view x = lower_input(l, n->arg[0].value);
    struct step s = lower_step(STEP_ROPE, x);
    s.in[1] = r->table;
    s.rope = r;
    return lower_emit(l, s, x.size, x.heads, 0);
}

void lower_store(struct lower *l, const struct node *attend)
{
    struct step store = lower_step(STEP_STORE, lower_input(l, attend->arg[ATTEND_K].value));
    store.in[1] = lower_input(l, attend->arg[ATTEND_V].value);
    store.node = attend;
    l->stored[(size_t)attend->arg[ATTEND_CACHE].number] = lower_emit(l, store, 0, 0, 0);
}

static struct view lower_attend(struct lower *l, const struct node *n)
{
    const size_t cache = (size_t)n->arg[ATTEND_CACHE].number;
    const struct view q = lower_input(l, n->arg[ATTEND_Q].value);
    if (n->arg[ATTEND_K].value >= 0 && graph_sees(n) != SEES_SOURCE)
        lower_store(l, n);
    struct step s = lower_step(STEP_ATTEND, q);
    s.in[ATTEND_IN_CACHE] = l->stored[cache];
    if (n->arg[ATTEND_ONLY].value >= 0)
        s.in[ATTEND_IN_ONLY] = lower_input(l, n->arg[ATTEND_ONLY].value);
    if (n->arg[ATTEND_NEAR].value >= 0)
        s.in[ATTEND_IN_NEAR] = lower_input(l, n->arg[ATTEND_NEAR].value);
    if (n->arg[ATTEND_JOINS].value >= 0)
        s.in[ATTEND_IN_OPEN] = lower_packed(l, lower_input(l, n->arg[ATTEND_JOINS].value), false);
    if (n->arg[ATTEND_NEAR_KEYS].value >= 0)
        s.in[ATTEND_IN_NEAR_KEYS] = lower_input(l, n->arg[ATTEND_NEAR_KEYS].value);
    if (n->arg[ATTEND_REACH].value >= 0)
        s.in[ATTEND_IN_REACH] = lower_input(l, n->arg[ATTEND_REACH].value);
    s.node = n;
    return lower_emit(l, s, n->shape.dims[0], q.heads, 0);
}

static struct view lower_choose(struct lower *l, const struct node *n)
{
    enum { Q, K, WEIGHTS };
    struct step store = lower_step(STEP_STORE, lower_packed(l, lower_input(l, n->arg[K].value), false));
    store.in[0].size = view_items(store.in[0]);
    store.in[0].heads = 1;
    store.in[1] = store.in[0];
    store.in[1].size = 0; /* keys alone */
    store.node = n;
    struct step s = lower_step(STEP_CHOOSE, lower_packed(l, lower_input(l, n->arg[Q].value), false));
    s.in[1] = lower_emit(l, store, 0, 0, 0);
    if (n->arg[WEIGHTS].value >= 0)
        s.in[2] = lower_packed(l, lower_input(l, n->arg[WEIGHTS].value), false);
    s.node = n;
    return lower_emit(l, s, n->shape.dims[0], n->shape.dims[1], 0);
}

/* The rows of `w` [d][n] as [n][d]. */
static const float *turned(struct lower *l, const struct weight *w, size_t n, size_t d)
{
    float *out = arena_alloc(l->arena, n * d, sizeof *out);
    const float *from = w->data;
    if (!out && !l->status)
        l->status = error_memory(l->error, n * d * sizeof *out, "a tensor's numbers");
    for (size_t i = 0; out && i < n; i++)
        for (size_t j = 0; j < d; j++)
            out[i * d + j] = from[j * n + i];
    return out;
}

static struct view lower_previous(struct lower *l, const struct node *n)
{
    struct view x = lower_input(l, n->arg[0].value);
    struct step s = lower_step(STEP_PREVIOUS, lower_packed(l, x, false));
    s.node = n;
    return lower_emit(l, s, x.size, x.heads, 0);
}

static struct view lower_carry(struct lower *l, const struct node *n)
{
    struct step s = lower_step(STEP_CARRY, no_view);
    s.node = n;
    return lower_emit(l, s, n->shape.dims[0], 1, 0);
}

static struct view lower_peak(struct lower *l, const struct node *n)
{
    struct view x = lower_input(l, n->arg[0].value);
    struct step s = lower_step(STEP_PEAK, lower_packed(l, x, false));
    s.in[1] = lower_packed(l, lower_input(l, n->arg[1].value), false);
    s.node = n;
    return lower_emit(l, s, x.size, x.heads, 0);
}

static struct view lower_conv(struct lower *l, const struct node *n)
{
    const struct weight *w = n->arg[1].weight;
    struct step s = lower_step(STEP_CONV, lower_packed(l, lower_input(l, n->arg[0].value), false));
    s.node = n;
    s.weight = w;
    s.bias = n->arg[2].weight;
    s.turned = turned(l, w, w->dims[0], n->shape.dims[0]);
    return lower_emit(l, s, n->shape.dims[0], 1, 0);
}

static struct view lower_around(struct lower *l, const struct node *n)
{
    struct step s = lower_step(STEP_AROUND, lower_packed(l, lower_input(l, n->arg[0].value), false));
    s.node = n;
    return lower_emit(l, s, n->shape.dims[0], n->shape.dims[1], 0);
}

static struct view lower_groupnorm(struct lower *l, const struct node *n)
{
    enum { X, WEIGHT, BIAS, GROUPS, EPS };
    struct view x = lower_packed(l, lower_input(l, n->arg[X].value), false);
    struct step s = lower_step(STEP_GROUPNORM, x);
    s.node = n;
    s.weight = n->arg[WEIGHT].weight;
    s.bias = n->arg[BIAS].weight;
    s.number = (float)n->arg[EPS].number;
    return lower_emit(l, s, x.size, x.heads, 0);
}

static struct view lower_fourier(struct lower *l, const struct node *n)
{
    struct step s = lower_step(STEP_FOURIER, no_view);
    for (int i = 0; i < 2; i++)
        s.in[i] = lower_packed(l, lower_input(l, n->arg[i].value), false);
    return lower_emit(l, s, n->shape.dims[0], n->shape.n_dims > 1 ? n->shape.dims[1] : 1, 0);
}

static struct view lower_scan(struct lower *l, const struct node *n)
{
    struct step s = lower_step(STEP_SCAN, no_view);
    for (int i = 0; i < STEP_INPUTS; i++)
        if (n->arg[i].value >= 0)
            s.in[i] = lower_packed(l, lower_input(l, n->arg[i].value), false);
    s.node = n;
    return lower_emit(l, s, n->shape.dims[0], n->shape.dims[1], 0);
}

static struct view lower_selective_scan(struct lower *l, const struct node *n)
{
    enum { X, DT, A, B, C };
    const struct weight *w = n->arg[A].weight;
    struct step s = lower_step(STEP_SELECTIVE_SCAN, no_view);
    for (int i = X; i <= C; i++)
        if (i != A)
            s.in[i] = lower_packed(l, lower_input(l, n->arg[i].value), false);
    s.node = n;
    s.weight = w;
    s.turned = turned(l, w, w->dims[0], n->shape.dims[0]);
    return lower_emit(l, s, n->shape.dims[0], 1, 0);
}

static enum step_op binary_step(enum op op) { return op == OP_add ? STEP_ADD : op == OP_mul ? STEP_MUL : STEP_DIV; }

static struct view lower_binary(struct lower *l, const struct node *n)
{
    node_id a = n->arg[0].value, b = n->arg[1].value;
    if (b >= 0 && (l->fused[a] || l->fused[b])) {
        const struct node *f = &l->g->nodes[l->fused[a] ? a : b];
        struct step s = lower_step(STEP_GATE, lower_packed(l, lower_input(l, f->arg[0].value), false));
        s.in[1] = lower_packed(l, lower_input(l, l->fused[a] ? b : a), false);
        s.function = lower_activation(f->op);
        return lower_emit(l, s, n->shape.dims[0], view_items(s.in[0]) / n->shape.dims[0], 0);
    }
    const struct view x = lower_packed(l, lower_input(l, a), false);
    struct step s = lower_step(binary_step(n->op), x);
    if (b >= 0) {
        s.in[1] = lower_packed(l, lower_input(l, b), false);
    } else {
        s.op = n->op == OP_add ? STEP_SHIFT : STEP_SCALE;
        s.number = (float)n->arg[2].number;
        s.number = n->op == OP_div ? 1.0f / s.number : s.number;
    }
    return lower_emit(l, s, x.size, x.heads, 0);
}

static struct view lower_function(struct lower *l, const struct node *n)
{
    struct view x = lower_packed(l, lower_input(l, n->arg[0].value), false);
    struct step s = lower_step(STEP_ACTIVATE, x);
    s.function = lower_activation(n->op);
    s.node = n;
    if (n->op == OP_softcap || n->op == OP_clamp) {
        s.op = n->op == OP_clamp ? STEP_CLAMP : STEP_SOFTCAP;
        s.number = (float)n->arg[1].number;
    }
    return lower_emit(l, s, x.size, x.heads, 0);
}

/* Steps of up to two values. */
static struct view lower_plain(struct lower *l, const struct node *n)
{
    static const uint8_t steps[] = {
        [OP_l2norm] = STEP_L2NORM,
        [OP_softmax] = STEP_SOFTMAX,
        [OP_sum] = STEP_SUM,
        [OP_top] = STEP_TOP,
        [OP_pick] = STEP_PICK,
        [OP_places] = STEP_PLACES,
        [OP_keep_groups] = STEP_KEEP_GROUPS,
        [OP_mix] = STEP_MIX,
    };
    const enum step_op op = steps[n->op];
    const bool strided = op == STEP_L2NORM || op == STEP_SOFTMAX || op == STEP_SUM;
    const struct view x = lower_input(l, n->arg[0].value);
    struct step s = lower_step(op, strided ? x : lower_packed(l, x, false));
    if (op == STEP_PICK || op == STEP_MIX)
        s.in[1] = lower_packed(l, lower_input(l, n->arg[1].value), false);
    s.node = n;
    s.number = op == STEP_L2NORM ? (float)n->arg[1].number : 0;
    return lower_emit(l, s, n->shape.dims[0], (uint32_t)(shape_items(n->shape) / n->shape.dims[0]), 0);
}

static struct view lower_sincos(struct lower *l, const struct node *n)
{
    struct step s = lower_step(STEP_SINCOS, lower_packed(l, lower_input(l, n->arg[0].value), false));
    s.node = n;
    return lower_emit(l, s, s.in[0].size, s.in[0].heads, 0);
}

static struct view lower_ids(struct lower *l, const struct node *n)
{
    struct step s = lower_step(n->op == OP_embed ? STEP_EMBED : STEP_NUMBERS, no_view);
    s.node = n->op == OP_place_of ? n : &l->g->nodes[n->arg[0].value];
    if (n->op == OP_embed)
        s.weight = n->arg[1].weight;
    return lower_emit(l, s, n->shape.dims[0], 1, 0);
}

static struct view lower_ngrams(struct lower *l, const struct node *n)
{
    struct step s = lower_step(STEP_NGRAMS, no_view);
    s.node = n;
    s.weight = n->arg[1].weight;
    return lower_emit(l, s, n->shape.dims[0], n->shape.dims[1], 0);
}

static struct view lower_flat(struct lower *l, const struct node *n)
{
    struct view v = lower_packed(l, lower_input(l, n->arg[0].value), false);
    v.size = v.head_stride = view_items(v);
    v.heads = 1;
    return v;
}

static struct view lower_nothing(struct lower *l, const struct node *n)
{
    (void)l, (void)n;
    return no_view;
}

struct view lower_node(struct lower *l, const struct node *n)
{
    static struct view (*const by_op[])(struct lower *, const struct node *) = {
        [OP_tokens] = lower_nothing,    [OP_positions] = lower_nothing,
        [OP_remainder] = lower_nothing, [OP_replace] = lower_nothing,
        [OP_embed] = lower_ids,         [OP_numbers] = lower_ids,
        [OP_place_of] = lower_ids,      [OP_places] = lower_plain,
        [OP_constant] = lower_constant, [OP_geometric] = lower_geometric,
        [OP_linear] = lower_linear,     [OP_head_linear] = lower_head_linear,
        [OP_experts] = lower_experts,   [OP_rmsnorm] = lower_norm,
        [OP_layernorm] = lower_norm,    [OP_l2norm] = lower_plain,
        [OP_softmax] = lower_plain,     [OP_sum] = lower_plain,
        [OP_top] = lower_plain,         [OP_pick] = lower_plain,
        [OP_keep_groups] = lower_plain, [OP_mix] = lower_plain,
        [OP_heads] = lower_heads,       [OP_flat] = lower_flat,
        [OP_slice] = lower_slice,       [OP_concat] = lower_concat,
        [OP_repeat] = lower_repeat,     [OP_arrange] = lower_arrange,
        [OP_cos] = lower_sincos,        [OP_sin] = lower_sincos,
        [OP_rope] = lower_rope,         [OP_attend] = lower_attend,
        [OP_choose] = lower_choose,     [OP_previous] = lower_previous,
        [OP_peak] = lower_peak,         [OP_conv] = lower_conv,
        [OP_scan] = lower_scan,         [OP_selective_scan] = lower_selective_scan,
        [OP_add] = lower_binary,        [OP_mul] = lower_binary,
        [OP_div] = lower_binary,        [OP_ngrams] = lower_ngrams,
        [OP_around] = lower_around,     [OP_groupnorm] = lower_groupnorm,
        [OP_carry] = lower_carry,       [OP_keep] = lower_keep,
        [OP_fourier] = lower_fourier,
    };
    const size_t n_ops = sizeof by_op / sizeof *by_op;
    return ((size_t)n->op < n_ops && by_op[n->op] ? by_op[n->op] : lower_function)(l, n);
}
