/* sampler.c - picks the next token from scores.
 *
 * Bias and penalties touch few tokens, so they are kept as a short list of changes; the vocabulary is read once. Where
 * a filter is in use, candidates are taken from a heap in falling order (equal scores: the lower id first), so that the
 * work is V + k log V instead of a sort. */
#include "base/alloc.h"
#include "base/error.h"
#include "base/random.h"
#include "engine/engine.h"
#include "kernels/math.h"
#include <math.h>
#include <string.h>

enum { DEFAULT_WINDOW = 64, MAX_WINDOW = 1 << 20, MAX_BIAS = 1 << 16 };

struct candidate {
    andiron_token token;
    float score;
    double weight; /* at the sampler's temperature */
};

struct andiron_sampler {
    const struct kernels *kernels;
    andiron_sampler_options options;
    andiron_logit_bias *bias; /* [n_bias] own copy */
    size_t n_vocab;
    struct random random;
    float *scores;          /* [n_vocab] changed copy */
    struct candidate *heap; /* [n_vocab] */
    andiron_token *recent;  /* ring of penalty_window tokens */
    uint32_t *count;        /* [n_vocab] occurrences in the ring */
    size_t window, n_recent, next_recent;
};

static bool has_penalty(const andiron_sampler_options *o)
{
    return (o->repeat_penalty > 0 && o->repeat_penalty != 1) || o->frequency_penalty != 0 || o->presence_penalty != 0;
}

static andiron_status check_bias(const andiron_sampler_options *o, size_t n_vocab, andiron_error *error)
{
    if (o->n_bias > MAX_BIAS)
        return error_set(error, ANDIRON_E_ARGUMENT, "%zu biased tokens are too many; at most %d", o->n_bias, MAX_BIAS);
    for (size_t i = 0; i < o->n_bias; i++)
        if (o->bias[i].token < 0 || (size_t)o->bias[i].token >= n_vocab || isnan(o->bias[i].bias))
            return error_set(error, ANDIRON_E_ARGUMENT, "logit bias for token %d: tokens are 0 to %zu, biases numbers",
                             o->bias[i].token, n_vocab - 1);
    return ANDIRON_OK;
}

static andiron_status check_options(const andiron_sampler_options *o, size_t n_vocab, andiron_error *error)
{
    if (!(o->temperature >= 0) || !isfinite(o->temperature))
        return error_set(error, ANDIRON_E_ARGUMENT, "temperature %g: must be 0 or more", (double)o->temperature);
    if (!(o->top_p >= 0 && o->top_p <= 1) || !(o->min_p >= 0 && o->min_p <= 1))
        return error_set(error, ANDIRON_E_ARGUMENT, "top-p %g, min-p %g: must lie in 0 to 1", (double)o->top_p,
                         (double)o->min_p);
    if (o->top_k < 0 || !(o->repeat_penalty >= 0) || !isfinite(o->repeat_penalty))
        return error_set(error, ANDIRON_E_ARGUMENT, "top-k %d, repeat penalty %g: must be 0 or more", o->top_k,
                         (double)o->repeat_penalty);
    if (!isfinite(o->frequency_penalty) || !isfinite(o->presence_penalty))
        return error_set(error, ANDIRON_E_ARGUMENT, "frequency and presence penalties must be numbers");
    return check_bias(o, n_vocab, error);
}

static bool take_memory(andiron_sampler *s)
{
    const andiron_sampler_options *o = &s->options;
    s->window = o->penalty_window < 0 ? MAX_WINDOW : o->penalty_window ? (size_t)o->penalty_window : DEFAULT_WINDOW;
    if (s->window > MAX_WINDOW)
        s->window = MAX_WINDOW;
    s->scores = alloc_zeroed(s->n_vocab, sizeof *s->scores);
    s->heap = alloc_zeroed(s->n_vocab, sizeof *s->heap);
    s->count = alloc_zeroed(s->n_vocab, sizeof *s->count);
    s->recent = alloc_zeroed(s->window, sizeof *s->recent);
    s->bias = alloc_zeroed(o->n_bias, sizeof *s->bias);
    if (!s->scores || !s->heap || !s->count || !s->recent || !s->bias)
        return false;
    if (o->n_bias)
        memcpy(s->bias, o->bias, o->n_bias * sizeof *s->bias);
    return true;
}

