/* quant.c - quantizing while loading: the folder converted into CACHE/quant/DIGEST.gguf, which is opened, mapped, and
 * found again next time.
 *
 * The digest is of the program's version, the type, the architecture's definition, the folder's path, and the name,
 * size and time of change of each file in it that a model is read from. Contents are not read: that would take a minute
 * for a large model. A lock on CACHE/quant/lock lets one process at a time write, so that what is partial then was left
 * by one that ended; the kernel drops the lock with its process. A file appears under its name when it is whole.
 *
 * A result's time of change is when it was opened last. Who writes a new one removes those of more than 30 days. */
#include "engine/quant.h"
#include "base/error.h"
#include "base/log.h"
#include "engine/convert.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { KEPT_DAYS = 30 };

struct quant_cache {
    char folder[PATH_MAX], file[PATH_MAX + 32], lock[PATH_MAX + 32];
    int fd; /* of the lock */
};

/* ---- the digest ---- */

static uint64_t hash_bytes(struct span text) /* FNV-1a */
{
    uint64_t h = 0xcbf29ce484222325;
    for (size_t i = 0; i < text.n; i++)
        h = (h ^ (unsigned char)text.p[i]) * 0x100000001b3;
    return h;
}

static bool is_read(struct span name)
{
    return span_ends(name, ".json") || span_ends(name, ".safetensors") || span_ends(name, ".jinja");
}

static uint64_t hash_file(int folder, const char *name)
{
    char text[NAME_MAX + 100];
    struct stat st;
    if (fstatat(folder, name, &st, 0) || !S_ISREG(st.st_mode))
        return 0;
    snprintf(text, sizeof text, "%s %" PRIu64 " %" PRId64 ".%09ld", name, (uint64_t)st.st_size, (int64_t)st.st_mtime,
             st.st_mtim.tv_nsec);
    return hash_bytes(span_of(text));
}

/* The sum over files does not depend on the order in which the system names them. */
static andiron_status digest_of(uint64_t *out, const char *dir, struct span definition,
                                const andiron_model_options *options, andiron_error *error)
{
    char whole[PATH_MAX], text[PATH_MAX + 64];
    DIR *folder = realpath(dir, whole) ? opendir(whole) : NULL;
    if (!folder)
        return error_set(error, ANDIRON_E_IO, "%s: the folder cannot be read: %s", dir, strerror(errno));
    snprintf(text, sizeof text, ANDIRON_VERSION " %d %s %s", CONVERT_VERSION, options->quant, whole);
    static const char *const behind[] = {"1_Pooling/config.json", "2_Dense/model.safetensors",
                                         "3_Dense/model.safetensors"};
    *out = hash_bytes(definition) + hash_bytes(span_of(text));
    for (size_t i = 0; i < sizeof behind / sizeof *behind; i++)
        *out += hash_file(dirfd(folder), behind[i]);
    for (struct dirent *d; (d = readdir(folder)) != NULL;)
        if (is_read(span_of(d->d_name)))
            *out += hash_file(dirfd(folder), d->d_name);
    closedir(folder);
    return ANDIRON_OK;
}

/* ---- the folder of results ---- */

static andiron_status make_folders(const char *path, andiron_error *error)
{
    char part[PATH_MAX];
    for (size_t n = 1; n <= strlen(path); n++) {
        if (path[n] && path[n] != '/')
            continue;
        snprintf(part, sizeof part, "%.*s", (int)n, path);
        if (mkdir(part, 0777) && errno != EEXIST)
            return error_set(error, ANDIRON_E_IO, "%s: the folder for quantized models cannot be made: %s", part,
                             strerror(errno));
    }
    return ANDIRON_OK;
}

