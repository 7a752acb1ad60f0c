/* convert_parts.c - tensors that a folder holds as one and GGUF files as two, as the GGUF lines of its definition say:
 * gate and up, and the keys and values of latent attention's heads. */
#include "base/error.h"
#include "engine/convert.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* What stands between "blk.3." and ".weight". */
static struct span stem_of(struct span name, struct span *before, struct span *suffix)
{
    const char *end = name.p + name.n, *at = name.n > 4 && !memcmp(name.p, "blk.", 4) ? name.p + 4 : name.p;
    const char *dot = at > name.p ? memchr(at, '.', (size_t)(end - at)) : NULL;
    if (dot)
        at = dot + 1;
    *before = (struct span){name.p, (size_t)(at - name.p)};
    *suffix = (struct span){end, 0};
    for (size_t i = 0; i < 2; i++) {
        const char *const suffixes[] = {".weight", ".bias"};
        if (span_ends(name, suffixes[i]))
            suffix->p = end - strlen(suffixes[i]);
    }
    suffix->n = (size_t)(end - suffix->p);
    return (struct span){at, (size_t)(suffix->p - at)};
}

static const struct arch_line *line_for(const struct hf_model *folder, struct span stem)
{
    const struct arch_line *line;
    for (size_t at = 0; (line = hf_next_line(folder, ARCH_GGUF, &at));)
        if (span_same(line->from, stem))
            return line->by.n ? line : NULL;
    return NULL;
}

/* [latent, heads * (keys + values)] as [keys, latent, heads] and [latent, values, heads]. */
static bool cut_heads(const struct conversion *c, struct gguf_tensor two[2], struct convert_part parts[2])
{
    const uint64_t latent = two->dims[0], size = convert_number(c, "attention.key_length_mla"),
                   turned = convert_number(c, "rope.dimension_count"),
                   values = convert_number(c, "attention.value_length_mla"), keys = size > turned ? size - turned : 0,
                   slab = keys + values;
    if (two->n_dims != 2 || !keys || !values || two->dims[1] % slab)
        return false;
    two[0].n_dims = two[1].n_dims = 3;
    two[0].dims[2] = two[1].dims[2] = two->dims[1] / slab;
    two[0].dims[0] = keys;
    two[0].dims[1] = latent;
    two[1].dims[1] = values;
    parts[0] = (struct convert_part){parts->from, slab, 0, keys, true};
    parts[1] = (struct convert_part){parts->from, slab, keys, values, false};
    return true;
}

/* Rows, of a bias its numbers, half by half. */
static bool cut_halves(bool is_bias, struct gguf_tensor two[2], struct convert_part parts[2])
{
    const int dim = is_bias ? 0 : 1;
    const uint64_t slab = two->dims[dim];
    if (slab % 2 || (!is_bias && two->n_dims < 2))
        return false;
    two[0].dims[dim] = two[1].dims[dim] = slab / 2;
    parts[0] = (struct convert_part){parts->from, slab, 0, slab / 2, false};
    parts[1] = (struct convert_part){parts->from, slab, slab / 2, slab / 2, false};
    return true;
}

/* One for all tokens is a plain one where there are no others. */
static void name_alone(const struct conversion *c, struct span *stem)
{
    if (span_ends(*stem, "_shexp") && !convert_first_of(c, "_exps.weight"))
        stem->n -= strlen("_shexp");
}

static bool name_part(struct conversion *c, struct gguf_tensor *t, struct span before, struct span stem,
                      struct span suffix)
{
    char name[256];
    name_alone(c, &stem);
    snprintf(name, sizeof name, "%.*s%.*s%.*s", (int)before.n, before.p, (int)stem.n, stem.p, (int)suffix.n, suffix.p);
    const char *kept = arena_text(&c->arena, name, strlen(name));
    t->name = kept ? span_of(kept) : t->name;
    return kept != NULL;
}

/* Adds tensor number `from` of the folder, or two in its place. */
static andiron_status add(struct conversion *c, size_t from, andiron_error *error)
{
    struct gguf_tensor *t = &c->tensors[c->n_tensors];
    struct convert_part *parts = &c->parts[c->n_tensors];
    struct span before, suffix;
    *t = *gguf_tensor_at(c->file, from);
    *parts = (struct convert_part){.from = from};
    const struct span stem = stem_of(t->name, &before, &suffix);
    const struct arch_line *line = c->keeps_names ? NULL : line_for(c->folder, stem);
    c->n_tensors++;
    if (!line)
        return c->keeps_names || name_part(c, t, before, stem, suffix) ? ANDIRON_OK
                                                                       : error_memory(error, stem.n, "a name");
    t[1] = *t;
    if (line->words & ARCH_HEADS_APART ? !cut_heads(c, t, parts) : !cut_halves(span_is(suffix, ".bias"), t, parts))
        return error_set(error, ANDIRON_E_FORMAT,
                         "%s: %.*s is not to be cut into %.*s and %.*s; its shape is [%" PRIu64 ", %" PRIu64 "]",
                         gguf_path(c->file), (int)t->name.n, t->name.p, (int)line->to.n, line->to.p, (int)line->by.n,
                         line->by.p, t->dims[1], t->dims[0]);
    c->n_tensors++;
    return name_part(c, &t[0], before, line->to, suffix) && name_part(c, &t[1], before, line->by, suffix)
               ? ANDIRON_OK
               : error_memory(error, t->name.n, "a tensor's name");
}

andiron_status convert_list(struct conversion *c, andiron_error *error)
{
    const size_t n = gguf_n_tensors(c->file), most = 2 * n + 1;
    andiron_status s = ANDIRON_OK;
    c->tensors = arena_alloc(&c->arena, most, sizeof *c->tensors);
    c->parts = arena_alloc(&c->arena, most, sizeof *c->parts);
    if (!c->tensors || !c->parts)
        return error_memory(error, most * sizeof *c->tensors, "the list of tensors");
    for (size_t i = 0; i < n && !s; i++)
        s = add(c, i, error);
    return s;
}

bool convert_keys_are_latent(const struct conversion *c)
{
    const struct gguf_tensor *t = convert_first_of(c, ".attn_kv_b.weight");
    struct span before, suffix;
    return t && !c->keeps_names && line_for(c->folder, stem_of(t->name, &before, &suffix));
}
