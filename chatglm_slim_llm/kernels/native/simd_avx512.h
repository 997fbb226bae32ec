// Sixteen lanes at a time with AVX-512 and its dot products of bytes (VNNI).
//
// The four simd_*.h files give the same names the same meaning; the kernels are written once against them.
//   F      16 floats            I   16 int32            B   64 bytes: 16 lanes of 4
//   dot4_* acc[lane] += sum over j < 4 of w[lane][j] * x[j], exact; w is unsigned, x signed
//   dot_nibbles  the same with x[lane][j]
//   Short        sums of dot4_nibble in 16 bits, for kShortColumns columns at most; add_short adds them to others.
//                Where kShortColumns is 0 a dot product adds to 32 bits at once, and there is nothing to gain by it
//   times_power  the product of a power of two and the v of exponents_of; v is zero, or v and the product are normal
//   dot4_byte    takes w - kByteZero for w, where there are products of signed bytes only
//   dot4_three   three dot4_byte or dot4_nibble with the same x; only here, where a tile has three panels
#pragma once
#include <immintrin.h>
#include <cstdint>
#include <cstring>

#define CHATGLM_ISA avx512
#define ALWAYS_INLINE static inline __attribute__((always_inline))

namespace chatglm { namespace avx512 {

typedef __m512 F;
typedef __m512i I;
typedef __m512i B;

// Rows of activations that meet the weights as they come from memory; and the rows and panels of weights of one tile of
// the integer matrix product, whose sums, as integers and as floats, fill the registers, and the columns of a step.
constexpr int kStreamRows = 9, kTileRows = 4, kTilePanels = 3, kTileColumns = 4;
// Up to so many of those rows have two integer sums each, to keep the dot products busy.
constexpr int kTwoSums = 7;
constexpr int32_t kByteZero = 0;
// How far ahead of the dot products weights are fetched; and whether read_all, which only reads, does so as well.
constexpr int64_t kPrefetchBytes = 4096;
constexpr bool kPrefetchPlainReads = true;
constexpr int64_t kShortColumns = 0;
struct Short {};
// Attention: vectors of a head's sum, and queries (vectors) times keys or columns of a tile, held in registers; and how
// many products each of those sums gets in one turn of the loop, 1, 2 or 4.
constexpr int kHeadVectors = 8, kContextHeight = 8, kContextVectors = 3, kContextUnroll = 1;
// Weight rows and activation rows of one tile of the 16-bit matrix product.
constexpr int kHalfHeight = 4, kHalfWidth = 6;

ALWAYS_INLINE __mmask16 first(int64_t n) { return (__mmask16)((1u << n) - 1); }  // n <= 16

ALWAYS_INLINE F zero() { return _mm512_setzero_ps(); }
ALWAYS_INLINE F splat(float v) { return _mm512_set1_ps(v); }
ALWAYS_INLINE F load(const float *p) { return _mm512_loadu_ps(p); }
ALWAYS_INLINE F load_tail(const float *p, int64_t n) { return _mm512_maskz_loadu_ps(first(n), p); }
// Loaded once and kept: the compiler would rather load again for every use, and loads are scarcer than sums.
ALWAYS_INLINE void keep(F &v) { asm("" : "+v"(v)); }
ALWAYS_INLINE void keep(B &v) { asm("" : "+v"(v)); }
ALWAYS_INLINE void store(float *p, F v) { _mm512_storeu_ps(p, v); }
ALWAYS_INLINE void store_tail(float *p, F v, int64_t n) { _mm512_mask_storeu_ps(p, first(n), v); }
ALWAYS_INLINE F load_half(const uint16_t *p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p)); }
ALWAYS_INLINE F load_int8(const int8_t *p) {
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)p)));
}
ALWAYS_INLINE F load_half_tail(const uint16_t *p, int64_t n) {
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(first(n), p));
}
ALWAYS_INLINE void store_half(uint16_t *p, F v) {
    _mm256_storeu_si256((__m256i *)p, _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
}
ALWAYS_INLINE void store_half_tail(uint16_t *p, F v, int64_t n) {
    _mm256_mask_storeu_epi16(p, first(n), _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
}
ALWAYS_INLINE float half_to_float(uint16_t h) { return _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(h))); }
ALWAYS_INLINE uint16_t float_to_half(float v) {
    return (uint16_t)_mm_extract_epi16(_mm_cvtps_ph(_mm_set_ss(v), _MM_FROUND_TO_NEAREST_INT), 0);
}

