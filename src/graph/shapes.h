/* shapes.h - what each op asks of its arguments, and the shape it gives. Internal to this room. */
#ifndef GRAPH_SHAPES_H
#define GRAPH_SHAPES_H

#include "graph/graph.h"

/* Check every argument of `node`, which would be the next of `g`, and set its shape. Changes nothing else. */
andiron_status shapes_check(const struct graph *g, struct node *node, andiron_error *error);

/* "[64, 9]" into `out`; returns `out`. */
enum { SHAPE_TEXT = 56 };
char *shape_text(struct shape s, char out[SHAPE_TEXT]);

#endif