static andiron_status take_lock(struct quant_cache *c, andiron_error *error)
{
    c->fd = open(c->lock, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    bool taken = c->fd >= 0 && !flock(c->fd, LOCK_EX | LOCK_NB);
    if (!taken && c->fd >= 0 && errno == EWOULDBLOCK) {
        log_say(ANDIRON_LOG_WARN, "another process is quantizing a model; waiting for it");
        while (!(taken = !flock(c->fd, LOCK_EX)) && errno == EINTR)
            continue;
    }
    return taken ? ANDIRON_OK : error_set(error, ANDIRON_E_IO, "%s: cannot be written: %s", c->lock, strerror(errno));
}

static bool is_old(int folder, const char *name)
{
    struct stat st;
    return span_ends(span_of(name), ".gguf") && !fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) &&
           S_ISREG(st.st_mode) && st.st_mtime < time(NULL) - KEPT_DAYS * 24 * 3600;
}

/* What nobody will open: under the lock nobody writes, so partial files are left ones; who has an old one mapped keeps
 * it. */
static void remove_useless(const struct quant_cache *c)
{
    DIR *folder = opendir(c->folder);
    for (struct dirent *d; folder && (d = readdir(folder)) != NULL;) {
        const bool old = is_old(dirfd(folder), d->d_name);
        if (old)
            log_say(ANDIRON_LOG_INFO, "%s/%s: removed, it was not opened for %d days", c->folder, d->d_name, KEPT_DAYS);
        if (old || strstr(d->d_name, ".gguf.partial-"))
            unlinkat(dirfd(folder), d->d_name, 0);
    }
    if (folder)
        closedir(folder);
}

static andiron_status find_cache(struct quant_cache *c, const char *dir, struct span definition,
                                 const andiron_model_options *options, andiron_error *error)
{
    uint64_t digest = 0;
    andiron_status s = digest_of(&digest, dir, definition, options, error);
    if (s)
        return s;
    const int n = snprintf(c->folder, sizeof c->folder, "%s/quant", options->cache_dir);
    if (n < 0 || (size_t)n >= sizeof c->folder)
        return error_set(error, ANDIRON_E_ARGUMENT, "the path of the folder for quantized models is too long");
    snprintf(c->file, sizeof c->file, "%s/%016" PRIx64 ".gguf", c->folder, digest);
    snprintf(c->lock, sizeof c->lock, "%s/lock", c->folder);
    return ANDIRON_OK;
}

/* ---- the whole ---- */

static andiron_status make(struct gguf **out, struct quant_cache *c, const char *dir,
                           const andiron_model_options *options, andiron_error *error)
{
    const andiron_convert_options convert = {.type = options->quant,
                                             .overwrite = true,
                                             .n_threads = options->n_threads,
                                             .progress = options->progress,
                                             .user = options->user};
    andiron_status s = make_folders(c->folder, error);
    if (!s)
        s = take_lock(c, error);
    if (!s && !gguf_open(out, c->file, NULL))
        return ANDIRON_OK; /* made while we waited */
    if (s)
        return s;
    remove_useless(c);
    log_say(ANDIRON_LOG_INFO, "%s: quantized as %s into %s", dir, options->quant, c->file);
    s = convert_model(dir, c->file, &convert, options, error);
    return s ? s : gguf_open(out, c->file, error);
}

andiron_status quant_open(struct gguf **out, const char *dir, struct span definition,
                          const andiron_model_options *options, andiron_error *error)
{
    struct quant_cache c = {.fd = -1};
    char names[256];
    *out = NULL;
    if (!convert_type_named(options->quant)) {
        convert_type_names(names, sizeof names);
        return error_set(error, ANDIRON_E_ARGUMENT, "no weights are quantized as \"%s\"; expected %s", options->quant,
                         names);
    }
    if (!options->cache_dir)
        return error_set(error, ANDIRON_E_ARGUMENT, "%s: quantizing it wants a cache_dir to keep the result in", dir);
    andiron_status s = find_cache(&c, dir, definition, options, error);
    if (!s && gguf_open(out, c.file, NULL)) /* not there, or not whole */
        s = make(out, &c, dir, options, error);
    if (!s)
        utimensat(AT_FDCWD, c.file, NULL, 0); /* opened now; where that is not allowed it is not removed either */
    if (c.fd >= 0)
        close(c.fd);
    return s;
}
