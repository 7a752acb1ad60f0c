/* test_threads.c - the pool: every chunk once, phases in turn, nothing lost between sleeping and waking; the machine.
 *
 * Chunks write plain, unlocked memory on purpose: ThreadSanitizer (preset tsan) sees it when a phase begins before the
 * one before it has ended, or when two chunks run on one `thread` at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/threads.h"
#include <sched.h>
#include <string.h>
#include <time.h>

enum { MOST_PHASES = 3000, MOST_CHUNKS = 64, MOST_THREADS = 256 };

struct count {
    const uint32_t *n_chunks;
    uint32_t ran[MOST_CHUNKS];    /* phases of this run in which the chunk ran */
    uint32_t before[MOST_CHUNKS]; /* what the phase before wrote */
    size_t on_thread[MOST_THREADS];
    int n_threads;
    bool wrong;
    bool dawdle; /* some chunks give up the core */
};

static void run_chunk(void *context, size_t phase, uint32_t chunk, int thread)
{
    struct count *c = context;
    if (thread < 0 || thread >= c->n_threads || chunk >= c->n_chunks[phase])
        c->wrong = true;
    c->on_thread[thread]++;
    if (c->dawdle && (phase * 7 + chunk) % 13 == 0)
        sched_yield();
    if (phase % 2) { /* read what every chunk of the phase before wrote */
        for (size_t i = 0; i < MOST_CHUNKS; i++)
            if (i < c->n_chunks[phase - 1] && c->before[i] != phase - 1)
                c->wrong = true;
    } else {
        c->before[chunk] = (uint32_t)phase;
    }
    c->ran[chunk]++;
}

static uint32_t n_chunks[MOST_PHASES];

static void check_run(struct pool *pool, size_t n_phases, bool dawdle)
{
    static struct count c;
    memset(&c, 0, sizeof c);
    c.n_chunks = n_chunks;
    c.n_threads = pool_threads(pool);
    c.dawdle = dawdle;
    uint32_t expected[MOST_CHUNKS] = {0};
    size_t total = 0, ran = 0;
    for (size_t p = 0; p < n_phases; p++)
        for (uint32_t i = 0; i < n_chunks[p]; i++)
            expected[i]++;
    pool_run(pool, &(struct work){&c, n_phases, n_chunks, run_chunk});
    assert_false(c.wrong);
    for (size_t i = 0; i < MOST_CHUNKS; i++) {
        assert_int_equal(c.ran[i], expected[i]);
        total += expected[i];
    }
    for (size_t i = 0; i < MOST_THREADS; i++)
        ran += c.on_thread[i];
    assert_int_equal(ran, total);
}

static struct pool *opened(int n_threads, size_t n_phases)
{
    struct pool *pool = NULL;
    andiron_error e = {0};
    assert_int_equal(pool_open(&pool, n_threads, &e), ANDIRON_OK);
    assert_int_equal(pool_threads(pool), n_threads);
    assert_int_equal(pool_reserve(pool, n_phases, &e), ANDIRON_OK);
    return pool;
}

/* Many tiny phases, some empty, on fewer and on more threads than there are cores. */
static void many_tiny_phases(void **state)
{
    (void)state;
    static const int threads[] = {1, 2, 3, 8, 33};
    for (size_t t = 0; t < 5; t++) {
        struct pool *pool = opened(threads[t], MOST_PHASES);
        for (size_t p = 0; p < MOST_PHASES; p++)
            n_chunks[p] = (uint32_t)(p * 2654435761u % 11 % (p % 3 ? 9 : 2));
        check_run(pool, MOST_PHASES, false);
        check_run(pool, MOST_PHASES, true);
        for (size_t p = 0; p < MOST_PHASES; p++)
            n_chunks[p] = p % 50 ? 1 : MOST_CHUNKS;
        check_run(pool, MOST_PHASES, true);
        pool_close(pool);
    }
}

