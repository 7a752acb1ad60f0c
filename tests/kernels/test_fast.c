/* test_fast.c - products that need not have the same bits (kernels_set_math), against their meaning and against the
 * exact ones. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "fill.h"
#include "guard.h"
#include "kernels/half.h"
#include "kernels/kernels.h"

enum { SLOT_Y, SLOT_X, SLOT_W, SLOT_SCRATCH, MOST = 70 * 70, FEWEST = 4 };

static struct kernels exact, fast;

static uint32_t type; /* of the weights at hand */

static void call(void *arg) { kernels_mul(&fast, type)(arg); }

/* To the nearest BF16, ties to even; subnormals, which the dot product takes for zeros, as zero. */
static double rounded(float x)
{
    const float y = bf16_to_float(bf16_of_float(x));
    return (double)(fabsf(y) < 0x1p-126f ? 0.0f : y);
}

static double weight_at(const struct mul *m, size_t r, size_t i)
{
    uint16_t h;
    memcpy(&h, (const char *)m->w + r * m->row_bytes + i * sizeof h, sizeof h);
    return rounded(type == TYPE_F16 ? half_to_float(h) : bf16_to_float(h));
}

/* Rows of y stand 3 numbers apart, where nobody may write. How many numbers are other bits than the exact ones. */
static size_t check(size_t n_rows, size_t k, size_t n, enum fill fill, enum side side)
{
    static float want[MOST + 3 * 70];
    char why[128];
    const size_t stride = n_rows + 3, n_y = n * stride - 3;
    float *y = guard_place(SLOT_Y, "y", n_y * sizeof *y, side);
    float *x = guard_place(SLOT_X, "x", n * k * sizeof *x, side);
    uint8_t *w = guard_place(SLOT_W, "weights", n_rows * k * 2, side);
    struct mul m = {.y = y, .y_stride = stride, .w = w, .row_bytes = k * 2, .n_rows = n_rows, .k = k, .x = x};
    m.n_tokens = n;
    m.scratch = guard_place(SLOT_SCRATCH, "scratch", mul_scratch_bytes(k), side);
    memset(m.scratch, 0xff, mul_scratch_bytes(k)); /* a NaN, wherever it is read as it is */
    fill_weights(w, type, n_rows * k, fill);
    fill_floats(x, n * k, fill);
    for (size_t i = 0; i < n_y; i++)
        y[i] = want[i] = 12345.0f;
    if (!guard_call(call, &m, why))
        fail_msg("%zu rows of %zu, %zu tokens: %s", n_rows, k, n, why);
    assert_null(guard_intact());
    m.y = want;
    kernels_mul(&exact, type)(&m);
    size_t differ = 0;
    for (size_t t = 0; t < n; t++)
        for (size_t r = 0; r < stride && t * stride + r < n_y; r++) {
            const size_t at = t * stride + r;
            const bool same = !memcmp(&y[at], &want[at], sizeof *y);
            differ += !same;
            if (r >= n_rows || n < FEWEST) {
                assert_true(same);
                continue;
            }
            double sum = 0, size = 0;
            for (size_t i = 0; i < k; i++) {
                const double v = weight_at(&m, r, i), a = rounded(x[t * k + i]);
                sum += v * a;
                size += fabs(v * a);
            }
            if (!(fabs((double)y[at] - sum) <= size * 1e-6 + 1e-35 * (double)k) ||
                !(fabs((double)y[at] - (double)want[at]) <= size * 0x1p-7))
                fail_msg("%zu rows of %zu, %zu tokens: y[%zu][%zu] is %g, of rounded activations %g, exact %g", n_rows,
                         k, n, t, r, (double)y[at], sum, (double)want[at]);
        }
    return differ;
}

static void need_dot_product(void)
{
    if (fast.mul_bf16 == exact.mul_bf16) {
        print_message("this CPU has no AVX512-BF16: fast is exact\n");
        skip();
    }
}

static void within_rounding(uint32_t of)
{
    static const size_t rows[] = {1, 2, 3, 4, 5, 7, 8, 33, 70};
    static const size_t widths[] = {1,  2,  15, 16, 17, 31, 32,  33,  47,  48, 49,
                                    63, 64, 65, 95, 96, 97, 255, 256, 257, 700};
    need_dot_product();
    type = of;
    size_t differ = 0;
    for (size_t n = 1; n <= 70; n++)
        for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
            const enum side side = (enum side)((n + i) % N_SIDES);
            differ += check(rows[(n + i) % (sizeof rows / sizeof *rows)], widths[i], n, RANDOM, side);
        }
    assert_true(differ > 0);
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++)
        for (int i = 0; i < N_SIDES; i++) {
            check(rows[r], 65, 23, ZEROS, (enum side)i);
            check(rows[r], 65, 23, ONES, (enum side)i);
        }
}

static void f16_within_rounding(void **state)
{
    (void)state;
    within_rounding(TYPE_F16);
}

static void bf16_within_rounding(void **state)
{
    (void)state;
    within_rounding(TYPE_BF16);
}

static void words(void **state)
{
    (void)state;
    struct kernels k = exact;
    andiron_error e;
    assert_int_equal(kernels_set_math(&k, NULL, &e), ANDIRON_OK);
    assert_int_equal(kernels_set_math(&k, "exact", &e), ANDIRON_OK);
    assert_memory_equal(&k, &exact, sizeof k);
    assert_int_equal(kernels_set_math(&k, "quick", &e), ANDIRON_E_ARGUMENT);
    assert_non_null(strstr(e.text, "not \"quick\""));
}

/* A level below the one that has faster products stays as it is; so does each product but those of F16 and BF16. */
static void only_what_is_faster(void **state)
{
    (void)state;
    struct kernels k = fast;
    k.mul_f16 = exact.mul_f16;
    k.mul_bf16 = exact.mul_bf16;
    assert_memory_equal(&k, &exact, sizeof k);
    for (const struct level *l = kernel_levels; l->cpu; l++) {
        struct kernels before;
        if (l->fast || kernels_choose(&before, l->cpu, NULL))
            continue;
        k = before;
        assert_int_equal(kernels_set_math(&k, "fast", NULL), ANDIRON_OK);
        assert_memory_equal(&k, &before, sizeof k);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(f16_within_rounding),
        cmocka_unit_test(bf16_within_rounding),
        cmocka_unit_test(words),
        cmocka_unit_test(only_what_is_faster),
    };
    fill_seed(1);
    if (kernels_choose(&exact, NULL, NULL))
        return 1;
    fast = exact;
    return kernels_set_math(&fast, "fast", NULL) || cmocka_run_group_tests(tests, NULL, NULL);
}
