/* attention.h - what a thread holds of a tile's queries, and what of the text they see, with which bias. */
#ifndef GRAPH_ATTENTION_H
#define GRAPH_ATTENTION_H
#include "graph/program.h"

/* What a thread needs for TILE_QUERIES queries. */
struct queries {
    float *q, *o, *m, *l;
    float *bias;            /* [n][KV_PAGE] */
    uint32_t *position;     /* of the query */
    float *slope;           /* ALiBi's */
    uint32_t *head;         /* of the query */
    uint32_t *first, *last; /* positions seen: [first, last] */
    const float **only;     /* spans of positions that were chosen, rising; -1: no more */
    uint32_t *next;         /* of them, for the page at hand */
    const float **near;     /* scores of distances */
    size_t first_row;       /* of the text in the step */
    uint8_t *lo, *hi;
    struct q8 qq;
};

/* The positions that a query at `position` sees, of a text, or a source, that ends with `end`. */
void sight_range(const struct node *attend, uint32_t position, uint32_t end, uint32_t *first, uint32_t *last);
/* The same where a row sees so many positions at most. */
void sight_reach(float reach, uint32_t position, uint32_t *first);
/* The first position that any of n queries sees. */
uint32_t sight_first(const struct node *attend, const struct queries *x, size_t n);
/* Does anything of the step's arguments make scores other than those of q . k? */
bool sight_biased(const struct step *s, const struct queries *x);
/* lo, hi and bias of n queries for the page of KV_PAGE positions that begins at start; false: none sees any of it. */
bool sight_page(const struct run *r, const struct step *s, struct queries *x, size_t n, uint32_t start);

#endif
