/* Rows of a gated MLP between its matrix products: each function here is one pass over arrays where PyTorch needs one for
 * every operation. What they compute, and the names of everything, is in kernels.py beside this file. Arrays of core
 * and gate are (2, n, 64); those of both side by side are (n, 128) and come as a pointer with two strides. */

#ifndef REAL

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define W 64
#define EPS 1e-5 /* of torch.nn.LayerNorm */
#define BLOCK 128 /* rows whose sums are kept in the arrays' own precision */
#define INLINE static inline __attribute__((always_inline))
#define EACH _Pragma("omp simd") for (int j = 0; j < W; j++)
#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__)
/* compiled for three kinds of processor; the loader takes the best that this one is */
#define FUNCTION __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define FUNCTION
#endif

#define JOIN_(a, b) a##_##b
#define JOIN(a, b) JOIN_(a, b)
#define NAME(a) JOIN(a, REAL)

#define REAL float
#define INTEGER int32_t
#define LOWEST -87.0f
#define HIGHEST 88.0f
#define SHIFTER 12582912.0f /* 1.5 * 2^23: the sum with it ends in the nearest integer */
#define FRACTION 23
#define LN2_HIGH 0.693359375f
#define LN2_LOW -2.12194440e-4f
#define TERMS 7
#define ROOT __builtin_sqrtf
#include "kernels.c"

#define REAL double
#define INTEGER int64_t
#define LOWEST -708.0
#define HIGHEST 709.0
#define SHIFTER 6755399441055744.0
#define FRACTION 52
#define LN2_HIGH 6.93147180369123816490e-01
#define LN2_LOW 1.90821492927058770002e-10
#define TERMS 13
#define ROOT __builtin_sqrt
#include "kernels.c"

#else

/* 1 / (1 + exp(-x)); exp as 2^n times a series in what is left of x, at most ln 2 / 2 */
INLINE REAL NAME(sigmoid)(REAL x) {
    static const REAL series[] = {
        1.0, 1.0, 1.0 / 2, 1.0 / 6, 1.0 / 24, 1.0 / 120, 1.0 / 720, 1.0 / 5040, 1.0 / 40320, 1.0 / 362880, 1.0 / 3628800,
        1.0 / 39916800, 1.0 / 479001600, 1.0 / 6227020800,
    };
    REAL t = -x;
    t = t < LOWEST ? LOWEST : t;
    t = t > HIGHEST ? HIGHEST : t;
    const REAL shifted = t * (REAL)1.44269504088896340736 + SHIFTER;
    const REAL n = shifted - SHIFTER;
    const REAL rest = (t - n * LN2_HIGH) - n * LN2_LOW;
    REAL value = series[TERMS];
#pragma GCC unroll 16
    for (int k = TERMS - 1; k >= 0; k--) value = value * rest + series[k];
    INTEGER bits;
    memcpy(&bits, &shifted, sizeof bits);
    const REAL one = 1;
    INTEGER power;
    memcpy(&power, &one, sizeof power);
    power += (INTEGER)((uint64_t)bits << FRACTION);
    REAL scale;
    memcpy(&scale, &power, sizeof scale);
    return 1 / (1 + value * scale);
}

INLINE REAL NAME(mean)(const REAL *x) {
    REAL sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int j = 0; j < W; j++) sum += x[j];
    return sum / W;
}

INLINE REAL NAME(mean_product)(const REAL *x, const REAL *y) {
    REAL sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int j = 0; j < W; j++) sum += x[j] * y[j];
    return sum / W;
}

/* a (n, 128) -> s, d and, where there is room for it, sigma */
FUNCTION void NAME(hidden)(ptrdiff_t n, const REAL *a, REAL *s, REAL *d, REAL *sigma) {
    for (ptrdiff_t i = 0; i < n; i++)
        for (int h = 0; h < 2; h++) {
            const REAL *from = a + (2 * i + h) * W;
            const ptrdiff_t at = (h * n + i) * W;
            REAL kept[W];
            EACH {
                const REAL value = NAME(sigmoid)(from[j]), silu = from[j] * value;
                s[at + j] = silu;
                d[at + j] = value + silu - silu * value;
                kept[j] = value;
            }
            if (sigma) memcpy(sigma + at, kept, sizeof kept);
        }
}

