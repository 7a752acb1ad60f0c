/* plan.h - a graph made ready to run: fused, its memory laid out, its phases known; and the running itself.
 *
 * plan_open runs the passes (fuse, drop what nobody reads, split off the part after the last attend, which only rows
 * that want logits need), computes every buffer's place for a largest step, and takes that memory. Running a step
 * allocates nothing. */
#ifndef GRAPH_PLAN_H
#define GRAPH_PLAN_H

#include "base/threads.h"
#include "graph/graph.h"
#include "kernels/kernels.h"

/* Where a KV page (KV_PAGE positions, all caches of the graph) keeps what, for one kind of cache. Cache c, head h:
 *     keys    page + offset[c] + h * (key_bytes[c] + value_bytes[c])
 *     values  the same + key_bytes[c]                                  */
struct kv_layout {
    enum kv_type type;
    size_t page_bytes;                        /* multiple of 64 */
    size_t *offset, *key_bytes, *value_bytes; /* [n_caches] */
};
andiron_status kv_layout_init(struct kv_layout *out, const struct graph *g, enum kv_type type, struct arena *arena,
                              andiron_error *error);

/* One token of a step. Rows of one session stand together, in the order of their positions. */
struct batch_row {
    int32_t token;         /* in [0, n_vocab), checked by the caller */
    const int32_t *tokens; /* of the text, up to this one */
    uint32_t position;
    uint32_t n_ctx; /* of its session: chooses LongRoPE's factors */
    const struct kv_layout *layout;
    char *const *pages; /* the session's page table: position p lies in pages[p / KV_PAGE] */
    float *state;       /* the session's [graph's n_state], of the row before; anything at position 0 */
    uint32_t n_source;  /* tokens of the source, at least 1 where the graph reads one */
};

struct plan;

struct plan_options {
    size_t max_rows;      /* of a step */
    size_t max_head_rows; /* whose logits are computed at once */
};

/* `g`, `kernels` and `pool` are borrowed for the plan's life. Refuses with the figures when its memory is more than
 * `memory_bytes`. */
andiron_status plan_open(struct plan **out, const struct graph *g, const struct kernels *kernels, struct pool *pool,
                         const struct plan_options *options, size_t memory_bytes, andiron_error *error);
void plan_close(struct plan *p); /* NULL is fine */

/* Bytes a plan would take, without taking them. */
andiron_status plan_measure(const struct graph *g, const struct kernels *kernels, int n_threads,
                            const struct plan_options *options, size_t *bytes, andiron_error *error);

/* Compute the body of the step for `rows` [n_rows <= max_rows]: fills caches, keeps what the head needs. */
void plan_run(struct plan *p, const struct batch_row *rows, size_t n_rows);
/* Compute what attends that see the source need of it: the rows are a whole source. */
void plan_run_source(struct plan *p, const struct batch_row *rows, size_t n_rows);
/* Logits f32 [n][n_vocab] of some rows of the last plan_run, `which` [n <= max_head_rows]. Valid until the next call.
 */
const float *plan_head(struct plan *p, const uint32_t *which, size_t n);

/* Bytes of weights that one generated token reads. */
uint64_t plan_weight_bytes(const struct plan *p);
/* Print phases, fused ops, buffers and memory, for a person. */
bool plan_print(const struct plan *p, struct buffer *out);

#endif
