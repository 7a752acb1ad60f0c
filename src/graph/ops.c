/* ops.c - the table of ops, made from ops.def. */
#include "graph/graph.h"

const struct op_info op_infos[OP_LIMIT] = {
#define OP(name, doc, ...) [OP_##name] = {#name, doc, {__VA_ARGS__}},
#include "graph/ops.def"
#undef OP
};

const struct op_info *op_find(struct span name)
{
    for (size_t i = 0; i < OP_LIMIT; i++)
        if (span_is(name, op_infos[i].name))
            return &op_infos[i];
    return NULL;
}
