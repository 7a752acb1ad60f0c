/* program.h - a graph lowered to steps: what a plan runs. Internal to this room.
 *
 *     lower.c, lower_ops.c    nodes -> steps and tables, with what belongs together fused
 *     schedule.c              steps -> phases; tables -> memory
 *     rope.c                  frequencies of rotary positions
 *     rows.c, select.c        running steps that look at one row only
 *     products.c              running products with matrices, and with experts'
 *     attention.c, states.c   running attention; running steps that keep a state
 *     loops.c                 what lies between a carry and its keep: a program that runs row after row
 *     plan.c                  both programs of a graph, and running their phases on the pool
 *
 * A graph has two programs. The body computes what the caches need, for every row of a step; the head computes logits
 * from what the body leaves, for the rows that are asked for.
 *
 * What the head's products read is quantized in two parts: the second is what rounding took off the first. Nothing
 * after them evens out their error. The weights are still read once, but of the product that gives the scores: there
 * the first part meets all rows of the matrix, the second only those that the largest scores belong to
 * (docs/decisions/0006-second-part-of-the-head.md). */
#ifndef GRAPH_PROGRAM_H
#define GRAPH_PROGRAM_H

#include "graph/plan.h"

/* Memory that one step writes once, a row for each row of the run. */
struct table {
    uint32_t items;      /* numbers in a row; 0: only an order between steps */
    uint8_t parts;       /* f32: 0. Else a struct q8 that holds each row in so many rows, whose sum it is */
    bool wide;           /* that q8 is (struct q8) */
    bool kept;           /* read after the run */
    bool local;          /* written and read within one phase of rows: one row, in the thread's scratch */
    int32_t first, last; /* phases that write it, and read it last */
    size_t place;        /* bytes into the program's memory, or into the thread's scratch */
};

/* Some numbers of each row of an f32 table: `heads` runs of `size` numbers. */
struct view {
    int32_t table; /* -1: none, or a constant */
    uint32_t offset, size, heads, head_stride;
    const float *constant; /* the numbers of every row */
};
static inline bool view_given(struct view v) { return v.table >= 0 || v.constant; }
static inline uint32_t view_items(struct view v) { return v.size * v.heads; }

/* Rotary positions: pair i turns by (position - back) * frequency[i]. */
struct rope {
    uint32_t dims; /* numbers of a head that turn; 2 for each pair */
    bool halves;
    const float *frequency[2]; /* [dims / 2]; the second for contexts beyond original_context */
    float magnitude, back;
    double original_context;
    const struct node *node; /* whose arguments these are */
    struct view table;       /* cos [dims / 2], sin [dims / 2] */
};

enum step_op {
    /* one row at a time */
    STEP_EMBED,
    STEP_NGRAMS,
    STEP_RMSNORM,
    STEP_LAYERNORM,
    STEP_QUANTIZE,
    STEP_ACTIVATE,
    STEP_GATE,
    STEP_ADD,
    STEP_MUL,
    STEP_SHIFT,
    STEP_SCALE,
    STEP_DIV,
    STEP_CLAMP,
    STEP_SOFTCAP,
    STEP_L2NORM,
    STEP_SOFTMAX,
    STEP_SUM,
    STEP_NUMBERS,
    STEP_CONCAT,
    STEP_REPEAT,
    STEP_ARRANGE,
    STEP_SINCOS,
    STEP_TOP,
    STEP_PLACES,
    STEP_PICK,
    STEP_KEEP_GROUPS,
    STEP_MIX,
    STEP_ROPE_TABLE,
    STEP_ROPE,
    STEP_STORE,
    STEP_COPY,
    STEP_GATHER, /* a row of the program that this one is of */
    STEP_CARRY,
    STEP_LARGEST, /* which of its scores are refined */
    /* all rows */
    STEP_LINEAR,
    STEP_REFINE, /* adds the second part of activations to those scores */
    STEP_SORT,   /* which rows chose which expert: select.c */
    STEP_EXPERTS,
    STEP_HEAD_LINEAR,
    STEP_ATTEND,
    STEP_CHOOSE,
    /* the rows of each session in order: all from here on */
    STEP_PREVIOUS,
    STEP_PEAK,
    STEP_CONV,
    STEP_AROUND,
    STEP_GROUPNORM,
    STEP_FOURIER,
    STEP_SCAN,
    STEP_SELECTIVE_SCAN,
    STEP_LOOP,
    N_STEP_OPS
};
enum phase_kind {
    PHASE_ROWS = 0,
    PHASE_LINEAR,
    PHASE_REFINE,
    PHASE_SORT,
    PHASE_EXPERTS,
    PHASE_ATTEND,
    PHASE_CHOOSE,
    PHASE_STATE,
    PHASE_LOOP
};
enum { STEP_INPUTS = 7 };

