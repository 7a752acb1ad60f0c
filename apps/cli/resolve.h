/* resolve.h - what a MODEL on the command line means. The one place where names become files. */
#ifndef CLI_RESOLVE_H
#define CLI_RESOLVE_H

#include <stdbool.h>

/* The path of the file that `model` names: today, a path names itself. NULL, with a sentence on stderr, when there is
 * no such file. The result lives as long as `model`. */
const char *resolve_model(const char *model);

#endif
