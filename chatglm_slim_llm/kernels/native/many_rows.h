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
    Tile tile(const Quantized &form, int64_t row, int64_t T, int64_t g) const {
        const int64_t column = g * a.group, numbers = row * a.groups + g * T;
        return {panels.data(0) + column * panels.w->bits * 2,
                w + (g - g0) * a.group * 16,
                form.values + a.values_at(row, T, g),
                form.scales + numbers,
                form.corrections + numbers,
                panels.group_scale(0, g),
                a.group,
                panels.bytes(),
                panels.group_scales()};
    }
};

// n groups from g on.
template <int BITS, bool FRESH, int T, int P>
static void add_columns(const Columns &c, const Quantized &form, int64_t row, int64_t g, int64_t n, bool powers,
                        float *sums) {
    const Tile tile = c.tile(form, row, T, g);
    if (!c.panels.has_groups()) add_groups<BITS, Scales::kOfRow, FRESH, T, P>(tile, n, sums);
    else if (BITS == 4 && powers) add_groups<BITS, Scales::kPowers, FRESH, T, P>(tile, n, sums);
    else add_groups<BITS, Scales::kOfGroups, FRESH, T, P>(tile, n, sums);
}

ALWAYS_INLINE bool any(const uint8_t *flag, const uint8_t *end) {
    uint8_t all = 0;
    for (; flag < end; flag++) all |= *flag;
    return all;
}

// The sums of a tile start and end here, where they are in the cache.
template <int BITS, bool FRESH, int T, int P>
static void multiply_tile(const Columns &c, int64_t row, float *sums) {
    const Panels &panels = c.panels;
    if (c.are_first())
        for (int p = 0; p < P; p++)
            for (int m = 0; m < T; m++) store(sums + (m * P + p) * 16, zero());
    if (c.are_last())
        for (int m = 0; m < T; m++)
            for (int p = 0; p < P; p++) prefetch(panels.place(p, row + m));
    const uint8_t *special = c.a.specials(row / kTileRows);
    if (!any(special + c.g0, special + c.g1)) {
        add_columns<BITS, FRESH, T, P>(c, c.a.main, row, c.g0, c.g1 - c.g0, !c.a.guarded, sums);
    } else {
        for (int64_t g = c.g0; g < c.g1; g++) {
            add_columns<BITS, FRESH, T, P>(c, c.a.main, row, g, 1, false, sums);
            if (special[g] & kHasRest) add_columns<BITS, false, T, P>(c, c.a.rest, row, g, 1, false, sums);
        }
    }
    if (c.are_last())
        for (int p = 0; p < P; p++)
            for (int m = 0; m < T; m++) panels.finish(p, row + m, load(sums + (m * P + p) * 16));
}

template <int BITS, int T, int P>
struct LastTile {  // the tile of the rows that are left over, T of them or fewer
    static void run(const Columns &c, int64_t row, float *sums) {
        if (c.a.rows - row == T) multiply_tile<BITS, false, T, P>(c, row, sums);
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
        const int64_t tiles = c.a.rows / kTileRows;
        lines_a_tile = (kLines + tiles - 1) / tiles;
    }
    void fetch() {
        for (int64_t end = line + lines_a_tile; line < end; line++)
            for (int p = 0; p < P; p++) prefetch(from[p] + line * 64);
    }
};

template <int BITS, int P>
static void multiply_columns(const Columns &c, float *sums) {
    static_assert(kStreamRows + 1 >= kTileRows, "many rows are a whole tile at least");
    NextColumns<BITS, P> next(c);
    next.fetch();
    multiply_tile<BITS, true, kTileRows, P>(c, 0, sums);
    int64_t row = kTileRows;
    for (; row + kTileRows <= c.a.rows; row += kTileRows) {
        next.fetch();
        multiply_tile<BITS, false, kTileRows, P>(c, row, sums + row * P * 16);
    }
    LastTile<BITS, kTileRows - 1, P>::run(c, row, sums + row * P * 16);
}

template <int BITS, int P>
static void multiply_panels(const Panels &panels, const Activations &a, Scratch *scratch) {
    const int64_t at_once = kBlockColumns / a.group;
    for (int64_t g = 0; g < a.groups; g += at_once) {
        const Columns c = {panels, a, scratch->weights, g, g + at_once < a.groups ? g + at_once : a.groups};
        multiply_columns<BITS, P>(c, scratch->sums);
    }
}

template <int BITS>
static void multiply(Panels panels, int64_t end, const Activations &a, Scratch *scratch) {
    for (; panels.first + kTilePanels <= end; panels.first += kTilePanels)
        multiply_panels<BITS, kTilePanels>(panels, a, scratch);
    for (; panels.first < end; panels.first++) multiply_panels<BITS, 1>(panels, a, scratch);
}

}}  // namespace chatglm::CHATGLM_ISA
