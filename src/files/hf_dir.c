/* hf_dir.c - a folder's files found, its shards opened, its tensors found by name over all of them. */
#include "files/hf_dir.h"
#include "base/alloc.h"
#include "base/arena.h"
#include "base/error.h"
#include "files/mapped.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

struct hf_dir {
    struct arena arena;
    const char *path;
    json_t *config;
    struct safetensors **shards;
    const char **shard_names;
    const struct safetensors_tensor **tensors; /* shards in turn */
    const struct safetensors_tensor **sorted;  /* by name */
    size_t n_shards, n_tensors;
};

/* ---- paths ---- */

bool hf_is_dir(const char *path)
{
    struct stat st;
    return !stat(path, &st) && S_ISDIR(st.st_mode);
}

static char *join(struct arena *a, const char *folder, const char *name)
{
    size_t n = strlen(folder), m = strlen(name);
    char *path = arena_alloc(a, n + m + 2, 1);
    if (!path)
        return NULL;
    memcpy(path, folder, n);
    path[n] = '/';
    memcpy(path + n + 1, name, m);
    return path;
}

static bool exists(const char *path)
{
    struct stat st;
    return !stat(path, &st);
}

/* Names within the folder only: no part of it empty, "." or "..". */
static bool is_inside(const char *name)
{
    for (const char *part = name;; part++) {
        size_t n = strcspn(part, "/");
        if (n == 0 || (n == 1 && part[0] == '.') || (n == 2 && part[0] == '.' && part[1] == '.'))
            return false;
        part += n;
        if (!*part)
            return true;
    }
}

/* ---- small files ---- */

/* *out->data is NULL where the file is absent or empty. */
static andiron_status map_file(const struct hf_dir *d, const char *name, struct mapped *out, bool *found,
                               struct arena *scratch, const char **path, andiron_error *error)
{
    *out = (struct mapped){0};
    *found = false;
    if (!is_inside(name))
        return error_set(error, ANDIRON_E_ARGUMENT, "%s: \"%s\" is no name of a file in this folder", d->path, name);
    if (!(*path = join(scratch, d->path, name)))
        return error_memory(error, strlen(name), "a path");
    if (!exists(*path))
        return ANDIRON_OK;
    *found = true;
    return mapped_open(out, *path, error);
}

andiron_status hf_read_json(const struct hf_dir *d, const char *name, json_t **out, andiron_error *error)
{
    struct arena scratch;
    struct mapped file;
    const char *path = d->path;
    bool found;
    arena_init(&scratch, SIZE_MAX);
    *out = NULL;
    andiron_status status = map_file(d, name, &file, &found, &scratch, &path, error);
    const bool large = !strcmp(name, "tokenizer.json") || !strcmp(name, "vocab.json") ||
                       !strcmp(name, "model.safetensors.index.json");
    const struct json_limits *limits = large ? &json_vocab_limits : &json_config_limits;
    if (!status && found)
        status = json_read(out, (struct span){file.data, file.n_bytes}, path, limits, error);
    mapped_close(&file);
    arena_reset(&scratch);
    return status;
}

andiron_status hf_read_text(const struct hf_dir *d, const char *name, struct buffer *text, bool *found,
                            andiron_error *error)
{
    struct arena scratch;
    struct mapped file;
    const char *path = d->path;
    arena_init(&scratch, SIZE_MAX);
    andiron_status status = map_file(d, name, &file, found, &scratch, &path, error);
    if (!status && *found && file.n_bytes > json_config_limits.max_bytes)
        status = error_set(error, ANDIRON_E_FORMAT, "%s: has %zu MiB; at most %zu MiB are read", path,
                           file.n_bytes >> 20, json_config_limits.max_bytes >> 20);
    else if (!status && !buffer_add(text, file.data ? file.data : "", file.n_bytes))
        status = error_memory(error, file.n_bytes, path);
    mapped_close(&file);
    arena_reset(&scratch);
    return status;
}

static andiron_status read_config(struct hf_dir *d, andiron_error *error)
{
    andiron_status status = hf_read_json(d, "config.json", &d->config, error);
    if (status)
        return status;
    if (!d->config)
        return error_set(error, ANDIRON_E_IO, "%s: the folder has no config.json, so it is no Hugging Face model",
                         d->path);
    if (!json_is_object(d->config))
        return error_set(error, ANDIRON_E_FORMAT, "%s/config.json: is no object", d->path);
    return ANDIRON_OK;
}

/* ---- shards ---- */

