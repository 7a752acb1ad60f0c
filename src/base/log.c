/* log.c - the one callback. Set before threads start (andiron.h), so it needs no lock. */
#include "base/log.h"
#include "base/printable.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static andiron_log_fn log_fn;
static void *log_user;

void andiron_set_log(andiron_log_fn log, void *user)
{
    log_fn = log;
    log_user = user;
}

void log_say(andiron_log_level level, const char *format, ...)
{
    char line[1024];
    if (!log_fn)
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    printable(line, strlen(line), false);
    log_fn(log_user, level, line);
}
