// Many rows of activations: a few panels are unpacked into the L1 cache and meet all tiles of rows there.
//
// On AVX-512 the products take every multiplication that the processor can start. A group's sums cost two more each,
// so that 94 % of the dot products' peak could be reached in a tile, and 89 % is.
#pragma once
#include "activations.h"
#include "panels.h"

namespace chatglm { namespace CHATGLM_ISA {

// Most rows of activations that meet the weights in one pass; their quantised form stays in the L3 cache meanwhile.
constexpr int64_t kBlockRows = 576 / kTileRows * kTileRows;

// Scratch of one thread: unpacked weights, and the sums of a block of rows.
struct Scratch {
    uint8_t weights[kTilePanels * kBlockColumns * 16];
    float sums[kBlockRows * kTilePanels * 16];
};

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

// ---- a tile: T rows and P panels ----

// What a tile reads of successive groups of columns.
struct Tile {
    const uint8_t *w;  // unpacked; a panel lies kBlockColumns * 16 behind the one before
    const int8_t *x;
    const float *xscales;
    const int32_t *corrections;
    const uint16_t *scales;
    int64_t group, next_panel, next_group;  // columns; steps in `scales`
};

template <int BITS, int T, int P>
ALWAYS_INLINE void add_group(const Tile &t, F y[P][T]) {
    F scale[P];
    for (int p = 0; p < P; p++) scale[p] = load_half(t.scales + p * t.next_panel);
    I acc[P][T];
#pragma GCC unroll 16
    for (int m = 0; m < T; m++)
        for (int p = 0; p < P; p++) acc[p][m] = isplat(t.corrections[m]);
    const uint8_t *w = t.w;
    for (const int8_t *x = t.x, *end = x + t.group * T; x < end; w += 64, x += 4 * T) {
        B v[P];
        for (int p = 0; p < P; p++) v[p] = load_bytes(w + p * kBlockColumns * 16);
#pragma GCC unroll 16
        for (int m = 0; m < T; m++)
            for (int p = 0; p < P; p++)
                BITS == 4 ? dot4_nibble(acc[p][m], v[p], x + m * 4) : dot4_byte(acc[p][m], v[p], x + m * 4);
    }
#pragma GCC unroll 16
    for (int m = 0; m < T; m++)
        for (int p = 0; p < P; p++)
            y[p][m] = fma(mul(scale[p], splat(t.xscales[m])), to_float(acc[p][m]), y[p][m]);
}

// Adds so many groups to the sums [T][P][16]. A function of its own, or GCC spills the registers of its only loop.
template <int BITS, int T, int P>
__attribute__((noinline)) static void add_groups(const Tile &first, int64_t groups, float *sums) {
    Tile t = first;
    F y[P][T];
#pragma GCC unroll 16
    for (int m = 0; m < T; m++)
        for (int p = 0; p < P; p++) y[p][m] = load(sums + (m * P + p) * 16);
    for (int64_t g = 0; g < groups; g++) {
        add_group<BITS, T, P>(t, y);
        t.w += t.group * 16, t.x += t.group * T, t.xscales += T, t.corrections += T, t.scales += t.next_group;
    }
#pragma GCC unroll 16
    for (int m = 0; m < T; m++)
        for (int p = 0; p < P; p++) store(sums + (m * P + p) * 16, y[p][m]);
}

// Some panels' columns of the groups g0 .. g1, unpacked.
struct Columns {
    const Panels &panels;
    const Activations &a;
    const uint8_t *w;
    int64_t g0, g1;

