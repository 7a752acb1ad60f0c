/* math.h - elementary functions whose bits are the same everywhere: only IEEE operations and fma, no libm.
 * Used where the graph or the engine needs a few values; the array kernels have their own float versions. */
#ifndef KERNELS_MATH_H
#define KERNELS_MATH_H

/* Each within 2 ulp of the true value as double over its whole range. NaN gives NaN or some number, and is no error. */
double math_exp(double x);
double math_log(double x);                            /* x > 0 */
double math_pow(double x, double y);                  /* x > 0 */
void math_sincos(double x, double *sin, double *cos); /* |x| < 2^31; beyond, some numbers */
double math_tanh(double x);

#endif
