// Activations as int8: quantised on their way into the integer products, in tiles of rows.
//
// Each group of 128 (or 32) columns of a row has a scale of its own, so that a large value costs its group only. Where
// one value stands so far above the rest of its group that the rest would be rounded away, what the rounding left over
// is quantised once more: that group then has 16 bits, at the price of a second pass over its weights in the cache.
// That is for weights of 8 bits. Those of 4 bits have errors of their own that hide these, and let scales be powers of
// two: on its way to a product such a scale is an addition to an exponent, and leaves the multipliers to the integers.
#pragma once
#include "native.h"
#include "workspace.h"

namespace chatglm { namespace CHATGLM_ISA {

// A group's largest value over its root mean square, above which it gets 16 bits: the error of 8 bits would be more
// than kOutlier / (127 * sqrt(12)) = 1.1 % of the group. Normally distributed values reach 2.7.
constexpr float kOutlier = 5.0f;
// Powers of two between these, times the scale of a group of weights, are normal fp32 numbers.
constexpr float kSmallestPower = 0x1p-100f, kLargestPower = 0x1p100f;

// Columns that a tile is multiplied with at a time; the unpacked weights for them (8 KiB a panel) stay in the L1 cache.
constexpr int64_t kBlockColumns = 512;

// One int8 form of a block of rows in tiles of T rows. Tile t starts at row t * tile; the last one has fewer rows.
//   values                 [k / kBlockColumns][tiles][kBlockColumns / 4][T][4], read from end to end for each panel
//   scales, corrections    [tiles][groups][T]
struct Quantized {
    int8_t *values;
    float *scales;
    int32_t *corrections;  // minus what the dot products leave of the weights' offset, times the sum of the values
};

// What is special about a group of a tile: some row has 16 bits, or the scale of some row, where it should be a power
// of two, is none of those above.
enum Special : uint8_t { kHasRest = 1, kOddScale = 2 };

struct Activations {
    Quantized main, rest;
    uint8_t *special;       // [tiles][groups], of Special
    uint8_t *special_tile;  // [k / kBlockColumns][tiles], whether any group there has something of it
    int64_t rows, tile, tiles, k, padded, group, groups;
    int32_t offset;
    bool guarded;  // 16 bits for groups in which a value stands out; otherwise scales are powers of two
    float unit;    // what one step of the weights counts; the scales are times this

    // Where the values of a group begin in the tile of T rows that starts at `row`.
    int64_t values_at(int64_t row, int64_t T, int64_t g) const {
        const int64_t start = g * group / kBlockColumns * kBlockColumns, left = padded - start;
        return start * rows + row * at_most(left, kBlockColumns) + (g * group - start) * T;
    }
    int64_t block_groups() const { return kBlockColumns / group; }
    int64_t tile_rows(int64_t row) const { return at_most(rows - row, tile); }
    const uint8_t *specials(int64_t tile) const { return special + tile * groups; }
    uint8_t *special_tiles(int64_t g) const { return special_tile + g * group / kBlockColumns * tiles; }
};

// Groups of a row that are handled together, because what is found of them leaves the vectors together.
constexpr int64_t kTogether = 4;

// So many neighbouring groups, kTogether or fewer: row m of a tile of T rows that begins at `row`. Of the last one, and
// of it alone, columns may be missing.
struct Place {
    const float *x;
    int64_t columns, row, T, m, g, count;

