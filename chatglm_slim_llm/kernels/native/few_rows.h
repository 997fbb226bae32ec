// Few rows of activations: the weights are read once, from end to end, straight from memory.
#pragma once
#include "activations.h"
#include "dots.h"
#include "panels.h"

namespace chatglm { namespace CHATGLM_ISA {

// Panels that a thread takes at a time. It reads one after the other, kPrefetchBytes ahead of the dot products: memory
// gives less to several at once (int4, one row: 91 % of the bandwidth from three panels, 98 % from one).
constexpr int64_t kStreamPanels = 4;

template <int BITS, int T, typename Sum>
ALWAYS_INLINE void dot_step(Sum *low, Sum *high, const uint8_t *w, const int8_t *x) {  // eight columns of one panel
    prefetch_once(w + kPrefetchBytes);
    if (BITS == 8) prefetch_once(w + kPrefetchBytes + 64);
    const B v = load_bytes(w);
    const B a = BITS == 4 ? low_nibbles(v) : v, b = BITS == 4 ? high_nibbles(v) : load_bytes(w + 64);
#pragma GCC unroll 16
    for (int m = 0; m < T; m++) dot4<BITS>(low[m], a, x + m * 4);
#pragma GCC unroll 16
    for (int m = 0; m < T; m++) dot4<BITS>(high[m], b, x + (T + m) * 4);
}

// One group of columns, added to the sums y.
template <int BITS, int T>
ALWAYS_INLINE void stream_group(const Panels &panels, const Activations &a, const Quantized &form, int64_t g, F *y) {
    constexpr bool two_sums = T <= kTwoSums;
    const uint8_t *w = panels.data(0) + g * a.group * BITS * 2;
    const int8_t *x = form.values + g * a.group * T;
    I low[T], high[T];
    for (int m = 0; m < T; m++) low[m] = isplat(form.corrections[g * T + m]), high[m] = izero();
    if constexpr (has_short(BITS)) {
        for (int64_t k = 0; k < a.group; k += kShortColumns) {
            Short sums[T] = {};
#pragma GCC unroll 4
            for (int64_t i = 0; i < kShortColumns; i += 8, w += BITS * 16, x += 8 * T)
                dot_step<BITS, T>(sums, sums, w, x);
            for (int m = 0; m < T; m++) add_short(low[m], sums[m]);
        }
    } else {
        for (int64_t k = 0; k < a.group; k += 8, w += BITS * 16, x += 8 * T)
            dot_step<BITS, T>(low, two_sums ? high : low, w, x);
    }
    F scales[T];
    for (int m = 0; m < T; m++) scales[m] = splat(form.scales[g * T + m]);
    if (panels.has_groups())
        for (int m = 0; m < T; m++) scales[m] = mul(load_int8(panels.group_scale(0, g)), scales[m]);
    for (int m = 0; m < T; m++) y[m] = fma(scales[m], to_float(iadd(low[m], high[m])), y[m]);
}

template <int BITS, int T>
static void stream(Panels panels, int64_t end, const Activations &a) {
    const uint8_t *special = a.specials(0);
    for (; panels.first < end; panels.first++) {
        F y[T];
        for (int m = 0; m < T; m++) y[m] = zero();
        for (int64_t g = 0; g < a.groups; g++) {
            stream_group<BITS, T>(panels, a, a.main, g, y);
            if (special[g] & kHasRest) stream_group<BITS, T>(panels, a, a.rest, g, y);
        }
        for (int m = 0; m < T; m++) panels.finish(0, m, y[m]);
    }
}

template <int BITS, int T>
struct FewRows {
    static void run(const Panels &panels, int64_t end, const Activations &a) {
        if (a.rows == T) stream<BITS, T>(panels, end, a);
        else FewRows<BITS, T - 1>::run(panels, end, a);
    }
};
template <int BITS>
struct FewRows<BITS, 0> {
    static void run(const Panels &, int64_t, const Activations &) {}
};

}}  // namespace chatglm::CHATGLM_ISA
