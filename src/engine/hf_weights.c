/* hf_weights.c - Hugging Face's dialect of a model: tensors by their names here. */
#include "base/checked.h"
#include "base/error.h"
#include "base/types.h"
#include "engine/hf_internal.h"
#include "kernels/half.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { ROWS_MOVE = ARCH_HEADS_IN_TURN | ARCH_PAIRS_IN_TURN | ARCH_WITHOUT_TWO_ROWS }; /* each as it is */
enum { EXTRA = 3 + 2 * HF_DENSE_PARTS };                                              /* tensors that may be added */

static bool drop_prefix(struct span *s, const char *prefix)
{
    const size_t n = strlen(prefix);
    if (s->n < n || memcmp(s->p, prefix, n))
        return false;
    *s = (struct span){s->p + n, s->n - n};
    return true;
}

static bool drop_suffix(struct span *s, const char *suffix)
{
    if (!span_ends(*s, suffix))
        return false;
    s->n -= strlen(suffix);
    return true;
}

/* A number at the start of s, as it is written: no 0 in front. */
static bool drop_number(struct span *s, uint32_t *out)
{
    size_t n = 0;
    for (*out = 0; n < s->n && n < 5 && s->p[n] >= '0' && s->p[n] <= '9'; n++)
        *out = *out * 10 + (uint32_t)(s->p[n] - '0');
    if (n == 0 || (n > 1 && s->p[0] == '0'))
        return false;
    *s = (struct span){s->p + n, s->n - n};
    return true;
}

/* Is `name` what a line says, "*" being a number? Then *number is it. */
static bool fits(struct span pattern, struct span name, int32_t *number)
{
    const char *star = pattern.n ? memchr(pattern.p, '*', pattern.n) : NULL;
    uint32_t found;
    const bool same = span_same(name, pattern);
    if (!star || same)
        return same;
    const size_t before = (size_t)(star - pattern.p);
    if (name.n < before || memcmp(name.p, pattern.p, before))
        return false;
    name = (struct span){name.p + before, name.n - before};
    if (!drop_number(&name, &found) || !span_same(name, (struct span){star + 1, pattern.n - before - 1}))
        return false;
    *number = (int32_t)found;
    return true;
}

/* Take off what stands in front of a tensor's name, or of one within a layer; true: the number of a layer is next. */
static bool drop_prefixes(const struct hf_model *m, struct span *name, bool in_layer)
{
    const struct arch_line *line;
    for (size_t at = 0; (line = hf_next_line(m, ARCH_PREFIX, &at));)
        if (!(in_layer && line->to.n) && name->n > line->from.n && !memcmp(name->p, line->from.p, line->from.n)) {
            *name = (struct span){name->p + line->from.n, name->n - line->from.n};
            if (line->to.n)
                return true;
            at = 0;
        }
    return false;
}

struct place {
    char name[HF_NAME_BYTES]; /* here; "": the tensor is left out */
    int32_t part;             /* -1, or which expert's, or head's, part of the tensor it is */
    unsigned how;             /* ARCH_TRANSPOSED, ... */
};

/* The line that tells of a tensor, or of one within a layer; first of all one that says of which part it is, and one
 * that has a whole name for what it ends in: then *suffix becomes "". */
static const struct arch_line *find_line(const struct hf_model *m, enum arch_verb verb, const char *part,
                                         struct span name, const char **suffix, struct place *out)
{
    char whole[HF_NAME_BYTES];
    const size_t n_part = strlen(part), n_suffix = strlen(*suffix), n = n_part + name.n + n_suffix;
    const struct arch_line *line;
    if (n >= HF_NAME_BYTES)
        return NULL;
    snprintf(whole, sizeof whole, "%s%.*s%s", part, (int)name.n, name.p, *suffix);
    for (size_t form = 0; form < 4; form++) { /* with its part and suffix, without the suffix, without the part, ... */
        const size_t from = form & 2 ? n_part : 0, end = form & 1 ? n - n_suffix : n;
        if ((form & 2 && n_part == 0) || (form & 1 && n_suffix == 0))
            continue;
        for (size_t at = 0; (line = hf_next_line(m, verb, &at));)
            if (fits(line->from, (struct span){whole + from, end - from}, &out->part)) {
                *suffix = form & 1 ? *suffix : "";
                out->how = line->words;
                return line;
            }
    }
    return NULL;
}

