// Many rows of activations: a few panels are unpacked into the L1 cache and meet all tiles of rows there.
#pragma once
#include "panels.h"
#include "tile.h"

namespace chatglm { namespace CHATGLM_ISA {

// Most rows of activations that meet the weights in one pass; their quantised form stays in the L3 cache meanwhile.
constexpr int64_t kBlockRows = 576 / kTileRows * kTileRows;

// Scratch of one thread: unpacked weights, and the sums of a block of rows.
struct Scratch {
    uint8_t weights[kTilePanels * kBlockColumns * 16];
    float sums[kBlockRows * kTilePanels * 16];
};

// Some panels' columns of the groups g0 .. g1.
struct Columns {
    const Panels &panels;
    const Activations &a;
    uint8_t *w;
    int64_t g0, g1;

    bool are_first() const { return g0 == 0; }
    bool are_last() const { return g1 == a.groups; }
    // How many of so many tiles have nothing special, up to the first that has.
    int64_t plain_tiles(int64_t tile, int64_t tiles) const {
        const uint8_t *special = a.special_tiles(g0) + tile;
        if (!any(special, special + tiles)) return tiles;  // a few vectors, where one by one would be noticed
        int64_t plain = 0;
        while (!special[plain]) plain++;
        return plain;
    }
    Tile tile(const Quantized &form, int64_t row, int64_t T, int64_t g) const {
        const int64_t column = g * a.group, numbers = row * a.groups + g * T;
        return {panels.data(0) + column * panels.w->bits * 2,
                w + (g - g0) * a.group * 16,
                form.values + a.values_at(row, T, g),
                form.scales + numbers,
                form.corrections + numbers,
                panels.group_scale(0, g),
                panels.bytes(),
                panels.group_scales()};
    }
};

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
        lines_a_tile = (kLines + c.a.tiles - 1) / c.a.tiles;
    }
    void fetch() {
        for (int64_t end = line + lines_a_tile; line < end; line++)
            for (int p = 0; p < P; p++) prefetch(from[p] + line * 64);
    }
};

// ---- the sums of a tile ----

template <int T, int P>
ALWAYS_INLINE void load_sums(bool none, const float *sums, F y[P][T]) {
    if (none) {
#pragma GCC unroll 16
        for (int m = 0; m < T; m++)
            for (int p = 0; p < P; p++) y[p][m] = zero();
    } else {
#pragma GCC unroll 16
        for (int m = 0; m < T; m++)
            for (int p = 0; p < P; p++) y[p][m] = load(sums + (m * P + p) * 16);
    }
}
template <int T, int P>
ALWAYS_INLINE void store_sums(float *sums, const F y[P][T]) {
#pragma GCC unroll 16
    for (int m = 0; m < T; m++)
        for (int p = 0; p < P; p++) store(sums + (m * P + p) * 16, y[p][m]);
}
template <int T, int P>
ALWAYS_INLINE void fetch_results(const Columns &c, int64_t row) {
    for (int m = 0; m < T; m++)
        for (int p = 0; p < P; p++) prefetch(c.panels.place(p, row + m));
}
template <int T, int P>
__attribute__((noinline)) static void finish(const Panels &panels, int64_t row, const float *sums) {
    for (int p = 0; p < P; p++) {
        const F scale = panels.scale_of(p), bias = panels.bias_of(p);
        for (int m = 0; m < T; m++) panels.put(p, row + m, fma(scale, load(sums + (m * P + p) * 16), bias));
    }
}

// ---- tiles of T rows ----

// So many tiles from `row` on that have nothing special. They are one loop: if the scales and sums of a tile are looked
// up anew, its dot products wait, for a thirtieth of their time.
template <int BITS, int64_t GROUP, Scales SCALES, bool FRESH, int T, int P>
__attribute__((noinline)) static void multiply_plain(const Columns &c, int64_t row, int64_t tiles,
                                                     NextColumns<BITS, P> &coming, float *sums) {
    const int64_t groups = c.g1 - c.g0;
    const bool first = c.are_first(), last = c.are_last();
    NextColumns<BITS, P> next = coming;  // in registers
    Tile tile = c.tile(c.a.main, row, T, c.g0);
    for (const int64_t end = row + tiles * T; row < end; row += T, sums += T * P * 16) {
        F y[P][T];
        if (!FRESH) next.fetch();  // or what is to be unpacked now would have to wait for it
        load_sums<T, P>(first, sums, y);
        if (last) fetch_results<T, P>(c, row);
        add_groups<BITS, GROUP, SCALES, FRESH, T, P>(tile, groups, y);
        store_sums<T, P>(sums, y);
        if (FRESH) next.fetch();
        if (last) finish<T, P>(c.panels, row, sums);
        tile.x += groups * GROUP * T, tile.xscales += c.a.groups * T, tile.corrections += c.a.groups * T;
    }
    coming = next;
}

