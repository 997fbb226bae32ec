// What this machine can do at most, measured in the same run as what we reach.
#pragma once
#include "dots.h"

namespace chatglm { namespace CHATGLM_ISA {

// Reads everything once; the sum keeps the compiler from leaving it out.
static uint64_t read_all(const uint8_t *data, int64_t bytes, int threads) {
    const int64_t piece = 1 << 20, pieces = (bytes + piece - 1) / piece;
    uint64_t total = 0;
#pragma omp parallel for num_threads(threads) schedule(dynamic, 8) reduction(+ : total)
    for (int64_t i = 0; i < pieces; i++) {
        const int64_t end = (i + 1) * piece < bytes ? (i + 1) * piece : bytes;
        I acc[4] = {izero(), izero(), izero(), izero()};
        for (int64_t at = i * piece; at + 256 <= end; at += 256)
            for (int j = 0; j < 4; j++) {
                if (kPrefetchPlainReads) prefetch_once(data + at + j * 64 + kPrefetchBytes);
                acc[j] = iadd(acc[j], iload(data + at + j * 64));
            }
        total += (uint32_t)isum(iadd(iadd(acc[0], acc[1]), iadd(acc[2], acc[3])));
    }
    return total;
}

// So many dot products of 64 bytes a repeat: as many sums as never leave their registers.
constexpr int kPeakDots = 32;

template <int BITS, typename Sum, int SUMS>
ALWAYS_INLINE void dots(Sum (&sums)[SUMS], B &w, const uint8_t *x) {
#pragma GCC unroll 32
    for (int m = 0; m < kPeakDots; m++) {
        if (m % 4 == 0) keep(w);  // other weights for every four rows: else the compiler makes one product for all
        dot4<BITS>(sums[m % SUMS], w, (const int8_t *)x + m % 4 * 4);
    }
}

template <int BITS, int SUMS>
static int64_t dots_of_registers(int64_t repeats) {
    alignas(64) uint8_t ones[64];
    std::memset(ones, 1, 64);
    asm volatile("" : : "r"(ones) : "memory");  // the compiler does not know them any more
    I acc[SUMS];
#pragma GCC unroll 16
    for (int m = 0; m < SUMS; m++) acc[m] = izero();
    B w = load_bytes(ones);
    for (int64_t i = 0; i < repeats; i++) {
        if constexpr (kShortColumns > 0) {
            for (int half = 0; half < BITS / 4; half++) {  // two multiplications of 16 bits for one product of bytes
                Short sums[SUMS] = {};
                dots<4>(sums, w, ones);
#pragma GCC unroll 16
                for (int m = 0; m < SUMS; m++) add_short(acc[m], sums[m]);
            }
        } else {
            dots<BITS>(acc, w, ones);
        }
    }
    int64_t total = 0;
#pragma GCC unroll 16
    for (int m = 0; m < SUMS; m++) total += isum(acc[m]);
    return total;
}

// Multiplications and additions are 2 * 64 * kPeakDots * repeats * threads, with weights of 8 or 4 bits.
static int64_t dot_peak(int64_t bits, int64_t repeats, int threads) {
    constexpr int kSums = kTilePanels > 1 ? 16 : kTileRows;  // fewer where a vector takes several registers
    int64_t total = 0;
#pragma omp parallel num_threads(threads) reduction(+ : total)
    total += bits == 4 ? dots_of_registers<4, kSums>(repeats) : dots_of_registers<8, kSums>(repeats);
    return total;
}

}}  // namespace chatglm::CHATGLM_ISA