static int by_text(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

/* The names of the index's shards, each once, sorted. */
static andiron_status list_shards(struct hf_dir *d, const json_t *map, andiron_error *error)
{
    size_t n = json_object_size(map), kept = 0;
    const char **names = arena_alloc(&d->arena, n, sizeof *names), *key;
    json_t *value;
    if (!names)
        return error_memory(error, n * sizeof *names, "an index of tensors");
    n = 0;
    json_object_foreach((json_t *)(uintptr_t)map, key, value)
    {
        const char *name = json_string_value(value);
        if (!name || strlen(name) != json_string_length(value) || !is_inside(name))
            return error_set(error, ANDIRON_E_FORMAT,
                             "%s/model.safetensors.index.json: names \"%.100s\" for tensor \"%.100s\", which is no "
                             "file in this folder",
                             d->path, name ? name : "(no text)", key);
        names[n++] = name;
    }
    qsort(names, n, sizeof *names, by_text);
    for (size_t i = 0; i < n; i++)
        if (kept == 0 || strcmp(names[kept - 1], names[i]))
            names[kept++] = names[i];
    for (size_t i = 0; i < kept; i++)
        if (!(names[i] = arena_text(&d->arena, names[i], strlen(names[i]))))
            return error_memory(error, n, "an index of tensors");
    if (kept > HF_MAX_SHARDS)
        return error_set(error, ANDIRON_E_FORMAT, "%s/model.safetensors.index.json: names %zu files; at most %d are",
                         d->path, kept, HF_MAX_SHARDS);
    d->shard_names = names;
    d->n_shards = kept;
    return ANDIRON_OK;
}

static andiron_status name_missing(struct hf_dir *d, andiron_error *error)
{
    struct buffer names;
    size_t n_missing = 0;
    buffer_init(&names, 1 << 20);
    for (size_t i = 0; i < d->n_shards; i++) {
        const char *path = join(&d->arena, d->path, d->shard_names[i]);
        if (path && exists(path))
            continue;
        buffer_printf(&names, "%s%s", n_missing ? ", " : "", d->shard_names[i]);
        n_missing++;
    }
    andiron_status status = ANDIRON_OK;
    if (n_missing)
        status = error_set(error, ANDIRON_E_IO, "%s: %zu of %zu files of weights are missing; download them: %s",
                           d->path, n_missing, d->n_shards, names.data ? names.data : "");
    buffer_reset(&names);
    return status;
}

static andiron_status open_shards(struct hf_dir *d, andiron_error *error)
{
    andiron_status status = name_missing(d, error);
    struct safetensors **shards = arena_alloc(&d->arena, d->n_shards, sizeof *shards);
    size_t n = d->n_shards;
    d->shards = shards;
    d->n_shards = 0;
    if (!status && !shards)
        status = error_memory(error, n * sizeof *shards, "the files of weights");
    for (size_t i = 0; !status && i < n; i++) {
        const char *path = join(&d->arena, d->path, d->shard_names[i]);
        if (!path)
            return error_memory(error, strlen(d->path), "a path");
        status = safetensors_open(&shards[i], path, error);
        d->n_shards += !status;
    }
    return status;
}

/* ---- tensors ---- */

static int compare_names(struct span a, struct span b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int order = n ? memcmp(a.p, b.p, n) : 0;
    return order ? order : a.n < b.n ? -1 : a.n > b.n;
}

static int by_name(const void *a, const void *b)
{
    const struct safetensors_tensor *const *x = a, *const *y = b;
    return compare_names((*x)->tensor.name, (*y)->tensor.name);
}

static andiron_status gather(struct hf_dir *d, andiron_error *error)
{
    size_t n = 0;
    for (size_t i = 0; i < d->n_shards; i++)
        n += safetensors_n_tensors(d->shards[i]);
    d->tensors = arena_alloc(&d->arena, n, sizeof(void *));
    d->sorted = arena_alloc(&d->arena, n, sizeof(void *));
    if (!d->tensors || !d->sorted)
        return error_memory(error, 2 * n * sizeof(void *), "the list of tensors");
    for (size_t i = 0; i < d->n_shards; i++)
        for (size_t k = 0; k < safetensors_n_tensors(d->shards[i]); k++)
            d->tensors[d->n_tensors++] = safetensors_tensor_at(d->shards[i], k);
    if (n)
        memcpy(d->sorted, d->tensors, n * sizeof *d->sorted);
    qsort(d->sorted, n, sizeof *d->sorted, by_name);
    for (size_t i = 1; i < n; i++)
        if (by_name(&d->sorted[i - 1], &d->sorted[i]) == 0)
            return error_set(error, ANDIRON_E_FORMAT, "%s: tensor \"%.120s\" stands in two files", d->path,
                             d->sorted[i]->tensor.name.p);
    return ANDIRON_OK;
}

static andiron_status check_index(const struct hf_dir *d, const json_t *map, andiron_error *error)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)map, key, value)
    {
        const char *name = json_string_value(value);
        const char *const *at = bsearch(&name, d->shard_names, d->n_shards, sizeof name, by_text);
        if (!at || !safetensors_find(d->shards[at - d->shard_names], key))
            return error_set(error, ANDIRON_E_FORMAT,
                             "%s: tensor \"%.100s\" is not in %.100s, although the index says so; download it again",
                             d->path, key, name);
    }
    return ANDIRON_OK;
}

