/* attention_sight.c - which positions of a page a query sees, and what is added to its scores there. */
#include "graph/attention.h"
#include "kernels/math.h"

void sight_range(const struct node *n, uint32_t position, uint32_t end, uint32_t *first, uint32_t *last)
{
    const uint32_t window = (uint32_t)n->arg[ATTEND_WINDOW].number;
    const bool all = graph_sees(n) != SEES_BEFORE;
    *first = 0;
    *last = all ? end : position;
    if (window == 0)
        return;
    const int style = (int)n->arg[ATTEND_WINDOW_STYLE].number;
    if (style == WINDOW_CHUNKS) {
        *first = position / window * window;
    } else {
        const uint32_t back = style == WINDOW_BOTH     ? window / 2
                              : style == WINDOW_MIDDLE ? (window - 1) / 2
                                                       : window - 1;
        *first = position > back ? position - back : 0;
        if (style >= WINDOW_BOTH && all && position < end && window / 2 < end - position)
            *last = position + window / 2;
    }
    *first = *first < *last ? *first : *last; /* a source may be shorter than what is written about it */
}

void sight_reach(float reach, uint32_t position, uint32_t *first)
{
    const uint32_t n = !(reach >= 1) ? 1 : reach < 0x1p24f ? (uint32_t)reach : 1 << 24; /* not a number: 1 */
    if (n <= position)
        *first = position + 1 - n > *first ? position + 1 - n : *first;
}

uint32_t sight_first(const struct node *n, const struct queries *x, size_t n_queries)
{
    uint32_t least = n->arg[ATTEND_BEGIN].number > 0 ? 0 : x->first[0];
    for (size_t j = 1; j < n_queries; j++)
        least = x->first[j] < least ? x->first[j] : least;
    return least;
}

/* The bucket of a distance, key less query: exact ones for the nearest, then wider and wider up to 128 positions
 * (Raffel et al. 2020, section 2.1). Both sides have half of them where a row sees both. */
static uint32_t bucket_of(double distance, uint32_t n, bool both)
{
    const uint32_t half = both ? n / 2 : n, exact = half / 2, side = both && distance > 0 ? half : 0;
    double d = both && distance > 0 ? distance : -distance;
    d = d > 0 ? d : 0;
    if (d < exact)
        return side + (uint32_t)d;
    const double wide = exact + math_log(d / exact) * (half - exact) / math_log(128.0 / exact);
    return side + (wide < half - 1 ? (uint32_t)wide : half - 1);
}

/* Of scores of n distances that of one, query less key; 0: it has none. */
static float of_distance(const float *scores, size_t n, const struct weight *at, float distance)
{
    float place = distance;
    if (at) {
        const float most = (float)(at->dims[0] / 2);
        const float within = distance < -most ? -most : distance > most ? most : distance;
        place = ((const float *)at->data)[(size_t)(within + most)];
    }
    return place >= 0 && place < (float)n ? scores[(size_t)place] : 0;
}

/* What a query and a key's row have for their distance. */
static float near_score(const struct run *r, const struct step *s, const struct queries *x, size_t j, uint32_t key)
{
    const struct weight *at = s->node->arg[ATTEND_NEAR_AT].weight;
    const struct view keys = s->in[ATTEND_IN_NEAR_KEYS];
    const float distance = (float)x->position[j] - (float)key;
    float score = 0;
    if (x->near[j])
        score += of_distance(x->near[j], s->in[ATTEND_IN_NEAR].size, at, distance);
    if (view_given(keys) && key <= x->last[j])
        score += of_distance(run_row(r, keys, x->first_row + key, 0) + x->head[j] * keys.head_stride, keys.size, at,
                             distance);
    return score;
}

/* What is added to the scores of a page: ALiBi's slope times how far back a position is, its bucket's number, or what
 * query and key have for that distance. */
static void bias_page(const struct run *r, const struct step *s, struct queries *x, size_t n, uint32_t start)
{
    const struct node *node = s->node;
    const struct weight *relative = node->arg[ATTEND_RELATIVE].weight;
    const bool near = view_given(s->in[ATTEND_IN_NEAR]) || view_given(s->in[ATTEND_IN_NEAR_KEYS]);
    for (size_t j = 0; j < n; j++)
        for (uint32_t p = 0; p < KV_PAGE; p++) {
            const float distance = (float)x->position[j] - (float)(start + p);
            float bias = -x->slope[j] * (distance < 0 ? -distance : distance);
            if (relative) {
                const uint32_t bucket = bucket_of(-(double)distance, (uint32_t)relative->dims[1],
                                                  graph_sees(node) != SEES_BEFORE);
                bias += ((const float *)relative->data)[bucket * relative->dims[0] + x->head[j]];
            }
            x->bias[j * KV_PAGE + p] = near ? bias + near_score(r, s, x, j, start + p) : bias;
        }
}

