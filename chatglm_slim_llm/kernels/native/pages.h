// Keys and values of a head in a page, and vectors of any length up to 16.
#pragma once
#include "native.h"

namespace chatglm { namespace CHATGLM_ISA {

ALWAYS_INLINE F get(const float *p, int64_t n) { return n >= 16 ? load(p) : load_tail(p, n); }
ALWAYS_INLINE F get(const uint16_t *p, int64_t n) { return n >= 16 ? load_half(p) : load_half_tail(p, n); }
ALWAYS_INLINE F get(const int8_t *p, int64_t) { return load_int8(p); }  // kept in whole vectors
ALWAYS_INLINE void put(float *p, F v, int64_t n) { n >= 16 ? store(p, v) : store_tail(p, v, n); }
ALWAYS_INLINE void put(uint16_t *p, F v, int64_t n) { n >= 16 ? store_half(p, v) : store_half_tail(p, v, n); }
ALWAYS_INLINE void put(int8_t *p, F v, int64_t n) {  // rounds half to even
    if (n >= 16) return store_bytes(p, to_int(v));
    int8_t bytes[16];
    store_bytes(bytes, to_int(v));
    std::memcpy(p, bytes, (size_t)n);
}

// The keys, or the values, of one head in a page.
template <typename Number>
struct Kept {
    static constexpr bool kScaled = sizeof(Number) == 1;
    Number *numbers;  // [kPageTokens][stride]
    int64_t stride;

    Number *of(int64_t token) const { return numbers + token * stride; }
    float *scales() const { return (float *)of(kPageTokens); }  // [kPageTokens], if kScaled
    float step(int64_t token) const {
        if constexpr (kScaled) return scales()[token];
        return 1;
    }
    // Multiplies a number for each token by what the numbers kept of that token count.
    void scale(float *of_tokens) const {
        if constexpr (kScaled)
            for (int64_t t = 0; t < kPageTokens; t += 16)
                store(of_tokens + t, mul(load(of_tokens + t), load(scales() + t)));
    }
};

// Part 0 is the keys, part 1 the values.
template <typename Number>
ALWAYS_INLINE Kept<Number> in_page(char *page, const Heads &at, int64_t part, int64_t head) {
    return {(Number *)(page + ((at.layer * 2 + part) * at.heads + head) * at.part_bytes()), at.stride()};
}

template <typename Number>
ALWAYS_INLINE void fetch(const Number *p, int64_t n) {  // n numbers into the cache
    for (int64_t i = 0; i < n; i += 64 / (int64_t)sizeof(Number)) prefetch(p + i);
}

// work(Number()) with the type that keys and values are kept in.
template <typename Work>
ALWAYS_INLINE void as_kept(const Heads &at, const Work &work) {
    if (at.bits == 8) work(int8_t());
    else work(uint16_t());
}

// Whether there is so much to attend to that threads pay for waking up.
static bool worth_threads(const Rows &rows, const Heads &at) {
    int64_t seen = 0;
    for (int64_t r = 0; r < rows.count; r++) seen += rows.visible[r];
    return seen * at.heads * at.d >= 1 << 17;
}

}}  // namespace chatglm::CHATGLM_ISA
