/* rules.h - what the rules of ops share: looking at a node's arguments, saying no, giving a shape. Internal to shapes.c
 * and the files of rules. Arguments were checked by their kinds before a rule sees them. */
#ifndef GRAPH_RULES_H
#define GRAPH_RULES_H

#include "graph/graph.h"
#include "graph/shapes.h"

struct check {
    const struct graph *g;
    struct node *node; /* that would be the next of g */
    const struct op_info *info;
    andiron_error *error;
};
typedef andiron_status (*rule_fn)(struct check *c);
extern const rule_fn op_rules[OP_LIMIT]; /* NULL: elementwise, the shape of x */

/* Argument i. */
static inline double rule_number(const struct check *c, size_t i) { return c->node->arg[i].number; }
static inline const struct weight *rule_weight(const struct check *c, size_t i) { return c->node->arg[i].weight; }
static inline struct shape rule_shape(const struct check *c, size_t i)
{
    return c->g->nodes[c->node->arg[i].value].shape;
}
bool rule_is_count(double x, double least); /* a whole number of 32 bits */

andiron_status rule_refuse(const struct check *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* "expected EXPECTED, got" the tensor. */
andiron_status rule_refuse_weight(const struct check *c, const struct weight *w, const char *expected);
/* "expected NAME to be EXPECTED, got" the number. */
andiron_status rule_refuse_number(const struct check *c, size_t i, const char *expected);

/* The node's shape: [d0] or [d0, d1]. */
andiron_status rule_give(const struct check *c, uint32_t n_dims, uint64_t d0, uint64_t d1);
andiron_status rule_same(struct check *c); /* that of argument 0 */
/* Argument i is a vector of `n` float32, or left out. */
andiron_status rule_vector(const struct check *c, size_t i, uint64_t n);
enum rule { POSITIVE, NOT_NEGATIVE, COUNT };
/* n numbers: {argument, rule}. */
andiron_status rule_numbers(const struct check *c, size_t n, const uint8_t (*rules)[2]);

bool rule_gives_ids(enum op op);

/* Of rules_ids.c. */
andiron_status rules_remainder(struct check *c);
andiron_status rules_replace(struct check *c);
andiron_status rules_place_of(struct check *c);
andiron_status rules_embed(struct check *c);
andiron_status rules_ngrams(struct check *c);
/* Of rules_attend.c. */
andiron_status rules_rope(struct check *c);
andiron_status rules_attend(struct check *c);
andiron_status rules_choose(struct check *c);
/* Of rules_experts.c. */
andiron_status rules_top(struct check *c);
andiron_status rules_places(struct check *c);
andiron_status rules_pick(struct check *c);
andiron_status rules_keep_groups(struct check *c);
andiron_status rules_experts(struct check *c);
andiron_status rules_mix(struct check *c);
andiron_status rules_head_linear(struct check *c);
/* Of rules_state.c. */
andiron_status rules_carry(struct check *c);
andiron_status rules_keep(struct check *c);
/* Sets the loop that the node stands in; it may not look at other rows there. */
andiron_status rules_loop(struct check *c);
andiron_status rules_peak(struct check *c);
andiron_status rules_groupnorm(struct check *c);
andiron_status rules_fourier(struct check *c);
andiron_status rules_around(struct check *c);
andiron_status rules_conv(struct check *c);
andiron_status rules_scan(struct check *c);
andiron_status rules_selective_scan(struct check *c);

#endif