/* z of any strides -> centred z, r, A, y and, where there is room for them, k and l; out may be in */
FUNCTION void NAME(output)(ptrdiff_t n, const REAL *in, ptrdiff_t row, ptrdiff_t half, const REAL *scale, const REAL *shift,
                           REAL *z, REAL *r, REAL *kl, REAL *A, REAL *y) {
    for (ptrdiff_t i = 0; i < n; i++) {
        REAL hs[2][W], sigma[2][W];
        for (int h = 0; h < 2; h++) {
            const REAL *from = in + i * row + h * half;
            const ptrdiff_t at = (h * n + i) * W;
            REAL c[W];
            const REAL mean = NAME(mean)(from);
            EACH c[j] = from[j] - mean;
            const REAL root = 1 / ROOT(NAME(mean_product)(c, c) + (REAL)EPS);
            r[h * n + i] = root;
            EACH {
                z[at + j] = c[j];
                hs[h][j] = c[j] * root * scale[h * W + j] + shift[h * W + j];
                sigma[h][j] = NAME(sigmoid)(hs[h][j]);
            }
        }
        EACH {
            const REAL q = sigma[0][j] * sigma[1][j], value = hs[0][j] * q;
            const REAL k = 1 - sigma[0][j], l = 1 - sigma[1][j];
            y[i * W + j] = value;
            A[i * W + j] = q + k * value;
            A[(n + i) * W + j] = l * value;
        }
        if (kl)
            for (int h = 0; h < 2; h++) {
                EACH kl[(h * n + i) * W + j] = 1 - sigma[h][j];
            }
    }
}

/* p -> z_bar = r P(scale A p) */
FUNCTION void NAME(slope)(ptrdiff_t n, const REAL *p, const REAL *scale, const REAL *z, const REAL *r, const REAL *A,
                          REAL *z_bar, ptrdiff_t row, ptrdiff_t half) {
    for (ptrdiff_t i = 0; i < n; i++)
        for (int h = 0; h < 2; h++) {
            const ptrdiff_t at = (h * n + i) * W;
            const REAL root = r[h * n + i];
            REAL g[W];
            EACH g[j] = scale[h * W + j] * (A[at + j] * p[i * W + j]);
            const REAL mean = NAME(mean)(g), along = NAME(mean_product)(z + at, g) * root * root;
            REAL *to = z_bar + i * row + h * half;
            EACH to[j] = root * (g[j] - mean - z[at + j] * along);
        }
}

/* x, d [, y, s, sigma] -> x d [+ y silu''] (n, 128) */
FUNCTION void NAME(columns)(ptrdiff_t n, const REAL *x, const REAL *d, const REAL *y, const REAL *s, const REAL *sigma,
                            REAL *out) {
    for (ptrdiff_t i = 0; i < n; i++)
        for (int h = 0; h < 2; h++) {
            const ptrdiff_t at = (h * n + i) * W;
            REAL *to = out + (2 * i + h) * W;
            if (y)
                EACH {
                    const REAL value = sigma[at + j], both = s[at + j] * value;
                    to[j] = x[at + j] * d[at + j] + y[at + j] * ((1 - value) * (value + d[at + j] - both));
                }
            else
                EACH to[j] = x[at + j] * d[at + j];
        }
}

/* v (n, 128) -> to_d = s_bar v, along = d v */
FUNCTION void NAME(along)(ptrdiff_t n, const REAL *v, const REAL *s_bar, const REAL *d, REAL *to_d, REAL *along) {
    for (ptrdiff_t i = 0; i < n; i++)
        for (int h = 0; h < 2; h++) {
            const ptrdiff_t at = (h * n + i) * W;
            const REAL *from = v + (2 * i + h) * W;
            EACH {
                to_d[at + j] = s_bar[at + j] * from[j];
                along[at + j] = d[at + j] * from[j];
            }
        }
}

INLINE void NAME(fold)(double *sums, REAL *block, int size) {
    for (int j = 0; j < size; j++) {
        sums[j] += block[j];
        block[j] = 0;
    }
}

/* derivative of z_bar along W (d v) -> to p, to A, to z and the sum over rows to scale */
FUNCTION void NAME(curvature)(ptrdiff_t n, const REAL *w, ptrdiff_t row, ptrdiff_t half, const REAL *p, const REAL *scale,
                              const REAL *z, const REAL *r, const REAL *A, const REAL *z_bar, ptrdiff_t bar_row,
                              ptrdiff_t bar_half, REAL *to_p, REAL *to_A, REAL *to_z, double *to_scale) {
    REAL block[2 * W] = {0};
    for (ptrdiff_t i = 0; i < n; i++) {
        REAL toward[W] = {0};
        for (int h = 0; h < 2; h++) {
            const REAL *from = w + i * row + h * half, *bar = z_bar + i * bar_row + h * bar_half, *zs = z + (h * n + i) * W;
            const REAL *As = A + (h * n + i) * W, *ps = p + i * W;
            const REAL root = r[h * n + i], square = root * root;
            REAL x_dot[W], h_bar[W], weighted[W];
            const REAL mean = NAME(mean)(from), on_z = NAME(mean_product)(zs, from) * square;
            EACH {
                x_dot[j] = root * (from[j] - mean - zs[j] * on_z);
                h_bar[j] = As[j] * ps[j];
                weighted[j] = h_bar[j] * scale[h * W + j];
                block[h * W + j] += h_bar[j] * x_dot[j];
            }
            const REAL by_dot = -NAME(mean_product)(zs, weighted) * square;
            const REAL by_z = -NAME(mean_product)(weighted, x_dot) * square;
            REAL *z_to = to_z + (h * n + i) * W, *A_to = to_A + (h * n + i) * W;
            EACH {
                z_to[j] = x_dot[j] * by_dot - bar[j] * on_z + zs[j] * by_z;
                const REAL h_dot = x_dot[j] * scale[h * W + j];
                toward[j] += As[j] * h_dot;
                A_to[j] = h_dot * ps[j];
            }
        }
        EACH to_p[i * W + j] = toward[j];
        if (i % BLOCK == BLOCK - 1 || i == n - 1) NAME(fold)(to_scale, block, 2 * W);
    }
}