andiron_status andiron_sampler_open(andiron_sampler **out, const andiron_model *model,
                                    const andiron_sampler_options *options, andiron_error *error)
{
    static const andiron_sampler_options defaults = {0};
    *out = NULL;
    options = options ? options : &defaults;
    if (!model->plan)
        return error_set(error, ANDIRON_E_ARGUMENT,
                         "the model was opened for its vocabulary only; open it whole to sample");
    andiron_status status = check_options(options, model->n_vocab, error);
    if (status)
        return status;
    andiron_sampler *s = alloc_zeroed(1, sizeof *s);
    if (!s)
        return error_memory(error, sizeof *s, "a sampler");
    s->kernels = &model->kernels;
    s->options = *options;
    s->n_vocab = model->n_vocab;
    random_init(&s->random, options->seed);
    if (!take_memory(s)) {
        andiron_sampler_close(s);
        return error_memory(error, model->n_vocab * sizeof(struct candidate), "a sampler's candidates");
    }
    *out = s;
    return ANDIRON_OK;
}

void andiron_sampler_close(andiron_sampler *s)
{
    if (!s)
        return;
    alloc_free(s->scores);
    alloc_free(s->heap);
    alloc_free(s->count);
    alloc_free(s->recent);
    alloc_free(s->bias);
    alloc_free(s);
}

size_t sampler_n_vocab(const andiron_sampler *s) { return s->n_vocab; }

void andiron_sampler_accept(andiron_sampler *s, andiron_token token)
{
    if (token < 0 || (size_t)token >= s->n_vocab)
        return;
    if (s->n_recent == s->window)
        s->count[s->recent[s->next_recent]]--;
    else
        s->n_recent++;
    s->recent[s->next_recent] = token;
    s->count[token]++;
    s->next_recent = (s->next_recent + 1) % s->window;
}

static float penalized(const andiron_sampler_options *o, float score, uint32_t count)
{
    if (o->repeat_penalty > 0 && o->repeat_penalty != 1)
        score = score > 0 ? score / o->repeat_penalty : score * o->repeat_penalty;
    return score - (float)count * o->frequency_penalty - o->presence_penalty;
}

/* The scores with bias and penalties; `logits` itself where nothing changes. */
static const float *changed_scores(andiron_sampler *s, const float *logits)
{
    const andiron_sampler_options *o = &s->options;
    bool penalty = has_penalty(o) && s->n_recent;
    if (!penalty && o->n_bias == 0)
        return logits;
    memcpy(s->scores, logits, s->n_vocab * sizeof *logits);
    for (size_t i = 0; i < o->n_bias; i++)
        s->scores[s->bias[i].token] += s->bias[i].bias;
    for (size_t i = 0; penalty && i < s->n_vocab; i++)
        if (s->count[i])
            s->scores[i] = penalized(o, s->scores[i], s->count[i]);
    return s->scores;
}

static bool better(struct candidate a, struct candidate b)
{
    return a.score > b.score || (a.score == b.score && a.token < b.token);
}

static void sift_down(struct candidate *heap, size_t n, size_t i)
{
    struct candidate c = heap[i];
    for (size_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && better(heap[child + 1], heap[child]))
            child++;
        if (!better(heap[child], c))
            break;
        heap[i] = heap[child];
    }
    heap[i] = c;
}

/* Move the best of heap[0..n) to heap[n - 1]; the rest stays a heap. */
static void pop_best(struct candidate *heap, size_t n)
{
    struct candidate best = heap[0];
    heap[0] = heap[n - 1];
    heap[n - 1] = best;
    sift_down(heap, n - 1, 0);
}

