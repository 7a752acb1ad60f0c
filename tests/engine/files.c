/* files.c - files of a test's own folder. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "files.h"

enum { FILE_MAX = 1 << 20 };

char *file_read(const char *path, size_t *n)
{
    char *data = malloc(FILE_MAX);
    FILE *f = fopen(path, "rb");
    assert_true(f && data);
    *n = fread(data, 1, FILE_MAX - 1, f);
    assert_true(feof(f));
    fclose(f);
    data[*n] = 0;
    return data;
}

void file_write(const char *folder, const char *name, const void *data, size_t n)
{
    char path[1024];
    assert_true((size_t)snprintf(path, sizeof path, "%s/%s", folder, name) < sizeof path);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    fclose(f);
}
