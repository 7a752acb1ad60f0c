/* log.h - the library prints nothing itself; it says things through one callback. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "andiron.h"

/* Say one line (no newline) at `level`. Does nothing while no callback is set (andiron_set_log). */
void log_say(andiron_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
