/* resolve.c - MODEL to path. A model store, when there is one, is asked here. */
#include "resolve.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

const char *resolve_model(const char *model)
{
    struct stat s;
    if (stat(model, &s)) {
        const char *why = errno == ENOENT ? "there is no such file" : strerror(errno);
        fprintf(stderr, "andiron: %s: %s; MODEL is the path of a GGUF file or of a Hugging Face folder\n", model, why);
        return NULL;
    }
    return model;
}
