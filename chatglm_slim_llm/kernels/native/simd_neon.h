// Sixteen lanes at a time with NEON and its dot products of bytes (64-bit ARM); simd_avx512.h says what the names mean.
#pragma once
#include <arm_neon.h>
#include <cstdint>
#include <cstring>

#define CHATGLM_ISA neon
#define ALWAYS_INLINE static inline __attribute__((always_inline))

namespace chatglm { namespace neon {

struct F { float32x4_t a, b, c, d; };
struct I { int32x4_t a, b, c, d; };
struct B { uint8x16_t a, b, c, d; };

// A vector takes four of the 32 registers, so that eight are the most that a tile can hold with all that it reads. The
// sums of the integer product as floats wait in memory meanwhile.
constexpr int kStreamRows = 4, kTwoSums = 2, kTileRows = 5, kTilePanels = 1, kTileColumns = 4;
constexpr int kHeadVectors = 2, kContextHeight = 4, kContextVectors = 1, kContextUnroll = 1;
constexpr int kHalfHeight = 2, kHalfWidth = 2;
// There is a product of signed bytes only: w - 128, whose bits are those of w but for the first.
constexpr int32_t kByteZero = 128;
constexpr int64_t kPrefetchBytes = 4096;
constexpr bool kPrefetchPlainReads = true;
constexpr int64_t kShortColumns = 0;
struct Short {};

ALWAYS_INLINE float32x4_t splat4(float v) { return vdupq_n_f32(v); }
ALWAYS_INLINE F zero() { return {splat4(0), splat4(0), splat4(0), splat4(0)}; }
ALWAYS_INLINE F splat(float v) { return {splat4(v), splat4(v), splat4(v), splat4(v)}; }
ALWAYS_INLINE F load(const float *p) { return {vld1q_f32(p), vld1q_f32(p + 4), vld1q_f32(p + 8), vld1q_f32(p + 12)}; }
ALWAYS_INLINE F load_tail(const float *p, int64_t n) {
    float t[16] = {};
    std::memcpy(t, p, (size_t)n * 4);
    return load(t);
}
ALWAYS_INLINE void keep(B &) {}
ALWAYS_INLINE void keep(F &) {}  // no instruction computes with memory, so nothing is loaded twice
ALWAYS_INLINE void store(float *p, F v) {
    vst1q_f32(p, v.a), vst1q_f32(p + 4, v.b), vst1q_f32(p + 8, v.c), vst1q_f32(p + 12, v.d);
}
ALWAYS_INLINE void store_tail(float *p, F v, int64_t n) {
    float t[16];
    store(t, v);
    std::memcpy(p, t, (size_t)n * 4);
}
ALWAYS_INLINE F load_half(const uint16_t *p) {
    const float16x8_t first = vreinterpretq_f16_u16(vld1q_u16(p)), second = vreinterpretq_f16_u16(vld1q_u16(p + 8));
    return {vcvt_f32_f16(vget_low_f16(first)), vcvt_high_f32_f16(first), vcvt_f32_f16(vget_low_f16(second)),
            vcvt_high_f32_f16(second)};
}
ALWAYS_INLINE F load_int8(const int8_t *p) {
    const int8x16_t v = vld1q_s8(p);
    const int16x8_t first = vmovl_s8(vget_low_s8(v)), second = vmovl_high_s8(v);
    return {vcvtq_f32_s32(vmovl_s16(vget_low_s16(first))), vcvtq_f32_s32(vmovl_high_s16(first)),
            vcvtq_f32_s32(vmovl_s16(vget_low_s16(second))), vcvtq_f32_s32(vmovl_high_s16(second))};
}
ALWAYS_INLINE F load_half_tail(const uint16_t *p, int64_t n) {
    uint16_t t[16] = {};
    std::memcpy(t, p, (size_t)n * 2);
    return load_half(t);
}
ALWAYS_INLINE void store_half(uint16_t *p, F v) {
    vst1q_u16(p, vreinterpretq_u16_f16(vcvt_high_f16_f32(vcvt_f16_f32(v.a), v.b)));
    vst1q_u16(p + 8, vreinterpretq_u16_f16(vcvt_high_f16_f32(vcvt_f16_f32(v.c), v.d)));
}
ALWAYS_INLINE void store_half_tail(uint16_t *p, F v, int64_t n) {
    uint16_t t[16];
    store_half(t, v);
    std::memcpy(p, t, (size_t)n * 2);
}
ALWAYS_INLINE float half_to_float(uint16_t h) {
    __fp16 half;
    std::memcpy(&half, &h, 2);
    return (float)half;
}
ALWAYS_INLINE uint16_t float_to_half(float v) {
    const __fp16 half = (__fp16)v;
    uint16_t h;
    std::memcpy(&h, &half, 2);
    return h;
}

ALWAYS_INLINE F add(F x, F y) { return {x.a + y.a, x.b + y.b, x.c + y.c, x.d + y.d}; }
ALWAYS_INLINE F sub(F x, F y) { return {x.a - y.a, x.b - y.b, x.c - y.c, x.d - y.d}; }
ALWAYS_INLINE F mul(F x, F y) { return {x.a * y.a, x.b * y.b, x.c * y.c, x.d * y.d}; }
ALWAYS_INLINE F div(F x, F y) { return {x.a / y.a, x.b / y.b, x.c / y.c, x.d / y.d}; }
ALWAYS_INLINE F fma(F x, F y, F z) {
    return {vfmaq_f32(z.a, x.a, y.a), vfmaq_f32(z.b, x.b, y.b), vfmaq_f32(z.c, x.c, y.c), vfmaq_f32(z.d, x.d, y.d)};
}
// Where either is no number, the second one, as on x86; fmax would spread what is none, fmaxnm would drop it.
ALWAYS_INLINE float32x4_t max4(float32x4_t x, float32x4_t y) { return vbslq_f32(vcgtq_f32(x, y), x, y); }
ALWAYS_INLINE float32x4_t min4(float32x4_t x, float32x4_t y) { return vbslq_f32(vcltq_f32(x, y), x, y); }
ALWAYS_INLINE F max(F x, F y) { return {max4(x.a, y.a), max4(x.b, y.b), max4(x.c, y.c), max4(x.d, y.d)}; }
ALWAYS_INLINE F min(F x, F y) { return {min4(x.a, y.a), min4(x.b, y.b), min4(x.c, y.c), min4(x.d, y.d)}; }
ALWAYS_INLINE F abs(F x) { return {vabsq_f32(x.a), vabsq_f32(x.b), vabsq_f32(x.c), vabsq_f32(x.d)}; }
ALWAYS_INLINE F square_root(F x) { return {vsqrtq_f32(x.a), vsqrtq_f32(x.b), vsqrtq_f32(x.c), vsqrtq_f32(x.d)}; }
ALWAYS_INLINE F round(F x) { return {vrndnq_f32(x.a), vrndnq_f32(x.b), vrndnq_f32(x.c), vrndnq_f32(x.d)}; }
ALWAYS_INLINE float32x4_t power_of_two4(float32x4_t n) {
    return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127)), 23));
}
ALWAYS_INLINE F power_of_two(F n) {
    return {power_of_two4(n.a), power_of_two4(n.b), power_of_two4(n.c), power_of_two4(n.d)};
}
// The order of the additions is that of the other instruction sets: quantised weights come out the same on all.
ALWAYS_INLINE float32x4_t sum4(F x) { return (x.a + x.c) + (x.b + x.d); }
ALWAYS_INLINE float sum(F x) {
    const float32x4_t s = sum4(x);
    const float32x2_t t = vadd_f32(vget_low_f32(s), vget_high_f32(s));
    return vget_lane_f32(t, 0) + vget_lane_f32(t, 1);
}
ALWAYS_INLINE float32x4_t pairs4(float32x4_t x, float32x4_t y) {
    const float64x2_t p = vreinterpretq_f64_f32(x), q = vreinterpretq_f64_f32(y);
    return vreinterpretq_f32_f64(vzip1q_f64(p, q)) + vreinterpretq_f32_f64(vzip2q_f64(p, q));
}
ALWAYS_INLINE void sum_four(F a, F b, F c, F d, float *out) {
    vst1q_f32(out, vpaddq_f32(pairs4(sum4(a), sum4(b)), pairs4(sum4(c), sum4(d))));
}
ALWAYS_INLINE float largest(F x) {
    const float32x4_t s = max4(max4(x.a, x.c), max4(x.b, x.d)), t = max4(s, vextq_f32(s, s, 2));
    return vgetq_lane_f32(max4(t, vdupq_laneq_f32(t, 1)), 0);
}
ALWAYS_INLINE void largest_four(F a, F b, F c, F d, float *out) {
    out[0] = largest(a), out[1] = largest(b), out[2] = largest(c), out[3] = largest(d);
}