/* Is it one of the layers after the last that guess further tokens? */
static bool guesses(const struct hf_model *m, uint32_t layer)
{
    uint64_t n, more;
    return json_at_u64(m->config, "num_nextn_predict_layers", &more) &&
           json_at_u64(m->config, "num_hidden_layers", &n) && layer >= n && layer - n < more;
}

/* The part of a model with a source that a name begins with. */
static const char *drop_part(const struct hf_model *m, struct span *name)
{
    static const char *const parts[] = {"encoder.", "decoder."};
    if (m->folder.words & ARCH_SOURCE)
        drop_prefix(name, "model.");
    for (size_t i = 0; i < 2; i++)
        if ((m->folder.words & ARCH_SOURCE) && drop_prefix(name, parts[i]))
            return parts[i];
    return "";
}

/* The line that tells of a tensor. Within a layer, where none has its whole name, prefixes are taken off first. */
static const struct arch_line *line_of(const struct hf_model *m, bool in_layer, const char *part, struct span name,
                                       const char **suffix, struct place *out)
{
    const enum arch_verb verb = in_layer ? ARCH_LAYER : ARCH_TENSOR;
    const struct arch_line *line = find_line(m, verb, part, name, suffix, out);
    if (line || !in_layer)
        return line;
    drop_prefixes(m, &name, true);
    return find_line(m, verb, part, name, suffix, out);
}

/* The name here; a "*" in it has the number that the folder's name has, which then is no part's. */
static bool write_name(struct place *out, const char *before, struct span to, const char *suffix)
{
    const char *star = memchr(to.p, '*', to.n);
    const size_t n_first = star ? (size_t)(star - to.p) : to.n;
    char number[16] = "";
    if (star) {
        snprintf(number, sizeof number, "%" PRId32, out->part);
        out->part = -1;
    }
    const int n = snprintf(out->name, HF_NAME_BYTES, "%s%.*s%s%.*s%s", before, (int)n_first, to.p, number,
                           star ? (int)(to.n - n_first - 1) : 0, star ? star + 1 : "", suffix);
    return n > 0 && n < HF_NAME_BYTES;
}

/* What a tensor's name ends in here, taken off; TensorFlow's words for the same stand in some folders of BERT. */
static const char *take_suffix(struct span *name)
{
    const bool of_norm = span_ends(*name, "LayerNorm.gamma") || span_ends(*name, "LayerNorm.beta");
    if (drop_suffix(name, ".weight") || (of_norm && drop_suffix(name, ".gamma")))
        return ".weight";
    return drop_suffix(name, ".bias") || (of_norm && drop_suffix(name, ".beta")) ? ".bias" : "";
}

/* What an encoder's scores of tokens are made of. */
static bool is_of_head(const char *name) { return !strncmp(name, "output.", 7) || !strncmp(name, "output_dense", 12); }

/* The place here of "model.layers.3.self_attn.q_proj.weight". Names that end otherwise have a whole name here. */
static bool place_here(struct hf_model *m, struct span name, struct place *out)
{
    const char *suffix = take_suffix(&name), *part = drop_part(m, &name);
    char before[32] = "";
    uint32_t layer;
    bool guessing = false;
    *out = (struct place){.part = -1};
    const bool in_layer = drop_prefixes(m, &name, false);
    if (in_layer && !drop_number(&name, &layer)) { /* of all layers: esm's "layer.*.attention..." */
        const struct arch_line *none = line_of(m, false, part, name, &suffix, out);
        return none && none->to.n == 0;
    }
    if (in_layer) {
        if (!drop_prefix(&name, "."))
            return false;
        m->n_layers = layer >= m->n_layers ? layer + 1 : m->n_layers;
        guessing = guesses(m, layer);
        snprintf(before, sizeof before, "%.3s%sblk.%u.", part, *part ? "." : "", layer);
    } else if (*part) {
        snprintf(before, sizeof before, "%.3s.", part);
    }
    const struct arch_line *line = guessing ? NULL : line_of(m, in_layer, part, name, &suffix, out);
    if (!line || line->to.n == 0)
        return line || guessing;
    const bool fits_here = write_name(out, before, line->to, suffix);
    if (m->vectors && is_of_head(out->name))
        out->name[0] = 0;
    return fits_here;
}