/* what reached y (u) and A (t), where it did, and z -> z_bar and the sums over rows to scale, to shift and of z_bar */
FUNCTION void NAME(normalised)(ptrdiff_t n, const REAL *u, const REAL *t, const REAL *to_z, const REAL *scale, const REAL *z,
                               const REAL *r, const REAL *kl, const REAL *A, const REAL *y, REAL *z_bar, ptrdiff_t row,
                               ptrdiff_t half, double *sums) {
    REAL block[6 * W] = {0};
    for (ptrdiff_t i = 0; i < n; i++) {
        const REAL *A0 = A + i * W, *A1 = A + (n + i) * W;
        REAL to_h[2][W];
        if (u)
            EACH {
                to_h[0][j] = A0[j] * u[i * W + j];
                to_h[1][j] = A1[j] * u[i * W + j];
            }
        else
            memset(to_h, 0, sizeof to_h);
        if (t) {
            const REAL *t0 = t + i * W, *t1 = t + (n + i) * W, *k = kl + i * W, *l = kl + (n + i) * W, *ys = y + i * W;
            EACH {
                const REAL mixed = l[j] * A0[j];
                to_h[0][j] += mixed * t1[j] + k[j] * (2 * A0[j] - ys[j]) * t0[j];
                to_h[1][j] += mixed * t0[j] + (2 * l[j] - 1) * A1[j] * t1[j];
            }
        }
        for (int h = 0; h < 2; h++) {
            const ptrdiff_t at = (h * n + i) * W;
            const REAL root = r[h * n + i];
            REAL g[W];
            EACH {
                block[h * W + j] += root * z[at + j] * to_h[h][j];
                block[(2 + h) * W + j] += to_h[h][j];
                g[j] = scale[h * W + j] * to_h[h][j];
            }
            const REAL mean = NAME(mean)(g), on_z = NAME(mean_product)(z + at, g) * root * root;
            REAL *to = z_bar + i * row + h * half;
            if (to_z)
                EACH to[j] = root * (g[j] - mean - z[at + j] * on_z) + to_z[at + j];
            else
                EACH to[j] = root * (g[j] - mean - z[at + j] * on_z);
            EACH block[(4 + h) * W + j] += to[j];
        }
        if (i % BLOCK == BLOCK - 1 || i == n - 1) NAME(fold)(sums, block, 6 * W);
    }
}

/* whether all of n indices are rows of a table of m; those of no table are not read */
INLINE int NAME(inside)(ptrdiff_t n, const int64_t *index, ptrdiff_t m) {
    int64_t outside = 0;
    if (index)
        for (ptrdiff_t i = 0; i < n; i++) outside |= (uint64_t)index[i] >= (uint64_t)m;
    return !outside;
}

/* common (rows, 128), once or twice, and rows of up to three tables (m, 128) -> out (n, 128); a missing one is zero */
FUNCTION int NAME(gathered)(ptrdiff_t n, ptrdiff_t rows, const REAL *common, const int64_t *i0, const REAL *t0, ptrdiff_t m0,
                            const int64_t *i1, const REAL *t1, ptrdiff_t m1, const int64_t *i2, const REAL *t2, ptrdiff_t m2,
                            REAL *out) {
    static const REAL zero[2 * W];
    if (!NAME(inside)(n, t0 ? i0 : 0, m0) || !NAME(inside)(n, t1 ? i1 : 0, m1) || !NAME(inside)(n, t2 ? i2 : 0, m2)) return 1;
    for (ptrdiff_t i = 0; i < n; i++) {
        const REAL *c = common ? common + (i < rows ? i : i - rows) * 2 * W : zero;
        const REAL *x = t0 ? t0 + i0[i] * 2 * W : zero, *y = t1 ? t1 + i1[i] * 2 * W : zero;
        const REAL *z = t2 ? t2 + i2[i] * 2 * W : zero;
        REAL *to = out + i * 2 * W;
#pragma omp simd
        for (int j = 0; j < 2 * W; j++) to[j] = c[j] + x[j] + y[j] + z[j];
    }
    return 0;
}

