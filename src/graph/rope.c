/* rope.c - frequencies of rotary positions (Su et al. 2021) with the ways of stretching them: division (linear),
 * factors for each pair (Llama 3, LongRoPE: Ding et al. 2024) and YaRN (Peng et al. 2023). */
#include "base/error.h"
#include "graph/program.h"
#include "kernels/math.h"

/* Places of rope's arguments in ops.def. */
enum {
    X,
    DIMS,
    BASE,
    STYLE,
    FACTORS,
    FACTORS_LONG,
    LINEAR,
    YARN,
    ORIGINAL,
    BETA_FAST,
    BETA_SLOW,
    MAGNITUDE,
    BACK,
    WHOLE
};

/* NaN gives `least`. */
static double clamp(double x, double least, double most) { return x > least ? (x < most ? x : most) : least; }

static double floor_of(double x) /* |x| < 2^31 */
{
    double whole = (double)(int64_t)x;
    return whole > x ? whole - 1 : whole;
}

/* The pair that turns `turns` times over the original context. */
static double yarn_pair(const struct node *n, double turns)
{
    const double two_pi = 6.283185307179586;
    double pair = n->arg[DIMS].number * math_log(n->arg[ORIGINAL].number / (turns * two_pi)) /
                  (2 * math_log(n->arg[BASE].number));
    return clamp(pair, -1e6, 1e6);
}

/* How much of a frequency YaRN leaves as it is, 0 to 1. */
static double yarn_kept(const struct node *n, size_t i)
{
    double low = yarn_pair(n, n->arg[BETA_FAST].number), high = yarn_pair(n, n->arg[BETA_SLOW].number);
    if (n->arg[WHOLE].number != 0) {
        low = floor_of(low);
        high = -floor_of(-high);
    }
    low = low < 0 ? 0 : low;
    high = high > n->arg[DIMS].number - 1 ? n->arg[DIMS].number - 1 : high;
    if (high <= low)
        high = low + 0.001;
    return 1 - clamp(((double)i - low) / (high - low), 0, 1);
}

static const float *frequencies(const struct node *n, const struct weight *factors, struct arena *arena)
{
    const double dims = n->arg[DIMS].number, yarn = n->arg[YARN].number;
    const size_t n_pairs = (size_t)dims / 2;
    float *out = arena_alloc(arena, n_pairs, sizeof *out);
    for (size_t i = 0; out && i < n_pairs; i++) {
        double f = math_pow(n->arg[BASE].number, -2.0 * (double)i / dims);
        if (factors)
            f /= (double)((const float *)factors->data)[i];
        if (yarn > 0 && n->arg[ORIGINAL].number > 0) {
            double kept = yarn_kept(n, i);
            f = f / yarn * (1 - kept) + f * kept;
        }
        out[i] = (float)(f / n->arg[LINEAR].number);
    }
    return out;
}

andiron_status rope_init(struct rope *out, const struct node *node, struct arena *arena, andiron_error *error)
{
    const struct weight *factors = node->arg[FACTORS].weight, *factors_long = node->arg[FACTORS_LONG].weight;
    const double yarn = node->arg[YARN].number, magnitude = node->arg[MAGNITUDE].number;
    *out = (struct rope){
        .dims = (uint32_t)node->arg[DIMS].number,
        .halves = node->arg[STYLE].number != 0,
        .magnitude = magnitude > 0 ? (float)magnitude
                     : yarn > 1    ? (float)(0.1 * math_log(yarn) + 1)
                                   : 1.0f,
        .original_context = node->arg[ORIGINAL].number,
        .back = (float)node->arg[BACK].number,
        .node = node,
    };
    out->frequency[0] = frequencies(node, factors, arena);
    out->frequency[1] = factors_long ? frequencies(node, factors_long, arena) : out->frequency[0];
    if (!out->frequency[0] || !out->frequency[1])
        return error_memory(error, out->dims * sizeof(float), "frequencies of rope");
    return ANDIRON_OK;
}

void rope_angles(const struct rope *r, uint32_t position, uint32_t n_ctx, float *cos, float *sin)
{
    const float *frequency = r->frequency[r->original_context > 0 && n_ctx > r->original_context];
    for (size_t i = 0; i < r->dims / 2; i++) {
        double s, c;
        math_sincos((double)(((float)position - r->back) * frequency[i]), &s, &c);
        cos[i] = (float)c * r->magnitude;
        sin[i] = (float)s * r->magnitude;
    }
}
