/* threads.c - the pool. One run at a time; see threads.h for what it promises.
 *
 * A run is open while its `work` may be touched. A worker counts itself in, then looks whether a run is open; pool_run
 * closes the run, then waits until nobody is inside. Both sides use sequentially consistent operations, so one of them
 * sees the other. */
#include "base/threads.h"
#include "base/alloc.h"
#include "base/error.h"
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MAX_THREADS = 256, LINE = 64 };
enum { SPIN_PHASE = 600, SPIN_IDLE = 2500 }; /* pauses, some 40 cycles each: about 10 and 40 microseconds */

struct counter {
    _Alignas(LINE) _Atomic uint32_t n;
};

/* A word that threads sleep on until it changes, and how many do. */
struct bell {
    _Alignas(LINE) _Atomic uint32_t rings;
    _Atomic uint32_t n_sleepers;
};

struct worker {
    struct pool *pool;
    pthread_t thread;
    int index;
};

struct pool {
    int n_threads;
    int spin_phase, spin_idle;
    size_t n_reserved;
    struct counter *done;   /* [n_reserved] chunks finished */
    struct counter *taken;  /* [n_reserved][n_threads] chunks taken of each thread's share */
    struct worker *workers; /* [n_threads], the first is unused: it is the caller */
    int n_started;
    const struct work *work;
    _Alignas(LINE) _Atomic uint32_t run; /* counts runs; idle workers wait for it to change */
    _Alignas(LINE) _Atomic bool open;
    _Atomic bool quit;
    _Alignas(LINE) _Atomic uint32_t inside;
    struct bell start, progress;
};

