/* spec.h - GGUF files of tiny random models, made from the specs in tests/golden/archs (tools/oracle/peer_gguf.py tells
 * their form). */
#ifndef TESTS_ENGINE_SPEC_H
#define TESTS_ENGINE_SPEC_H

#include "base/buffer.h"
#include <stdint.h>

struct spec {
    char architecture[64];
    bool whole;         /* attention looks ahead: only all tokens in one step compare */
    int32_t source[64]; /* the rows are of a text about these tokens, where there are any (the line "encoder") */
    size_t n_source;
};

/* Fails the test where the file is not such a spec. The caller resets the buffer. */
void spec_to_gguf(const char *path, struct spec *spec, struct buffer *file);

#endif
