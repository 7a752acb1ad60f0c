/* kv_store.c - storing keys and values into the KV cache's pages. Compiled once a level: LEVEL names it. How a page is
 * laid out stands at kv_key_page_bytes. */
#include "kernels/overlays.h"
#include "kernels/v16.h"

/* Keys: positions 16 side by side, dimension after dimension. */
static void kv_store_f32(void *k_page, void *v_page, size_t slot, const float *k, const float *v, size_t hd_k,
                         size_t hd_v)
{
    float *to = (float *)k_page + slot / LANES * LANES * hd_k + slot % LANES;
    for (size_t i = 0; i < hd_k; i++)
        to[i * LANES] = k[i];
    memcpy((float *)v_page + slot * hd_v, v, hd_v * sizeof *v);
}

static void to_half(uint16_t *y, const float *x, size_t n)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        v16_to_half(y + i, v16_load(x + i));
    for (; i < n; i++)
        y[i] = half_of_float(x[i]);
}

static void kv_store_f16(void *k_page, void *v_page, size_t slot, const float *k, const float *v, size_t hd_k,
                         size_t hd_v)
{
    uint16_t *to = (uint16_t *)k_page + slot / LANES * LANES * hd_k + slot % LANES;
    for (size_t i = 0; i < hd_k; i += LANES) {
        uint16_t part[LANES];
        size_t n = hd_k - i < LANES ? hd_k - i : LANES;
        to_half(part, k + i, n);
        for (size_t j = 0; j < n; j++)
            to[(i + j) * LANES] = part[j];
    }
    to_half((uint16_t *)v_page + slot * hd_v, v, hd_v);
}

/* One block of up to 32 numbers to int8 with a half-precision scale; `step` between items. */
static uint16_t store_block(int8_t *q, size_t quad_step, const float *x, size_t n)
{
    uint32_t most = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits = bits_of_float(x[i]) & 0x7fffffff;
        most = bits > most ? bits : most;
    }
    float largest = float_of_bits(most);
    bool broken = most >= 0x7f800000;
    float by = broken || largest < 0x1p-100f ? 0.0f : 127.0f / largest;
    for (size_t i = 0; i < Q_BLOCK; i++) {
        float scaled = i < n && !broken ? x[i] * by : 0.0f;
        q[i / 4 * quad_step + i % 4] = (int8_t)(bits_of_float(scaled + 0x1.8p+23f) - 0x4b400000);
    }
    return broken ? 0x7e00 : half_of_float(largest / 127.0f);
}

static void kv_store_q8_0(void *k_page, void *v_page, size_t slot, const float *k, const float *v, size_t hd_k,
                          size_t hd_v)
{
    const size_t k32 = kv_blocks(hd_k) * Q_BLOCK, v32 = kv_blocks(hd_v) * Q_BLOCK, group = slot / LANES,
                 lane = slot % LANES;
    int8_t *kq = (int8_t *)k_page + group * LANES * k32 + lane * 4;
    uint16_t *kd = (uint16_t *)(void *)((int8_t *)k_page + KV_PAGE * k32) + group * LANES * (k32 / Q_BLOCK) + lane;
    int8_t *vq = (int8_t *)v_page + slot * v32;
    uint16_t *vd = (uint16_t *)(void *)((int8_t *)v_page + KV_PAGE * v32) + slot * (v32 / Q_BLOCK);
    for (size_t b = 0; b < k32 / Q_BLOCK; b++) {
        size_t n = hd_k - b * Q_BLOCK < Q_BLOCK ? hd_k - b * Q_BLOCK : Q_BLOCK;
        kd[b * LANES] = store_block(kq + b * Q_BLOCK * LANES, 4 * LANES, k + b * Q_BLOCK, n);
    }
    for (size_t b = 0; b < v32 / Q_BLOCK; b++) {
        size_t n = hd_v - b * Q_BLOCK < Q_BLOCK ? hd_v - b * Q_BLOCK : Q_BLOCK;
        vd[b] = store_block(vq + b * Q_BLOCK, 4, v + b * Q_BLOCK, n);
    }
}

void LEVELED(kv_store_overlay)(struct kernels *k)
{
    k->kv_store_f32 = kv_store_f32;
    k->kv_store_f16 = kv_store_f16;
    k->kv_store_q8_0 = kv_store_q8_0;
}
