/* check_pack.c - numbers as K-quants: superblocks of every kind of number. */
#include "check.h"
#include "kernels/pack.h"
#include <stdio.h>

struct packing {
    const float *x;
    uint8_t *out;
    size_t n;
};

#define PACK(name)                                              \
    static void call_##name(const struct kernels *k, void *arg) \
    {                                                           \
        const struct packing *p = arg;                          \
        k->name(p->out, p->x, p->n);                            \
    }
PACK(pack_q2_k)
PACK(pack_q3_k)
PACK(pack_q4_k)
PACK(pack_q5_k)
PACK(pack_q6_k)

static const struct {
    enum kernel_id id;
    call_fn call;
    enum weight_type type;
} kinds[] = {
    {ID_pack_q2_k, call_pack_q2_k, TYPE_Q2_K}, {ID_pack_q3_k, call_pack_q3_k, TYPE_Q3_K},
    {ID_pack_q4_k, call_pack_q4_k, TYPE_Q4_K}, {ID_pack_q5_k, call_pack_q5_k, TYPE_Q5_K},
    {ID_pack_q6_k, call_pack_q6_k, TYPE_Q6_K},
};

/* Blocks of 16 of each size and place, with runs of one number and of zeros among them. */
static void fill_blocks(float *x, size_t n)
{
    static const float sizes[] = {1, 0.02f, 1e-6f, 1e-12f, 1e-38f, 65000, 0, -0.0f};
    fill_floats(x, n, RANDOM);
    for (size_t b = 0; b < n / 16; b++) {
        const float size = sizes[fill_below(8)], place = sizes[fill_below(8)], far = size + place > 65000 ? 0 : place;
        const size_t kind = fill_below(4);
        for (size_t i = 16 * b; i < 16 * b + 16; i++) {
            const float part = x[i] > 1 ? 1 : x[i] < -1 ? -1 : x[i];
            x[i] = kind == 0 ? far : kind == 1 ? size * part + far : kind == 2 ? size * part - far : size * part;
        }
    }
}

void check_packs(const struct pair *p)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        for (size_t n = 256; n <= 256 * 64; n *= 4)
            for (int side = 0; side < N_SIDES; side++) {
                char what[64];
                const size_t bytes = n / 256 * type_info(kinds[i].type)->block_bytes;
                float *x = place_floats(SLOT_X, "x", n, (enum side)side);
                struct packing packing = {.x = x, .out = guard_place(SLOT_Y, "out", bytes, (enum side)side), .n = n};
                const struct output out = {packing.out, bytes};
                fill_blocks(x, n);
                snprintf(what, sizeof what, "%zu numbers", n);
                check_call(p, kinds[i].id, kinds[i].call, &packing, &out, 1, what);
            }
}
