/* test_quant.c - andiron_model_options.quant through the library: what is told, what is refused. */
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "andiron.h"
#include "base/alloc.h"

#define FOLDER SOURCE_DIR "/tests/golden/hf_models/qwen2"

static char cache[] = "/tmp/test_quant_XXXXXX";

struct told {
    int n;
    double first, last;
};

static void tell(void *user, double done)
{
    struct told *told = user;
    if (told->n++ == 0)
        told->first = done;
    assert_true(done >= told->last);
    told->last = done;
}

static andiron_status open_and_close(const char *path, andiron_model_options options, andiron_error *error)
{
    andiron_model *model = NULL;
    options.n_threads = 1;
    const andiron_status s = andiron_model_open(&model, path, &options, error);
    andiron_model_close(model);
    return s;
}

static void progress_is_told_once(void **state)
{
    struct told told = {0};
    andiron_error e = {0};
    const andiron_model_options options = {.quant = "q4_k", .cache_dir = cache, .progress = tell, .user = &told};
    (void)state;
    if (open_and_close(FOLDER, options, &e))
        fail_msg("%s", e.text);
    assert_true(told.n >= 2 && told.first == 0 && told.last == 1);
    const int n = told.n;
    assert_int_equal(open_and_close(FOLDER, options, &e), ANDIRON_OK);
    assert_int_equal(told.n, n);
}

static void remove_results(void)
{
    char folder[64], path[512];
    snprintf(folder, sizeof folder, "%s/quant", cache);
    DIR *dir = opendir(folder);
    for (struct dirent *d; dir && (d = readdir(dir)) != NULL;) {
        snprintf(path, sizeof path, "%s/%s", folder, d->d_name);
        unlink(path);
    }
    if (dir)
        closedir(dir);
    rmdir(folder);
}

static void each_allocation_may_fail(void **state)
{
    const andiron_model_options options = {.quant = "q5_k", .cache_dir = cache};
    andiron_status s = ANDIRON_E_MEMORY;
    (void)state;
    for (int64_t n = 0; s && n < 100000; n++) {
        andiron_error e = {0};
        remove_results();
        alloc_fail_after(n);
        s = open_and_close(FOLDER, options, &e);
        alloc_fail_after(-1);
        if (s && (s != ANDIRON_E_MEMORY || !e.text[0]))
            fail_msg("allocation %d: %d \"%s\"", (int)n, (int)s, e.text);
    }
    assert_int_equal(s, ANDIRON_OK);
}

/* A file of the cache that was opened so many days ago. */
static const char *old_result(const char *name, int days)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/quant/%s", cache, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    fclose(f);
    const struct timespec times[2] = {{.tv_sec = time(NULL) - days * 24 * 3600},
                                      {.tv_sec = time(NULL) - days * 24 * 3600}};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    return path;
}

static void results_go_when_nobody_opens_them(void **state)
{
    andiron_error e = {0};
    const andiron_model_options options = {.quant = "q5_0", .cache_dir = cache};
    struct stat st;
    char result[512] = "";
    (void)state;
    remove_results();
    assert_int_equal(open_and_close(FOLDER, options, &e), ANDIRON_OK);
    char folder[64];
    snprintf(folder, sizeof folder, "%s/quant", cache);
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *d; (d = readdir(dir)) != NULL;)
        if (strstr(d->d_name, ".gguf"))
            snprintf(result, sizeof result, "%s", d->d_name);
    closedir(dir);
    assert_true(result[0]);
    const char *path = old_result(result, 40); /* an empty file now, so it is made again */
    assert_int_equal(open_and_close(FOLDER, options, &e), ANDIRON_OK);
    assert_false(stat(path, &st));
    assert_true(st.st_size > 0);
    const struct timespec then[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    assert_int_equal(utimensat(AT_FDCWD, path, then, 0), 0);
    assert_int_equal(open_and_close(FOLDER, options, &e), ANDIRON_OK); /* found: it counts as opened now */
    assert_false(stat(path, &st));
    assert_true(st.st_mtime > time(NULL) - 3600);
    char kept[128], gone[128], other[128];
    snprintf(kept, sizeof kept, "%s", old_result("0000000000000001.gguf", 29));
    snprintf(gone, sizeof gone, "%s", old_result("0000000000000002.gguf", 31));
    snprintf(other, sizeof other, "%s", old_result("other", 31));
    const andiron_model_options another = {.quant = "q4_0", .cache_dir = cache};
    assert_int_equal(open_and_close(FOLDER, another, &e), ANDIRON_OK);
    assert_int_equal(access(kept, F_OK), 0);
    assert_int_equal(access(gone, F_OK), -1);
    assert_int_equal(access(other, F_OK), 0);
    unlink(other);
}

static void a_vocabulary_needs_none(void **state)
{
    andiron_error e = {0};
    (void)state;
    assert_int_equal(open_and_close(FOLDER, (andiron_model_options){.quant = "q6_k", .vocab_only = true}, &e),
                     ANDIRON_OK);
}

static void others_are_refused(void **state)
{
    static const struct {
        const char *path;
        andiron_model_options options;
        andiron_status status;
        const char *says;
    } cases[] = {
        {FOLDER, {.quant = "q4_k"}, ANDIRON_E_ARGUMENT, "cache_dir"},
        {FOLDER, {.quant = "q9", .cache_dir = cache}, ANDIRON_E_ARGUMENT, "q4_k_m"},
        {FOLDER, {.quant = "q4_k", .cache_dir = "/dev/null/x"}, ANDIRON_E_IO, "/dev/null/x"},
        {SOURCE_DIR "/tests/golden/llama.gguf",
         {.quant = "q4_k", .cache_dir = cache},
         ANDIRON_E_ARGUMENT,
         "is no folder"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        andiron_error e = {0};
        assert_int_equal(open_and_close(cases[i].path, cases[i].options, &e), cases[i].status);
        if (!strstr(e.text, cases[i].says))
            fail_msg("\"%s\" does not say \"%s\"", e.text, cases[i].says);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(progress_is_told_once),
                                       cmocka_unit_test(each_allocation_may_fail),
                                       cmocka_unit_test(results_go_when_nobody_opens_them),
                                       cmocka_unit_test(a_vocabulary_needs_none), cmocka_unit_test(others_are_refused)};
    if (!mkdtemp(cache))
        return 1;
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    remove_results();
    rmdir(cache);
    return failed;
}