ALWAYS_INLINE I isplat(int32_t v) { return {vdupq_n_s32(v), vdupq_n_s32(v), vdupq_n_s32(v), vdupq_n_s32(v)}; }
ALWAYS_INLINE I izero() { return isplat(0); }
ALWAYS_INLINE int32x4_t iadd4(int32x4_t x, int32x4_t y) {  // wraps around, as GCC's vaddq_s32 need not
    return vreinterpretq_s32_u32(vaddq_u32(vreinterpretq_u32_s32(x), vreinterpretq_u32_s32(y)));
}
ALWAYS_INLINE I iload(const void *p) {
    const int32_t *q = (const int32_t *)p;
    return {vld1q_s32(q), vld1q_s32(q + 4), vld1q_s32(q + 8), vld1q_s32(q + 12)};
}
ALWAYS_INLINE I iadd(I x, I y) { return {iadd4(x.a, y.a), iadd4(x.b, y.b), iadd4(x.c, y.c), iadd4(x.d, y.d)}; }
ALWAYS_INLINE int32_t isum(I x) { return vaddvq_s32(iadd4(iadd4(x.a, x.b), iadd4(x.c, x.d))); }
ALWAYS_INLINE void isum_four(I a, I b, I c, I d, int32_t *out) {
    out[0] = isum(a), out[1] = isum(b), out[2] = isum(c), out[3] = isum(d);
}
ALWAYS_INLINE F to_float(I x) {
    return {vcvtq_f32_s32(x.a), vcvtq_f32_s32(x.b), vcvtq_f32_s32(x.c), vcvtq_f32_s32(x.d)};
}
ALWAYS_INLINE I to_int(F x) {
    return {vcvtnq_s32_f32(x.a), vcvtnq_s32_f32(x.b), vcvtnq_s32_f32(x.c), vcvtnq_s32_f32(x.d)};
}
ALWAYS_INLINE void store_bytes(int8_t *p, I x) {
    const int16x8_t first = vqmovn_high_s32(vqmovn_s32(x.a), x.b), second = vqmovn_high_s32(vqmovn_s32(x.c), x.d);
    vst1q_s8(p, vqmovn_high_s16(vqmovn_s16(first), second));
}

