/* fuzz_folder.c - any text as what is said of a folder's weights: config.json, the header of model.safetensors, a
 * tokenizer. The numbers are those of a golden folder.
 *
 *     #BASE hf_models/llama
 *     #FILE config.json
 *     {"model_type": "llama", ...}
 *     #HEADER
 *     {"model.norm.weight": {"dtype": "F32", ...}, ...}
 *
 * A file that is not given is the golden folder's. */
#include "base/span.h"
#include "use_model.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define GOLDEN SOURCE_DIR "/tests/golden/"
enum { PATH_ROOM = 512, WEIGHTS = 1 << 20 }; /* a golden folder's numbers are fewer bytes */

static const char weights[] = "model.safetensors";
static const char *const names[] = {"config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json",
                                    "model.safetensors.index.json"};
enum { N_NAMES = sizeof names / sizeof *names };

static char folder[] = "/tmp/andiron_fuzz_XXXXXX";

static const char *path_in(const char *parent, const char *name)
{
    static char path[2][PATH_ROOM];
    static unsigned turn;
    char *p = path[turn++ % 2];
    if (snprintf(p, PATH_ROOM, "%s/%s", parent, name) >= PATH_ROOM)
        abort();
    return p;
}

static void put(const char *name, const void *data, size_t n)
{
    FILE *f = fopen(path_in(folder, name), "wb");
    if (!f || fwrite(data, 1, n, f) != n || fclose(f))
        abort();
}

static void clear(void)
{
    for (size_t i = 0; i < N_NAMES; i++)
        unlink(path_in(folder, names[i]));
    unlink(path_in(folder, weights));
}

static void leave(void)
{
    clear();
    rmdir(folder);
}

/* The text of a section, up to the next that begins with "\n#". */
static struct span section(struct span all, const char *title)
{
    for (size_t at = 0; at < all.n; at++) {
        const size_t n = strlen(title);
        if ((at && all.p[at - 1] != '\n') || all.n - at <= n || memcmp(all.p + at, title, n) || all.p[at + n] != '\n')
            continue;
        const char *begin = all.p + at + n + 1;
        const size_t left = (size_t)(all.p + all.n - begin);
        const char *end = memmem(begin, left, "\n#", 2);
        return (struct span){begin, end ? (size_t)(end - begin) : left};
    }
    return (struct span){0};
}

/* "hf_models/llama" of the first line, if it is the name of a golden folder. */
static bool base_of(struct span all, char base[PATH_ROOM])
{
    static const char first[] = "#BASE ";
    if (all.n < sizeof first || memcmp(all.p, first, sizeof first - 1))
        return false;
    const char *name = all.p + sizeof first - 1, *end = memchr(name, '\n', all.n - (sizeof first - 1));
    const size_t n = end ? (size_t)(end - name) : 0;
    if (n == 0 || n > 100 || memmem(name, n, "..", 2) || memchr(name, 0, n))
        return false;
    snprintf(base, PATH_ROOM, GOLDEN "%.*s", (int)n, name);
    return !access(path_in(base, names[0]), R_OK);
}

/* The golden folder's numbers behind another header. */
static void put_weights(const char *base, struct span header)
{
    static char all[WEIGHTS];
    uint64_t n_header = 0;
    FILE *f = fopen(path_in(base, weights), "rb");
    const size_t n = f ? fread(all, 1, sizeof all, f) : 0;
    if (!f || fclose(f) || n < sizeof n_header)
        return;
    memcpy(&n_header, all, sizeof n_header);
    const char *numbers = all + sizeof n_header + n_header;
    const size_t n_numbers = n - sizeof n_header - n_header, n_given = (header.n + 7) / 8 * 8; /* spaces behind it */
    char *made = malloc(sizeof n_given + n_given + n_numbers);
    if (!made)
        abort();
    memcpy(made, &n_given, sizeof n_given);
    memset(made + sizeof n_given, ' ', n_given);
    memcpy(made + sizeof n_given, header.p, header.n);
    memcpy(made + sizeof n_given + n_given, numbers, n_numbers);
    put(weights, made, sizeof n_given + n_given + n_numbers);
    free(made);
}

static void put_file(const char *base, struct span all, const char *name)
{
    char title[64];
    snprintf(title, sizeof title, "#FILE %s", name);
    const struct span given = section(all, title);
    if (given.p)
        put(name, given.p, given.n);
    else if (!access(path_in(base, name), R_OK) && symlink(path_in(base, name), path_in(folder, name)))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static bool made;
    char base[PATH_ROOM];
    const struct span all = {(const char *)data, n};
    if (!made && (!mkdtemp(folder) || atexit(leave)))
        abort();
    made = true;
    clear();
    if (!base_of(all, base))
        return 0;
    for (size_t i = 0; i < N_NAMES; i++)
        put_file(base, all, names[i]);
    const struct span header = section(all, "#HEADER");
    if (header.p)
        put_weights(base, header);
    else if (!access(path_in(base, weights), R_OK) && symlink(path_in(base, weights), path_in(folder, weights)))
        abort();
    use_model(&(struct model_source){.path = folder}, n + WEIGHTS);
    return 0;
}
