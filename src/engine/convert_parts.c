/* convert_parts.c - tensors that a folder holds as one and GGUF files as two, as the GGUF lines of its definition say:
 * gate and up, and the keys and values of latent attention's heads. */
#include "base/error.h"
#include "base/log.h"
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
        if (span_same(line->from, stem) && line->to.n)
            return line->by.n || (line->words & ARCH_NUMBERS) ? line : NULL;
    return NULL;
}

const char *convert_architecture(struct conversion *c)
{
    const struct arch_line *line;
    for (size_t at = 0; c->folder && !c->keeps_names && (line = hf_next_line(c->folder, ARCH_GGUF, &at));)
        if ((line->words & ARCH_STATELESS) && span_is(line->from, c->model->architecture) &&
            !convert_first_of(c, ".ssm_in.weight") && !convert_first_of(c, "_exps.weight"))
            return arena_text(&c->arena, line->to.p, line->to.n);
    return c->model->architecture;
}

/* ---- factors ---- */

/* What "ssm.scales.1" ends in: the place in a list; 0: none is said. */
static uint64_t place_of(struct span *key)
{
    if (key->n < 3 || key->p[key->n - 2] != '.' || key->p[key->n - 1] < '0' || key->p[key->n - 1] > '9')
        return 0;
    key->n -= 2;
    return (uint64_t)(key->p[key->n + 1] - '0');
}

static double factor_of(const struct conversion *c, struct span key, uint64_t place)
{
    char name[256];
    double x = 1;
    snprintf(name, sizeof name, "%s.%.*s", c->model->architecture, (int)key.n, key.p);
    const struct gguf_value *v = gguf_find(c->file, name);
    return v && gguf_item_f64(v, place, &x) ? x : 1;
}

/* Where the table of tokens gives the scores too, it stays as it is. */
static bool multiplies(const struct conversion *c, const struct arch_line *line)
{
    const bool of_ends = span_is(line->from, "token_embd") || span_is(line->from, "output");
    return line->to.n == 0 && line->by.n && !c->keeps_names && (!of_ends || gguf_find_tensor(c->file, "output.weight"));
}

static void find_factor(const struct conversion *c, struct convert_part *part, struct span stem, struct span suffix)
{
    const struct arch_line *line;
    const struct span whole = {stem.p, stem.n + suffix.n};
    part->factor = 1;
    for (size_t at = 0; c->folder && (line = hf_next_line(c->folder, ARCH_GGUF, &at));) {
        struct span key = line->by;
        if (!multiplies(c, line) || !span_same(line->from, span_is(suffix, ".weight") ? stem : whole))
            continue;
        part->by_section = part->by_section || span_is(key, "ssm.multipliers");
        if (!span_is(key, "ssm.multipliers"))
            part->factor *= (float)factor_of(c, key, place_of(&key));
    }
}

float convert_factor(const struct conversion *c, const struct convert_part *part, uint64_t row)
{
    if (!part->by_section)
        return part->factor;
    const uint64_t inner = convert_number(c, "ssm.inner_size"),
                   both = convert_number(c, "ssm.group_count") * convert_number(c, "ssm.state_size");
    const uint64_t ends[] = {inner, 2 * inner, 2 * inner + both, 2 * inner + 2 * both}; /* gate, x, B, C; steps */
    uint64_t section = 0;
    while (section < 4 && row >= ends[section])
        section++;
    return part->factor * (float)factor_of(c, span_of("ssm.multipliers"), section);
}

bool convert_is_factor(const struct conversion *c, struct span key)
{
    const size_t n = strlen(c->model->architecture) + 1;
    const struct arch_line *line;
    for (size_t at = 0; c->folder && key.n > n && (line = hf_next_line(c->folder, ARCH_GGUF, &at));) {
        struct span by = line->by;
        if (!multiplies(c, line))
            continue;
        place_of(&by);
        if (span_same(by, (struct span){key.p + n, key.n - n}))
            return true;
    }
    return false;
}

/* ---- what other programs have no way to read ---- */

/* Is it the first line about its key? */
static bool holds(const struct hf_model *folder, const struct arch_line *line)
{
    const struct arch_line *other;
    for (size_t at = 0; (other = hf_next_line(folder, ARCH_GGUF, &at)) && other != line;)
        if (span_same(other->from, line->from))
            return false;
    return true;
}

void convert_warn(const struct conversion *c)
{
    char key[256];
    const struct arch_line *line;
    double x = 0;
    if (!c->model->tokenizer)
        log_say(ANDIRON_LOG_WARN, "%s: there is no tokenizer, so the file takes token ids only", gguf_path(c->file));
    for (size_t at = 0; c->folder && (line = hf_next_line(c->folder, ARCH_GGUF, &at));) {
        snprintf(key, sizeof key, "%s.%.*s", c->model->architecture, (int)line->from.n, line->from.p);
        const struct gguf_value *v = line->to.n || line->by.n ? NULL : gguf_find(c->file, key);
        if (v && holds(c->folder, line) && !(gguf_item_f64(v, 0, &x) && x == line->number))
            log_say(ANDIRON_LOG_WARN,
                    "%s: llama.cpp does not read %s; it will answer otherwise than andiron with this file",
                    gguf_path(c->file), key);
    }
}

/* ---- numbers of layers ---- */

void convert_put_numbers(struct conversion *c)
{
    float numbers[CONVERT_MAX_LAYERS];
    char name[256];
    const struct arch_line *line;
    for (size_t at = 0; c->folder && !c->keeps_names && (line = hf_next_line(c->folder, ARCH_GGUF, &at));) {
        size_t n = 0;
        for (bool more = (line->words & ARCH_NUMBERS) != 0; more && n < CONVERT_MAX_LAYERS; n += more) {
            snprintf(name, sizeof name, "blk.%zu.%.*s", n, (int)line->from.n, line->from.p);
            const struct gguf_tensor *t = gguf_find_tensor(c->file, name);
            more = t && t->type == TYPE_F32 && t->n_bytes == sizeof *numbers;
            if (more)
                memcpy(&numbers[n], t->data, sizeof *numbers);
        }
        snprintf(name, sizeof name, "%.*s", (int)line->to.n, line->to.p);
        if (n)
            gguf_put_array(&c->values, name, GGUF_F32, numbers, n, sizeof *numbers);
    }
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
    parts[0] = (struct convert_part){parts->from, slab, 0, keys, true, 1, false};
    parts[1] = (struct convert_part){parts->from, slab, keys, values, false, 1, false};
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
    parts[0] = (struct convert_part){parts->from, slab, 0, slab / 2, false, 1, false};
    parts[1] = (struct convert_part){parts->from, slab, slab / 2, slab / 2, false, 1, false};
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
    *parts = (struct convert_part){.from = from, .factor = 1};
    const struct span stem = stem_of(t->name, &before, &suffix);
    const struct arch_line *line = c->keeps_names ? NULL : line_for(c->folder, stem);
    if (line && (line->words & ARCH_NUMBERS))
        return ANDIRON_OK;
    find_factor(c, parts, stem, suffix);
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

bool convert_latent_halves(const struct gguf *file, const struct hf_model *folder)
{
    char key[256];
    struct span style;
    snprintf(key, sizeof key, "%s.rope.style", folder->architecture);
    const struct arch_line *line = line_for(folder, span_of("attn_kv_b"));
    return line && gguf_find_tensor(file, "blk.0.attn_kv_b.weight") && gguf_get_text(file, key, &style) &&
           span_is(style, "halves") && !(folder->folder.words & ARCH_HALVES);
}