/* the transpose: g (n, 128) is added to rows of the tables, and its halves to common where that was taken twice */
FUNCTION int NAME(scattered)(ptrdiff_t n, ptrdiff_t rows, const REAL *g, REAL *common, const int64_t *i0, REAL *t0,
                             ptrdiff_t m0, const int64_t *i1, REAL *t1, ptrdiff_t m1, const int64_t *i2, REAL *t2,
                             ptrdiff_t m2) {
    if (!NAME(inside)(n, i0, m0) || !NAME(inside)(n, i1, m1) || !NAME(inside)(n, i2, m2)) return 1;
    for (ptrdiff_t i = 0; i < n; i++) {
        const REAL *from = g + i * 2 * W;
        REAL *x = t0 + i0[i] * 2 * W, *y = t1 + i1[i] * 2 * W;
#pragma omp simd
        for (int j = 0; j < 2 * W; j++) x[j] += from[j];
#pragma omp simd
        for (int j = 0; j < 2 * W; j++) y[j] += from[j];
        if (t2) {
            REAL *z = t2 + i2[i] * 2 * W;
#pragma omp simd
            for (int j = 0; j < 2 * W; j++) z[j] += from[j];
        }
    }
    if (common)
        for (ptrdiff_t i = 0; i < rows * 2 * W; i++) common[i] = g[i] + g[i + rows * 2 * W];
    return 0;
}

#define AT(k) (by ? by[k] : (k) < rows ? (k) : (k) - rows) /* row of the weights */

/* y (n, 64) times rows of w (rows, 64), added up by owner into out (m, 64) */
FUNCTION int NAME(messages)(ptrdiff_t n, ptrdiff_t rows, ptrdiff_t m, const REAL *y, const REAL *w, const int64_t *by,
                            const int64_t *owner, REAL *out) {
    if (!NAME(inside)(n, by, rows) || !NAME(inside)(n, owner, m)) return 1;
    for (ptrdiff_t i = 0; i < n; i++) {
        const REAL *a = y + i * W, *b = w + AT(i) * W;
        REAL *to = out + owner[i] * W;
        EACH to[j] += a[j] * b[j];
    }
    return 0;
}

/* derivatives by y and by w along g (m, 64) */
FUNCTION int NAME(pulled)(ptrdiff_t n, ptrdiff_t rows, ptrdiff_t m, const REAL *y, const REAL *w, const int64_t *by,
                          const int64_t *owner, const REAL *g, REAL *to_y, REAL *to_w) {
    if (!NAME(inside)(n, by, rows) || !NAME(inside)(n, owner, m)) return 1;
    for (ptrdiff_t i = 0; i < n; i++) {
        const REAL *a = y + i * W, *b = w + AT(i) * W, *along = g + owner[i] * W;
        REAL *to_a = to_y + i * W, *to_b = to_w + AT(i) * W;
        EACH to_a[j] = b[j] * along[j];
        EACH to_b[j] += a[j] * along[j];
    }
    return 0;
}

/* derivatives of those along v (n, 64) and u (rows, 64) by y, w and g */
FUNCTION int NAME(pulled_curved)(ptrdiff_t n, ptrdiff_t rows, ptrdiff_t m, const REAL *y, const REAL *w, const int64_t *by,
                                 const int64_t *owner, const REAL *g, const REAL *v, const REAL *u, REAL *to_y, REAL *to_w,
                                 REAL *to_g) {
    if (!NAME(inside)(n, by, rows) || !NAME(inside)(n, owner, m)) return 1;
    for (ptrdiff_t i = 0; i < n; i++) {
        const ptrdiff_t k = AT(i);
        const REAL *a = y + i * W, *b = w + k * W, *along = g + owner[i] * W, *c = v + i * W, *d = u + k * W;
        REAL *to_a = to_y + i * W, *to_b = to_w + k * W, *to = to_g + owner[i] * W;
        EACH to_a[j] = d[j] * along[j];
        EACH to_b[j] += c[j] * along[j];
        EACH to[j] += c[j] * b[j] + a[j] * d[j];
    }
    return 0;
}

#undef AT
#undef REAL
#undef INTEGER
#undef LOWEST
#undef HIGHEST
#undef SHIFTER
#undef FRACTION
#undef LN2_HIGH
#undef LN2_LOW
#undef TERMS
#undef ROOT
#endif
