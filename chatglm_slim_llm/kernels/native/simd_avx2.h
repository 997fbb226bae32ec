// Sixteen lanes at a time with AVX2, FMA and F16C; simd_avx512.h says what the names mean. Where the compiler may use
// AVX-VNNI as well, dot products of bytes are one instruction.
#pragma once
#include <immintrin.h>
#include <cstdint>
#include <cstring>

#ifdef __AVXVNNI__
#define CHATGLM_ISA avxvnni
#else
#define CHATGLM_ISA avx2
#endif
#define ALWAYS_INLINE static inline __attribute__((always_inline))

namespace chatglm { namespace CHATGLM_ISA {

struct F { __m256 a, b; };
struct I { __m256i a, b; };
struct B { __m256i a, b; };

#ifdef __AVXVNNI__
constexpr int kStreamRows = 5, kTileRows = 6, kTilePanels = 1, kTileColumns = 4;
#else
constexpr int kStreamRows = 5, kTileRows = 4, kTilePanels = 1, kTileColumns = 8;
#endif
constexpr int kHeadVectors = 4, kContextHeight = 6, kContextVectors = 1;
// Fewer instructions for the same sums: where another thread shares the core, its decoder is the limit.
constexpr int kContextUnroll = 4;
constexpr int kTwoSums = 2;
constexpr int32_t kByteZero = 0;
// Zen 3 gives one row 7 % more than from 4096, and plain reads 10 % more where nothing is fetched.
constexpr int64_t kPrefetchBytes = 1536;
constexpr bool kPrefetchPlainReads = false;
#ifdef __AVXVNNI__
constexpr int64_t kShortColumns = 0;
struct Short {};
#else
// A lane of 16 bits gets a pair of products from each four columns; groups are whole such runs.
constexpr int64_t kShortColumns = 32;
static_assert(kShortColumns / 4 * 2 * 15 * 128 <= INT16_MAX, "sums would not fit");
struct Short { __m256i a, b; };
#endif
constexpr int kHalfHeight = 2, kHalfWidth = 3;

ALWAYS_INLINE F zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
ALWAYS_INLINE F splat(float v) { return {_mm256_set1_ps(v), _mm256_set1_ps(v)}; }
ALWAYS_INLINE F load(const float *p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
ALWAYS_INLINE F load_tail(const float *p, int64_t n) {
    float t[16] = {};
    std::memcpy(t, p, (size_t)n * 4);
    return load(t);
}
ALWAYS_INLINE void keep(F &v) { asm("" : "+x"(v.a), "+x"(v.b)); }
ALWAYS_INLINE void keep(B &v) { asm("" : "+x"(v.a), "+x"(v.b)); }
ALWAYS_INLINE void store(float *p, F v) { _mm256_storeu_ps(p, v.a), _mm256_storeu_ps(p + 8, v.b); }
ALWAYS_INLINE void store_tail(float *p, F v, int64_t n) {
    float t[16];
    store(t, v);
    std::memcpy(p, t, (size_t)n * 4);
}
ALWAYS_INLINE F load_half(const uint16_t *p) {
    const __m128i *q = (const __m128i *)p;
    return {_mm256_cvtph_ps(_mm_loadu_si128(q)), _mm256_cvtph_ps(_mm_loadu_si128(q + 1))};
}
ALWAYS_INLINE F load_int8(const int8_t *p) {
    const auto eight = [](const int8_t *q) {
        return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)q)));
    };
    return {eight(p), eight(p + 8)};
}
ALWAYS_INLINE F load_half_tail(const uint16_t *p, int64_t n) {
    uint16_t t[16] = {};
    std::memcpy(t, p, (size_t)n * 2);
    return load_half(t);
}
ALWAYS_INLINE void store_half(uint16_t *p, F v) {
    _mm_storeu_si128((__m128i *)p, _mm256_cvtps_ph(v.a, _MM_FROUND_TO_NEAREST_INT));
    _mm_storeu_si128((__m128i *)(p + 8), _mm256_cvtps_ph(v.b, _MM_FROUND_TO_NEAREST_INT));
}
ALWAYS_INLINE void store_half_tail(uint16_t *p, F v, int64_t n) {
    uint16_t t[16];
    store_half(t, v);
    std::memcpy(p, t, (size_t)n * 2);
}
ALWAYS_INLINE float half_to_float(uint16_t h) { return _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(h))); }
ALWAYS_INLINE uint16_t float_to_half(float v) {
    return (uint16_t)_mm_extract_epi16(_mm_cvtps_ph(_mm_set_ss(v), _MM_FROUND_TO_NEAREST_INT), 0);
}