bool hf_matrix_here(struct hf_model *m, struct span name, char out[HF_NAME_BYTES])
{
    struct place place;
    if (!place_here(m, name, &place) || !place.name[0] || place.part >= 0 || (place.how & ~(unsigned)ARCH_TRANSPOSED))
        return false;
    snprintf(out, HF_NAME_BYTES, "%s", place.name);
    return true;
}

struct gguf_tensor *hf_add_tensor(struct hf_model *m, const char *name)
{
    const char *kept = m->n_tensors < m->capacity ? arena_text(&m->arena, name, strlen(name)) : NULL;
    if (!kept)
        return NULL;
    m->tensors[m->n_tensors].name = span_of(kept);
    return &m->tensors[m->n_tensors++];
}

float *hf_add_vector(struct hf_model *m, const char *name, size_t n)
{
    float *data = arena_alloc(&m->arena, n, sizeof *data);
    struct gguf_tensor *t = data ? hf_add_tensor(m, name) : NULL;
    if (!t)
        return NULL;
    *t = (struct gguf_tensor){.name = t->name,
                              .type = TYPE_F32,
                              .n_dims = 1,
                              .dims = {n, 1, 1, 1},
                              .data = data,
                              .n_bytes = n * sizeof *data};
    return data;
}

float hf_number(const struct gguf_tensor *t, size_t i)
{
    uint16_t half;
    float x;
    if (t->type == TYPE_F32) {
        memcpy(&x, (const char *)t->data + 4 * i, sizeof x);
        return x;
    }
    memcpy(&half, (const char *)t->data + 2 * i, sizeof half);
    return t->type == TYPE_F16 ? half_to_float(half) : bf16_to_float(half);
}

static andiron_status take_vector(struct hf_model *m, const char *name, const struct gguf_tensor *from,
                                  andiron_error *error)
{
    const bool more = (m->folder.words & ARCH_NORMS_LESS_ONE) && strstr(name, "norm") && !strstr(name, "ssm_norm") &&
                      span_ends(span_of(name), ".weight");
    float *to = hf_add_vector(m, name, from->dims[0]);
    if (!to)
        return error_memory(error, from->dims[0] * sizeof *to, "a vector of the model");
    for (size_t i = 0; i < from->dims[0]; i++)
        to[i] = hf_number(from, i) + (more ? 1.0f : 0.0f);
    return ANDIRON_OK;
}

/* The tensor of all experts, whose first part is `from`: matrices of layers stay where they are, others come together.
 */
static andiron_status begin_experts(struct hf_model *m, const char *name, const struct gguf_tensor *from, uint64_t n,
                                    andiron_error *error)
{
    if (n > hf_n_tensors(m->dir))
        return error_set(error, ANDIRON_E_FORMAT,
                         "%s: config.json says that there are %" PRIu64 " experts, but the folder has only %zu tensors",
                         hf_path(m->dir), n, hf_n_tensors(m->dir));
    const bool apart = from->n_dims == 2 && strstr(name, "blk."); /* what no op but `experts` reads */
    struct gguf_tensor *to = hf_add_tensor(m, name);
    uint64_t bytes = 0;
    const bool fits = to && checked_mul(from->n_bytes, n, &bytes);
    void *room = fits ? arena_alloc(&m->arena, n, apart ? sizeof(void *) : from->n_bytes) : NULL;
    if (!room)
        return error_memory(error, bytes, "the experts of a model");
    *to = (struct gguf_tensor){.name = to->name,
                               .type = from->type,
                               .n_dims = from->n_dims + 1,
                               .n_bytes = bytes,
                               .dims = {from->dims[0], from->dims[1], 1, 1}};
    to->dims[from->n_dims] = n;
    to->parts = apart ? room : NULL;
    to->data = apart ? NULL : room;
    return ANDIRON_OK;
}

/* Tensors of the folder that become parts of this one. */
static uint64_t count_parts(struct hf_model *m, const char *name)
{
    struct place place;
    uint64_t n = 0;
    for (size_t i = 0; i < hf_n_tensors(m->dir); i++)
        n += place_here(m, hf_tensor_at(m->dir, i)->tensor.name, &place) && !strcmp(place.name, name);
    return n;
}

/* The number that config.json has for a key here, 0: none. */
static uint64_t number_for(const struct hf_model *m, const char *key)
{
    char path[HF_NAME_BYTES];
    const struct arch_line *line;
    uint64_t n = 0;
    for (size_t at = 0; n == 0 && (line = hf_next_line(m, ARCH_CONFIG, &at));)
        if (span_is(line->to, key) && line->by.n == 0 && hf_copy(path, line->from))
            json_at_u64(m->config, path, &n);
    return n;
}