ALWAYS_INLINE F add(F a, F b) { return _mm512_add_ps(a, b); }
ALWAYS_INLINE F sub(F a, F b) { return _mm512_sub_ps(a, b); }
ALWAYS_INLINE F mul(F a, F b) { return _mm512_mul_ps(a, b); }
ALWAYS_INLINE F div(F a, F b) { return _mm512_div_ps(a, b); }
ALWAYS_INLINE F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }  // a * b + c
ALWAYS_INLINE F max(F a, F b) { return _mm512_max_ps(a, b); }
ALWAYS_INLINE F min(F a, F b) { return _mm512_min_ps(a, b); }
ALWAYS_INLINE F abs(F a) { return _mm512_abs_ps(a); }
ALWAYS_INLINE F square_root(F a) { return _mm512_sqrt_ps(a); }
ALWAYS_INLINE F round(F a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
ALWAYS_INLINE F power_of_two(F n) { return _mm512_scalef_ps(_mm512_set1_ps(1), n); }  // n whole, -126 to 127
ALWAYS_INLINE float sum(F a) { return _mm512_reduce_add_ps(a); }
// What op leaves of the lanes of each.
template <typename Op>
ALWAYS_INLINE __m128 four_of(F a, F b, F c, F d, const Op &op) {
    const auto pairs = [&](F x, F y) {
        return _mm512_castps_pd(op(_mm512_unpacklo_ps(x, y), _mm512_unpackhi_ps(x, y)));
    };
    const __m512d ab = pairs(a, b), cd = pairs(c, d);
    const F s = op(_mm512_castpd_ps(_mm512_unpacklo_pd(ab, cd)), _mm512_castpd_ps(_mm512_unpackhi_pd(ab, cd)));
    const F t = op(s, _mm512_shuffle_f32x4(s, s, 0x4e));
    return _mm512_castps512_ps128(op(t, _mm512_shuffle_f32x4(t, t, 0xb1)));
}
ALWAYS_INLINE void sum_four(F a, F b, F c, F d, float *out) {  // the sum of each
    _mm_storeu_ps(out, four_of(a, b, c, d, add));
}
ALWAYS_INLINE void largest_four(F a, F b, F c, F d, float *out) { _mm_storeu_ps(out, four_of(a, b, c, d, max)); }
ALWAYS_INLINE float largest(F a) { return _mm512_reduce_max_ps(a); }

ALWAYS_INLINE I izero() { return _mm512_setzero_si512(); }
ALWAYS_INLINE I isplat(int32_t v) { return _mm512_set1_epi32(v); }
ALWAYS_INLINE I iload(const void *p) { return _mm512_loadu_si512(p); }
ALWAYS_INLINE I iadd(I a, I b) { return _mm512_add_epi32(a, b); }
ALWAYS_INLINE int32_t isum(I a) { return _mm512_reduce_add_epi32(a); }
ALWAYS_INLINE void isum_four(I a, I b, I c, I d, int32_t *out) {
    const auto floats = [](I v) { return _mm512_castsi512_ps(v); };
    const auto add = [&](F x, F y) { return floats(iadd(_mm512_castps_si512(x), _mm512_castps_si512(y))); };
    const __m128 sums = four_of(floats(a), floats(b), floats(c), floats(d), add);
    _mm_storeu_si128((__m128i *)out, _mm_castps_si128(sums));
}
ALWAYS_INLINE F to_float(I a) { return _mm512_cvtepi32_ps(a); }
ALWAYS_INLINE I to_int(F a) { return _mm512_cvtps_epi32(a); }  // rounds half to even
ALWAYS_INLINE void store_bytes(int8_t *p, I v) { _mm_storeu_si128((__m128i *)p, _mm512_cvtsepi32_epi8(v)); }

// The power's exponent is added to those of the numbers: that takes no multiplier. Zero loses its sign.
struct Exponents {
    I less_one;
    __mmask16 some;
};
ALWAYS_INLINE Exponents exponents_of(F v) {
    const I bits = _mm512_castps_si512(v);
    return {_mm512_sub_epi32(bits, _mm512_castps_si512(splat(1.0f))),
            _mm512_test_epi32_mask(bits, isplat(0x7fffffff))};
}
ALWAYS_INLINE F times_power(const Exponents &v, float power) {
    return _mm512_castsi512_ps(_mm512_maskz_add_epi32(v.some, v.less_one, _mm512_castps_si512(splat(power))));
}

ALWAYS_INLINE B load_bytes(const uint8_t *p) { return _mm512_loadu_si512(p); }
ALWAYS_INLINE void store_bytes64(uint8_t *p, B v) { _mm512_storeu_si512(p, v); }
ALWAYS_INLINE B low_nibbles(B v) { return _mm512_and_si512(v, _mm512_set1_epi8(15)); }
ALWAYS_INLINE B high_nibbles(B v) { return _mm512_and_si512(_mm512_srli_epi16(v, 4), _mm512_set1_epi8(15)); }

// GCC 12 spills the accumulators of the intrinsic; the instruction itself, written out, keeps them in registers.
ALWAYS_INLINE void dot4_byte(I &acc, B w, const int8_t *x) {
    int32_t four;
    std::memcpy(&four, x, 4);
    asm("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(w), "v"(_mm512_set1_epi32(four)));
}
ALWAYS_INLINE void dot4_nibble(I &acc, B w, const int8_t *x) { dot4_byte(acc, w, x); }
// Three of them with the same x, in one piece: else GCC loads x for the next ones early, and has no registers for it.
ALWAYS_INLINE void dot4_three(I &a, I &b, I &c, const B w[3], const int8_t *x) {
    struct Four { int8_t v[4]; };
    B four;
    asm("vpbroadcastd %7, %3\n\tvpdpbusd %3, %4, %0\n\tvpdpbusd %3, %5, %1\n\tvpdpbusd %3, %6, %2"
        : "+&v"(a), "+&v"(b), "+&v"(c), "=&v"(four)
        : "v"(w[0]), "v"(w[1]), "v"(w[2]), "m"(*(const Four *)x));
}
ALWAYS_INLINE void dot_nibbles(I &acc, B w, const int8_t *x) {
    acc = _mm512_dpbusd_epi32(acc, w, _mm512_loadu_si512(x));
}

ALWAYS_INLINE void prefetch(const void *p) { _mm_prefetch((const char *)p, _MM_HINT_T0); }
// For what is read once: nothing in the outer caches makes way for it, and int4 weights come 4 % faster.
ALWAYS_INLINE void prefetch_once(const void *p) { _mm_prefetch((const char *)p, _MM_HINT_NTA); }

}}  // namespace chatglm::avx512
