// Levels of 8 bits in two planes of nibbles, u = q + 128 = 16 * high + low: written, and rows of them read back.
#pragma once
#include "native.h"

namespace chatglm { namespace CHATGLM_ISA {

// A line of the low plane: the nibbles of so many columns, the first half of them in the low ones.
constexpr int64_t kLineColumns = 128;

// One row: its words in a panel of the high plane, 64 bytes apart, and its lines; levels beyond k are zeros.
static void pack_planes_row(const int8_t *levels, int64_t k, int64_t padded, uint8_t *high, uint8_t *low) {
    for (int64_t at = 0; at < padded; at += kLineColumns, low += kLineColumns / 2) {
        uint8_t u[kLineColumns];
        for (int64_t i = 0; i < kLineColumns; i++) u[i] = (uint8_t)((at + i < k ? levels[at + i] : 0) + 128);
        for (int64_t i = 0; i < kLineColumns / 2; i++)
            low[i] = (uint8_t)((u[i] & 15) | (u[i + kLineColumns / 2] & 15) << 4);
        for (int64_t i = 0; i < kLineColumns; i += 8, high += 64)
            for (int64_t j = 0; j < 4; j++) high[j] = (uint8_t)(u[i + j] >> 4 | (u[i + 4 + j] & 0xf0));
    }
}

static void pack_planes(const int8_t *levels, int64_t n, int64_t k, uint8_t *high, uint8_t *low, int threads) {
    const int64_t padded = padded_columns(k, 0), panels = (n + 15) / 16, panel = padded * 8, line = padded / 2;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t p = 0; p < panels; p++) {
        const int64_t rows = n - p * 16 < 16 ? n - p * 16 : 16;
        if (rows < 16) std::memset(high + p * panel, 0x88, (size_t)panel);  // the rows that fill the panel are zeros
        for (int64_t r = p * 16; r < p * 16 + rows; r++)
            pack_planes_row(levels + r * k, k, padded, high + p * panel + r % 16 * 4, low + r * line);
    }
}

static void row_of_planes(const Weight &w, int64_t id, float *out) {
    const int64_t padded = padded_columns(w.k, 0);
    const uint8_t *high = w.data + id / 16 * padded * 8 + id % 16 * 4, *low = w.low + id * (padded / 2);
    const float scale = half_to_float(w.scale[id]);
    for (int64_t i = 0; i < w.k; i++) {
        const uint8_t two = high[i / 8 * 64 + i % 4], line = low[i / kLineColumns * 64 + i % 64];
        const int u = (i & 4 ? two & 0xf0 : two << 4 & 0xf0) | (i & 64 ? line >> 4 : line & 15);
        out[i] = (float)(u - 128) * scale;
    }
}

}}  // namespace chatglm::CHATGLM_ISA
