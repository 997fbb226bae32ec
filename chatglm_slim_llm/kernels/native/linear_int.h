// y = x w^T for weights of 8 or 4 bits and activations quantised to int8 on the way.
//
// Both paths below add the same numbers in the same order, group after group:
//     y[n] = bias[n] + sum over groups g of  scale[n, g] * xscale[g] * (exact integer sum over k in g of q[n, k] * xq[k])
// so a row of the result is the same to the last bit whether it was computed alone, in a tile, or in a batch.
#pragma once
#include <stdlib.h>

#include "native.h"

namespace chatglm { namespace CHATGLM_ISA {

// Most rows of activations that meet the weights in one pass; their quantised form stays in the L3 cache meanwhile.
constexpr int64_t kBlockRows = 48 * kTileRows;
// Columns of two unpacked panels that stay in the L1 cache (32 KiB at 1,024) while all tiles pass by.
constexpr int64_t kBlockColumns = 512;
// How far ahead of the dot products the weights are fetched.
constexpr int64_t kPrefetchBytes = 4096;

// Quantised activations in tiles of T rows: values [k / 4][T][4], scales and corrections [groups][T]. Tile t starts at
// row t * kTileRows; the last one has fewer rows.
struct Activations {
    int8_t *values;
    float *scales;
    int32_t *corrections;  // minus the weights' offset times the sum of the values
    int64_t rows, k, padded, group, groups;
    int32_t offset;
};

// Numbers below this are zero to any sum they could be part of, and their reciprocal would overflow.
constexpr float kTiny = 1e-30f;

static void quantize_group(const float *x, int64_t n, Activations &a, int64_t tile_rows, int64_t m, int64_t g,
                           int8_t *values, float *scales, int32_t *corrections) {
    F biggest = zero();
    for (int64_t i = 0; i < n; i += 16) biggest = max(biggest, abs(n - i < 16 ? load_tail(x + i, n - i) : load(x + i)));
    const float top = largest(biggest);
    const F inverse = splat(top > kTiny ? 127.0f / top : 0.0f);
    I total = izero();
    alignas(64) int8_t bytes[16];
    for (int64_t i = 0; i < a.group; i += 16) {
        const F v = i + 16 <= n ? load(x + i) : i < n ? load_tail(x + i, n - i) : zero();
        const I q = to_int(mul(v, inverse));
        total = iadd(total, q);
        store_bytes(bytes, q);
        int8_t *out = values + ((g * a.group + i) / 4 * tile_rows + m) * 4;
        for (int j = 0; j < 4; j++) std::memcpy(out + j * tile_rows * 4, bytes + j * 4, 4);
    }
    scales[g * tile_rows + m] = top > kTiny ? top / 127.0f : 0.0f;
    corrections[g * tile_rows + m] = -a.offset * isum(total);
}

static void quantize_row(const float *x, Activations &a, int64_t row) {
    const int64_t start = row / kTileRows * kTileRows;
    const int64_t tile_rows = a.rows - start < kTileRows ? a.rows - start : kTileRows;
    for (int64_t g = 0; g < a.groups; g++) {
        const int64_t left = a.k - g * a.group;
        quantize_group(x + g * a.group, left < a.group ? left : a.group, a, tile_rows, row - start, g,
                       a.values + start * a.padded, a.scales + start * a.groups, a.corrections + start * a.groups);
    }
}

// What one tile of rows is multiplied with: P panels, and where the result goes.
struct Panels {
    const Weight *w;
    const float *bias;
    float *y;  // [rows, n]
    int64_t first, padded, scale_groups;