    bool are_first() const { return g0 == 0; }
    bool are_last() const { return g1 == a.groups; }
    Tile tile(const Quantized &form, int64_t row, int64_t T, int64_t g) const {
        const int64_t groups = panels.scale_groups, numbers = row * a.groups + g * T;
        const uint16_t *scales = panels.w->scale + (panels.first * groups + (groups == 1 ? 0 : g)) * 16;
        return {w + (g - g0) * a.group * 16,    form.values + a.values_at(row, T, g),
                form.scales + numbers,          form.corrections + numbers,
                scales,                         a.group,
                groups * 16,                    groups == 1 ? 0 : 16};
    }
};

ALWAYS_INLINE bool any(const uint8_t *flag, const uint8_t *end) {
    uint8_t all = 0;
    for (; flag < end; flag++) all |= *flag;
    return all;
}

// The sums of a tile start and end here, where they are in the cache.
template <int BITS, int T, int P>
static void multiply_tile(const Columns &c, int64_t row, float *sums) {
    const Panels &panels = c.panels;
    if (c.are_first())
        for (int p = 0; p < P; p++)
            for (int m = 0; m < T; m++) store(sums + (m * P + p) * 16, panels.start(p));
    if (c.are_last())
        for (int m = 0; m < T; m++)
            for (int p = 0; p < P; p++) prefetch(panels.place(p, row + m));
    const uint8_t *rest = c.a.guarded ? c.a.rests(row / kTileRows) : nullptr;
    if (!rest || !any(rest + c.g0, rest + c.g1)) {
        add_groups<BITS, T, P>(c.tile(c.a.main, row, T, c.g0), c.g1 - c.g0, sums);
    } else {
        for (int64_t g = c.g0; g < c.g1; g++) {
            add_groups<BITS, T, P>(c.tile(c.a.main, row, T, g), 1, sums);
            if (rest[g]) add_groups<BITS, T, P>(c.tile(c.a.rest, row, T, g), 1, sums);
        }
    }
    if (c.are_last())
        for (int p = 0; p < P; p++)
            for (int m = 0; m < T; m++) panels.finish(p, row + m, load(sums + (m * P + p) * 16));
}

template <int BITS, int T, int P>
struct LastTile {  // the tile of the rows that are left over, T of them or fewer
    static void run(const Columns &c, int64_t row, float *sums) {
        if (c.a.rows - row == T) multiply_tile<BITS, T, P>(c, row, sums);
        else LastTile<BITS, T - 1, P>::run(c, row, sums);
    }
};
template <int BITS, int P>
struct LastTile<BITS, 0, P> {
    static void run(const Columns &, int64_t, float *) {}
};

// ---- all tiles ----

// The weights of the columns that come next are fetched a few lines a tile: all at once they would be waited for.
template <int BITS, int P>
struct NextColumns {
    static constexpr int64_t kLines = kBlockColumns * BITS * 2 / 64;
    const uint8_t *from[P];
    int64_t lines_a_tile, line = 0;

    explicit NextColumns(const Columns &c) {
        const Panels &panels = c.panels;  // after the last columns come the next panels' first ones
        for (int p = 0; p < P; p++)
            from[p] = c.are_last() ? panels.data(P + p) : panels.data(p) + c.g1 * c.a.group * BITS * 2;
        lines_a_tile = (kLines * kTileRows + c.a.rows - 1) / c.a.rows;
    }
    void fetch() {
        for (int64_t end = line + lines_a_tile; line < end; line++)
            for (int p = 0; p < P; p++) prefetch(from[p] + line * 64);
    }
};

template <int BITS, int P>
static void multiply_columns(const Columns &c, Scratch *scratch) {
    for (int p = 0; p < P; p++)
        unpack_columns<BITS>(c.panels.data(p) + c.g0 * c.a.group * BITS * 2, (c.g1 - c.g0) * c.a.group,
                             scratch->weights + p * kBlockColumns * 16);
    NextColumns<BITS, P> next(c);
    int64_t row = 0;
    for (; row + kTileRows <= c.a.rows; row += kTileRows) {
        next.fetch();
        multiply_tile<BITS, kTileRows, P>(c, row, scratch->sums + row * P * 16);
    }
    LastTile<BITS, kTileRows - 1, P>::run(c, row, scratch->sums + row * P * 16);
}

template <int BITS, int P>
static void multiply_panels(const Panels &panels, const Activations &a, Scratch *scratch) {
    const int64_t at_once = kBlockColumns / a.group;
    for (int64_t g = 0; g < a.groups; g += at_once) {
        const Columns c = {panels, a, scratch->weights, g, g + at_once < a.groups ? g + at_once : a.groups};
        multiply_columns<BITS, P>(c, scratch);
    }
}

template <int BITS>
static void multiply(Panels panels, int64_t end, const Activations &a, Scratch *scratch) {
    for (; panels.first + kTilePanels <= end; panels.first += kTilePanels)
        multiply_panels<BITS, kTilePanels>(panels, a, scratch);
    for (; panels.first < end; panels.first++) multiply_panels<BITS, 1>(panels, a, scratch);
}

}}  // namespace chatglm::CHATGLM_ISA
