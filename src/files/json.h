/* json.h - a JSON document of unknown origin, parsed by jansson within budgets, and asked by paths.
 *
 * Refused, with a sentence that names the document: more bytes than allowed, deeper nesting, duplicate keys, broken
 * UTF-8, and a document whose values would take more memory than allowed (estimated before any is taken). Python's
 * json writes what JSON does not know, and its files are taken as they are: NaN is read as null (no number),
 * Infinity as the number INFINITY, and an integer that 64 bits cannot hold as the nearest double. */
#ifndef FILES_JSON_H
#define FILES_JSON_H

#include "andiron.h"
#include "base/span.h"
#include <jansson.h>
#include <stdint.h>

struct json_limits {
    size_t max_bytes;  /* of the text */
    size_t max_memory; /* of the values, as estimated; also held against what is available */
    size_t max_depth;  /* of arrays and objects in one another */
};
extern const struct json_limits json_config_limits; /* 16 MiB, 256 MiB, 64: configs */
extern const struct json_limits json_vocab_limits;  /* 256 MiB, 2 GiB, 64: tokenizer.json */

/* `name` is for errors only. The caller owns *out: json_decref. */
andiron_status json_read(json_t **out, struct span text, const char *name, const struct json_limits *limits,
                         andiron_error *error);

/* The value at `path`: keys with points between them ("rope_scaling.factor"); a number is an array's item ("layers.3").
 * NULL: absent. A null is a value (json_is_null). */
const json_t *json_at(const json_t *root, const char *path);
/* Typed reads. Each returns false, and leaves *out, when the value is absent, null or of another kind. An integer is a
 * float, too; a float is no integer, a bool no number. A text's span points into the document. `path` "" is the value
 * itself. */
bool json_at_u64(const json_t *root, const char *path, uint64_t *out);
bool json_at_f64(const json_t *root, const char *path, double *out);
bool json_at_bool(const json_t *root, const char *path, bool *out);
bool json_at_text(const json_t *root, const char *path, struct span *out);

#endif
