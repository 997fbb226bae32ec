// Dot products of weights of 8 or 4 bits with activations.
#pragma once
#include "native.h"

namespace chatglm { namespace CHATGLM_ISA {

// Adds to acc, or to sums in 16 bits where weights of so many bits have such.
template <int BITS, typename Sum>
ALWAYS_INLINE void dot4(Sum &acc, B w, const int8_t *x) {
    if constexpr (BITS == 4) dot4_nibble(acc, w, x);
    else dot4_byte(acc, w, x);
}
constexpr bool has_short(int bits) { return bits == 4 && kShortColumns > 0; }

}}  // namespace chatglm::CHATGLM_ISA
