// Sixteen lanes at a time in plain C++, for any processor; simd_avx512.h says what the names mean.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>

#define CHATGLM_ISA portable
#define ALWAYS_INLINE static inline __attribute__((always_inline))
#define LANES for (int i = 0; i < 16; i++)

namespace chatglm { namespace portable {

// Vectors of four numbers, which any processor's compiler keeps in registers; an array of 16 would live in memory.
typedef float Four __attribute__((vector_size(16)));
typedef int32_t Whole __attribute__((vector_size(16)));
struct F { Four a, b, c, d; };
struct Lanes { float v[16]; };
struct I { int32_t v[16]; };
struct B { uint8_t v[64]; };

constexpr int kStreamRows = 4, kTileRows = 4, kTilePanels = 1, kTileColumns = 4;
constexpr int kHeadVectors = 2, kContextHeight = 2, kContextVectors = 1, kContextUnroll = 1;
constexpr int kTwoSums = 7;
constexpr int32_t kByteZero = 0;
constexpr int64_t kPrefetchBytes = 4096;
constexpr bool kPrefetchPlainReads = true;
constexpr int64_t kShortColumns = 0;
struct Short {};
constexpr int kHalfHeight = 1, kHalfWidth = 3;

ALWAYS_INLINE Lanes lanes(F f) { Lanes r; std::memcpy(r.v, &f, 64); return r; }
ALWAYS_INLINE F vector(const Lanes &l) { F f; std::memcpy(&f, l.v, 64); return f; }

// Without branches, so that a loop over it becomes vectors.
ALWAYS_INLINE float half_to_float(uint16_t h) {
    const uint32_t exponent = h & 0x7c00, rest = (uint32_t)(h & 0x7fff) << 13;
    const float small = (float)(int32_t)(h & 0x3ff) * 0x1p-24f;
    uint32_t bits;
    std::memcpy(&bits, &small, 4);
    bits = exponent == 0 ? bits : exponent == 0x7c00 ? rest | 0x70000000 : rest + 0x38000000;
    bits |= (uint32_t)(h & 0x8000) << 16;
    float f;
    std::memcpy(&f, &bits, 4);
    return f;
}
ALWAYS_INLINE uint16_t float_to_half(float f) {  // rounds half to even
    uint32_t bits;
    std::memcpy(&bits, &f, 4);
    const int32_t magnitude = (int32_t)(bits & 0x7fffffff);
    float small;
    std::memcpy(&small, &magnitude, 4);
    small += 0.5f;  // a subnormal: the addition does the rounding
    int32_t subnormal;
    std::memcpy(&subnormal, &small, 4);
    subnormal -= 0x3f000000;
    const int32_t normal = (int32_t)((uint32_t)magnitude + 0xfff + (magnitude >> 13 & 1) - 0x38000000) >> 13;
    const int32_t special = magnitude > 0x7f800000 ? 0x7e00 | (magnitude >> 13 & 0x1ff) : 0x7c00;
    const int32_t half = magnitude >= 0x477ff000 ? special : magnitude < 0x38800000 ? subnormal : normal;
    return (uint16_t)(half | (int32_t)(bits >> 16 & 0x8000));
}

ALWAYS_INLINE F zero() { return F{}; }
ALWAYS_INLINE F splat(float v) { const Four q = {v, v, v, v}; return {q, q, q, q}; }
ALWAYS_INLINE F load(const float *p) { F r; std::memcpy(&r, p, 64); return r; }
ALWAYS_INLINE F load_tail(const float *p, int64_t n) {
    Lanes l{};
    std::memcpy(l.v, p, (size_t)n * 4);
    return vector(l);
}
ALWAYS_INLINE void keep(F &) {}
ALWAYS_INLINE void keep(B &v) { asm("" : "+m"(v)); }
ALWAYS_INLINE void store(float *p, F v) { std::memcpy(p, &v, 64); }
ALWAYS_INLINE void store_tail(float *p, F v, int64_t n) { std::memcpy(p, &v, (size_t)n * 4); }
ALWAYS_INLINE Four load_half4(const uint16_t *p) {  // half_to_float, four at a time
    typedef uint16_t Halves __attribute__((vector_size(8)));
    Halves h;
    std::memcpy(&h, p, 8);
    const Whole w = __builtin_convertvector(h, Whole), exponent = w & 0x7c00, rest = (w & 0x7fff) << 13;
    const Whole small = (Whole)(__builtin_convertvector(w & 0x3ff, Four) * 0x1p-24f);
    const Whole size = exponent == 0 ? small : exponent == 0x7c00 ? rest | 0x70000000 : rest + 0x38000000;
    return (Four)(size | (w & 0x8000) << 16);
}
ALWAYS_INLINE F load_half(const uint16_t *p) {
    return {load_half4(p), load_half4(p + 4), load_half4(p + 8), load_half4(p + 12)};
}
ALWAYS_INLINE F load_int8(const int8_t *p) {
    Lanes l;
    LANES l.v[i] = p[i];
    return vector(l);
}
ALWAYS_INLINE F load_half_tail(const uint16_t *p, int64_t n) {
    Lanes l{};
    for (int64_t i = 0; i < n; i++) l.v[i] = half_to_float(p[i]);
    return vector(l);
}
ALWAYS_INLINE void store_half(uint16_t *p, F v) {
    const Lanes l = lanes(v);
    LANES p[i] = float_to_half(l.v[i]);
}
ALWAYS_INLINE void store_half_tail(uint16_t *p, F v, int64_t n) {
    const Lanes l = lanes(v);
    for (int64_t i = 0; i < n; i++) p[i] = float_to_half(l.v[i]);
}

ALWAYS_INLINE F add(F x, F y) { return {x.a + y.a, x.b + y.b, x.c + y.c, x.d + y.d}; }
ALWAYS_INLINE F sub(F x, F y) { return {x.a - y.a, x.b - y.b, x.c - y.c, x.d - y.d}; }
ALWAYS_INLINE F mul(F x, F y) { return {x.a * y.a, x.b * y.b, x.c * y.c, x.d * y.d}; }
ALWAYS_INLINE F div(F x, F y) { return {x.a / y.a, x.b / y.b, x.c / y.c, x.d / y.d}; }
ALWAYS_INLINE F fma(F x, F y, F z) { return add(mul(x, y), z); }
ALWAYS_INLINE Four max4(Four x, Four y) { return x > y ? x : y; }
ALWAYS_INLINE Four min4(Four x, Four y) { return x < y ? x : y; }
ALWAYS_INLINE F max(F x, F y) { return {max4(x.a, y.a), max4(x.b, y.b), max4(x.c, y.c), max4(x.d, y.d)}; }
ALWAYS_INLINE F min(F x, F y) { return {min4(x.a, y.a), min4(x.b, y.b), min4(x.c, y.c), min4(x.d, y.d)}; }
ALWAYS_INLINE Four abs4(Four x) { return (Four)((Whole)x & 0x7fffffff); }
ALWAYS_INLINE F abs(F x) { return {abs4(x.a), abs4(x.b), abs4(x.c), abs4(x.d)}; }
ALWAYS_INLINE F square_root(F x) {
    Lanes l = lanes(x);
    LANES l.v[i] = std::sqrt(l.v[i]);
    return vector(l);
}
ALWAYS_INLINE Four round4(Four x) {  // from 2^23 on there are no digits after the point
    const Four size = abs4(x), whole = (size + 8388608.0f) - 8388608.0f;
    return size < 8388608.0f ? (Four)((Whole)whole | ((Whole)x & INT32_MIN)) : x;
}
ALWAYS_INLINE F round(F x) { return {round4(x.a), round4(x.b), round4(x.c), round4(x.d)}; }
ALWAYS_INLINE Four power_of_two4(Four n) { return (Four)((__builtin_convertvector(n, Whole) + 127) << 23); }
ALWAYS_INLINE F power_of_two(F n) {
    return {power_of_two4(n.a), power_of_two4(n.b), power_of_two4(n.c), power_of_two4(n.d)};
}
ALWAYS_INLINE float sum(F x) {
    const Four s = (x.a + x.c) + (x.b + x.d);
    return (s[0] + s[2]) + (s[1] + s[3]);
}
ALWAYS_INLINE void sum_four(F a, F b, F c, F d, float *out) {
    out[0] = sum(a), out[1] = sum(b), out[2] = sum(c), out[3] = sum(d);
}
ALWAYS_INLINE float largest(F x) {
    const Four s = max4(max4(x.a, x.c), max4(x.b, x.d));
    const float even = s[0] > s[2] ? s[0] : s[2], odd = s[1] > s[3] ? s[1] : s[3];
    return even > odd ? even : odd;
}
ALWAYS_INLINE void largest_four(F a, F b, F c, F d, float *out) {
    out[0] = largest(a), out[1] = largest(b), out[2] = largest(c), out[3] = largest(d);
}

ALWAYS_INLINE I izero() { return I{}; }
ALWAYS_INLINE I isplat(int32_t v) { I r; LANES r.v[i] = v; return r; }
ALWAYS_INLINE I iload(const void *p) { I r; std::memcpy(r.v, p, 64); return r; }
ALWAYS_INLINE I iadd(I a, I b) { LANES a.v[i] += b.v[i]; return a; }
ALWAYS_INLINE int32_t isum(I a) { int32_t s = 0; LANES s += a.v[i]; return s; }
ALWAYS_INLINE void isum_four(I a, I b, I c, I d, int32_t *out) {
    out[0] = isum(a), out[1] = isum(b), out[2] = isum(c), out[3] = isum(d);
}
ALWAYS_INLINE F to_float(I a) {
    Lanes l;
    LANES l.v[i] = (float)a.v[i];
    return vector(l);
}
ALWAYS_INLINE Whole to_int4(Four x) {  // what no int32 can hold becomes the smallest one, as on x86
    const Whole fits = (x > -2147483648.0f) & (x < 2147483648.0f);
    const Four safe = (Four)((Whole)round4(x) & fits);
    return (__builtin_convertvector(safe, Whole) & fits) | (~fits & INT32_MIN);
}
ALWAYS_INLINE I to_int(F x) {
    const Whole parts[4] = {to_int4(x.a), to_int4(x.b), to_int4(x.c), to_int4(x.d)};
    I r;
    std::memcpy(r.v, parts, 64);
    return r;
}
ALWAYS_INLINE void store_bytes(int8_t *p, I v) {
    LANES p[i] = (int8_t)(v.v[i] < -128 ? -128 : v.v[i] > 127 ? 127 : v.v[i]);
}

typedef F Exponents;
ALWAYS_INLINE Exponents exponents_of(const F &v) { return v; }
ALWAYS_INLINE F times_power(const Exponents &v, float power) { return mul(v, splat(power)); }

ALWAYS_INLINE B load_bytes(const uint8_t *p) { B r; std::memcpy(r.v, p, 64); return r; }
ALWAYS_INLINE void store_bytes64(uint8_t *p, B v) { std::memcpy(p, v.v, 64); }
ALWAYS_INLINE B low_nibbles(B v) { for (int i = 0; i < 64; i++) v.v[i] &= 15; return v; }
ALWAYS_INLINE B high_nibbles(B v) { for (int i = 0; i < 64; i++) v.v[i] >>= 4; return v; }
ALWAYS_INLINE void dot4_byte(I &acc, B w, const int8_t *x) {
    LANES acc.v[i] += w.v[4 * i] * x[0] + w.v[4 * i + 1] * x[1] + w.v[4 * i + 2] * x[2] + w.v[4 * i + 3] * x[3];
}
ALWAYS_INLINE void dot4_nibble(I &acc, B w, const int8_t *x) { dot4_byte(acc, w, x); }
ALWAYS_INLINE void dot_nibbles(I &acc, B w, const int8_t *x) {
    for (int i = 0; i < 64; i++) acc.v[i / 4] += w.v[i] * x[i];
}

ALWAYS_INLINE void prefetch(const void *p) { __builtin_prefetch(p); }
ALWAYS_INLINE void prefetch_once(const void *p) { __builtin_prefetch(p, 0, 0); }

}}  // namespace chatglm::portable
#undef LANES