ALWAYS_INLINE F add(F x, F y) { return {_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)}; }
ALWAYS_INLINE F sub(F x, F y) { return {_mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b)}; }
ALWAYS_INLINE F mul(F x, F y) { return {_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)}; }
ALWAYS_INLINE F div(F x, F y) { return {_mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b)}; }
ALWAYS_INLINE F fma(F x, F y, F z) { return {_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)}; }
ALWAYS_INLINE F max(F x, F y) { return {_mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b)}; }
ALWAYS_INLINE F min(F x, F y) { return {_mm256_min_ps(x.a, y.a), _mm256_min_ps(x.b, y.b)}; }
ALWAYS_INLINE F abs(F x) {
    const __m256 sign = _mm256_set1_ps(-0.0f);
    return {_mm256_andnot_ps(sign, x.a), _mm256_andnot_ps(sign, x.b)};
}
ALWAYS_INLINE F square_root(F x) { return {_mm256_sqrt_ps(x.a), _mm256_sqrt_ps(x.b)}; }
ALWAYS_INLINE F round(F x) {
    constexpr int mode = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
    return {_mm256_round_ps(x.a, mode), _mm256_round_ps(x.b, mode)};
}
ALWAYS_INLINE __m256 power_of_two8(__m256 n) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23));
}
ALWAYS_INLINE F power_of_two(F n) { return {power_of_two8(n.a), power_of_two8(n.b)}; }
ALWAYS_INLINE float sum(F x) {
    __m256 s = _mm256_add_ps(x.a, x.b);
    __m128 t = _mm_add_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1));
    t = _mm_add_ps(t, _mm_movehl_ps(t, t));
    return _mm_cvtss_f32(_mm_add_ss(t, _mm_shuffle_ps(t, t, 1)));
}
ALWAYS_INLINE void sum_four(F a, F b, F c, F d, float *out) {
    const __m256 ab = _mm256_hadd_ps(_mm256_add_ps(a.a, a.b), _mm256_add_ps(b.a, b.b));
    const __m256 cd = _mm256_hadd_ps(_mm256_add_ps(c.a, c.b), _mm256_add_ps(d.a, d.b));
    const __m256 s = _mm256_hadd_ps(ab, cd);
    _mm_storeu_ps(out, _mm_add_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1)));
}
ALWAYS_INLINE float largest(F x) {
    __m256 s = _mm256_max_ps(x.a, x.b);
    __m128 t = _mm_max_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1));
    t = _mm_max_ps(t, _mm_movehl_ps(t, t));
    return _mm_cvtss_f32(_mm_max_ss(t, _mm_shuffle_ps(t, t, 1)));
}
ALWAYS_INLINE void largest_four(F a, F b, F c, F d, float *out) {
    out[0] = largest(a), out[1] = largest(b), out[2] = largest(c), out[3] = largest(d);
}

