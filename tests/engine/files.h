/* files.h - files of a test's own folder. */
#ifndef TESTS_ENGINE_FILES_H
#define TESTS_ENGINE_FILES_H

#include <stddef.h>

/* A file's bytes with a 0 behind them; the caller frees them. */
char *file_read(const char *path, size_t *n);
void file_write(const char *folder, const char *name, const void *data, size_t n);

#endif