/* Inputs of an ATTEND step; all but the queries and the cache may be none. NEAR: what queries have for distances. */
enum {
    ATTEND_IN_Q,
    ATTEND_IN_CACHE,
    ATTEND_IN_ONLY,
    ATTEND_IN_NEAR,
    ATTEND_IN_OPEN,
    ATTEND_IN_NEAR_KEYS,
    ATTEND_IN_REACH
};

struct step {
    enum step_op op;
    enum activation function; /* ACTIVATE, GATE */
    int32_t phase;
    struct view in[STEP_INPUTS], out; /* QUANTIZE, LINEAR, REFINE: a quantized table's view has offset 0 */
    const struct weight *weight, *bias;
    const struct rope *rope;
    const struct node *node; /* ATTEND, STORE: its cache and numbers; EMBED: what picks */
    const float *turned;     /* CONV, SELECTIVE_SCAN: the weight's numbers with the rows' dimension fastest */
    float number;
    uint32_t n_matrices;    /* SORT, EXPERTS, HEAD_LINEAR: of the weight */
    uint32_t n_places;      /* EXPERTS: results in a row */
    bool each;              /* EXPERTS: an input for each of them, not one for all */
    uint8_t parts;          /* LINEAR: those of its input that it reads */
    struct loop *loop;      /* LOOP */
    uint32_t slab, n_slabs; /* products: rows of a chunk, chunks of a matrix; set for each run */
};

struct phase {
    enum phase_kind kind;
    uint32_t first, n; /* steps */
};

struct program {
    struct step *steps;
    struct table *tables;
    struct phase *phases;
    size_t n_steps, n_tables, n_phases, step_capacity, table_capacity;
    const struct program *of; /* whose rows `which` says; NULL: its rows are the batch's */
    struct view output;       /* head: the logits; of a loop: what it gives */
    size_t max_rows;
    size_t bytes;       /* of all tables */
    size_t local_bytes; /* of a thread's local rows */
    char *memory;       /* taken by plan_open */
    uint32_t *n_chunks; /* [n_phases] */
};

/* What lies between a carry and its keep: of each session one row after another, of several sessions together. */
struct loop {
    struct program program;
    struct view kept;
    size_t state; /* where the carry's numbers stand in a session's */
};

/* Lower the parts of `g` to the programs of `p`. Everything is in its arena. */
andiron_status lower_graph(const struct graph *g, const struct kernels *kernels, struct plan *p, andiron_error *error);
/* Sort steps into phases and give tables their places. */
andiron_status schedule_program(struct program *p, struct arena *arena, andiron_error *error);
/* Fill a rope's frequencies and magnitude from its node. */
andiron_status rope_init(struct rope *out, const struct node *node, struct arena *arena, andiron_error *error);
/* cos and sin of one position, [dims / 2] each. */
void rope_angles(const struct rope *r, uint32_t position, uint32_t n_ctx, float *cos, float *sin);

enum phase_kind step_kind(enum step_op op);
const char *step_name(enum step_op op);
/* Bytes of a table of n rows. */
size_t table_bytes(const struct table *t, size_t n);

/* ---- running ---- */