/* What config.json says of a count, or the definition where it does not, or `usual`. */
static uint64_t said_or(const struct hf_model *m, const char *key, uint64_t usual)
{
    double x = 0;
    const uint64_t n = number_for(m, key);
    return n ? n : hf_said(m, key, &x) && x > 0 ? (uint64_t)x : usual;
}

/* How many parts are brought together in the tensor: matrices of experts, vectors of heads, or whatever the model has.
 */
static uint64_t n_parts(struct hf_model *m, const char *name, uint32_t *n_dims)
{
    uint64_t n = 0, n_kv = 0;
    const bool of_q = strstr(name, "attn_q_norm"), of_heads = of_q || strstr(name, "attn_k_norm");
    *n_dims = of_heads ? 1 : 2;
    if (!strstr(name, "blk."))
        return count_parts(m, name);
    return !of_heads ? m->n_experts_said : !hf_heads(m, &n, &n_kv) ? 0 : of_q ? n : n_kv;
}

static andiron_status wrong_part(const struct hf_model *m, struct span name, const char *why, andiron_error *error)
{
    return error_set(error, ANDIRON_E_FORMAT, "%s: the tensor \"%.*s\" %s", hf_path(m->dir),
                     (int)(name.n < 120 ? name.n : 120), name.p, why);
}

/* Part number `expert` of the tensor number `at` is t. */
static andiron_status put_part(struct hf_model *m, size_t at, uint32_t expert, const struct gguf_tensor *t,
                               andiron_error *error)
{
    const struct gguf_tensor *to = &m->tensors[at];
    const void **part = to->parts ? (const void **)(uintptr_t)&to->parts[expert] : NULL;
    if (to->type != t->type || to->dims[0] != t->dims[0] || (t->n_dims == 2 && to->dims[1] != t->dims[1]))
        return wrong_part(m, t->name, "differs from other parts' in type or shape", error);
    if (part && *part)
        return wrong_part(m, t->name, "stands there twice", error);
    if (part)
        *part = t->data;
    else
        memcpy((char *)(uintptr_t)to->data + expert * t->n_bytes, t->data, t->n_bytes);
    m->n_experts[at]++;
    return ANDIRON_OK;
}

static andiron_status take_expert(struct hf_model *m, const char *name, uint32_t expert,
                                  const struct safetensors_tensor *from, andiron_error *error)
{
    const struct gguf_tensor *t = &from->tensor;
    const struct span wanted = span_of(name);
    uint32_t n_dims;
    const uint64_t n = n_parts(m, name, &n_dims);
    size_t at = m->n_tensors;
    while (at > 0 && !span_same(m->tensors[at - 1].name, wanted))
        at--;
    andiron_status s = ANDIRON_OK;
    char why[120];
    snprintf(why, sizeof why, "is no %s, or not one of the %" PRIu64 " that config.json says there are",
             n_dims == 2 ? "matrix" : "vector", n);
    if (expert >= n && expert - n < said_or(m, "expert_zero_count", 0))
        return ANDIRON_OK; /* gives what it reads, whatever its weights */
    if (expert >= n || t->n_dims != n_dims)
        return wrong_part(m, t->name, why, error);
    if (at == 0) {
        s = begin_experts(m, name, t, n, error);
        at = m->n_tensors;
    }
    return s ? s : put_part(m, at - 1, expert, t, error);
}

static uint64_t parts_of(const struct gguf_tensor *t) { return t->n_dims == 2 ? t->dims[1] : t->dims[2]; }

static andiron_status check_experts(const struct hf_model *m, andiron_error *error)
{
    size_t n_short = 0, first = 0;
    for (size_t i = m->n_tensors; i-- > 0;)
        if (m->n_experts[i] && m->n_experts[i] != parts_of(&m->tensors[i])) {
            first = i;
            n_short++;
        }
    if (n_short == 0)
        return ANDIRON_OK;
    const struct gguf_tensor *t = &m->tensors[first];
    char others[64] = "";
    if (n_short > 1)
        snprintf(others, sizeof others, "; neither are %zu other tensors", n_short - 1);
    return error_set(error, ANDIRON_E_FORMAT,
                     "%s: %.*s is not whole: it has %u parts of the %" PRIu64 " that config.json says%s",
                     hf_path(m->dir), (int)t->name.n, t->name.p, m->n_experts[first], parts_of(t), others);
}

