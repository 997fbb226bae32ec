// Functions that the instruction sets do not have.
#pragma once
#include <cstring>

#include "native.h"

namespace chatglm { namespace CHATGLM_ISA {

// e^x with a relative error below 1e-7 for -87 <= x <= 88; x is clamped to that range.
ALWAYS_INLINE F exp(F x) {
    x = min(max(x, splat(-87.0f)), splat(88.0f));
    const F n = round(mul(x, splat(1.44269504f)));
    // ln 2 in two parts: the first has so few bits that its product with n is exact.
    const F r = fma(n, splat(2.12194440e-4f), fma(n, splat(-0.693359375f), x));
    // Minimax for (e^r - 1 - r) / r^2 on |r| <= ln 2 / 2.
    F p = fma(splat(0.00138144661f), r, splat(0.00836878084f));
    p = fma(p, r, splat(0.0416683927f));
    p = fma(p, r, splat(0.166665196f));
    p = fma(p, r, splat(0.49999994f));
    return mul(add(fma(p, mul(r, r), r), splat(1.0f)), power_of_two(n));
}

// A quarter of an F, the same for all instruction sets; and the same bits as two numbers.
typedef float Quarter __attribute__((vector_size(16)));
typedef int64_t Halves __attribute__((vector_size(16)));

ALWAYS_INLINE Quarter load_quarter(const float *p) { Quarter v; std::memcpy(&v, p, 16); return v; }
ALWAYS_INLINE void store_quarter(float *p, Quarter v) { std::memcpy(p, &v, 16); }
// Each vector here is one instruction's shuffle of two others. GCC would rather gather each number of the result by
// itself: it does not where the second step moves pairs, and where what the first one moves has just been computed.
ALWAYS_INLINE void transpose(Quarter (&v)[4]) {
    const Halves a = (Halves)Quarter{v[0][0], v[1][0], v[0][1], v[1][1]};
    const Halves b = (Halves)Quarter{v[2][0], v[3][0], v[2][1], v[3][1]};
    const Halves c = (Halves)Quarter{v[0][2], v[1][2], v[0][3], v[1][3]};
    const Halves d = (Halves)Quarter{v[2][2], v[3][2], v[2][3], v[3][3]};
    v[0] = (Quarter)Halves{a[0], b[0]}, v[1] = (Quarter)Halves{a[1], b[1]};
    v[2] = (Quarter)Halves{c[0], d[0]}, v[3] = (Quarter)Halves{c[1], d[1]};
}

}}  // namespace chatglm::CHATGLM_ISA