struct plan {
    const struct graph *graph;
    const struct kernels *kernels;
    struct pool *pool;
    struct arena arena; /* programs */
    struct program source, body, head;
    struct loop *loops;
    size_t n_loops;
    uint32_t *turn;                                 /* [max_rows] a loop's rows in its program's */
    char *scratch;                                  /* scratch_bytes for each thread, then what a run needs to know */
    size_t scratch_bytes, local_at, sums_at, bytes; /* of a thread: products and attention, local rows, sums of parts */
    /* the step at hand */
    const struct batch_row *rows;
    size_t n_rows;
    const uint32_t *which;     /* head, loops: rows in the program that they are of */
    struct tile *tiles;        /* [max_rows] of attention */
    size_t n_tiles, tile_most; /* tile_most: rows of a tile */
    struct tile *runs;         /* [max_rows] all rows of each session */
    size_t n_runs;
};

/* Neighbouring rows of one session. */
struct tile {
    uint32_t first, n;
    uint32_t last; /* position of the session's last row in this step */
};
enum { MAX_SLAB = 256 };    /* rows of a weight matrix in a chunk of work, at most */
enum { CHUNKS_EACH = 8 };   /* chunks of a phase for each thread, about */
enum { TILE_QUERIES = 64 }; /* queries that attention takes at once */

/* One program's run. */
struct run {
    struct plan *plan;
    const struct program *program;
    size_t n;
    size_t first_phase; /* of those that are running */
};

/* Row `row` of a view; thread's own where the table is local. */
float *run_row(const struct run *r, struct view v, size_t row, int thread);
/* Rows [at, ...) of a q8 whose rows have k numbers. */
static inline struct q8 q8_row(struct q8 q, size_t at, size_t k)
{
    const size_t blocks = k / Q_BLOCK;
    return (struct q8){q.q + at * k, q.d + at * blocks, q.ds + at * blocks, q.sums + at * 2 * blocks};
}
struct q8 run_q8(const struct run *r, int32_t table);
void run_row_step(const struct run *r, const struct step *s, size_t row, int thread);
/* top, pick, keep_groups, mix. */
void run_selection(const struct run *r, const struct step *s, const float *a, const float *b, float *out);
/* Chunks of a phase, and running one of them. */
uint32_t products_count(const struct run *r, const struct phase *phase);
void products_run(const struct run *r, const struct phase *phase, uint32_t chunk, int thread);
uint32_t refine_count(const struct run *r, const struct step *s);
void refine_run(const struct run *r, const struct step *s, uint32_t chunk, int thread);
uint32_t experts_count(const struct run *r, const struct phase *phase);
void experts_run(const struct run *r, const struct phase *phase, uint32_t chunk, int thread);
void experts_sort(const struct run *r, const struct step *s);
/* Floats of a row of STEP_SORT's table, for n places in a row. */
static inline uint32_t sort_items(uint32_t n) { return 3 * n + 1; }
size_t products_scratch_bytes(const struct program *p);
uint32_t states_count(const struct run *r, const struct phase *phase);
void states_run(const struct run *r, const struct phase *phase, uint32_t chunk, int thread);
size_t states_scratch_bytes(const struct program *p);
/* Bytes of scratch that attention over this graph's heads takes. */
size_t attention_scratch_bytes(const struct graph *g);
/* Most rows of a tile, so that TILE_QUERIES suffice. */
size_t attention_tile_most(const struct graph *g);
/* Cut the rows at hand into tiles; call before the body runs. */
void attention_tile_rows(struct plan *p);
uint32_t attention_chunks(const struct run *r, const struct step *s);
void attention_run(const struct run *r, const struct step *s, uint32_t chunk, int thread);

/* loops.c, plan.c: one STEP_LOOP; phases [from, to) of a program. */
void loop_run(const struct run *r, const struct step *s);
void run_phases(const struct run *r, size_t from, size_t to);

/* choose.c */
size_t choose_scratch_bytes(const struct program *p);
void choose_run(const struct run *r, const struct step *s, size_t row, int thread);

#endif
