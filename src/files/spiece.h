/* spiece.h - a SentencePiece model (spiece.model, tokenizer.model): pieces with scores, and how texts are prepared.
 *
 * The file is a protobuf message, sentencepiece_model.proto: https://github.com/google/sentencepiece. It is untrusted:
 * lengths are checked before they are used, groups and unknown wire types are refused, unknown fields passed over. */
#ifndef FILES_SPIECE_H
#define FILES_SPIECE_H

#include "andiron.h"
#include "base/arena.h"
#include "base/span.h"
#include <stdint.h>

enum spiece_model { SPIECE_UNIGRAM = 1, SPIECE_BPE, SPIECE_WORD, SPIECE_CHAR };

struct spiece {
    enum spiece_model model;
    size_t n_pieces;
    struct span *texts; /* [n_pieces]; they point into the file */
    float *scores;
    uint8_t *kinds;                     /* 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte */
    int32_t unknown, bos, eos, padding; /* -1: none; below n_pieces */
    bool dummy_prefix, merges_spaces;   /* a space before each text; spaces in a row are one */
    struct span charsmap;               /* precompiled map of characters; empty: none */
};

enum { SPIECE_MAX_PIECES = 4 << 20 };

/* Lists are put in `arena`. `name` is for errors only. Refused beside what is broken: spaces that are marked behind
 * words, or not at all. */
andiron_status spiece_read(struct spiece *out, struct span file, const char *name, struct arena *arena,
                           andiron_error *error);

#endif
