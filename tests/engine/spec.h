/* spec.h - GGUF files of tiny random models, made from the specs in tests/golden/archs (tools/oracle/peer_gguf.py tells
 * their form). */
#ifndef TESTS_ENGINE_SPEC_H
#define TESTS_ENGINE_SPEC_H

#include "base/buffer.h"

struct spec {
    char architecture[64];
    bool whole;       /* attention looks ahead: only all tokens in one step compare */
    bool has_encoder; /* the rows are the decoder's, after an encoder read the tokens on the spec's encoder line */
};

/* Fails the test where the file is not such a spec. The caller resets the buffer. */
void spec_to_gguf(const char *path, struct spec *spec, struct buffer *file);

#endif