    int64_t columns_of(int64_t j, int64_t group) const { return at_most(columns - j * group, group); }
    bool is_whole(int64_t group) const { return count == kTogether && columns >= kTogether * group; }
};

// Of n columns.
template <bool WHOLE>
ALWAYS_INLINE F value_at(const float *x, int64_t i, int64_t n) {
    return WHOLE || i + 16 <= n ? load(x + i) : i < n ? load_tail(x + i, n - i) : zero();
}

// The largest magnitude of each group, and whether it stands out. Not a number if any of the group is none: the maximum
// alone would lose it.
struct Measured {
    float top[kTogether];
    bool stands_out[kTogether];
};

template <int64_t GROUP, bool WHOLE>
ALWAYS_INLINE Measured measure(const Place &at, bool may_stand_out) {
    F biggest[kTogether], squares[kTogether];
#pragma GCC unroll 4
    for (int64_t j = 0; j < kTogether; j++) {
        const float *x = at.x + j * GROUP;
        const int64_t n = WHOLE ? GROUP : j < at.count ? at.columns_of(j, GROUP) : 0;
        F top[2] = {zero(), zero()}, square[2] = {zero(), zero()};
#pragma GCC unroll 4
        for (int64_t i = 0; i < GROUP; i += 32)
            for (int64_t k = 0; k < 2; k++) {
                const F v = value_at<WHOLE>(x, i + k * 16, n);
                top[k] = max(top[k], abs(v)), square[k] = fma(v, v, square[k]);
            }
        biggest[j] = max(top[0], top[1]), squares[j] = add(square[0], square[1]);
    }
    Measured found;
    float energy[kTogether];
    largest_four(biggest[0], biggest[1], biggest[2], biggest[3], found.top);
    sum_four(squares[0], squares[1], squares[2], squares[3], energy);
    for (int64_t j = 0; j < at.count; j++) {
        const float top = found.top[j], n = (float)at.columns_of(j, GROUP);
        found.stands_out[j] = may_stand_out && top > kTiny && top * top * n > kOutlier * kOutlier * energy[j];
        if (energy[j] != energy[j]) found.top[j] = energy[j];
    }
    return found;
}

// Of each row so many bytes; they become four of the first row, four of the second, and so on.
typedef int8_t RowBytes[kBlockColumns];
typedef int32_t __attribute__((may_alias)) FourBytes;

ALWAYS_INLINE void interleave(const RowBytes *rows, int64_t T, int64_t count, int8_t *out) {
    FourBytes *to = (FourBytes *)out;
    const auto row = [&](int64_t m) { return (const FourBytes *)rows[m]; };
    if (T == 4) {  // in vectors
        const FourBytes *a = row(0), *b = row(1), *c = row(2), *d = row(3);
        for (int64_t j = 0; j < count / 4; j++, to += 4) to[0] = a[j], to[1] = b[j], to[2] = c[j], to[3] = d[j];
        return;
    }
    for (int64_t m = 0; m < T; m++)
        for (int64_t j = 0; j < count / 4; j++) to[j * T + m] = row(m)[j];
}

// The least power of two that is not less than v, a normal number.
ALWAYS_INLINE float power_above(float v) {
    uint32_t bits;
    std::memcpy(&bits, &v, 4);
    bits = (bits + 0x7fffff) & 0xff800000;
    std::memcpy(&v, &bits, 4);
    return v;
}

// What a group is divided by, of whose magnitudes top is the largest: zero if it counts nothing.
struct Divisor {
    float scale, inverse;
};
ALWAYS_INLINE Divisor divisor_of(float top, bool power) {
    if (!(top - top == 0.0f)) return {__builtin_nanf(""), 0.0f};  // so that it shows in the end
    if (!(top > kTiny)) return {power ? 1.0f : 0.0f, 0.0f};
    if (!power) return {top / 127.0f, 127.0f / top};
    const float scale = power_above(top / 127.0f);
    return {scale, 1.0f / scale};
}

// Quantises x, or x - minus.
template <int64_t GROUP, bool WHOLE>
ALWAYS_INLINE void quantize_groups(const Place &at, const Activations &a, const Quantized &out, const Divisor *by,
                                   const float *minus, int8_t *bytes) {
    I totals[kTogether] = {izero(), izero(), izero(), izero()};
#pragma GCC unroll 4
    for (int64_t j = 0; j < (WHOLE ? kTogether : at.count); j++) {
        const int64_t n = at.columns_of(j, GROUP);
        const F inverse = splat(by[j].inverse);
        const bool counts = by[j].inverse != 0.0f;  // if not, whatever is there, none of it meets an integer
#pragma GCC unroll 8
        for (int64_t i = 0; i < GROUP; i += 16) {
            F v = value_at<WHOLE>(at.x + j * GROUP, i, n);
            if (minus) v = sub(v, load(minus + j * GROUP + i));
            const I q = counts ? to_int(mul(v, inverse)) : izero();
            totals[j] = iadd(totals[j], q);
            store_bytes(bytes + j * GROUP + i, q);
        }
    }
    int32_t sums[kTogether];
    isum_four(totals[0], totals[1], totals[2], totals[3], sums);
    for (int64_t j = 0; j < at.count; j++) {
        const int64_t where = at.row * a.groups + (at.g + j) * at.T + at.m;
        out.scales[where] = by[j].scale * a.unit, out.corrections[where] = -a.offset * sums[j];
    }
}

// Adds what is special about each group to `found`.
template <int64_t GROUP, bool WHOLE>
static void quantize_main(const Place &at, const Activations &a, int8_t *bytes, uint8_t *found) {
    for (int64_t i = 0; i < at.count * GROUP; i += 16) prefetch(at.x + kBlockColumns + i);
    const Measured measured = measure<GROUP, WHOLE>(at, a.guarded);
    Divisor by[kTogether];
    for (int64_t j = 0; j < at.count; j++) {
        by[j] = divisor_of(measured.top[j], !a.guarded);
        const bool odd = !a.guarded && !(by[j].scale >= kSmallestPower && by[j].scale <= kLargestPower);
        found[j] |= (measured.stands_out[j] ? kHasRest : 0) | (odd ? kOddScale : 0);
    }
    quantize_groups<GROUP, WHOLE>(at, a, a.main, by, nullptr, bytes);
}

// What 8 bits leave over of one group: at most half a step.
template <int64_t GROUP>
static void quantize_rest(const Place &at, const Activations &a, int8_t *bytes) {
    alignas(64) float stood_for[GROUP];
    const Measured measured = measure<GROUP, false>(at, true);
    const Divisor main = divisor_of(measured.top[0], false);
    for (int64_t i = 0; i < GROUP; i += 16) {
        const F v = value_at<false>(at.x, i, at.columns_of(0, GROUP));
        store(stood_for + i, mul(splat(main.scale), to_float(to_int(mul(v, splat(main.inverse))))));
    }
    // A row that does not need it adds exact zeros, so that it comes out as it would in other company.
    const Divisor rest = divisor_of(measured.stands_out[0] ? main.scale * 0.5f : 0.0f, false);
    quantize_groups<GROUP, false>(at, a, a.rest, &rest, stood_for, bytes);
}

ALWAYS_INLINE bool any(const uint8_t *flag, const uint8_t *end) {
    uint8_t all = 0;
    for (; flag < end; flag++) all |= *flag;
    return all;
}

// A row's columns lie together, but its bytes between those of the others: so a block of columns at a time, whose bytes
// stay in the L1 cache. The next block of the row is fetched meanwhile. The tile starts at `row`, the block at g0.
template <int64_t GROUP>
static void quantize_columns(const float *x, const Activations &a, int64_t row, int64_t g0) {
    const int64_t T = a.tile_rows(row), end = g0 + at_most(a.groups - g0, kBlockColumns / GROUP);
    const auto place = [&](int64_t m, int64_t g, int64_t count) {
        return Place{x + (row + m) * a.k + g * GROUP, a.k - g * GROUP, row, T, m, g, count};
    };
    alignas(64) RowBytes bytes[kStreamRows > kTileRows ? kStreamRows : kTileRows];
    uint8_t found[kBlockColumns / GROUP] = {};  // not in place: other threads write to the same cache lines
    for (int64_t m = 0; m < T; m++)
        for (int64_t g = g0; g < end; g += kTogether) {
            const Place at = place(m, g, at_most(end - g, kTogether));
            int8_t *to = bytes[m] + (g - g0) * GROUP;
            if (at.is_whole(GROUP)) quantize_main<GROUP, true>(at, a, to, found + (g - g0));
            else quantize_main<GROUP, false>(at, a, to, found + (g - g0));
        }
    std::memcpy(a.special + row / a.tile * a.groups + g0, found, (size_t)(end - g0));
    a.special_tiles(g0)[row / a.tile] = any(found, found + (end - g0));
    interleave(bytes, T, (end - g0) * GROUP, a.main.values + a.values_at(row, T, g0));
    for (int64_t g = g0; g < end; g++) {
        if (!(found[g - g0] & kHasRest)) continue;
        for (int64_t m = 0; m < T; m++) quantize_rest<GROUP>(place(m, g, 1), a, bytes[m]);
        interleave(bytes, T, GROUP, a.rest.values + a.values_at(row, T, g));
    }
}
static void quantize_block(const float *x, const Activations &a, int64_t row, int64_t g0) {
    a.group == 32 ? quantize_columns<32>(x, a, row, g0) : quantize_columns<128>(x, a, row, g0);
}

// ---- memory ----

static void take_form(Quantized &form, int64_t rows, const Activations &a, Parts &parts) {
    parts.take(form.values, rows * a.padded);
    parts.take(form.scales, rows * a.groups), parts.take(form.corrections, rows * a.groups);
}

// Room for so many rows; a tile has one row at least.
static void take_activations(Activations &a, int64_t rows, Parts &parts) {
    take_form(a.main, rows, a, parts);
    if (a.guarded) take_form(a.rest, rows, a, parts);
    parts.take(a.special, rows * a.groups);
    parts.take(a.special_tile, rows * ((a.groups + a.block_groups() - 1) / a.block_groups()));
}

}}  // namespace chatglm::CHATGLM_ISA
