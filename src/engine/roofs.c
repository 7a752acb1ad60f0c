/* roofs.c - measuring what this machine can do: memory reading, 8-bit dot products, float multiply-adds. */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "engine/engine.h"
#include "kernels/probe.h"
#include <string.h>

enum { SLICE_BYTES = 1 << 20, MAX_SLICES = 256, ROUNDS = 200000, REPEATS = 5, MAX_THREADS = 256 };

enum probe { PROBE_READ, PROBE_INT8, PROBE_F32, PROBES };

struct measuring {
    struct probes probes;
    enum probe what;
    const char *block;
    double done[MAX_THREADS][8]; /* a line each */
    uint64_t sink;
};

static void run_chunk(void *context, size_t phase, uint32_t chunk, int thread)
{
    struct measuring *m = context;
    uint64_t words = 0;
    int32_t number = 0;
    float real = 0;
    (void)phase;
    switch (m->what) {
    case PROBE_READ:
        m->done[thread][0] += m->probes.read(m->block + (size_t)chunk * SLICE_BYTES, SLICE_BYTES, &words);
        break;
    case PROBE_INT8: m->done[thread][0] += m->probes.int8(ROUNDS, &number); break;
    default: m->done[thread][0] += m->probes.f32(ROUNDS, &real); break;
    }
    m->done[thread][1] += (double)(words & 1) + number + (double)real; /* used, so that nothing is dropped */
}

/* The best rate of some repeats: a roof is what is possible, not what a busy moment allows. */
static double best_rate(struct measuring *m, struct pool *pool, uint32_t n_chunks)
{
    struct work work = {.context = m, .n_phases = 1, .n_chunks = &n_chunks, .run = run_chunk};
    double best = 0;
    for (int repeat = 0; repeat < REPEATS; repeat++) {
        double done = 0;
        memset(m->done, 0, sizeof m->done);
        uint64_t start = clock_ns();
        pool_run(pool, &work);
        uint64_t ns = clock_ns() - start;
        for (int t = 0; t < MAX_THREADS; t++)
            done += m->done[t][0];
        double rate = done * 1e9 / (double)(ns ? ns : 1);
        best = rate > best ? rate : best;
    }
    return best;
}

andiron_status andiron_measure_roofs(andiron_model *model, andiron_roofs *roofs, andiron_error *error)
{
    if (!model->pool)
        return error_set(error, ANDIRON_E_ARGUMENT,
                         "the model was opened for its vocabulary only; it has no threads to measure");
    size_t n_slices = MAX_SLICES, quarter = memory_available_bytes() / 4 / SLICE_BYTES;
    if (n_slices > quarter)
        n_slices = quarter ? quarter : 1;
    char *block = alloc_zeroed(n_slices, SLICE_BYTES);
    struct measuring *m = alloc_zeroed(1, sizeof *m);
    if (!block || !m) {
        alloc_free(block);
        alloc_free(m);
        return error_memory(error, n_slices * SLICE_BYTES, "measuring memory");
    }
    memory_ask_large_pages(block, n_slices * SLICE_BYTES); /* as weights have them: on one machine 62 GB/s, not 34 */
    memset(block, 1, n_slices * SLICE_BYTES);
    m->probes = probes_for(model->kernels.cpu);
    m->block = block;
    uint32_t per_thread = (uint32_t)pool_threads(model->pool) * 4;
    pthread_mutex_lock(&model->step);
    m->what = PROBE_READ;
    roofs->read_bytes_per_s = best_rate(m, model->pool, (uint32_t)n_slices);
    m->what = PROBE_INT8;
    roofs->int8_ops_per_s = best_rate(m, model->pool, per_thread);
    m->what = PROBE_F32;
    roofs->f32_flops_per_s = best_rate(m, model->pool, per_thread);
    pthread_mutex_unlock(&model->step);
    alloc_free(block);
    alloc_free(m);
    return ANDIRON_OK;
}