static void futex(_Atomic uint32_t *word, int operation, uint32_t value)
{
    syscall(SYS_futex, word, operation | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
}

static void pause_briefly(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void ring(struct bell *b)
{
    if (atomic_load(&b->n_sleepers)) {
        atomic_fetch_add(&b->rings, 1);
        futex(&b->rings, FUTEX_WAKE, MAX_THREADS);
    }
}

/* Wait until ready(context) by spinning, then by sleeping on `b`, which is rung after anything it depends on changes.
 */
static void wait_for(struct bell *b, int spins, bool (*ready)(const void *), const void *context)
{
    for (int i = 0; i < spins; i++) {
        if (ready(context))
            return;
        pause_briefly();
    }
    while (!ready(context)) {
        atomic_fetch_add(&b->n_sleepers, 1);
        uint32_t rings = atomic_load(&b->rings);
        if (!ready(context))
            futex(&b->rings, FUTEX_WAIT, rings);
        atomic_fetch_sub(&b->n_sleepers, 1);
    }
}

struct phase_wait {
    const struct counter *done;
    uint32_t n_chunks;
};

static bool phase_done(const void *context)
{
    const struct phase_wait *w = context;
    return atomic_load(&w->done->n) == w->n_chunks;
}

/* Run what is left of the share of thread `owner`; returns how many chunks that were. */
static uint32_t run_share(struct pool *pool, size_t p, int owner, int thread)
{
    const struct work *work = pool->work;
    const uint64_t n = work->n_chunks[p], n_threads = (uint64_t)pool->n_threads;
    const uint32_t from = (uint32_t)(n * (uint64_t)owner / n_threads),
                   to = (uint32_t)(n * ((uint64_t)owner + 1) / n_threads);
    struct counter *taken = &pool->taken[p * n_threads + (size_t)owner];
    uint32_t at, n_run = 0;
    if (atomic_load_explicit(&taken->n, memory_order_relaxed) >= to - from)
        return 0;
    while ((at = atomic_fetch_add_explicit(&taken->n, 1, memory_order_relaxed)) < to - from) {
        work->run(work->context, p, from + at, thread);
        n_run++;
    }
    return n_run;
}

static void run_phase(struct pool *pool, size_t p, int thread, bool last)
{
    const uint32_t n = pool->work->n_chunks[p];
    struct counter *done = &pool->done[p];
    uint32_t n_run = 0;
    if (atomic_load_explicit(&done->n, memory_order_acquire) == n)
        return;
    for (int i = 0; i < pool->n_threads; i++) /* the own share first */
        n_run += run_share(pool, p, (thread + i) % pool->n_threads, thread);
    if (n_run && atomic_fetch_add(&done->n, n_run) + n_run == n)
        ring(&pool->progress);
    else if (!last || thread == 0) /* a worker that finds the last phase taken may leave */
        wait_for(&pool->progress, pool->spin_phase, phase_done, &(struct phase_wait){done, n});
}

static void run_all(struct pool *pool, int thread)
{
    size_t n_phases = pool->work->n_phases;
    for (size_t p = 0; p < n_phases; p++)
        run_phase(pool, p, thread, p + 1 == n_phases);
}

static bool nobody_inside(const void *context) { return atomic_load(&((const struct pool *)context)->inside) == 0; }

struct idle_wait {
    struct pool *pool;
    uint32_t seen;
};

static bool has_news(const void *context)
{
    const struct idle_wait *w = context;
    return atomic_load(&w->pool->run) != w->seen;
}

static void *worker_main(void *argument)
{
    struct worker *w = argument;
    struct pool *pool = w->pool;
    struct idle_wait idle = {pool, 0};
    for (;;) {
        wait_for(&pool->start, pool->spin_idle, has_news, &idle);
        idle.seen = atomic_load(&pool->run);
        if (atomic_load(&pool->quit))
            return NULL;
        atomic_fetch_add(&pool->inside, 1);
        if (atomic_load(&pool->open))
            run_all(pool, w->index);
        if (atomic_fetch_sub(&pool->inside, 1) == 1)
            ring(&pool->progress);
    }
}

static void run_alone(const struct work *work)
{
    for (size_t p = 0; p < work->n_phases; p++)
        for (uint32_t chunk = 0; chunk < work->n_chunks[p]; chunk++)
            work->run(work->context, p, chunk, 0);
}

void pool_run(struct pool *pool, const struct work *work)
{
    if (pool->n_threads == 1) {
        run_alone(work);
        return;
    }
    for (size_t p = 0; p < work->n_phases; p++) {
        atomic_store_explicit(&pool->done[p].n, 0, memory_order_relaxed);
        for (size_t t = 0; t < (size_t)pool->n_threads; t++)
            atomic_store_explicit(&pool->taken[p * (size_t)pool->n_threads + t].n, 0, memory_order_relaxed);
    }
    pool->work = work;
    atomic_store(&pool->open, true);
    atomic_fetch_add(&pool->run, 1);
    ring(&pool->start);
    run_all(pool, 0);
    atomic_store(&pool->open, false);
    wait_for(&pool->progress, pool->spin_phase, nobody_inside, pool);
}

andiron_status pool_reserve(struct pool *pool, size_t n_phases, andiron_error *error)
{
    if (n_phases <= pool->n_reserved)
        return ANDIRON_OK;
    struct counter *done = alloc_zeroed(n_phases, sizeof *done);
    struct counter *taken = alloc_zeroed(n_phases, (size_t)pool->n_threads * sizeof *taken);
    if (!done || !taken) {
        alloc_free(done);
        alloc_free(taken);
        return error_memory(error, n_phases, "phases of the thread pool");
    }
    alloc_free(pool->done);
    alloc_free(pool->taken);
    pool->done = done;
    pool->taken = taken;
    pool->n_reserved = n_phases;
    return ANDIRON_OK;
}

/* Signals are the host program's: they come to its threads, not to workers. What a thread brings upon itself stays. */
static int start_worker(struct worker *w)
{
    static const int own[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS};
    sigset_t others, before;
    sigfillset(&others);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        sigdelset(&others, own[i]);
    pthread_sigmask(SIG_SETMASK, &others, &before);
    int failure = pthread_create(&w->thread, NULL, worker_main, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failure;
}

static andiron_status start_workers(struct pool *pool, andiron_error *error)
{
    for (int i = 1; i < pool->n_threads; i++) {
        struct worker *w = &pool->workers[i];
        *w = (struct worker){.pool = pool, .index = i};
        int failure = start_worker(w);
        if (failure)
            return error_set(error, ANDIRON_E_MEMORY, "thread %d of %d cannot start: %s; ask for fewer with --threads",
                             i + 1, pool->n_threads, strerror(failure));
        pool->n_started = i;
    }
    return ANDIRON_OK;
}

andiron_status pool_open(struct pool **out, int n_threads, andiron_error *error)
{
    *out = NULL;
    int usable = threads_usable();
    if (n_threads == 0)
        n_threads = usable < MAX_THREADS ? usable : MAX_THREADS;
    if (n_threads < 1 || n_threads > MAX_THREADS)
        return error_set(error, ANDIRON_E_ARGUMENT, "%d threads were asked for; 1 to %d are possible", n_threads,
                         MAX_THREADS);
    struct pool *pool = alloc_zeroed(1, sizeof *pool);
    if (!pool)
        return error_memory(error, sizeof *pool, "a thread pool");
    pool->n_threads = n_threads;
    pool->spin_phase = n_threads <= usable ? SPIN_PHASE
                                           : 0; /* with more threads than cores, spinning keeps others off */
    pool->spin_idle = n_threads <= usable ? SPIN_IDLE : 0;
    pool->workers = alloc_zeroed((size_t)n_threads, sizeof *pool->workers);
    andiron_status status = pool->workers ? pool_reserve(pool, 64, error)
                                          : error_memory(error, sizeof *pool->workers, "threads");
    if (!status)
        status = start_workers(pool, error);
    if (status)
        pool_close(pool);
    else
        *out = pool;
    return status;
}

void pool_close(struct pool *pool)
{
    if (!pool)
        return;
    atomic_store(&pool->quit, true);
    atomic_fetch_add(&pool->run, 1);
    ring(&pool->start);
    for (int i = 1; i <= pool->n_started; i++)
        pthread_join(pool->workers[i].thread, NULL);
    alloc_free(pool->done);
    alloc_free(pool->taken);
    alloc_free(pool->workers);
    alloc_free(pool);
}

int pool_threads(const struct pool *pool) { return pool->n_threads; }
