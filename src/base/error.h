/* error.h - how every room says what went wrong.
 *
 * A fallible call returns andiron_status and fills the caller's andiron_error with one sentence: what, where, what to
 * do. `error` may be NULL wherever it is accepted. */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include "andiron.h"

/* Fill `error` and return `status`, so that a failing path is one line:
 *     return error_set(error, ANDIRON_E_FORMAT, "%s: tensor \"%s\" ends past the end of the file", path, name);
 * The text is cut to fit; bytes that are not printable ASCII or whole UTF-8 become '?', so that a hostile name in a
 * file cannot drive a terminal. */
andiron_status error_set(andiron_error *error, andiron_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* ANDIRON_E_MEMORY with the figure: "out of memory: `bytes` bytes for `what`". */
andiron_status error_memory(andiron_error *error, size_t bytes, const char *what);

#endif
