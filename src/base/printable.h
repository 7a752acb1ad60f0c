/* printable.h - text of unknown origin made safe to show: a hostile name in a file cannot drive a terminal. */
#ifndef BASE_PRINTABLE_H
#define BASE_PRINTABLE_H

#include <stdbool.h>
#include <stddef.h>

/* Each byte of `text` that is not printable ASCII or part of a whole UTF-8 character becomes '?', in place; so do C1
 * controls. Line feeds stay where `lines`. */
void printable(char *text, size_t n, bool lines);

#endif
