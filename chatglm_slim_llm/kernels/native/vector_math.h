// Functions that the instruction sets do not have.
#pragma once
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

}}  // namespace chatglm::CHATGLM_ISA
