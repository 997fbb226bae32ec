// A tile of the integer matrix product: T rows of activations and P panels of weights, whose sums stay in registers.
//
// On AVX-512 the dot products take every multiplication that the processor can start, and those of the scales come on
// top: each of them for every sum of a group takes 4 % of a layer's time. So the scale of a whole row of weights waits
// for the end of the row, and that of a group meets a power of two in an addition.
#pragma once
#include "activations.h"
#include "dots.h"

namespace chatglm { namespace CHATGLM_ISA {

// How far ahead of the dot products the activations are fetched: they come from the L2 or the L3 cache.
constexpr int64_t kActivationBytes = 1024;

// How the scales of weights and activations meet.
enum class Scales {
    kOfRow,    // the activations' alone
    kPowers,   // groups of weights have some, and the activations' are powers of two
    kOfGroups  // any
};

// What a tile reads of successive groups of columns. A panel lies next_packed, kBlockColumns * 16 or next_scale behind
// the one before.
struct Tile {
    const uint8_t *packed;  // the weights as they come from memory
    uint8_t *w;             // and unpacked
    const int8_t *x;
    const float *xscales;
    const int32_t *corrections;
    const int8_t *scales;
    int64_t next_packed, next_scale;
};

// Eight columns, unpacked on the way for the tiles that follow if this is the first one.
template <int BITS, bool FRESH, int P>
ALWAYS_INLINE void load_columns(const Tile &t, int64_t k, B first[P], B second[P]) {
    for (int p = 0; p < P; p++) {
        uint8_t *w = t.w + (p * kBlockColumns + k) * 16;
        if (FRESH) {
            const uint8_t *packed = t.packed + p * t.next_packed + k * BITS * 2;
            const B v = load_bytes(packed);
            first[p] = BITS == 4 ? low_nibbles(v) : v;
            second[p] = BITS == 4 ? high_nibbles(v) : load_bytes(packed + 64);
            store_bytes64(w, first[p]), store_bytes64(w + 64, second[p]);
        } else {
            first[p] = load_bytes(w), second[p] = load_bytes(w + 64);
        }
    }
}

template <int BITS, int T, int P, typename Sum>
ALWAYS_INLINE void dot_columns(Sum acc[P][T], const B v[P], const int8_t *x) {
#pragma GCC unroll 16
    for (int m = 0; m < T; m++) {
        if constexpr (P == 3)
            dot4_three(acc[0][m], acc[1][m], acc[2][m], v, x + m * 4);
        else
            for (int p = 0; p < P; p++) dot4<BITS>(acc[p][m], v[p], x + m * 4);
    }
}

template <int BITS, bool FRESH, int T, int P, typename Sum>
ALWAYS_INLINE void dot_eight(const Tile &t, int64_t k, Sum acc[P][T], Sum more[P][T], const int8_t *x) {
    B first[P], second[P];
    load_columns<BITS, FRESH, P>(t, k, first, second);
    dot_columns<BITS, T, P>(acc, first, x);
    dot_columns<BITS, T, P>(more, second, x + 4 * T);
}

template <Scales SCALES, int T, int P>
ALWAYS_INLINE void add_scaled(const Tile &t, const I acc[P][T], F y[P][T]) {
    F scales[P];
    Exponents exponents[P];
    for (int p = 0; p < P; p++) {
        if constexpr (SCALES == Scales::kPowers) exponents[p] = exponents_of(load_int8(t.scales + p * t.next_scale));
        if constexpr (SCALES == Scales::kOfGroups) scales[p] = load_int8(t.scales + p * t.next_scale);
    }
#pragma GCC unroll 16
    for (int m = 0; m < T; m++)
        for (int p = 0; p < P; p++) {
            F scale;
            if constexpr (SCALES == Scales::kOfRow) scale = splat(t.xscales[m]);
            else if constexpr (SCALES == Scales::kPowers) scale = times_power(exponents[p], t.xscales[m]);
            else scale = mul(scales[p], splat(t.xscales[m]));
            y[p][m] = fma(scale, to_float(acc[p][m]), y[p][m]);
        }
}

template <int BITS, int64_t GROUP, Scales SCALES, bool FRESH, int T, int P>
ALWAYS_INLINE void add_group(const Tile &t, F y[P][T]) {
    constexpr bool two_sums = P < kTilePanels;  // a panel that is left over has too few to keep the dot products busy
    I acc[P][T], more[P][T];
#pragma GCC unroll 16
    for (int m = 0; m < T; m++)
        for (int p = 0; p < P; p++) acc[p][m] = isplat(t.corrections[m]), more[p][m] = izero();
    const int8_t *x = t.x;
    for (int64_t i = 0; i < GROUP * T; i += 64) prefetch(x + kActivationBytes + i);
    if constexpr (has_short(BITS)) {
        for (int64_t k = 0; k < GROUP; k += kShortColumns) {
            Short sums[P][T] = {};
#pragma GCC unroll 4
            for (int64_t i = 0; i < kShortColumns; i += 8, x += 8 * T)
                dot_eight<BITS, FRESH, T, P>(t, k + i, sums, sums, x);
#pragma GCC unroll 16
            for (int m = 0; m < T; m++)
                for (int p = 0; p < P; p++) add_short(acc[p][m], sums[p][m]);
        }
    } else if (FRESH || two_sums || kTileColumns == 8) {
        for (int64_t k = 0; k < GROUP; k += 8, x += 8 * T)
            dot_eight<BITS, FRESH, T, P>(t, k, acc, two_sums ? more : acc, x);
    } else {
        for (int64_t k = 0; k < GROUP; k += 4, x += 4 * T) {
            B v[P];
            for (int p = 0; p < P; p++) v[p] = load_bytes(t.w + (p * kBlockColumns + k) * 16);
            dot_columns<BITS, T, P>(acc, v, x);
        }
    }
#pragma GCC unroll 16
    for (int m = 0; two_sums && m < T; m++)
        for (int p = 0; p < P; p++) acc[p][m] = iadd(acc[p][m], more[p][m]);
    add_scaled<SCALES, T, P>(t, acc, y);
}

// Adds so many groups; the sums stay in the registers.
template <int BITS, int64_t GROUP, Scales SCALES, bool FRESH, int T, int P>
ALWAYS_INLINE void add_groups(Tile t, int64_t groups, F y[P][T]) {
    for (int64_t g = 0; g < groups; g++) {
        add_group<BITS, GROUP, SCALES, FRESH, T, P>(t, y);
        t.packed += GROUP * BITS * 2, t.w += GROUP * 16, t.x += GROUP * T;
        t.xscales += T, t.corrections += T, t.scales += 16;
    }
}

}}  // namespace chatglm::CHATGLM_ISA
