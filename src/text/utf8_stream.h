/* utf8_stream.h - holds bytes back until they are whole UTF-8 characters. */
#ifndef TEXT_UTF8_STREAM_H
#define TEXT_UTF8_STREAM_H

#include "base/buffer.h"
#include <stdint.h>

struct utf8_stream { /* all zero is a fresh one */
    char held[4];
    uint8_t n_held;
};

/* Take `bytes`; append to *out what is whole by now. Bytes that can never become a character become U+FFFD, one for
 * each maximal subpart (Unicode 15, section 3.9, table 3-8). False: `out` failed. */
bool utf8_stream_put(struct utf8_stream *s, struct span bytes, struct buffer *out);
/* The text is over: what is still held becomes U+FFFD. */
bool utf8_stream_end(struct utf8_stream *s, struct buffer *out);

#endif