/* What queries see of a page, all before their window with it where the text's begin stands in it; false: nothing. */
static bool bound_page(struct queries *x, size_t n, uint32_t start, bool begin)
{
    bool any = false;
    for (size_t j = 0; j < n; j++) {
        uint32_t first = x->first[j] > start && !begin ? x->first[j] - start : 0,
                 end = x->last[j] + 1 > start ? x->last[j] + 1 - start : 0;
        x->lo[j] = (uint8_t)(first < KV_PAGE ? first : KV_PAGE);
        x->hi[j] = (uint8_t)(end < KV_PAGE ? end : KV_PAGE);
        any = any || x->lo[j] < x->hi[j];
    }
    return any;
}

/* Of a page, queries see only what was chosen for them; false: nothing was. */
static bool keep_chosen(const struct step *s, struct queries *x, size_t n, uint32_t start)
{
    const uint32_t span = (uint32_t)s->node->arg[ATTEND_ONLY_SPAN].number, n_only = s->in[ATTEND_IN_ONLY].size;
    bool any = false;
    for (size_t j = 0; j < n; j++) {
        const float *only = x->only[j];
        uint32_t at = x->next[j];
        bool seen = false;
        for (uint32_t p = x->lo[j]; p < x->hi[j]; p++) {
            const float wanted = (float)((start + p) / span);
            while (at < n_only && only[at] >= 0 && only[at] < wanted)
                at++;
            if (at < n_only && only[at] == wanted)
                seen = true;
            else
                x->bias[j * KV_PAGE + p] = -__builtin_inff();
        }
        x->next[j] = at;
        if (!seen)
            x->lo[j] = x->hi[j] = 0;
        any = any || seen;
    }
    return any;
}

/* Of a page, queries see the last of so many neighbours only; false: there is none. */
static bool keep_every(uint32_t every, struct queries *x, size_t n, uint32_t start)
{
    bool any = false;
    for (size_t j = 0; j < n; j++) {
        bool seen = false;
        for (uint32_t p = x->lo[j]; p < x->hi[j]; p++) {
            float *bias = &x->bias[j * KV_PAGE + p];
            *bias = (start + p + 1) % every ? -__builtin_inff() : *bias;
            seen = seen || *bias > -__builtin_inff();
        }
        if (!seen)
            x->lo[j] = x->hi[j] = 0;
        any = any || seen;
    }
    return any;
}

/* Of a page, queries see so many positions of the text's begin and those of their window; false: there is none. */
static bool keep_begin(uint32_t begin, struct queries *x, size_t n, uint32_t start)
{
    bool any = false;
    for (size_t j = 0; j < n; j++) {
        bool seen = false;
        for (uint32_t p = x->lo[j]; p < x->hi[j]; p++) {
            const bool kept = start + p < begin || start + p >= x->first[j];
            float *bias = &x->bias[j * KV_PAGE + p];
            *bias = kept ? *bias : -__builtin_inff();
            seen = seen || kept;
        }
        if (!seen)
            x->lo[j] = x->hi[j] = 0;
        any = any || seen;
    }
    return any;
}

bool sight_biased(const struct step *s, const struct queries *x)
{
    const struct node *n = s->node;
    return n->arg[ATTEND_ALIBI].number > 0 || n->arg[ATTEND_RELATIVE].weight || x->only[0] ||
           view_given(s->in[ATTEND_IN_NEAR]) || view_given(s->in[ATTEND_IN_NEAR_KEYS]) ||
           n->arg[ATTEND_EVERY].number > 1 || n->arg[ATTEND_BEGIN].number > 0;
}

bool sight_page(const struct run *r, const struct step *s, struct queries *x, size_t n, uint32_t start)
{
    const uint32_t every = (uint32_t)s->node->arg[ATTEND_EVERY].number,
                   begin = (uint32_t)s->node->arg[ATTEND_BEGIN].number;
    const bool begins = start < begin;
    if (!bound_page(x, n, start, begins))
        return false;
    if (sight_biased(s, x))
        bias_page(r, s, x, n, start);
    return (!x->only[0] || keep_chosen(s, x, n, start)) && (every == 1 || keep_every(every, x, n, start)) &&
           (!begins || keep_begin(begin, x, n, start));
}
