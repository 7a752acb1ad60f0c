/* writer.h - GGUF files made in memory, right or wrong as the test wants. A count or length is what the caller says. */
#ifndef TESTS_FILES_WRITER_H
#define TESTS_FILES_WRITER_H

#include "base/buffer.h"
#include "files/gguf.h"

void put(struct buffer *b, const void *p, size_t n);
void put_u32(struct buffer *b, uint32_t x);
void put_u64(struct buffer *b, uint64_t x);
void put_text(struct buffer *b, const char *text); /* length and bytes */
/* An empty buffer that begins with a header. */
void begin_file(struct buffer *b, uint32_t version, uint64_t n_tensors, uint64_t n_values);
/* A key and the type of its value; the value is for the caller to put. */
void put_key(struct buffer *b, const char *key, uint32_t type);
void put_key_u32(struct buffer *b, const char *key, uint32_t x);
void put_key_text(struct buffer *b, const char *key, const char *text);
void put_array(struct buffer *b, const char *key, uint32_t item_type, uint64_t n);
void put_tensor(struct buffer *b, const char *name, uint32_t type, uint64_t d0, uint64_t d1, uint64_t offset);
void pad(struct buffer *b, size_t alignment);

#endif