static andiron_status open_indexed(struct hf_dir *d, const json_t *index, andiron_error *error)
{
    const json_t *map = json_object_get(index, "weight_map");
    if (!json_is_object(map))
        return error_set(error, ANDIRON_E_FORMAT, "%s/model.safetensors.index.json: has no weight_map", d->path);
    andiron_status status = list_shards(d, map, error);
    if (!status)
        status = open_shards(d, error);
    if (!status)
        status = check_index(d, map, error);
    return status ? status : gather(d, error);
}

static andiron_status no_weights(struct hf_dir *d, andiron_error *error)
{
    const char *torch = join(&d->arena, d->path, "pytorch_model.bin");
    const char *many = join(&d->arena, d->path, "pytorch_model.bin.index.json");
    bool pickled = (torch && exists(torch)) || (many && exists(many));
    return error_set(
        error, ANDIRON_E_IO, "%s: the folder has neither model.safetensors nor its index%s", d->path,
        pickled ? "; pytorch_model.bin can run code and is not read: import the folder (docs/import.md), or save it "
                  "anew with Transformers, from_pretrained(DIR).save_pretrained(DIR) of its class"
                : "");
}

static andiron_status open_weights(struct hf_dir *d, andiron_error *error)
{
    static const char *const single[] = {"model.safetensors"};
    json_t *index = NULL;
    const char *path = join(&d->arena, d->path, single[0]);
    if (!path)
        return error_memory(error, strlen(d->path), "a path");
    if (exists(path)) {
        if (!(d->shard_names = arena_alloc(&d->arena, 1, sizeof *d->shard_names)))
            return error_memory(error, sizeof *d->shard_names, "the files of weights");
        d->shard_names[0] = single[0];
        d->n_shards = 1;
        andiron_status status = open_shards(d, error);
        return status ? status : gather(d, error);
    }
    andiron_status status = hf_read_json(d, "model.safetensors.index.json", &index, error);
    if (!status)
        status = index ? open_indexed(d, index, error) : no_weights(d, error);
    json_decref(index);
    return status;
}

/* ---- opening and asking ---- */

andiron_status hf_dir_open(struct hf_dir **out, const char *path, bool with_weights, andiron_error *error)
{
    struct hf_dir *d = alloc_zeroed(1, sizeof *d);
    size_t n = strlen(path);
    *out = NULL;
    if (!d)
        return error_memory(error, sizeof *d, "a folder of a model");
    arena_init(&d->arena, SIZE_MAX);
    while (n > 1 && path[n - 1] == '/')
        n--;
    andiron_status status = ANDIRON_OK;
    if (!(d->path = arena_text(&d->arena, path, n)))
        status = error_memory(error, n, "a path");
    else if (!hf_is_dir(d->path))
        status = error_set(error, ANDIRON_E_IO, "%s: is no folder that can be opened", d->path);
    if (!status)
        status = read_config(d, error);
    if (!status && with_weights)
        status = open_weights(d, error);
    if (status)
        hf_dir_close(d);
    else
        *out = d;
    return status;
}

void hf_dir_close(struct hf_dir *d)
{
    if (!d)
        return;
    for (size_t i = 0; d->shards && i < d->n_shards; i++)
        safetensors_close(d->shards[i]);
    json_decref(d->config);
    arena_reset(&d->arena);
    alloc_free(d);
}

andiron_status hf_open_part(const struct hf_dir *d, const char *part, struct safetensors **out, andiron_error *error)
{
    struct arena scratch;
    arena_init(&scratch, SIZE_MAX);
    const char *folder = is_inside(part) ? join(&scratch, d->path, part) : NULL,
               *path = folder ? join(&scratch, folder, "model.safetensors") : NULL;
    andiron_status status = path ? safetensors_open(out, path, error)
                            : !is_inside(part)
                                ? error_set(error, ANDIRON_E_FORMAT,
                                            "%s: \"%.100s\" is no name of a folder in this one", d->path, part)
                                : error_memory(error, strlen(part), "a path");
    arena_reset(&scratch);
    return status;
}

const char *hf_path(const struct hf_dir *d) { return d->path; }
const json_t *hf_config(const struct hf_dir *d) { return d->config; }
size_t hf_n_shards(const struct hf_dir *d) { return d->n_shards; }
size_t hf_n_tensors(const struct hf_dir *d) { return d->n_tensors; }

const struct safetensors *hf_shard_at(const struct hf_dir *d, size_t i)
{
    return i < d->n_shards ? d->shards[i] : NULL;
}

const struct safetensors_tensor *hf_tensor_at(const struct hf_dir *d, size_t i)
{
    return i < d->n_tensors ? d->tensors[i] : NULL;
}

uint64_t hf_file_bytes(const struct hf_dir *d)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < d->n_shards; i++)
        bytes += safetensors_file_bytes(d->shards[i]);
    return bytes;
}

const struct safetensors_tensor *hf_find_tensor(const struct hf_dir *d, const char *name)
{
    struct span wanted = span_of(name);
    size_t low = 0, high = d->n_tensors;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = compare_names(wanted, d->sorted[middle]->tensor.name);
        if (order == 0)
            return d->sorted[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}