/* Of a model of parts: those for images and sounds. Of any: layers that guess further tokens. */
static bool left_out(const struct hf_model *m, struct span name)
{
    static const char *const starts[] = {"mtp.",
                                         "vision_model.",
                                         "vision_tower.",
                                         "multi_modal_projector.",
                                         "visual.",
                                         "audio_tower.",
                                         "embed_vision.",
                                         "embed_audio.",
                                         "connector.",
                                         "aligner.",
                                         "mm_projector.",
                                         "merger.",
                                         "image_newline",
                                         "vision_projector.",
                                         "image_tower.",
                                         "video_tower.",
                                         "projector.",
                                         "vision_projection.",
                                         "vision_encoder.",
                                         "visual_embeddings_table.",
                                         "high_res_vision_",
                                         "generation_",
                                         "vqmodel."};
    const size_t n = m->config != hf_config(m->dir) ? sizeof starts / sizeof *starts : 1;
    bool out = false;
    drop_prefix(&name, "model.");
    for (size_t i = 0; i < n; i++)
        out = out || drop_prefix(&name, starts[i]);
    return out;
}

/* The table of tokens under another of its names. */
static bool is_copy(const struct hf_model *m, struct span name)
{
    static const char *const names[] = {"model.shared.weight", "model.encoder.embed_tokens.weight",
                                        "model.decoder.embed_tokens.weight"};
    const bool whole = drop_prefix(&name, "model.");
    bool before = false;
    for (size_t i = 0; i < 3; i++) {
        const char *bare = names[i] + strlen("model.");
        if (span_is(name, bare))
            return before && (m->folder.words & ARCH_SOURCE);
        before = before || hf_find_tensor(m->dir, whole ? names[i] : bare);
    }
    return false;
}

/* The type of the tensor of this name, if it was begun. */
static uint32_t type_so_far(const struct hf_model *m, const char *name)
{
    const struct span wanted = span_of(name);
    for (size_t i = m->n_tensors; i > 0; i--)
        if (span_same(m->tensors[i - 1].name, wanted))
            return m->tensors[i - 1].type;
    return HF_TYPE_OF_SIBLINGS;
}

static bool runs_as_it_is(const struct safetensors_tensor *t)
{
    const uint32_t type = t->tensor.type;
    return (type == TYPE_F32 || type == TYPE_F16 || type == TYPE_BF16) && t->tensor.n_bytes > 0 && t->aligned;
}

static andiron_status check_runs(const struct hf_model *m, const struct safetensors_tensor *t, andiron_error *error)
{
    const struct span name = t->tensor.name;
    if (runs_as_it_is(t))
        return ANDIRON_OK;
    return error_set(error, ANDIRON_E_SUPPORT,
                     "%s: the tensor \"%.*s\" holds %.*s; expected F32, F16 or BF16, at least one number, aligned",
                     hf_path(m->dir), (int)(name.n < 120 ? name.n : 120), name.p,
                     (int)(t->dtype.n < 40 ? t->dtype.n : 40), t->dtype.p);
}

static andiron_status take_mapped(struct hf_model *m, const char *name, const struct gguf_tensor *t,
                                  andiron_error *error)
{
    if (t->n_dims == 1)
        return take_vector(m, name, t, error);
    struct gguf_tensor *to = hf_add_tensor(m, name);
    if (!to)
        return error_memory(error, strlen(name), "a tensor's name");
    const struct span kept = to->name;
    *to = *t;
    to->name = kept;
    return ANDIRON_OK;
}

andiron_status hf_take_plain(struct hf_model *m, const char *name, const struct safetensors_tensor *from,
                             andiron_error *error)
{
    const andiron_status s = check_runs(m, from, error);
    return s ? s : take_mapped(m, name, &from->tensor, error);
}

static andiron_status take_place(struct hf_model *m, const struct place *place, const struct safetensors_tensor *from,
                                 andiron_error *error)
{
    const struct gguf_tensor *t = &from->tensor;
    if (place->part >= 0)
        return take_expert(m, place->name, (uint32_t)place->part, from, error);
    if (place->how && !(t->n_dims == 1 && (place->how & ARCH_SQUEEZED))) /* a bias of what is squeezed */
        return hf_take_changed(m, place->name, place->how, t, error);
    return take_mapped(m, place->name, t, error);
}

