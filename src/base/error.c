/* error.c - one sentence, safe to print. */
#include "base/error.h"
#include "base/printable.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

andiron_status error_set(andiron_error *error, andiron_status status, const char *format, ...)
{
    if (!error)
        return status;
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(error->text, sizeof error->text, format, arguments);
    va_end(arguments);
    if (n < 0)
        error->text[0] = 0;
    printable(error->text, strlen(error->text), false);
    error->status = status;
    return status;
}

andiron_status error_memory(andiron_error *error, size_t bytes, const char *what)
{
    return error_set(error, ANDIRON_E_MEMORY, "out of memory: %zu bytes for %s", bytes, what);
}
