/* check.h - one call of a kernel at a level against the same call at `ref`: the same bits, nothing touched beside the
 * buffers, no signal. Each failure names kernel, level and shape. */
#ifndef TESTS_KERNELS_CHECK_H
#define TESTS_KERNELS_CHECK_H

#include "fill.h"
#include "guard.h"
#include "kernels/kernels.h"

/* ID_rmsnorm and so on: one for each kernel. */
enum kernel_id {
#define KERNEL(name, result, arguments) ID_##name,
#include "kernels/kernels.def"
#undef KERNEL
    N_KERNELS
};

/* A level and what it is held to. */
struct pair {
    const struct kernels *ref, *k;
};

struct output {
    void *p;
    size_t bytes;
};

/* Slots of guard.h: what a call's buffers are. */
enum { SLOT_Y, SLOT_X, SLOT_W, SLOT_B, SLOT_Q, SLOT_D, SLOT_DS, SLOT_SUMS, SLOT_SCRATCH, SLOT_M, SLOT_L, SLOT_O };

float *place_floats(int slot, const char *name, size_t n, enum side side);
struct q8 place_q8(size_t n, size_t k, enum side side);

/* Runs `call` once; false after a failure that was told: a signal, or a write beside a buffer. */
typedef void (*call_fn)(const struct kernels *k, void *arg);
bool check_run(const struct kernels *k, enum kernel_id id, call_fn call, void *arg, const char *what);
/* Runs it for both of the pair; outputs begin alike, with what stands in them. */
void check_call(const struct pair *p, enum kernel_id id, call_fn call, void *arg, const struct output *outputs,
                size_t n_outputs, const char *what);

void check_fail(const struct kernels *k, enum kernel_id id, const char *what, const char *why);
/* Failures so far, of which only the first few of a kernel and level are printed. */
int check_failures(void);
/* Every kernel whose calls were not checked since the last time is a failure of level k. */
void check_complete(const struct kernels *k);

/* The parts of check_kernels. */
void check_values(const struct pair *p);
void check_products(const struct pair *p);
void check_attention(const struct pair *p);
void check_scans(const struct pair *p);
void check_packs(const struct pair *p);

#endif