/* Rows of all experts as a matrix for each. */
static andiron_status split_experts(const struct hf_model *m, struct gguf_tensor *t, andiron_error *error)
{
    const uint64_t n = m->n_experts_said;
    if (t->n_dims != 2 || n == 0 || t->dims[1] % n)
        return wrong_part(m, t->name, "has rows that are not those of all experts", error);
    t->dims[1] /= n;
    t->dims[2] = n;
    t->n_dims = 3;
    return ANDIRON_OK;
}

/* `from`: the tensor `source` of the folder as it would stand there unpacked. */
static andiron_status take_as(struct hf_model *m, const struct safetensors_tensor *source,
                              struct safetensors_tensor *from, andiron_error *error)
{
    struct place place;
    const struct gguf_tensor *t = &from->tensor;
    const int n = (int)(t->name.n < 120 ? t->name.n : 120);
    if (!place_here(m, t->name, &place))
        return error_set(error, ANDIRON_E_SUPPORT, "%s: the tensor \"%.*s\" is not known for a model of type %s",
                         hf_path(m->dir), n, t->name.p, m->folder.type);
    if (!place.name[0])
        return ANDIRON_OK;
    if (place.how & ARCH_WHOLE_NUMBERS)
        return hf_take_whole(m, place.name, t, error);
    andiron_status s = t->data == source->tensor.data ? check_runs(m, from, error) : ANDIRON_OK;
    if (!s && place.how & ARCH_OF_EXPERTS) {
        s = split_experts(m, &from->tensor, error);
        place.how &= ~(unsigned)ARCH_OF_EXPERTS;
    }
    if (s)
        return s;
    const uint32_t type = place.part >= 0                    ? type_so_far(m, place.name)
                          : place.how & ~(unsigned)ROWS_MOVE ? (uint32_t)TYPE_F32
                                                             : HF_NO_TYPE;
    s = hf_packed_fill(m, source, from, place.part < 0 && place.how, type, error);
    return s ? s : take_place(m, &place, from, error);
}

static andiron_status take(struct hf_model *m, const struct safetensors_tensor *from, andiron_error *error)
{
    char name[HF_NAME_BYTES];
    struct safetensors_tensor as;
    if (left_out(m, from->tensor.name) || is_copy(m, from->tensor.name) || hf_is_beside(m, from))
        return ANDIRON_OK;
    if (hf_is_shard(from->tensor.name))
        return hf_take_shard(m, from, error);
    const andiron_status s = hf_packed_look(m, from, &as, name, error);
    return s ? s : take_as(m, from, &as, error);
}

static const struct gguf_tensor *find_here(const struct hf_model *m, const char *name)
{
    const struct span wanted = span_of(name);
    for (size_t i = 0; i < m->n_tensors; i++)
        if (span_same(m->tensors[i].name, wanted))
            return &m->tensors[i];
    return NULL;
}

static void said_tied(const struct hf_model *m, bool *tied)
{
    if (!json_at_bool(hf_config(m->dir), "tie_word_embeddings", tied))
        json_at_bool(m->config, "tie_word_embeddings", tied);
}

/* A head of scores that is said to be the table of tokens, and is: it need not be here twice. */
static void drop_tied_head(struct hf_model *m)
{
    const struct gguf_tensor *head = find_here(m, "output.weight"), *table = find_here(m, "token_embd.weight");
    if (!m->tied || !head || !table || head->type != table->type || head->n_bytes != table->n_bytes ||
        memcmp(head->data, table->data, head->n_bytes) != 0)
        return;
    const size_t at = (size_t)(head - m->tensors), last = --m->n_tensors;
    m->tensors[at] = m->tensors[last];
    m->n_experts[at] = m->n_experts[last];
}

/* A head that has nothing of its own but a bias: with the table's numbers. */
static andiron_status share_table(struct hf_model *m, andiron_error *error)
{
    const struct gguf_tensor *table = find_here(m, "token_embd.weight");
    if (!table || !find_here(m, "output.bias") || find_here(m, "output.weight"))
        return ANDIRON_OK;
    const struct gguf_tensor copy = *table;
    struct gguf_tensor *head = hf_add_tensor(m, "output.weight");
    if (!head)
        return error_memory(error, sizeof *head, "a tensor's name");
    const struct span name = head->name;
    *head = copy;
    head->name = name;
    return ANDIRON_OK;
}

