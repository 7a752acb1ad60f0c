/* hf_nested.c - bitsandbytes' 4 bits (Dettmers et al. 2023, QLoRA): items that stand for 16 numbers of a table, with
 * scales that may be items of another table themselves. */
#include "engine/hf_packed.h"
#include <string.h>

enum { ITEMS = 16, SCALES = 256 };

static bool is_floats(const struct safetensors_tensor *t, uint64_t n)
{
    return t && t->tensor.type == TYPE_F32 && t->tensor.n_bytes == 4 * n;
}

/* Do scales that are packed have all that they need? */
static bool scales_fit(struct packed *p, const json_t *state, uint64_t n)
{
    double offset = 0;
    if (!p->nested.scales)
        return true;
    json_at_f64(state, "nested_offset", &offset);
    p->nested.offset = (float)offset;
    return json_at_u64(state, "nested_blocksize", &p->nested.block) && p->nested.block >= 1 &&
           is_floats(p->nested.scales, (n + p->nested.block - 1) / p->nested.block) &&
           is_floats(p->nested.scale_map, SCALES);
}

/* A size of 1 or more. */
static bool size_at(const json_t *state, const char *path, uint64_t *out)
{
    return json_at_u64(state, path, out) && *out >= 1 && *out <= INT32_MAX;
}

static bool read_state(struct packed *p, const json_t *state)
{
    struct span type = {0};
    if (!size_at(state, "shape.0", &p->rows) || !size_at(state, "shape.1", &p->columns) ||
        !size_at(state, "blocksize", &p->group) || !json_at_text(state, "dtype", &type))
        return false;
    p->rounds = span_is(type, "bfloat16") ? TYPE_BF16 : span_is(type, "float16") ? TYPE_F16 : TYPE_F32;
    p->bits = 4;
    return p->columns % p->group == 0 && p->columns % 2 == 0 && p->items->tensor.n_bytes == p->rows * p->columns / 2 &&
           is_floats(p->nested.map, ITEMS) && scales_fit(p, state, p->rows * p->columns / p->group);
}

bool shape_nested(struct packed *p)
{
    json_t *state = NULL;
    andiron_error unsaid;
    if (!p->shape || p->shape->tensor.type != SAFETENSORS_U8)
        return false;
    const struct span text = {p->shape->tensor.data, p->shape->tensor.n_bytes};
    const bool fits = !json_read(&state, text, "quant_state", &json_config_limits, &unsaid) && read_state(p, state);
    json_decref(state);
    return fits;
}

static float at(const struct safetensors_tensor *t, uint64_t i)
{
    float x; /* the file need not be aligned */
    memcpy(&x, (const char *)t->tensor.data + 4 * i, sizeof x);
    return x;
}

float nested_scale(const struct packed *p, uint64_t i)
{
    const uint8_t item = ((const uint8_t *)p->scales->tensor.data)[i];
    const float scale = at(p->nested.scale_map, item) * at(p->nested.scales, i / p->nested.block);
    return scale + p->nested.offset;
}

/* The first of two items is the upper one. */
void items_nested(const struct packed *p, uint64_t r, float *q)
{
    const uint8_t *from = (const uint8_t *)p->items->tensor.data + r * (p->columns / 2);
    for (uint64_t i = 0; i < p->columns; i++)
        q[i] = at(p->nested.map, from[i / 2] >> (i % 2 ? 0 : 4) & 15);
}
