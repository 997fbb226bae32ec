// Sixteen lanes at a time in plain C++, for any processor; simd_avx512.h says what the names mean.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>

#define CHATGLM_ISA portable
#define ALWAYS_INLINE static inline __attribute__((always_inline))
#define LANES for (int i = 0; i < 16; i++)

namespace chatglm { namespace portable {

struct F { float v[16]; };
struct I { int32_t v[16]; };
struct B { uint8_t v[64]; };

constexpr int kTileRows = 4, kTilePanels = 1;
constexpr int kHeadVectors = 2, kContextHeight = 2, kContextVectors = 1;
constexpr int kHalfHeight = 1, kHalfWidth = 3;

ALWAYS_INLINE float half_to_float(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, rest = (uint32_t)(h & 0x7fff) << 13, bits;
    float f;
    if ((h & 0x7c00) == 0x7c00) bits = rest | 0x70000000;                // infinity, NaN
    else if (h & 0x7c00) bits = rest + 0x38000000;
    else { f = (float)(h & 0x3ff) * 0x1p-24f; std::memcpy(&bits, &f, 4); }  // subnormal
    bits |= sign;
    std::memcpy(&f, &bits, 4);
    return f;
}
ALWAYS_INLINE uint16_t float_to_half(float f) {  // rounds half to even
    uint32_t bits;
    std::memcpy(&bits, &f, 4);
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
    bits &= 0x7fffffff;
    if (bits > 0x7f800000) return sign | 0x7e00 | (uint16_t)(bits >> 13 & 0x1ff);
    if (bits >= 0x477ff000) return sign | 0x7c00;
    if (bits < 0x38800000) {  // subnormal: the addition does the rounding
        float small, half = 0.5f;
        std::memcpy(&small, &bits, 4);
        small += half;
        std::memcpy(&bits, &small, 4);
        return sign | (uint16_t)(bits - 0x3f000000);
    }
    return sign | (uint16_t)((bits + 0xfff + (bits >> 13 & 1) - 0x38000000) >> 13);
}

ALWAYS_INLINE F zero() { return F{}; }
ALWAYS_INLINE F splat(float v) { F r; LANES r.v[i] = v; return r; }
ALWAYS_INLINE F load(const float *p) { F r; std::memcpy(r.v, p, 64); return r; }
ALWAYS_INLINE F load_tail(const float *p, int64_t n) { F r{}; std::memcpy(r.v, p, (size_t)n * 4); return r; }
ALWAYS_INLINE void keep(F &) {}
ALWAYS_INLINE void store(float *p, F v) { std::memcpy(p, v.v, 64); }
ALWAYS_INLINE void store_tail(float *p, F v, int64_t n) { std::memcpy(p, v.v, (size_t)n * 4); }
ALWAYS_INLINE F load_half(const uint16_t *p) { F r; LANES r.v[i] = half_to_float(p[i]); return r; }
ALWAYS_INLINE F load_half_tail(const uint16_t *p, int64_t n) {
    F r{};
    for (int64_t i = 0; i < n; i++) r.v[i] = half_to_float(p[i]);
    return r;
}
ALWAYS_INLINE void store_half(uint16_t *p, F v) { LANES p[i] = float_to_half(v.v[i]); }
ALWAYS_INLINE void store_half_tail(uint16_t *p, F v, int64_t n) {
    for (int64_t i = 0; i < n; i++) p[i] = float_to_half(v.v[i]);
}

ALWAYS_INLINE F add(F a, F b) { LANES a.v[i] += b.v[i]; return a; }
ALWAYS_INLINE F sub(F a, F b) { LANES a.v[i] -= b.v[i]; return a; }
ALWAYS_INLINE F mul(F a, F b) { LANES a.v[i] *= b.v[i]; return a; }
ALWAYS_INLINE F div(F a, F b) { LANES a.v[i] /= b.v[i]; return a; }
ALWAYS_INLINE F fma(F a, F b, F c) { LANES c.v[i] += a.v[i] * b.v[i]; return c; }
ALWAYS_INLINE F max(F a, F b) { LANES a.v[i] = a.v[i] > b.v[i] ? a.v[i] : b.v[i]; return a; }
ALWAYS_INLINE F min(F a, F b) { LANES a.v[i] = a.v[i] < b.v[i] ? a.v[i] : b.v[i]; return a; }
ALWAYS_INLINE F abs(F a) { LANES a.v[i] = std::fabs(a.v[i]); return a; }
ALWAYS_INLINE F square_root(F a) { LANES a.v[i] = std::sqrt(a.v[i]); return a; }
ALWAYS_INLINE F round(F a) { LANES a.v[i] = std::nearbyint(a.v[i]); return a; }
ALWAYS_INLINE F power_of_two(F n) {
    LANES { uint32_t bits = (uint32_t)((int32_t)n.v[i] + 127) << 23; std::memcpy(&n.v[i], &bits, 4); }
    return n;
}
ALWAYS_INLINE float sum(F a) {
    for (int n = 8; n; n /= 2) for (int i = 0; i < n; i++) a.v[i] += a.v[i + n];
    return a.v[0];
}
ALWAYS_INLINE void sum_four(F a, F b, F c, F d, float *out) {
    out[0] = sum(a), out[1] = sum(b), out[2] = sum(c), out[3] = sum(d);
}
ALWAYS_INLINE float largest(F a) {
    for (int n = 8; n; n /= 2) for (int i = 0; i < n; i++) a.v[i] = a.v[i] > a.v[i + n] ? a.v[i] : a.v[i + n];
    return a.v[0];
}

ALWAYS_INLINE I izero() { return I{}; }
ALWAYS_INLINE I isplat(int32_t v) { I r; LANES r.v[i] = v; return r; }
ALWAYS_INLINE I iadd(I a, I b) { LANES a.v[i] += b.v[i]; return a; }
ALWAYS_INLINE int32_t isum(I a) { int32_t s = 0; LANES s += a.v[i]; return s; }
ALWAYS_INLINE F to_float(I a) { F r; LANES r.v[i] = (float)a.v[i]; return r; }
ALWAYS_INLINE I to_int(F a) {  // what no int32 can hold becomes the smallest one, as on x86
    I r;
    LANES r.v[i] = a.v[i] > -2147483648.0f && a.v[i] < 2147483648.0f ? (int32_t)std::nearbyint(a.v[i]) : INT32_MIN;
    return r;
}
ALWAYS_INLINE void store_bytes(int8_t *p, I v) {
    LANES p[i] = (int8_t)(v.v[i] < -128 ? -128 : v.v[i] > 127 ? 127 : v.v[i]);
}

ALWAYS_INLINE B load_bytes(const uint8_t *p) { B r; std::memcpy(r.v, p, 64); return r; }
ALWAYS_INLINE void store_bytes64(uint8_t *p, B v) { std::memcpy(p, v.v, 64); }
ALWAYS_INLINE B low_nibbles(B v) { for (int i = 0; i < 64; i++) v.v[i] &= 15; return v; }
ALWAYS_INLINE B high_nibbles(B v) { for (int i = 0; i < 64; i++) v.v[i] >>= 4; return v; }
ALWAYS_INLINE void dot4_byte(I &acc, B w, const int8_t *x) {
    LANES acc.v[i] += w.v[4 * i] * x[0] + w.v[4 * i + 1] * x[1] + w.v[4 * i + 2] * x[2] + w.v[4 * i + 3] * x[3];
}
ALWAYS_INLINE void dot4_nibble(I &acc, B w, const int8_t *x) { dot4_byte(acc, w, x); }

ALWAYS_INLINE void prefetch(const void *p) { __builtin_prefetch(p); }

}}  // namespace chatglm::portable
#undef LANES
