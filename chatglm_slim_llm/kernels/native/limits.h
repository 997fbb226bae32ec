// What this machine can do at most, measured in the same run as what we reach.
#pragma once
#include "native.h"

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
                prefetch_once(data + at + j * 64 + 4096);
                I v;
                std::memcpy(&v, data + at + j * 64, 64);
                acc[j] = iadd(acc[j], v);
            }
        total += (uint32_t)isum(iadd(iadd(acc[0], acc[1]), iadd(acc[2], acc[3])));
    }
    return total;
}

// Multiply-adds of bytes a second are 2 * 64 * 16 * repeats * threads: as many sums as never leave their registers.
static int64_t dot_peak(int64_t repeats, int threads) {
    constexpr int kSums = kTilePanels > 1 ? 16 : 4;  // the tiles are small where a vector takes several registers
    int64_t total = 0;
#pragma omp parallel num_threads(threads) reduction(+ : total)
    {
        alignas(64) uint8_t ones[64];
        std::memset(ones, 1, 64);
        const B w = load_bytes(ones);
        I acc[kSums];
#pragma GCC unroll 16
        for (int m = 0; m < kSums; m++) acc[m] = izero();
        for (int64_t i = 0; i < repeats; i++) {
#pragma GCC unroll 16
            for (int m = 0; m < 16; m++) dot4_byte(acc[m % kSums], w, (const int8_t *)ones);
        }
#pragma GCC unroll 16
        for (int m = 0; m < kSums; m++) total += isum(acc[m]);
    }
    return total;
}

}}  // namespace chatglm::CHATGLM_ISA