bool hf_scores_texts(const struct hf_model *m)
{
    return hf_find_tensor(m->dir, "score.weight") || hf_find_tensor(m->dir, "classifier.out_proj.weight");
}

/* A head of its own that is not there would else be taken for a tied one. */
static andiron_status check_head(const struct hf_model *m, andiron_error *error)
{
    bool tied = true;
    said_tied(m, &tied);
    if (tied || m->n_tensors == 0 || (m->folder.words & (ARCH_ENCODER | ARCH_SOURCE)) || hf_scores_texts(m) ||
        find_here(m, "output.weight"))
        return ANDIRON_OK;
    return error_set(error, ANDIRON_E_FORMAT, "%s: tie_word_embeddings is false, but there is no tensor lm_head.weight",
                     hf_path(m->dir));
}

/* What config.json says of the table of tokens, which all else is measured by. */
static andiron_status check_table(const struct hf_model *m, andiron_error *error)
{
    const uint64_t narrow = number_for(m, "token_embd_length"), n = number_for(m, "vocab_size"),
                   width = narrow ? narrow : number_for(m, "embedding_length");
    const struct gguf_tensor *t = find_here(m, "token_embd.weight");
    if (!t || width == 0 || (t->dims[0] == width && (n == 0 || t->dims[1] == n)))
        return ANDIRON_OK;
    return error_set(error, ANDIRON_E_FORMAT,
                     "%s: config.json says vocab_size %" PRIu64 " and rows of %" PRIu64 " numbers"
                     ", but the table of tokens is [%" PRIu64 ", %" PRIu64 "]",
                     hf_path(m->dir), n, width, t->dims[1], t->dims[0]);
}

/* Is it "blk.3.attn_k.weight", and not an indexer's? */
static bool is_keys(struct span name)
{
    const size_t n = strlen(".attn_k.weight");
    return name.n > n && span_ends(name, ".attn_k.weight") && name.p[name.n - n - 1] >= '0' &&
           name.p[name.n - n - 1] <= '9';
}

/* Heads of keys that config.json does not count, or whose size it does not say, are as Transformers takes them by
 * default; that differs by type, so the rows of a matrix have to be as many. */
static andiron_status check_keys(const struct hf_model *m, andiron_error *error)
{
    const uint64_t n = number_for(m, "attention.head_count"), width = number_for(m, "embedding_length"),
                   n_kv = said_or(m, "attention.head_count_kv", n),
                   size = said_or(m, "attention.key_length", n ? width / n : 0);
    const bool told = number_for(m, "attention.head_count_kv") && number_for(m, "attention.key_length");
    for (size_t i = 0; i < m->n_tensors && n_kv && size && !told && !(m->folder.words & ARCH_KEYS_BY_WORDS); i++) {
        const struct gguf_tensor *t = &m->tensors[i];
        if (t->n_dims == 2 && is_keys(t->name) && t->dims[1] != n_kv * size)
            return error_set(error, ANDIRON_E_SUPPORT,
                             "%s: config.json leaves out head_dim or num_key_value_heads, and the matrix of keys has "
                             "%" PRIu64 " rows, not %" PRIu64 "; add what Transformers takes where they are absent",
                             hf_path(m->dir), t->dims[1], n_kv * size);
    }
    return ANDIRON_OK;
}

andiron_status hf_take_weights(struct hf_model *m, andiron_error *error)
{
    const size_t n = hf_n_tensors(m->dir);
    andiron_status s = ANDIRON_OK;
    m->n_experts_said = number_for(m, "expert_count");
    said_tied(m, &m->tied);
    m->capacity = n + EXTRA;
    m->tensors = arena_alloc(&m->arena, m->capacity, sizeof *m->tensors);
    m->n_experts = arena_alloc(&m->arena, m->capacity, sizeof *m->n_experts);
    if (!m->tensors || !m->n_experts)
        return error_memory(error, m->capacity * sizeof *m->tensors, "the list of tensors");
    for (size_t i = 0; i < n && !s; i++)
        s = take(m, hf_tensor_at(m->dir, i), error);
    drop_tied_head(m);
    if (!s)
        s = check_table(m, error);
    if (!s)
        s = check_keys(m, error);
    if (!s)
        s = check_experts(m, error);
    if (!s)
        s = check_head(m, error);
    if (!s)
        s = hf_check_class(m, error);
    return s ? s : share_table(m, error);
}
