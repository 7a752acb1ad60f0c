/* choose.c - running choose: the positions whose keys score most for a row. */
#include "graph/program.h"
#include "kernels/half.h"
#include <string.h>

enum { Q, K, WEIGHTS, N, SPAN, LOCAL, BY }; /* of choose's arguments */

/* A span of positions that was chosen. */
struct pick {
    float score;
    uint32_t span;
};

/* What a thread needs. */
struct chooser {
    struct pick *picks;          /* when full, a heap: the worst first */
    size_t n, most, room;        /* chosen; of the result; that may be chosen so far */
    float *keys, *scores, *dots; /* [d][KV_PAGE] as the cache has them; [KV_PAGE] */
};

static size_t lay_out(char *scratch, size_t most, size_t d, struct chooser *out)
{
    size_t at = 0;
#define PLACE(member, bytes) (out->member = (void *)(scratch ? scratch + at : NULL), at += ((bytes) + 63) / 64 * 64)
    PLACE(picks, most * sizeof *out->picks);
    PLACE(keys, d * KV_PAGE * sizeof(float));
    PLACE(scores, KV_PAGE * sizeof(float));
    PLACE(dots, KV_PAGE * sizeof(float));
#undef PLACE
    out->most = most;
    return at;
}

size_t choose_scratch_bytes(const struct program *p)
{
    size_t most = 0;
    for (size_t i = 0; i < p->n_steps; i++) {
        struct chooser unused;
        if (p->steps[i].op != STEP_CHOOSE)
            continue;
        size_t bytes = lay_out(NULL, p->steps[i].out.size, p->steps[i].in[Q].size, &unused);
        most = bytes > most ? bytes : most;
    }
    return most;
}

/* Which comes first of two. Of equal scores none does: those stay that std::partial_sort would leave, which is what
 * llama.cpp chooses by. ReLU makes many scores 0, so that equals are common where there are few heads. */
typedef bool order(struct pick a, struct pick b);
static bool scores_more(struct pick a, struct pick b) { return a.score > b.score; }
static bool stands_before(struct pick a, struct pick b) { return a.span < b.span; }

/* Let x sink from `at` in a heap of n, whose first is the last by `first`: to the bottom, then as far up as it must. */
static void sink(struct pick *heap, size_t n, size_t at, struct pick x, order *first)
{
    const size_t top = at;
    for (size_t child; (child = 2 * at + 1) < n; at = child) {
        child += child + 1 < n && !first(heap[child + 1], heap[child]);
        heap[at] = heap[child];
    }
    for (size_t up; at > top && first(heap[up = (at - 1) / 2], x); at = up)
        heap[at] = heap[up];
    heap[at] = x;
}

static void make_heap(struct pick *heap, size_t n, order *first)
{
    for (size_t i = n / 2; i-- > 0;)
        sink(heap, n, i, heap[i], first);
}

static void offer(struct chooser *c, float score, uint32_t span)
{
    const struct pick x = {score == score ? score : -__builtin_inff(), span};
    if (c->n < c->room) {
        c->picks[c->n++] = x;
        if (c->n == c->room)
            make_heap(c->picks, c->n, scores_more);
    } else if (scores_more(x, c->picks[0]))
        sink(c->picks, c->n, 0, x, scores_more);
}

/* The chosen spans in rising order, -1 in what is left. */
static void give(struct chooser *c, float *out)
{
    make_heap(c->picks, c->n, stands_before);
    for (size_t n = c->n; n > 0; n--) {
        out[n - 1] = (float)c->picks[0].span;
        sink(c->picks, n - 1, 0, c->picks[n - 1], stands_before);
    }
    for (size_t i = c->n; i < c->most; i++)
        out[i] = -1;
}

/* A page's keys as numbers: [KV_PAGE / 16][d][16]. */
static const float *page_keys(const struct run *r, const struct batch_row *row, size_t cache, size_t page, size_t d,
                              float *room)
{
    const struct kv_layout *layout = row->layout;
    const char *at = row->pages[page] + layout->offset[cache];
    if (layout->type == KV_F32)
        return (const float *)(const void *)at;
    if (layout->type == KV_F16) {
        r->plan->kernels->dequantize_f16(room, at, KV_PAGE * d);
        return room;
    }
    const size_t d32 = (d + Q_BLOCK - 1) / Q_BLOCK * Q_BLOCK;
    const int8_t *q = (const int8_t *)at;
    const uint16_t *scale = (const uint16_t *)(const void *)(at + KV_PAGE * d32);
    for (size_t p = 0; p < KV_PAGE; p++)
        for (size_t i = 0; i < d; i++) {
            const size_t group = p / 16, lane = p % 16;
            room[(group * d + i) * 16 + lane] = (float)q[group * 16 * d32 + i / 4 * 64 + lane * 4 + i % 4] *
                                                half_to_float(
                                                    scale[(group * (d32 / Q_BLOCK) + i / Q_BLOCK) * 16 + lane]);
        }
    return room;
}

/* Scores of a page's positions for list `at`: that of one head, or of all by their weights. */
static void score_page(const struct run *r, const struct step *s, const float *keys, const float *q,
                       const float *weights, size_t at, const struct chooser *c)
{
    const struct kernels *k = r->plan->kernels;
    const size_t d = s->in[Q].size;
    if (!weights) {
        k->score_keys(c->scores, keys, q + at * d, d);
        return;
    }
    memset(c->scores, 0, KV_PAGE * sizeof *c->scores);
    for (size_t h = 0; h < s->in[Q].heads; h++) {
        k->score_keys(c->dots, keys, q + h * d, d);
        k->activate(ACT_RELU, c->dots, c->dots, KV_PAGE);
        k->axpy(c->scores, c->dots, weights[h], KV_PAGE);
    }
}

static void choose(const struct run *r, const struct step *s, const struct batch_row *row, const float *q,
                   const float *weights, size_t at, struct chooser *c)
{
    const uint32_t span = (uint32_t)s->node->arg[SPAN].number, local = (uint32_t)s->node->arg[LOCAL].number,
                   last = row->position / span;
    const bool by_last = s->node->arg[BY].number != 0;
    float best = -__builtin_inff();
    c->n = 0;
    c->room = c->most - by_last;
    for (uint32_t p = 0; p <= row->position; p++) {
        if (p % KV_PAGE == 0)
            score_page(r, s, page_keys(r, row, s->node->state, p / KV_PAGE, s->in[Q].size, c->keys), q, weights, at, c);
        const float score = c->scores[p % KV_PAGE];
        const bool whole = (p + 1) % span == 0;
        best = score > best || by_last ? score : best;
        if (!whole && p != row->position)
            continue;
        const bool always = last - p / span < local || (by_last && !whole);
        c->room = whole ? c->room : c->most;
        offer(c, always ? __builtin_inff() : best, p / span);
        best = -__builtin_inff();
    }
}

void choose_run(const struct run *r, const struct step *s, size_t row, int thread)
{
    struct chooser c;
    lay_out(r->plan->scratch + (size_t)thread * r->plan->scratch_bytes, s->out.size, s->in[Q].size, &c);
    const float *q = run_row(r, s->in[Q], row, thread),
                *weights = view_given(s->in[WEIGHTS]) ? run_row(r, s->in[WEIGHTS], row, thread) : NULL;
    float *out = run_row(r, s->out, row, thread);
    for (size_t at = 0; at < s->out.heads; at++) {
        choose(r, s, &r->plan->rows[row], q, weights, at, &c);
        give(&c, out + at * s->out.size);
    }
}
