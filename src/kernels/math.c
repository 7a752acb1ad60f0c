/* math.c - double-precision exp, log, pow, sin, cos, tanh by IEEE operations and fma alone. */
#include "kernels/math.h"
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static double of_bits(uint64_t bits)
{
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static uint64_t bits_of(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static double fmadd64(double a, double b, double c) { return __builtin_fma(a, b, c); }

static const double ln2_high = 0x1.62e42fefap-1, ln2_low = 0x1.cf79abc9e3b39p-38; /* ln 2 in two parts */

/* e^(x + low), |low| far below |x|. x = n ln 2 + r, then the series of e^r, |r| <= 0.35, to r^13. */
static double exp_of_sum(double x, double low)
{
    if (x > 709.8)
        return (double)__builtin_inff();
    if (x < -708.3)
        return 0;
    if (x != x)
        return x;
    double n = (x * 0x1.71547652b82fep+0 + 0x1.8p52) - 0x1.8p52;
    double r = fmadd64(n, -ln2_high, x);
    r = fmadd64(n, -ln2_low, r) + low;
    double p = 1.0 / 6227020800.0;
    static const double inverse[] = {
        1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320, 1.0 / 5040, 1.0 / 720,
        1.0 / 120,       1.0 / 24,       1.0 / 6,       0.5,          1.0,         1.0};
    for (unsigned i = 0; i < sizeof inverse / sizeof *inverse; i++)
        p = fmadd64(p, r, inverse[i]);
    int64_t k = (int64_t)n, half = k / 2;
    return p * of_bits((uint64_t)(half + 1023) << 52) * of_bits((uint64_t)(k - half + 1023) << 52);
}

double math_exp(double x) { return exp_of_sum(x, 0); }

/* ln x as a sum: x = 2^k m, m in [0.7, 1.4]; ln m = 2 atanh(s), s = (m - 1) / (m + 1), by its series. */
static double log_in_parts(double x, double *low)
{
    int64_t k = 0;
    if (x < 0x1p-1022) {
        x *= 0x1p54;
        k = -54;
    }
    uint64_t bits = bits_of(x), shift = (bits - 0x3fe6a09e667f3bcdu) & 0xfff0000000000000u;
    k += (int64_t)shift >> 52;
    double m = of_bits(bits - shift), f = m - 1.0, g = m + 1.0;
    double s = f / g,
           rest = fmadd64(-s, g, f) / g; /* s + rest is f / g to twice the precision (g is exact here up to 1 ulp) */
    double z = s * s, p = 1.0 / 27.0;
    for (int i = 25; i >= 3; i -= 2)
        p = fmadd64(p, z, 1.0 / i);
    double tail = 2.0 * (rest + s * z * p) + (double)k * ln2_low;
    double high = (double)k * ln2_high, sum = high + 2.0 * s;
    *low = (high - sum) + 2.0 * s + tail;
    double all = sum + *low;
    *low = (sum - all) + *low;
    return all;
}

double math_log(double x)
{
    double low;
    return log_in_parts(x, &low);
}

double math_pow(double x, double y)
{
    double low, high = log_in_parts(x, &low), product = high * y;
    return exp_of_sum(product, fmadd64(high, y, -product) + low * y);
}

/* Both on |r| <= pi / 4, by their series. */
static void sincos_near_zero(double r, double *sin, double *cos)
{
    double z = r * r, s = 1.0, c = 1.0;
    for (int i = 19; i >= 3; i -= 2)
        s = 1.0 - s * (z / (double)(i * (i - 1)));
    for (int i = 20; i >= 2; i -= 2)
        c = 1.0 - c * (z / (double)(i * (i - 1)));
    *sin = r * s;
    *cos = c;
}

void math_sincos(double x, double *sin, double *cos)
{
    double n = (x * 0x1.45f306dc9c883p-1 + 0x1.8p52) - 0x1.8p52; /* quarter turns */
    double r = fmadd64(n, -0x1.921fb54442d18p+0, x);             /* pi / 2 in three parts */
    r = fmadd64(n, -0x1.1a62633145c07p-54, r);
    r = fmadd64(n, 0x1.f1976b7ed8fbcp-110, r);
    double s, c;
    sincos_near_zero(r, &s, &c);
    bool counts = n > -0x1p52 && n < 0x1p52; /* else x is so large, infinite or NaN that it has no quarter */
    switch ((counts ? (int64_t)n : 0) & 3) {
    case 0: *sin = s, *cos = c; break;
    case 1: *sin = c, *cos = -s; break;
    case 2: *sin = -s, *cos = -c; break;
    default: *sin = -c, *cos = s; break;
    }
}

double math_tanh(double x)
{
    double a = x < 0 ? -x : x, y;
    if (a < 0.25) { /* continued fraction: x / (1 + x^2 / (3 + x^2 / (5 + ...))) */
        double z = a * a, t = 21;
        for (int i = 19; i >= 1; i -= 2)
            t = i + z / t;
        y = a / t;
    } else {
        y = 1.0 - 2.0 / (math_exp(2.0 * a) + 1.0);
    }
    return x < 0 ? -y : y;
}
