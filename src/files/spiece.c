/* spiece.c - the fields of a SentencePiece model that make a tokenizer. */
#include "files/spiece.h"
#include "base/error.h"
#include <string.h>

/* ---- protobuf ---- */

enum wire { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

struct field {
    uint32_t number;
    enum wire wire;
    uint64_t value;    /* WIRE_VARINT, WIRE_32 */
    struct span bytes; /* WIRE_BYTES */
};

static bool take_varint(struct span *s, uint64_t *out)
{
    *out = 0;
    for (unsigned shift = 0; shift < 64 && s->n; shift += 7) {
        const uint8_t byte = (uint8_t)*s->p;
        *s = (struct span){s->p + 1, s->n - 1};
        *out |= (uint64_t)(byte & 127) << shift;
        if (byte < 128)
            return true;
    }
    return false;
}

static bool take_bytes(struct span *s, uint64_t n, struct span *out)
{
    if (n > s->n)
        return false;
    *out = (struct span){s->p, (size_t)n};
    *s = (struct span){s->p + n, s->n - (size_t)n};
    return true;
}

/* The next field of a message, taken off; false: it is broken. */
static bool take_field(struct span *message, struct field *f)
{
    uint64_t key, n;
    uint32_t word;
    if (!take_varint(message, &key) || key >> 3 == 0 || key >> 3 > UINT32_MAX)
        return false;
    *f = (struct field){.number = (uint32_t)(key >> 3), .wire = (enum wire)(key & 7)};
    switch (f->wire) {
    case WIRE_VARINT: return take_varint(message, &f->value);
    case WIRE_BYTES: return take_varint(message, &n) && take_bytes(message, n, &f->bytes);
    case WIRE_64: return take_bytes(message, 8, &f->bytes);
    case WIRE_32:
        if (!take_bytes(message, sizeof word, &f->bytes))
            return false;
        memcpy(&word, f->bytes.p, sizeof word);
        f->value = word;
        return true;
    default: return false;
    }
}

/* ---- the message ---- */

enum { MODEL_PIECE = 1, MODEL_TRAINER, MODEL_NORMALIZER };
enum { PIECE_TEXT = 1, PIECE_SCORE, PIECE_KIND };
enum { TRAINER_MODEL = 3, TRAINER_SUFFIX = 24, TRAINER_UNKNOWN = 40, TRAINER_BOS, TRAINER_EOS, TRAINER_PADDING };
enum { NORMALIZER_CHARSMAP = 2, NORMALIZER_PREFIX, NORMALIZER_MERGES, NORMALIZER_ESCAPES };
enum { KIND_NORMAL = 1, KIND_BYTE = 6 };

static bool read_piece(struct spiece *s, struct span message)
{
    const size_t at = s->n_pieces++;
    struct field f;
    s->texts[at] = (struct span){"", 0};
    s->scores[at] = 0;
    s->kinds[at] = KIND_NORMAL;
    while (message.n) {
        if (!take_field(&message, &f))
            return false;
        if (f.number == PIECE_TEXT && f.wire == WIRE_BYTES)
            s->texts[at] = f.bytes;
        else if (f.number == PIECE_SCORE && f.wire == WIRE_32)
            memcpy(&s->scores[at], f.bytes.p, sizeof *s->scores);
        else if (f.number == PIECE_KIND && f.wire == WIRE_VARINT)
            s->kinds[at] = f.value >= KIND_NORMAL && f.value <= KIND_BYTE ? (uint8_t)f.value : 0;
    }
    return s->kinds[at] != 0 && s->scores[at] - s->scores[at] == 0; /* a finite one */
}

static bool read_trainer(struct spiece *s, struct span message, bool *suffix)
{
    struct field f;
    int32_t *const ids[] = {&s->unknown, &s->bos, &s->eos, &s->padding};
    while (message.n) {
        if (!take_field(&message, &f))
            return false;
        if (f.wire != WIRE_VARINT)
            continue;
        if (f.number == TRAINER_MODEL)
            s->model = f.value <= SPIECE_CHAR ? (enum spiece_model)f.value : 0;
        else if (f.number == TRAINER_SUFFIX)
            *suffix = f.value != 0;
        else if (f.number >= TRAINER_UNKNOWN && f.number <= TRAINER_PADDING)
            *ids[f.number - TRAINER_UNKNOWN] = f.value <= INT32_MAX ? (int32_t)f.value : -1;
    }
    return true;
}

static bool read_normalizer(struct spiece *s, struct span message, bool *escapes)
{
    struct field f;
    while (message.n) {
        if (!take_field(&message, &f))
            return false;
        if (f.number == NORMALIZER_CHARSMAP && f.wire == WIRE_BYTES)
            s->charsmap = f.bytes;
        else if (f.number == NORMALIZER_PREFIX && f.wire == WIRE_VARINT)
            s->dummy_prefix = f.value != 0;
        else if (f.number == NORMALIZER_MERGES && f.wire == WIRE_VARINT)
            s->merges_spaces = f.value != 0;
        else if (f.number == NORMALIZER_ESCAPES && f.wire == WIRE_VARINT)
            *escapes = f.value != 0;
    }
    return true;
}

/* How many pieces there are; false: the message is broken. */
static bool count(struct span message, size_t *n)
{
    struct field f;
    for (*n = 0; message.n; *n += f.number == MODEL_PIECE && f.wire == WIRE_BYTES)
        if (!take_field(&message, &f))
            return false;
    return true;
}

static bool read_message(struct spiece *s, struct span message, bool *suffix, bool *escapes)
{
    struct field f;
    while (message.n) {
        if (!take_field(&message, &f))
            return false;
        if (f.wire != WIRE_BYTES)
            continue;
        if ((f.number == MODEL_PIECE && !read_piece(s, f.bytes)) ||
            (f.number == MODEL_TRAINER && !read_trainer(s, f.bytes, suffix)) ||
            (f.number == MODEL_NORMALIZER && !read_normalizer(s, f.bytes, escapes)))
            return false;
    }
    return true;
}

static andiron_status broken(const char *name, andiron_error *error)
{
    return error_set(error, ANDIRON_E_FORMAT, "%s: is no whole SentencePiece model; download it again", name);
}

andiron_status spiece_read(struct spiece *out, struct span file, const char *name, struct arena *arena,
                           andiron_error *error)
{
    size_t n;
    bool suffix = false, escapes = true;
    *out = (struct spiece){.model = SPIECE_UNIGRAM,
                           .bos = 1,
                           .eos = 2,
                           .padding = -1,
                           .dummy_prefix = true,
                           .merges_spaces = true}; /* what the format leaves unsaid */
    if (!count(file, &n) || n == 0 || n > SPIECE_MAX_PIECES)
        return broken(name, error);
    out->texts = arena_alloc(arena, n, sizeof *out->texts);
    out->scores = arena_alloc(arena, n, sizeof *out->scores);
    out->kinds = arena_alloc(arena, n, 1);
    if (!out->texts || !out->scores || !out->kinds)
        return error_memory(error, n * (sizeof *out->texts + 5), "the vocabulary");
    if (!read_message(out, file, &suffix, &escapes))
        return broken(name, error);
    int32_t *const ids[] = {&out->unknown, &out->bos, &out->eos, &out->padding};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        if (*ids[i] >= 0 && (size_t)*ids[i] >= n)
            *ids[i] = -1;
    if (suffix || !escapes)
        return error_set(error, ANDIRON_E_SUPPORT, "%s: spaces that are %s are not covered", name,
                         suffix ? "marked behind words" : "not marked");
    return ANDIRON_OK;
}