ALWAYS_INLINE I izero() { return {_mm256_setzero_si256(), _mm256_setzero_si256()}; }
ALWAYS_INLINE I isplat(int32_t v) { return {_mm256_set1_epi32(v), _mm256_set1_epi32(v)}; }
ALWAYS_INLINE I iload(const void *p) {
    return {_mm256_loadu_si256((const __m256i *)p), _mm256_loadu_si256((const __m256i *)p + 1)};
}
ALWAYS_INLINE I iadd(I x, I y) { return {_mm256_add_epi32(x.a, y.a), _mm256_add_epi32(x.b, y.b)}; }
ALWAYS_INLINE int32_t isum(I x) {
    __m256i s = _mm256_add_epi32(x.a, x.b);
    __m128i t = _mm_add_epi32(_mm256_castsi256_si128(s), _mm256_extracti128_si256(s, 1));
    t = _mm_add_epi32(t, _mm_shuffle_epi32(t, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(t, _mm_shuffle_epi32(t, 0xb1)));
}
ALWAYS_INLINE void isum_four(I a, I b, I c, I d, int32_t *out) {
    out[0] = isum(a), out[1] = isum(b), out[2] = isum(c), out[3] = isum(d);
}
ALWAYS_INLINE F to_float(I x) { return {_mm256_cvtepi32_ps(x.a), _mm256_cvtepi32_ps(x.b)}; }
ALWAYS_INLINE I to_int(F x) { return {_mm256_cvtps_epi32(x.a), _mm256_cvtps_epi32(x.b)}; }
ALWAYS_INLINE void store_bytes(int8_t *p, I x) {
    __m128i a = _mm_packs_epi32(_mm256_castsi256_si128(x.a), _mm256_extracti128_si256(x.a, 1));
    __m128i b = _mm_packs_epi32(_mm256_castsi256_si128(x.b), _mm256_extracti128_si256(x.b, 1));
    _mm_storeu_si128((__m128i *)p, _mm_packs_epi16(a, b));
}

typedef F Exponents;
ALWAYS_INLINE Exponents exponents_of(const F &v) { return v; }
ALWAYS_INLINE F times_power(const Exponents &v, float power) { return mul(v, splat(power)); }

ALWAYS_INLINE B load_bytes(const uint8_t *p) {
    return {_mm256_loadu_si256((const __m256i *)p), _mm256_loadu_si256((const __m256i *)(p + 32))};
}
ALWAYS_INLINE void store_bytes64(uint8_t *p, B v) {
    _mm256_storeu_si256((__m256i *)p, v.a), _mm256_storeu_si256((__m256i *)(p + 32), v.b);
}
ALWAYS_INLINE B low_nibbles(B v) {
    const __m256i m = _mm256_set1_epi8(15);
    return {_mm256_and_si256(v.a, m), _mm256_and_si256(v.b, m)};
}
ALWAYS_INLINE B high_nibbles(B v) {
    const __m256i m = _mm256_set1_epi8(15);
    return {_mm256_and_si256(_mm256_srli_epi16(v.a, 4), m), _mm256_and_si256(_mm256_srli_epi16(v.b, 4), m)};
}

ALWAYS_INLINE __m256i four_bytes(const int8_t *x) {
    int32_t four;
    std::memcpy(&four, x, 4);
    return _mm256_set1_epi32(four);
}
#ifdef __AVXVNNI__
// Written out, as GCC 12 spills the accumulators of the intrinsic.
ALWAYS_INLINE __m256i dot4_of(__m256i acc, __m256i w, __m256i x) {
    asm("%{vex%} vpdpbusd %2, %1, %0" : "+x"(acc) : "x"(w), "x"(x));
    return acc;
}
ALWAYS_INLINE void dot4_byte(I &acc, B w, const int8_t *x) {
    const __m256i four = four_bytes(x);
    acc = {dot4_of(acc.a, w.a, four), dot4_of(acc.b, w.b, four)};
}
ALWAYS_INLINE void dot4_nibble(I &acc, B w, const int8_t *x) { dot4_byte(acc, w, x); }
ALWAYS_INLINE void dot_nibbles(I &acc, B w, const int8_t *x) {
    const B y = load_bytes((const uint8_t *)x);
    acc = {dot4_of(acc.a, w.a, y.a), dot4_of(acc.b, w.b, y.b)};
}
#else
// vpmaddubsw would saturate at 255 * 127 * 2, so even and odd bytes go their own way in 16 bits.
ALWAYS_INLINE __m256i dot4_byte8(__m256i acc, __m256i w, __m256i even, __m256i odd) {
    __m256i low = _mm256_madd_epi16(_mm256_and_si256(w, _mm256_set1_epi16(255)), even);
    return _mm256_add_epi32(acc, _mm256_add_epi32(low, _mm256_madd_epi16(_mm256_srli_epi16(w, 8), odd)));
}
ALWAYS_INLINE void dot4_byte(I &acc, B w, const int8_t *x) {
    __m256i four = four_bytes(x), odd = _mm256_srai_epi16(four, 8);
    __m256i even = _mm256_srai_epi16(_mm256_slli_epi16(four, 8), 8);
    acc = {dot4_byte8(acc.a, w.a, even, odd), dot4_byte8(acc.b, w.b, even, odd)};
}
ALWAYS_INLINE void dot4_nibble(Short &acc, B w, const int8_t *x) {
    const __m256i four = four_bytes(x);
    acc = {_mm256_add_epi16(acc.a, _mm256_maddubs_epi16(w.a, four)),
           _mm256_add_epi16(acc.b, _mm256_maddubs_epi16(w.b, four))};
    asm("" : "+x"(acc.a), "+x"(acc.b));  // GCC would make all products first and add them later, out of memory
}
ALWAYS_INLINE void add_short(I &acc, Short v) {
    const __m256i ones = _mm256_set1_epi16(1);
    acc = {_mm256_add_epi32(acc.a, _mm256_madd_epi16(v.a, ones)),
           _mm256_add_epi32(acc.b, _mm256_madd_epi16(v.b, ones))};
}
ALWAYS_INLINE __m256i dot_nibbles8(__m256i acc, __m256i w, const int8_t *x) {
    const __m256i pairs = _mm256_maddubs_epi16(w, _mm256_loadu_si256((const __m256i *)x));
    return _mm256_add_epi32(acc, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}
ALWAYS_INLINE void dot_nibbles(I &acc, B w, const int8_t *x) {
    acc = {dot_nibbles8(acc.a, w.a, x), dot_nibbles8(acc.b, w.b, x + 32)};
}
#endif

ALWAYS_INLINE void prefetch(const void *p) { _mm_prefetch((const char *)p, _MM_HINT_T0); }
ALWAYS_INLINE void prefetch_once(const void *p) { _mm_prefetch((const char *)p, _MM_HINT_NTA); }

}}  // namespace chatglm::CHATGLM_ISA
