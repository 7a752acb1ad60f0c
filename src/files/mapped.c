/* mapped.c - mmap of regular files. */
#include "files/mapped.h"
#include "base/error.h"
#include "base/memory.h"
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static andiron_status map(struct mapped *out, int fd, const char *path, andiron_error *error)
{
    struct stat st;
    if (fstat(fd, &st))
        return error_set(error, ANDIRON_E_IO, "%s: cannot be examined: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return error_set(error, ANDIRON_E_IO, "%s: is not a regular file; give the path of a file", path);
    if (st.st_size == 0)
        return ANDIRON_OK;
    void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED)
        return error_set(error, ANDIRON_E_IO, "%s: its %.1f MiB cannot be mapped: %s", path,
                         (double)st.st_size / (1 << 20), strerror(errno));
    /* A file that is not in memory yet comes in large pages where the system can (ext4 and XFS since Linux 6.16): one
     * thread then reads 15 GB/s of it and not 11, and the first touch takes half as long. Elsewhere it does nothing. */
    memory_ask_large_pages(p, (size_t)st.st_size);
    *out = (struct mapped){p, (size_t)st.st_size};
    return ANDIRON_OK;
}

andiron_status mapped_open(struct mapped *out, const char *path, andiron_error *error)
{
    *out = (struct mapped){0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return error_set(error, ANDIRON_E_IO, "%s: cannot be opened: %s", path, strerror(errno));
    andiron_status status = map(out, fd, path, error);
    close(fd);
    return status;
}

void mapped_close(struct mapped *m)
{
    if (m->data)
        munmap((void *)(uintptr_t)m->data, m->n_bytes);
    *m = (struct mapped){0};
}