template <int BITS, int64_t GROUP, Scales SCALES, bool FRESH, int T, int P>
__attribute__((noinline)) static void add_one_group(const Tile &tile, float *sums) {
    F y[P][T];
    load_sums<T, P>(false, sums, y);
    add_groups<BITS, GROUP, SCALES, FRESH, T, P>(tile, 1, y);
    store_sums<T, P>(sums, y);
}

// One tile whose groups differ.
template <int BITS, int64_t GROUP, Scales SCALES, bool FRESH, int T, int P>
static void multiply_special(const Columns &c, int64_t row, NextColumns<BITS, P> &next, float *sums) {
    const F none = zero();
    for (int i = 0; c.are_first() && i < T * P; i++) store(sums + i * 16, none);
    if (!FRESH) next.fetch();
    if (c.are_last()) fetch_results<T, P>(c, row);
    const uint8_t *special = c.a.specials(row / kTileRows);
    for (int64_t g = c.g0; g < c.g1; g++) {
        add_one_group<BITS, GROUP, SCALES, FRESH, T, P>(c.tile(c.a.main, row, T, g), sums);
        if (special[g] & kHasRest)
            add_one_group<BITS, GROUP, SCALES, false, T, P>(c.tile(c.a.rest, row, T, g), sums);
    }
    if (FRESH) next.fetch();
    if (c.are_last()) finish<T, P>(c.panels, row, sums);
}

// So many tiles from `row` on.
template <int BITS, int64_t GROUP, bool FRESH, int T, int P>
static void multiply_tiles(const Columns &c, int64_t row, int64_t tiles, NextColumns<BITS, P> &next, float *sums) {
    constexpr Scales kPlain = BITS == 4 ? Scales::kPowers : Scales::kOfGroups;  // where groups of weights have scales
    const bool grouped = c.panels.has_groups();
    while (tiles > 0) {
        const int64_t plain = c.plain_tiles(row / kTileRows, tiles), done = plain ? plain : 1;
        if (plain && grouped) multiply_plain<BITS, GROUP, kPlain, FRESH, T, P>(c, row, plain, next, sums);
        else if (plain) multiply_plain<BITS, GROUP, Scales::kOfRow, FRESH, T, P>(c, row, plain, next, sums);
        else if (grouped) multiply_special<BITS, GROUP, Scales::kOfGroups, FRESH, T, P>(c, row, next, sums);
        else multiply_special<BITS, GROUP, Scales::kOfRow, FRESH, T, P>(c, row, next, sums);
        row += done * T, sums += done * T * P * 16, tiles -= done;
    }
}

template <int BITS, int64_t GROUP, int T, int P>
struct LastTile {  // the tile of the rows that are left over, T of them or fewer
    static void run(const Columns &c, int64_t row, NextColumns<BITS, P> &next, float *sums) {
        if (c.a.rows - row == T) multiply_tiles<BITS, GROUP, false, T, P>(c, row, 1, next, sums);
        else LastTile<BITS, GROUP, T - 1, P>::run(c, row, next, sums);
    }
};
template <int BITS, int64_t GROUP, int P>
struct LastTile<BITS, GROUP, 0, P> {
    static void run(const Columns &, int64_t, NextColumns<BITS, P> &, float *) {}
};

// ---- all tiles ----

template <int BITS, int64_t GROUP, int P>
static void multiply_columns(const Columns &c, float *sums) {
    static_assert(kStreamRows + 1 >= kTileRows, "many rows are a whole tile at least");
    constexpr int64_t T = kTileRows;
    const int64_t more = c.a.rows / T - 1;
    NextColumns<BITS, P> next(c);
    multiply_tiles<BITS, GROUP, true, T, P>(c, 0, 1, next, sums);
    multiply_tiles<BITS, GROUP, false, T, P>(c, T, more, next, sums + T * P * 16);
    LastTile<BITS, GROUP, T - 1, P>::run(c, T + more * T, next, sums + (T + more * T) * P * 16);
}

template <int BITS, int64_t GROUP, int P>
static void multiply_panels(const Panels &panels, const Activations &a, Scratch *scratch) {
    constexpr int64_t at_once = kBlockColumns / GROUP;
    for (int64_t g = 0; g < a.groups; g += at_once) {
        const Columns c = {panels, a, scratch->weights, g, at_most(g + at_once, a.groups)};
        multiply_columns<BITS, GROUP, P>(c, scratch->sums);
    }
}

template <int BITS, int64_t GROUP>
static void multiply(Panels panels, int64_t end, const Activations &a, Scratch *scratch) {
    for (; panels.first + kTilePanels <= end; panels.first += kTilePanels)
        multiply_panels<BITS, GROUP, kTilePanels>(panels, a, scratch);
    for (; panels.first < end; panels.first++) multiply_panels<BITS, GROUP, 1>(panels, a, scratch);
}

}}  // namespace chatglm::CHATGLM_ISA
