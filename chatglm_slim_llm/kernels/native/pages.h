// Keys and values of a head in a page, and vectors of any length up to 16.
#pragma once
#include "native.h"

namespace chatglm { namespace CHATGLM_ISA {

ALWAYS_INLINE F get(const float *p, int64_t n) { return n >= 16 ? load(p) : load_tail(p, n); }
ALWAYS_INLINE F get(const uint16_t *p, int64_t n) { return n >= 16 ? load_half(p) : load_half_tail(p, n); }
ALWAYS_INLINE void put(float *p, F v, int64_t n) { n >= 16 ? store(p, v) : store_tail(p, v, n); }
ALWAYS_INLINE void put(uint16_t *p, F v, int64_t n) { n >= 16 ? store_half(p, v) : store_half_tail(p, v, n); }

// The keys (part 0) or values (part 1) of one head in a page: [kPageTokens][d].
ALWAYS_INLINE uint16_t *in_page(uint16_t *page, const Heads &at, int64_t part, int64_t head) {
    return page + ((at.layer * 2 + part) * at.heads + head) * kPageTokens * at.d;
}

ALWAYS_INLINE void fetch(const uint16_t *p, int64_t n) {  // n numbers into the cache
    for (int64_t i = 0; i < n; i += 32) prefetch(p + i);
}

// Whether there is so much to attend to that threads pay for waking up.
static bool worth_threads(const Rows &rows, const Heads &at) {
    int64_t seen = 0;
    for (int64_t r = 0; r < rows.count; r++) seen += rows.visible[r];
    return seen * at.heads * at.d >= 1 << 17;
}

}}  // namespace chatglm::CHATGLM_ISA