/* Candidates worth looking at, as a heap; returns how many. Scores so low that their probability is below 2^-100 of the
 * best one's can never be drawn and are left out. */
static size_t fill_heap(andiron_sampler *s, const float *scores, float best)
{
    const float floor = best - 70.0f * (s->options.temperature > 1 ? s->options.temperature : 1);
    size_t n = 0;
    for (size_t i = 0; i < s->n_vocab; i++)
        if (scores[i] >= floor)
            s->heap[n++] = (struct candidate){(andiron_token)i, scores[i], 0};
    for (size_t i = n / 2; i-- > 0;)
        sift_down(s->heap, n, i);
    return n;
}

static double weight_of(const struct candidate *c, float best, float temperature)
{
    return math_exp(((double)c->score - (double)best) / (double)temperature);
}

/* Take candidates in falling order until `most` are taken, the next one's score is below `least`, or their weight at
 * temperature 1 reaches `enough`. The j-th best ends up at heap[n - 1 - j]. At least one is taken. */
static size_t take_best(struct candidate *heap, size_t n, size_t most, float least, double enough)
{
    const float best = heap[0].score;
    double sum = 0;
    size_t kept = 0;
    while (kept < most && sum < enough && (kept == 0 || heap[0].score >= least)) {
        sum += weight_of(&heap[0], best, 1);
        pop_best(heap, n - kept);
        kept++;
    }
    return kept;
}

static double total_weight(const struct candidate *c, size_t n, float best)
{
    double total = 0;
    for (size_t i = 0; i < n; i++)
        total += weight_of(&c[i], best, 1);
    return total;
}

/* Apply top-k, top-p and min-p to a heap of n. Each keeps a prefix of the falling order, so min-p is only a least
 * score. Returns how many are kept, as take_best leaves them; with no filter all n stay where they are. */
static size_t filter(const andiron_sampler_options *o, struct candidate *heap, size_t n)
{
    const float best = heap[0].score;
    const bool nucleus = o->top_p > 0 && o->top_p < 1;
    const float least = o->min_p > 0 ? best + (float)math_log((double)o->min_p) : -INFINITY;
    if (o->top_k > 0 && (size_t)o->top_k < n) {
        size_t kept = take_best(heap, n, (size_t)o->top_k, -HUGE_VAL, HUGE_VAL);
        double enough = nucleus ? (double)o->top_p * total_weight(heap + n - kept, kept, best) : (double)INFINITY,
               sum = 0;
        size_t i = 0;
        while (i < kept && sum < enough && (i == 0 || heap[n - 1 - i].score >= least))
            sum += weight_of(&heap[n - 1 - i++], best, 1);
        return i;
    }
    if (!nucleus && o->min_p <= 0)
        return n;
    return take_best(heap, n, n, least, nucleus ? (double)o->top_p * total_weight(heap, n, best) : (double)INFINITY);
}

/* Draw one of c[0..n) with weights at the sampler's temperature. */
static andiron_token draw(andiron_sampler *s, struct candidate *c, size_t n, float best)
{
    double total = 0;
    for (size_t i = 0; i < n; i++)
        total += c[i].weight = weight_of(&c[i], best, s->options.temperature);
    double at = random_unit(&s->random) * total;
    for (size_t i = n; i-- > 0;) /* the best stands last */
        if ((at -= c[i].weight) < 0)
            return c[i].token;
    return c[n - 1].token;
}

andiron_token andiron_sampler_next(andiron_sampler *s, const float *logits)
{
    const float *scores = changed_scores(s, logits);
    size_t top = s->kernels->max_index(scores, s->n_vocab);
    andiron_token token = (andiron_token)top;
    if (s->options.temperature > 0 && isfinite(scores[top])) {
        size_t n = fill_heap(s, scores, scores[top]);
        size_t kept = filter(&s->options, s->heap, n);
        token = draw(s, s->heap + n - kept, kept, scores[top]);
    }
    andiron_sampler_accept(s, token);
    return token;
}
