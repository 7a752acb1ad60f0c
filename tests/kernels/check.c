/* check.c - see check.h. */
#include "check.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SAVED_BYTES = 4 << 20, PRINTED = 4 };

static const char *const names[N_KERNELS] = {
#define KERNEL(name, result, arguments) #name,
#include "kernels/kernels.def"
#undef KERNEL
};

static int n_failed;
static int printed[N_KERNELS];
static bool ran[N_KERNELS];
static char saved[3][SAVED_BYTES]; /* outputs before, by ref, by the level */

void check_fail(const struct kernels *k, enum kernel_id id, const char *what, const char *why)
{
    n_failed++;
    if (printed[id]++ < PRINTED)
        printf("%s: %s: %s: %s\n", k->cpu, names[id], what, why);
}

int check_failures(void) { return n_failed; }

void check_complete(const struct kernels *k)
{
    for (int id = 0; id < N_KERNELS; id++) {
        if (!ran[id])
            check_fail(k, (enum kernel_id)id, "any shape", "was not tested");
        ran[id] = false;
        printed[id] = 0;
    }
}

float *place_floats(int slot, const char *name, size_t n, enum side side)
{
    return guard_place(slot, name, n * sizeof(float), side);
}

struct q8 place_q8(size_t n, size_t k, enum side side)
{
    return (struct q8){guard_place(SLOT_Q, "q", n * k, side), place_floats(SLOT_D, "d", n * (k / Q_BLOCK), side),
                       place_floats(SLOT_DS, "ds", n * (k / Q_BLOCK), side),
                       guard_place(SLOT_SUMS, "sums", n * (k / 16) * sizeof(int16_t), side)};
}

/* Between outputs and a copy of them, one after the other. */
static size_t copy(char *copied, const struct output *outputs, size_t n, bool back)
{
    size_t at = 0;
    for (size_t i = 0; i < n; at += outputs[i++].bytes) {
        if (at + outputs[i].bytes > SAVED_BYTES)
            abort();
        if (back)
            memcpy(outputs[i].p, copied + at, outputs[i].bytes);
        else
            memcpy(copied + at, outputs[i].p, outputs[i].bytes);
    }
    return at;
}

struct bound_call {
    call_fn call;
    const struct kernels *k;
    void *arg;
};

static void run_bound(void *arg)
{
    const struct bound_call *b = arg;
    b->call(b->k, b->arg);
}

bool check_run(const struct kernels *k, enum kernel_id id, call_fn call, void *arg, const char *what)
{
    char why[160];
    struct bound_call bound = {call, k, arg};
    if (!guard_call(run_bound, &bound, why)) {
        check_fail(k, id, what, why);
        return false;
    }
    const char *beside = guard_intact();
    if (beside) {
        snprintf(why, sizeof why, "wrote beside its buffer \"%s\"", beside);
        check_fail(k, id, what, why);
    }
    return !beside;
}

void check_call(const struct pair *p, enum kernel_id id, call_fn call, void *arg, const struct output *outputs,
                size_t n_outputs, const char *what)
{
    ran[id] = true;
    const size_t bytes = copy(saved[0], outputs, n_outputs, false);
    if (!check_run(p->ref, id, call, arg, what))
        return;
    copy(saved[1], outputs, n_outputs, false);
    copy(saved[0], outputs, n_outputs, true);
    if (!check_run(p->k, id, call, arg, what))
        return;
    copy(saved[2], outputs, n_outputs, false);
    if (!memcmp(saved[1], saved[2], bytes))
        return;
    size_t at = 0;
    char why[64];
    while (saved[1][at] == saved[2][at])
        at++;
    snprintf(why, sizeof why, "differs from ref at byte %zu of %zu", at, bytes);
    check_fail(p->k, id, what, why);
}