/* Runs that follow at once, after spinning ended, and after everybody slept. */
static void runs_with_pauses(void **state)
{
    (void)state;
    struct pool *pool = opened(3, 16);
    for (size_t p = 0; p < 16; p++)
        n_chunks[p] = (uint32_t)p % 5;
    for (int i = 0; i < 2000; i++) {
        check_run(pool, (size_t)i % 17, i % 3 == 0);
        if (i % 40 == 0)
            nanosleep(&(struct timespec){0, (i % 7) * 200000}, NULL);
    }
    pool_close(pool);
}

static void nothing_to_do(void **state)
{
    (void)state;
    struct pool *pool = opened(4, 8);
    memset(n_chunks, 0, sizeof n_chunks);
    check_run(pool, 0, false);
    check_run(pool, 8, false);
    n_chunks[3] = 1;
    check_run(pool, 8, false);
    pool_close(pool);
    for (int i = 0; i < 50; i++) /* closed before its threads have begun */
        pool_close(opened(4, 1));
    pool_close(NULL);
}

static void running_does_not_allocate(void **state)
{
    (void)state;
    struct pool *pool = opened(2, MOST_PHASES);
    for (size_t p = 0; p < MOST_PHASES; p++)
        n_chunks[p] = 3;
    uint64_t before = alloc_count();
    check_run(pool, MOST_PHASES, false);
    assert_true(alloc_count() == before);
    pool_close(pool);
}

static void wrong_asks_and_failing_allocations(void **state)
{
    (void)state;
    struct pool *pool = NULL;
    andiron_error e = {0};
    assert_int_equal(pool_open(&pool, -1, &e), ANDIRON_E_ARGUMENT);
    assert_null(pool);
    assert_int_equal(pool_open(&pool, 257, &e), ANDIRON_E_ARGUMENT);
    assert_non_null(strstr(e.text, "257 threads"));
    int64_t n = 0;
    for (andiron_status s = ANDIRON_E_MEMORY; s && n < 20; n++) {
        alloc_fail_after(n);
        s = pool_open(&pool, 3, &e);
        if (!s)
            s = pool_reserve(pool, 1000, &e);
        alloc_fail_after(-1);
        assert_true(s == ANDIRON_OK || s == ANDIRON_E_MEMORY);
        if (pool) { /* a pool whose reserve failed still runs what it had room for */
            n_chunks[0] = n_chunks[1] = 5;
            check_run(pool, 2, false);
        }
        pool_close(pool);
        pool = NULL;
    }
    assert_int_equal(n, 7); /* pool, workers, two for the first phases, two for more; then none fails */
    assert_int_equal(pool_open(&pool, 2, &e), ANDIRON_OK);
    assert_int_equal(pool_reserve(pool, SIZE_MAX / 2, &e), ANDIRON_E_MEMORY);
    pool_close(pool);
}

static void the_machine(void **state)
{
    (void)state;
    cpu_set_t mask, one;
    int usable = threads_usable();
    assert_in_range(usable, 1, CPU_SETSIZE);
    struct pool *pool = NULL;
    assert_int_equal(pool_open(&pool, 0, NULL), ANDIRON_OK);
    assert_int_equal(pool_threads(pool), usable < MOST_THREADS ? usable : MOST_THREADS);
    pool_close(pool);
    assert_int_equal(sched_getaffinity(0, sizeof mask, &mask), 0);
    CPU_ZERO(&one);
    for (int i = 0; i < CPU_SETSIZE && !CPU_COUNT(&one); i++)
        if (CPU_ISSET(i, &mask))
            CPU_SET(i, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    assert_int_equal(threads_usable(), 1); /* affinity is honoured */
    sched_setaffinity(0, sizeof mask, &mask);
    uint64_t then = clock_ns();
    nanosleep(&(struct timespec){0, 2000000}, NULL);
    assert_true(clock_ns() - then >= 2000000u);
    assert_true(memory_available_bytes() > 1 << 20);
    assert_true(memory_peak_bytes() > 100 << 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_tiny_phases),
        cmocka_unit_test(runs_with_pauses),
        cmocka_unit_test(nothing_to_do),
        cmocka_unit_test(running_does_not_allocate),
        cmocka_unit_test(wrong_asks_and_failing_allocations),
        cmocka_unit_test(the_machine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
