// The C interface: picks the best table of kernels for this processor and forwards to it.
#include "native.h"

#include <omp.h>
#include <string.h>
#ifdef CHATGLM_X86
#include <cpuid.h>
#endif
#if defined(CHATGLM_ARM) && defined(__linux__)
#include <sys/auxv.h>
#ifndef HWCAP_ASIMDDP  // older than its name in the C library
#define HWCAP_ASIMDDP (1 << 20)
#endif
#endif

using namespace chatglm;

#ifdef CHATGLM_X86
// GCC 11 is the first whose __builtin_cpu_supports knows it.
static bool has_avxvnni() {
    unsigned a = 0, b = 0, c = 0, d = 0;
    return __get_cpuid_count(7, 1, &a, &b, &c, &d) && a & 1 << 4;
}
#endif

static bool usable(const Kernels *k) {
#ifdef CHATGLM_X86
    __builtin_cpu_init();
    if (k == &avx512_kernels)
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("fma");
    const bool avx2 =
        __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
    if (k == &avx2_kernels) return avx2;
    if (k == &avxvnni_kernels) return k && avx2 && has_avxvnni();
#endif
#ifdef CHATGLM_ARM
    if (k == &neon_kernels) {
#if defined(__linux__)
        return getauxval(AT_HWCAP) & HWCAP_ASIMDDP;
#elif defined(__APPLE__)
        return true;  // every Apple processor of this architecture in a Mac has the dot products
#else
        return false;
#endif
    }
#endif
    return k == &portable_kernels;
}

static const Kernels *const kTables[] = {
#ifdef CHATGLM_X86
    &avx512_kernels, &avxvnni_kernels, &avx2_kernels,
#endif
#ifdef CHATGLM_ARM
    &neon_kernels,
#endif
    &portable_kernels};

static const Kernels *best() {
    for (const Kernels *k : kTables)
        if (usable(k)) return k;
    return &portable_kernels;
}

static const Kernels *kernels = best();

#define API extern "C" __attribute__((visibility("default")))

// The instruction set in use; a name chooses another one, if this processor has it. Not while a kernel runs.
API const char *chatglm_instruction_set(const char *wanted) {
    for (const Kernels *k : kTables)
        if (wanted && usable(k) && !strcmp(k->name, wanted)) kernels = k;
    return kernels->name;
}

// Raised with every change of a function or a layout; the Python side takes only a library of its own version.
API int64_t chatglm_version() { return 6; }

// Threads that OpenMP would give this thread by itself; torch's number if both use one OpenMP.
API int chatglm_max_threads() { return omp_get_max_threads(); }

API int64_t chatglm_page_tokens() { return kPageTokens; }
API int64_t chatglm_page_bytes(const Heads *at) { return at->page_bytes(); }
API int64_t chatglm_padded_columns(int64_t k, int64_t group) { return padded_columns(k, group); }

API int chatglm_linear(const Weight *w, const float *x, int64_t rows, const float *bias, float *y, int threads) {
    return kernels->linear(*w, x, rows, bias, y, threads);
}
API void chatglm_quantize(const uint16_t *w, int64_t n, int64_t k, int64_t bits, int64_t group, int8_t *levels,
                          uint16_t *scale, int threads) {
    kernels->quantize(w, n, k, bits, group, levels, scale, threads);
}
API void chatglm_pack(const int8_t *levels, int64_t n, int64_t k, int64_t bits, int64_t group, uint8_t *out,
                      int threads) {
    kernels->pack(levels, n, k, bits, group, out, threads);
}
API void chatglm_pack_planes(const int8_t *levels, int64_t n, int64_t k, uint8_t *high, uint8_t *low, int threads) {
    kernels->pack_planes(levels, n, k, high, low, threads);
}
API void chatglm_rows_of(const Weight *w, const int64_t *ids, int64_t count, float *out, int threads) {
    kernels->rows_of(*w, ids, count, out, threads);
}
API void chatglm_store(const Rows *rows, const Heads *at, const float *qkv, const float *cos, const float *sin,
                       float *query, int threads) {
    kernels->store(*rows, *at, qkv, cos, sin, query, threads);
}
API int chatglm_attend_rows(const Rows *rows, const Heads *at, const float *query, float *out, int threads) {
    return kernels->attend_rows(*rows, *at, query, out, threads);
}
API int chatglm_attend_context(const Rows *rows, const Heads *at, const float *query, float *out, int threads) {
    return kernels->attend_context(*rows, *at, query, out, threads);
}
API int chatglm_blocks(const BlockWeights *blocks, int64_t count, const Rows *rows, const Heads *at, const float *cos,
                       const float *sin, float *hidden, int threads) {
    return kernels->blocks(blocks, count, *rows, *at, cos, sin, hidden, threads);
}
API void chatglm_layer_norm(const float *x, const float *weight, const float *bias, float eps, int64_t rows,
                            int64_t width, float *y, int threads) {
    kernels->layer_norm(x, weight, bias, eps, rows, width, y, threads);
}
API void chatglm_gelu(float *x, int64_t count, int threads) { kernels->gelu(x, count, threads); }
API void chatglm_scale_add(float *x, float alpha, const float *y, int64_t count, int threads) {
    kernels->scale_add(x, alpha, y, count, threads);
}
API uint64_t chatglm_read_all(const uint8_t *data, int64_t bytes, int threads) {
    return kernels->read_all(data, bytes, threads);
}
API int64_t chatglm_dot_peak(int64_t bits, int64_t repeats, int threads) {
    return kernels->dot_peak(bits, repeats, threads);
}