    int64_t bytes() const { return padded * 2 * w->bits; }  // of one panel
    const uint8_t *data(int p) const { return w->data + (first + p) * bytes(); }
    F scale(int p, int64_t g) const {
        const int64_t at = scale_groups == 1 ? first + p : (first + p) * scale_groups + g;
        return load_half(w->scale + at * 16);
    }
    int64_t lanes(int p) const { return w->n - (first + p) * 16; }  // 16 or more: all of them
    F start(int p) const {
        if (!bias) return zero();
        const int64_t n = lanes(p);
        return n < 16 ? load_tail(bias + (first + p) * 16, n) : load(bias + (first + p) * 16);
    }
    void finish(int p, int64_t row, F v) const {
        float *out = y + row * w->n + (first + p) * 16;
        lanes(p) < 16 ? store_tail(out, v, lanes(p)) : store(out, v);
    }
};

// ---- few rows: the weights are read once, straight from memory ----

// One row has two sums for a panel, more rows have one: enough of them at once to keep the dot products busy.
template <int BITS, int T>
ALWAYS_INLINE void dot_step(I *low, I *high, const uint8_t *w, const int8_t *x) {  // eight columns of one panel
    const B v = load_bytes(w);
    const B a = BITS == 4 ? low_nibbles(v) : v, b = BITS == 4 ? high_nibbles(v) : load_bytes(w + 64);
#pragma GCC unroll 16
    for (int m = 0; m < T; m++) BITS == 4 ? dot4_nibble(low[m], a, x + m * 4) : dot4_byte(low[m], a, x + m * 4);
#pragma GCC unroll 16
    for (int m = 0; m < T; m++)
        BITS == 4 ? dot4_nibble(high[m], b, x + (T + m) * 4) : dot4_byte(high[m], b, x + (T + m) * 4);
}

template <int BITS, int T, int P>
static void stream_panels(const Panels &panels, const Activations &a) {
    constexpr int64_t step = BITS * 16;  // bytes of eight columns
    constexpr bool two_sums = T * P < 8;
    F y[P][T];
    for (int p = 0; p < P; p++)
        for (int m = 0; m < T; m++) y[p][m] = panels.start(p);
    const uint8_t *w = panels.data(0);
    const int8_t *x = a.values;
    const int64_t panel = panels.bytes();
    for (int64_t g = 0; g < a.groups; g++) {
        I low[P][T], high[P][T];
        for (int p = 0; p < P; p++)
            for (int m = 0; m < T; m++) low[p][m] = isplat(a.corrections[g * T + m]), high[p][m] = izero();
        for (int64_t k = 0; k < a.group; k += 8, w += step, x += 8 * T) {
#pragma GCC unroll 4
            for (int p = 0; p < P; p++) {
                prefetch(w + p * panel + kPrefetchBytes);
                if (BITS == 8) prefetch(w + p * panel + kPrefetchBytes + 64);
                dot_step<BITS, T>(low[p], two_sums ? high[p] : low[p], w + p * panel, x);
            }
        }
        for (int p = 0; p < P; p++) {
            const F scale = panels.scale(p, g);
            for (int m = 0; m < T; m++)
                y[p][m] = fma(mul(scale, splat(a.scales[g * T + m])), to_float(iadd(low[p][m], high[p][m])), y[p][m]);
        }
    }
    for (int p = 0; p < P; p++)
        for (int m = 0; m < T; m++) panels.finish(p, m, y[p][m]);
}

template <int BITS, int T>
static void stream(Panels panels, int64_t end, const Activations &a) {
    constexpr int P = T <= kTileRows * 2 / 3 ? kTilePanels : 1;
    for (; panels.first + P <= end; panels.first += P) stream_panels<BITS, T, P>(panels, a);
    for (; panels.first < end; panels.first++) stream_panels<BITS, T, 1>(panels, a);
}

// ---- many rows: panels are unpacked into the L1 cache and meet all tiles there ----

template <int BITS>
static void unpack_columns(const uint8_t *w, int64_t columns, uint8_t *out) {
    if (BITS == 8) {
        std::memcpy(out, w, (size_t)columns * 16);
        return;
    }
    for (int64_t k = 0; k < columns; k += 8, w += 64, out += 128) {
        const B v = load_bytes(w);
        store_bytes64(out, low_nibbles(v));
        store_bytes64(out + 64, high_nibbles(v));
    }
}

// One group of columns for T rows and P panels; sums [T][P][16].
template <int BITS, int T, int P>
ALWAYS_INLINE void tile_group(const uint8_t *w, int64_t panel, const int8_t *x, int64_t columns, const float *xscale,
                              const int32_t *corrections, const F *scale, float *sums) {
    I acc[P][T];
#pragma GCC unroll 16
    for (int m = 0; m < T; m++)
        for (int p = 0; p < P; p++) acc[p][m] = isplat(corrections[m]);
    for (int64_t k = 0; k < columns; k += 4, w += 64, x += 4 * T) {
        B v[P];
        for (int p = 0; p < P; p++) v[p] = load_bytes(w + p * panel);
#pragma GCC unroll 16
        for (int m = 0; m < T; m++)
            for (int p = 0; p < P; p++)
                BITS == 4 ? dot4_nibble(acc[p][m], v[p], x + m * 4) : dot4_byte(acc[p][m], v[p], x + m * 4);
    }
#pragma GCC unroll 16
    for (int m = 0; m < T; m++)
        for (int p = 0; p < P; p++) {
            float *s = sums + (m * P + p) * 16;
            store(s, fma(mul(scale[p], splat(xscale[m])), to_float(acc[p][m]), load(s)));
        }
}

template <int BITS, int T, int P>
static void tile_columns(const Panels &panels, const uint8_t *w, const Activations &a, int64_t row, int64_t g0,
                         int64_t g1, float *sums) {
    const int8_t *x = a.values + row * a.padded + g0 * a.group * T;
    const float *xscale = a.scales + row * a.groups;
    const int32_t *corrections = a.corrections + row * a.groups;
    for (int64_t g = g0; g < g1; g++, w += a.group * 16, x += a.group * T) {
        F scale[P];
        for (int p = 0; p < P; p++) scale[p] = panels.scale(p, g);
        tile_group<BITS, T, P>(w, kBlockColumns * 16, x, a.group, xscale + g * T, corrections + g * T, scale, sums);
    }
}

template <int BITS, int T, int P>
struct LastTile {  // the tile of the rows that are left over, T of them or fewer
    static void run(int64_t rows, const Panels &panels, const uint8_t *w, const Activations &a, int64_t row, int64_t g0,
                    int64_t g1, float *sums) {
        if (rows == T) tile_columns<BITS, T, P>(panels, w, a, row, g0, g1, sums);
        else LastTile<BITS, T - 1, P>::run(rows, panels, w, a, row, g0, g1, sums);
    }
};
template <int BITS, int P>
struct LastTile<BITS, 0, P> {
    static void run(int64_t, const Panels &, const uint8_t *, const Activations &, int64_t, int64_t, int64_t, float *) {}
};

// Scratch of one thread: unpacked weights, and the sums of a block of rows.
struct Scratch {
    uint8_t weights[kTilePanels * kBlockColumns * 16];
    float sums[kBlockRows * kTilePanels * 16];
};

template <int BITS, int P>
static void multiply_panels(const Panels &panels, const Activations &a, Scratch *scratch) {
    for (int64_t m = 0; m < a.rows; m++)
        for (int p = 0; p < P; p++) store(scratch->sums + (m * P + p) * 16, panels.start(p));
    const int64_t groups_at_once = kBlockColumns / a.group;
    for (int64_t g0 = 0; g0 < a.groups; g0 += groups_at_once) {
        const int64_t g1 = g0 + groups_at_once < a.groups ? g0 + groups_at_once : a.groups;
        for (int p = 0; p < P; p++)
            unpack_columns<BITS>(panels.data(p) + g0 * a.group * BITS * 2, (g1 - g0) * a.group,
                                 scratch->weights + p * kBlockColumns * 16);
        int64_t m = 0;
        for (; m + kTileRows <= a.rows; m += kTileRows)
            tile_columns<BITS, kTileRows, P>(panels, scratch->weights, a, m, g0, g1, scratch->sums + m * P * 16);
        LastTile<BITS, kTileRows - 1, P>::run(a.rows - m, panels, scratch->weights, a, m, g0, g1,
                                              scratch->sums + m * P * 16);
    }
    for (int64_t m = 0; m < a.rows; m++)
        for (int p = 0; p < P; p++) panels.finish(p, m, load(scratch->sums + (m * P + p) * 16));
}

template <int BITS>
static void multiply(Panels panels, int64_t end, const Activations &a, Scratch *scratch) {
    for (; panels.first + kTilePanels <= end; panels.first += kTilePanels)
        multiply_panels<BITS, kTilePanels>(panels, a, scratch);
    for (; panels.first < end; panels.first++) multiply_panels<BITS, 1>(panels, a, scratch);
}

// ---- both ----

template <int BITS, int T>
struct FewRows {
    static void run(const Panels &panels, int64_t end, const Activations &a) {
        if (a.rows == T) stream<BITS, T>(panels, end, a);
        else FewRows<BITS, T - 1>::run(panels, end, a);
    }
};
template <int BITS>
struct FewRows<BITS, 0> {
    static void run(const Panels &, int64_t, const Activations &) {}
};

template <int BITS>
static void multiply_range(Panels panels, int64_t first, int64_t end, const Activations &a, Scratch *scratch) {
    panels.first = first;
    if (a.rows <= kTileRows) FewRows<BITS, kTileRows>::run(panels, end, a);
    else multiply<BITS>(panels, end, a, scratch);
}

static bool allocate(void **out, int64_t bytes) { return posix_memalign(out, 64, (size_t)(bytes + 63) / 64 * 64) == 0; }

// A block of rows, all panels. Threads take a few panels at a time, so that one on a busy core does not hold up the rest.
static void linear_block(const Weight &w, const float *x, Activations a, const float *bias, float *y, Scratch *scratch,
                         int threads) {
    const int64_t num_panels = (w.n + 15) / 16;
    const int64_t share = num_panels / (threads * 8) / kTilePanels * kTilePanels;
    const int64_t chunk = share < kTilePanels ? kTilePanels : share > 32 ? 32 : share;
    const Panels panels = {&w, bias, y, 0, a.padded, w.group ? (w.k + w.group - 1) / w.group : 1};
    if (a.rows < threads) for (int64_t m = 0; m < a.rows; m++) quantize_row(x + m * a.k, a, m);
#pragma omp parallel num_threads(threads)
    {
        if (a.rows >= threads) {
#pragma omp for schedule(static)
            for (int64_t m = 0; m < a.rows; m++) quantize_row(x + m * a.k, a, m);
        }
        Scratch *own = scratch ? scratch + omp_get_thread_num() : nullptr;
#pragma omp for schedule(dynamic, 1) nowait
        for (int64_t first = 0; first < num_panels; first += chunk) {
            const int64_t end = first + chunk < num_panels ? first + chunk : num_panels;
            if (w.bits == 4) multiply_range<4>(panels, first, end, a, own);
            else multiply_range<8>(panels, first, end, a, own);
        }
    }
}

// Equal blocks of whole tiles: a last one of a few rows would cost a pass over the weights of its own.
static int64_t block_rows(int64_t rows) {
    const int64_t blocks = (rows + kBlockRows - 1) / kBlockRows;
    if (blocks <= 1) return rows;
    return ((rows + blocks - 1) / blocks + kTileRows - 1) / kTileRows * kTileRows;
}

static int linear_int(const Weight &w, const float *x, int64_t rows, const float *bias, float *y, int threads) {
    Activations a{};
    a.k = w.k, a.group = activation_group(w.group), a.padded = padded_columns(w.k, w.group);
    a.groups = a.padded / a.group, a.offset = w.bits == 4 ? 8 : 128;
    const int64_t block = block_rows(rows);
    void *values = nullptr, *scales = nullptr, *corrections = nullptr, *scratch = nullptr;
    const bool ok = allocate(&values, block * a.padded) && allocate(&scales, block * a.groups * 4) &&
                    allocate(&corrections, block * a.groups * 4) &&
                    (block <= kTileRows || allocate(&scratch, (int64_t)sizeof(Scratch) * threads));
    a.values = (int8_t *)values, a.scales = (float *)scales, a.corrections = (int32_t *)corrections;
    for (int64_t first = 0; ok && first < rows; first += block) {
        a.rows = rows - first < block ? rows - first : block;
        linear_block(w, x + first * w.k, a, bias, y + first * w.n, (Scratch *)scratch, threads);
    }
    free(values), free(scales), free(corrections), free(scratch);
    return ok ? 0 : -1;
}

}}  // namespace chatglm::CHATGLM_ISA
