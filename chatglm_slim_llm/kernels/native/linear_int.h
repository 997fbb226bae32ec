// y = x w^T for weights of 8 or 4 bits and activations quantised to int8 on the way.
//
// Both paths below add the same numbers in the same order, group after group:
//     y[n] = bias[n] + sum over groups g of  scale[n, g] * xscale[g] * (exact sum over k in g of q[n, k] * xq[k])
// so a row of the result is the same to the last bit whether it was computed alone, in a tile, or in a batch. A group
// with 16-bit activations has two such terms.
#pragma once
#include "activations.h"
#include "shortlist.h"

namespace chatglm { namespace CHATGLM_ISA {

// Most rows of activations that meet the weights in one pass; their quantised form stays in the L3 cache meanwhile.
constexpr int64_t kBlockRows = 576 / kTileRows * kTileRows;
// How far ahead of the dot products the weights are fetched.
constexpr int64_t kPrefetchBytes = 4096;

// A few panels that tiles of rows are multiplied with, and where the result goes.
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

// One group of columns of P panels. A row or two have two sums each, to keep the dot products busy.
template <int BITS, int T, int P>
ALWAYS_INLINE void stream_group(const Panels &panels, const Activations &a, const Quantized &form, int64_t g,
                                F y[P][T]) {
    constexpr bool two_sums = T * P < 8;
    const uint8_t *w = panels.data(0) + g * a.group * BITS * 2;
    const int8_t *x = form.values + g * a.group * T;
    const int64_t panel = panels.bytes();
    I low[P][T], high[P][T];
    for (int p = 0; p < P; p++)
        for (int m = 0; m < T; m++) low[p][m] = isplat(form.corrections[g * T + m]), high[p][m] = izero();
    for (int64_t k = 0; k < a.group; k += 8, w += BITS * 16, x += 8 * T) {
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
            y[p][m] = fma(mul(scale, splat(form.scales[g * T + m])), to_float(iadd(low[p][m], high[p][m])), y[p][m]);
    }
}

template <int BITS, int T, int P>
static void stream_panels(const Panels &panels, const Activations &a) {
    F y[P][T];
    for (int p = 0; p < P; p++)
        for (int m = 0; m < T; m++) y[p][m] = panels.start(p);
    for (int64_t g = 0; g < a.groups; g++) {
        stream_group<BITS, T, P>(panels, a, a.main, g, y);
        if (a.needs_rest(0, g)) stream_group<BITS, T, P>(panels, a, a.rest, g, y);
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
ALWAYS_INLINE void tile_group(const uint8_t *w, const int8_t *x, int64_t columns, const float *xscale,
                              const int32_t *corrections, const F *scale, float *sums) {
    I acc[P][T];
#pragma GCC unroll 16
    for (int m = 0; m < T; m++)
        for (int p = 0; p < P; p++) acc[p][m] = isplat(corrections[m]);
    for (int64_t k = 0; k < columns; k += 4, w += 64, x += 4 * T) {
        B v[P];
        for (int p = 0; p < P; p++) v[p] = load_bytes(w + p * kBlockColumns * 16);
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
    asm volatile("" ::: "memory");  // or GCC keeps a second copy of the sums on the stack
}

template <int BITS, int T, int P>
static void tile_columns(const Panels &panels, const uint8_t *w, const Activations &a, int64_t row, int64_t g0,
                         int64_t g1, float *sums) {
    for (int64_t g = g0; g < g1; g++, w += a.group * 16) {
        F scale[P];
        for (int p = 0; p < P; p++) scale[p] = panels.scale(p, g);
        const int64_t values = a.values_at(row, T, g), numbers = row * a.groups + g * T;
        const Quantized &x = a.main, &r = a.rest;
        tile_group<BITS, T, P>(w, x.values + values, a.group, x.scales + numbers, x.corrections + numbers, scale, sums);
        if (a.needs_rest(row, g))
            tile_group<BITS, T, P>(w, r.values + values, a.group, r.scales + numbers, r.corrections + numbers, scale,
                                   sums);
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
    static void run(int64_t, const Panels &, const uint8_t *, const Activations &, int64_t, int64_t, int64_t,
                    float *) {}
};

// Scratch of one thread: unpacked weights, and the sums of a block of rows.
struct Scratch {
    uint8_t weights[kTilePanels * kBlockColumns * 16];
    float sums[kBlockRows * kTilePanels * 16];
};

// The weights of the columns that come next are fetched a few lines a tile: all at once they would be waited for.
template <int BITS, int P>
struct NextColumns {
    static constexpr int64_t kLines = kBlockColumns * BITS * 2 / 64;
    const uint8_t *from[P];
    int64_t lines_a_tile, line = 0;

    NextColumns(const Panels &panels, int64_t g1, const Activations &a) {
        const bool is_last = g1 == a.groups;  // then the next panels' first columns
        for (int p = 0; p < P; p++) from[p] = is_last ? panels.data(P + p) : panels.data(p) + g1 * a.group * BITS * 2;
        lines_a_tile = (kLines * kTileRows + a.rows - 1) / a.rows;
    }
    void fetch() {
        for (int64_t end = line + lines_a_tile; line < end; line++)
            for (int p = 0; p < P; p++) prefetch(from[p] + line * 64);
    }
};

// One tile of rows against the columns of the groups g0 .. g1. Its sums start and end here, where they are in the cache.
template <int BITS, int P>
static void multiply_tile(const Panels &panels, const Activations &a, const uint8_t *w, int64_t row, int64_t g0,
                          int64_t g1, float *sums) {
    const int64_t T = a.tile_rows(row);
    if (g0 == 0)
        for (int64_t m = 0; m < T; m++)
            for (int p = 0; p < P; p++) store(sums + (m * P + p) * 16, panels.start(p));
    if (T == kTileRows) tile_columns<BITS, kTileRows, P>(panels, w, a, row, g0, g1, sums);
    else LastTile<BITS, kTileRows - 1, P>::run(T, panels, w, a, row, g0, g1, sums);
    if (g1 == a.groups)
        for (int64_t m = 0; m < T; m++)
            for (int p = 0; p < P; p++) panels.finish(p, row + m, load(sums + (m * P + p) * 16));
}

template <int BITS, int P>
static void multiply_panels(const Panels &panels, const Activations &a, Scratch *scratch) {
    const int64_t groups_at_once = kBlockColumns / a.group;
    for (int64_t g0 = 0; g0 < a.groups; g0 += groups_at_once) {
        const int64_t g1 = g0 + groups_at_once < a.groups ? g0 + groups_at_once : a.groups;
        for (int p = 0; p < P; p++)
            unpack_columns<BITS>(panels.data(p) + g0 * a.group * BITS * 2, (g1 - g0) * a.group,
                                 scratch->weights + p * kBlockColumns * 16);
        NextColumns<BITS, P> next(panels, g1, a);
        for (int64_t row = 0; row < a.rows; row += kTileRows) {
            next.fetch();
            multiply_tile<BITS, P>(panels, a, scratch->weights, row, g0, g1, scratch->sums + row * P * 16);
        }
    }
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

// How the panels are shared out. Threads take a piece at a time, so that one on a busy core does not hold up the rest.
// Where memory is the limit, three quarters go in pieces of some length, read without a break; the rest is small change
// that lets all threads end together.
struct Pieces {
    int64_t panels, length, long_ones, count;

    Pieces(int64_t panels, bool few_rows, int threads) : panels(panels) {
        const int64_t share = panels / (threads * 8) / kTilePanels * kTilePanels;
        length = share > kTilePanels ? share : kTilePanels;
        long_ones = few_rows ? panels * 3 / 4 / length : 0;
        count = long_ones + (panels - long_ones * length + kTilePanels - 1) / kTilePanels;
    }
    int64_t first(int64_t i) const {
        const int64_t at = i <= long_ones ? i * length : long_ones * length + (i - long_ones) * kTilePanels;
        return at < panels ? at : panels;
    }
};

static void linear_block(const Weight &w, const float *x, const Activations &a, const float *bias, float *y,
                         Scratch *scratch, int threads) {
    const bool few_rows = a.rows <= kTileRows;
    const Pieces pieces((w.n + 15) / 16, few_rows, threads);
    const Panels panels = {&w, bias, y, 0, a.padded, w.group ? (w.k + w.group - 1) / w.group : 1};
    if (few_rows) quantize_tile(x, a, 0);
#pragma omp parallel num_threads(threads)
    {
        if (!few_rows) {
#pragma omp for schedule(dynamic, 1)
            for (int64_t row = 0; row < a.rows; row += kTileRows) quantize_tile(x, a, row);
        }
        Scratch *own = scratch ? scratch + omp_get_thread_num() : nullptr;
#pragma omp for schedule(dynamic, 1) nowait
        for (int64_t i = 0; i < pieces.count; i++) {
            if (w.bits == 4) multiply_range<4>(panels, pieces.first(i), pieces.first(i + 1), a, own);
            else multiply_range<8>(panels, pieces.first(i), pieces.first(i + 1), a, own);
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
    const Weight panels = w.low ? high_plane(w) : w;
    a.groups = a.padded / a.group, a.bits = w.bits, a.offset = panels.bits == 4 ? 8 : 128;
    a.unit = w.low ? kHighUnit : 1.0f;
    const int64_t block = block_rows(rows);
    void *scratch = nullptr;
    bool ok = allocate_activations(a, block) &&
              (block <= kTileRows || allocate(&scratch, (int64_t)sizeof(Scratch) * threads));
    for (int64_t first = 0; ok && first < rows; first += block) {
        a.rows = rows - first < block ? rows - first : block;
        linear_block(panels, x + first * w.k, a, bias, y + first * w.n, (Scratch *)scratch, threads);
        if (w.low) ok = finish_shortlists(w, a, y + first * w.n, threads);
    }
    free_activations(a), free(scratch);
    return ok ? 0 : -1;
}

}}  // namespace chatglm::CHATGLM_ISA