typedef F Exponents;
ALWAYS_INLINE Exponents exponents_of(const F &v) { return v; }
ALWAYS_INLINE F times_power(const Exponents &v, float power) { return mul(v, splat(power)); }

ALWAYS_INLINE B load_bytes(const uint8_t *p) {
    return {vld1q_u8(p), vld1q_u8(p + 16), vld1q_u8(p + 32), vld1q_u8(p + 48)};
}
ALWAYS_INLINE void store_bytes64(uint8_t *p, B v) {
    vst1q_u8(p, v.a), vst1q_u8(p + 16, v.b), vst1q_u8(p + 32, v.c), vst1q_u8(p + 48, v.d);
}
ALWAYS_INLINE B low_nibbles(B v) {
    const uint8x16_t m = vdupq_n_u8(15);
    return {vandq_u8(v.a, m), vandq_u8(v.b, m), vandq_u8(v.c, m), vandq_u8(v.d, m)};
}
ALWAYS_INLINE B high_nibbles(B v) {
    return {vshrq_n_u8(v.a, 4), vshrq_n_u8(v.b, 4), vshrq_n_u8(v.c, 4), vshrq_n_u8(v.d, 4)};
}
ALWAYS_INLINE B flip_signs(B v) {
    const uint8x16_t m = vdupq_n_u8(128);
    return {veorq_u8(v.a, m), veorq_u8(v.b, m), veorq_u8(v.c, m), veorq_u8(v.d, m)};
}

ALWAYS_INLINE int32x4_t dot(int32x4_t acc, uint8x16_t w, int8x16_t x) {
    return vdotq_s32(acc, vreinterpretq_s8_u8(w), x);
}
// Four bytes of x multiply all lanes; loaded as a number of 32 bits, they take no instruction but the load.
ALWAYS_INLINE int32x4_t dot_lane(int32x4_t acc, uint8x16_t w, int8x8_t four) {
    return vdotq_lane_s32(acc, vreinterpretq_s8_u8(w), four, 0);
}
ALWAYS_INLINE void dot4_nibble(I &acc, B w, const int8_t *x) {
    uint32_t four;
    std::memcpy(&four, x, 4);
    const int8x8_t v = vcreate_s8(four);
    acc = {dot_lane(acc.a, w.a, v), dot_lane(acc.b, w.b, v), dot_lane(acc.c, w.c, v), dot_lane(acc.d, w.d, v)};
}
ALWAYS_INLINE void dot4_byte(I &acc, B w, const int8_t *x) { dot4_nibble(acc, flip_signs(w), x); }
ALWAYS_INLINE void dot_nibbles(I &acc, B w, const int8_t *x) {
    acc = {dot(acc.a, w.a, vld1q_s8(x)), dot(acc.b, w.b, vld1q_s8(x + 16)), dot(acc.c, w.c, vld1q_s8(x + 32)),
           dot(acc.d, w.d, vld1q_s8(x + 48))};
}

ALWAYS_INLINE void prefetch(const void *p) { __builtin_prefetch(p); }
ALWAYS_INLINE void prefetch_once(const void *p) { __builtin_prefetch(p, 0, 0); }

}}  // namespace chatglm::neon
