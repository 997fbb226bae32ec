// What stands between the matrix products: normalisation, activation, residual sums. All in fp32.
//
// Every number has its own formula and every row its own sums in a fixed order, so threads change nothing.
#pragma once
#include "native.h"
#include "vector_math.h"

namespace chatglm { namespace CHATGLM_ISA {

// Fewer numbers than these are done before other threads wake up.
constexpr int64_t kWorthThreads = 1 << 16;
// Numbers that one thread takes at a time; a multiple of 16.
constexpr int64_t kPiece = 1 << 12;

// Four sums at once: each addition waits for the one before it.
static float row_sum(const float *x, int64_t n) {
    F a = zero(), b = zero(), c = zero(), d = zero();
    int64_t i = 0;
    for (; i + 64 <= n; i += 64) {
        a = add(a, load(x + i)), b = add(b, load(x + i + 16));
        c = add(c, load(x + i + 32)), d = add(d, load(x + i + 48));
    }
    for (; i < n; i += 16) a = add(a, n - i < 16 ? load_tail(x + i, n - i) : load(x + i));
    return sum(add(add(a, b), add(c, d)));
}

ALWAYS_INLINE F square(F v) { return mul(v, v); }

static float row_squares(const float *x, int64_t n) {
    F a = zero(), b = zero(), c = zero(), d = zero();
    int64_t i = 0;
    for (; i + 64 <= n; i += 64) {
        a = add(a, square(load(x + i))), b = add(b, square(load(x + i + 16)));
        c = add(c, square(load(x + i + 32))), d = add(d, square(load(x + i + 48)));
    }
    for (; i < n; i += 16) a = add(a, square(n - i < 16 ? load_tail(x + i, n - i) : load(x + i)));
    return sum(add(add(a, b), add(c, d)));
}

// The differences from the mean wait in y. What the rounding of a large mean has left in them is taken out as well:
// they are so small that their own mean is exact enough.
static void normalize_row(const float *x, const float *weight, const float *bias, float eps, int64_t n, float *y) {
    const F mean = splat(row_sum(x, n) / (float)n);
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) store(y + i, sub(load(x + i), mean));
    if (i < n) store_tail(y + i, sub(load_tail(x + i, n - i), mean), n - i);
    const float rest = row_sum(y, n) / (float)n, variance = row_squares(y, n) / (float)n - rest * rest;
    const F scale = div(splat(1.0f), square_root(splat(variance + eps))), shift = splat(rest);
    for (i = 0; i + 16 <= n; i += 16)
        store(y + i, fma(mul(sub(load(y + i), shift), scale), load(weight + i), load(bias + i)));
    if (i < n) {
        const int64_t left = n - i;
        const F v = mul(sub(load_tail(y + i, left), shift), scale);
        store_tail(y + i, fma(v, load_tail(weight + i, left), load_tail(bias + i, left)), left);
    }
}

static void layer_norm(const float *x, const float *weight, const float *bias, float eps, int64_t rows, int64_t width,
                       float *y, int threads) {
#pragma omp parallel for num_threads(threads) schedule(static) if (rows * width >= kWorthThreads)
    for (int64_t m = 0; m < rows; m++) normalize_row(x + m * width, weight, bias, eps, width, y + m * width);
}

// x (1 + tanh u) / 2 = x / (1 + e^-2u) with u = sqrt(2 / pi) (x + 0.044715 x^3).
ALWAYS_INLINE F gelu_of(F x) {
    const F minus_2u = mul(x, fma(mul(x, x), splat(-0.0713548162726f), splat(-1.59576912161f)));
    return div(x, add(splat(1.0f), exp(minus_2u)));
}

static void gelu_piece(float *x, int64_t n) {
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) store(x + i, gelu_of(load(x + i)));
    if (i < n) store_tail(x + i, gelu_of(load_tail(x + i, n - i)), n - i);
}

static void gelu(float *x, int64_t count, int threads) {
#pragma omp parallel for num_threads(threads) schedule(static) if (count >= kWorthThreads)
    for (int64_t start = 0; start < count; start += kPiece)
        gelu_piece(x + start, count - start < kPiece ? count - start : kPiece);
}

// Product and sum are rounded one by one, as torch does.
static void scale_add_piece(const float *x, float alpha, const float *y, int64_t n, float *out) {
    const F a = splat(alpha);
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) store(out + i, add(mul(load(x + i), a), load(y + i)));
    if (i < n) store_tail(out + i, add(mul(load_tail(x + i, n - i), a), load_tail(y + i, n - i)), n - i);
}

static void scale_add(float *x, float alpha, const float *y, int64_t count, int threads) {
#pragma omp parallel for num_threads(threads) schedule(static) if (count >= kWorthThreads)
    for (int64_t start = 0; start < count; start += kPiece)
        scale_add_piece(x + start, alpha, y + start, count - start < kPiece ? count - start : kPiece, x + start);
}

}}  // namespace chatglm::CHATGLM_ISA
