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
// Numbers below this are zero to any sum they could be part of, and their reciprocal would overflow.
constexpr float kTiny = 1e-30f;

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
    uint8_t *special;  // [tiles][groups], of Special
    int64_t rows, tile, k, padded, group, groups;
    int32_t offset;
    bool guarded;  // 16 bits for groups in which a value stands out; otherwise scales are powers of two
    float unit;    // what one step of the weights counts; the scales are times this

    // Where the values of a group begin in the tile of T rows that starts at `row`.
    int64_t values_at(int64_t row, int64_t T, int64_t g) const {
        const int64_t start = g * group / kBlockColumns * kBlockColumns, left = padded - start;
        return start * rows + row * (left < kBlockColumns ? left : kBlockColumns) + (g * group - start) * T;
    }
    int64_t block_groups() const { return kBlockColumns / group; }
    int64_t tile_rows(int64_t row) const { return rows - row < tile ? rows - row : tile; }
    const uint8_t *specials(int64_t tile) const { return special + tile * groups; }
};

// A row's part in a group: its n values, row m of a tile of T rows that begins at `row`.
struct Place {
    const float *x;
    int64_t n, row, T, m, g;
};

ALWAYS_INLINE F value_at(const float *x, int64_t i, int64_t n) {
    return i + 16 <= n ? load(x + i) : i < n ? load_tail(x + i, n - i) : zero();
}

// The largest magnitude of a row's part, and whether it stands out. Not a number if any of them is none: the maximum
// alone would lose it.
ALWAYS_INLINE float measure(const Place &at, bool may_stand_out, bool *stands_out) {
    F biggest[2] = {zero(), zero()}, squares[2] = {zero(), zero()};
    for (int64_t i = 0; i < at.n; i += 32)
        for (int j = 0; j < 2; j++) {
            const F v = value_at(at.x, i + j * 16, at.n);
            biggest[j] = max(biggest[j], abs(v)), squares[j] = fma(v, v, squares[j]);
        }
    const float top = largest(max(biggest[0], biggest[1])), energy = sum(add(squares[0], squares[1]));
    *stands_out = may_stand_out && top > kTiny && top * top * (float)at.n > kOutlier * kOutlier * energy;
    return energy == energy ? top : energy;
}

// Of each row so many bytes; they become four of the first row, four of the second, and so on.
typedef int8_t RowBytes[kBlockColumns];
typedef int32_t __attribute__((may_alias)) FourBytes;

ALWAYS_INLINE void interleave(const RowBytes *rows, int64_t T, int64_t count, int8_t *out) {
    FourBytes *to = (FourBytes *)out;
    const auto row = [&](int64_t m) { return (const FourBytes *)rows[m]; };
    if (T == 4) {  // in vectors: the tile of most instruction sets
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

// Quantises x, or x - minus, and returns the scale. Of a part that is not finite everything becomes NaN, so that it
// shows in the end.
ALWAYS_INLINE float quantize_part(Place at, const Activations &a, const Quantized &out, float top, const float *minus,
                                  int8_t *bytes) {
    const bool finite = top - top == 0.0f, counts = finite && top > kTiny;
    if (!counts) at.n = 0, minus = nullptr;  // so that nothing of it meets an integer
    float scale = counts ? top / 127.0f : finite ? 0.0f : __builtin_nanf(""), inverse = counts ? 127.0f / top : 0.0f;
    if (finite && !a.guarded) scale = counts ? power_above(scale) : 1.0f, inverse = 1.0f / scale;
    I total = izero();
    for (int64_t i = 0; i < a.group; i += 16) {
        F v = value_at(at.x, i, at.n);
        if (minus) v = sub(v, load(minus + i));
        const I q = to_int(mul(v, splat(inverse)));
        total = iadd(total, q);
        store_bytes(bytes + i, q);
    }
    const int64_t where = at.row * a.groups + at.g * at.T + at.m;
    out.scales[where] = scale * a.unit;
    out.corrections[where] = -a.offset * isum(total);
    return scale;
}

// Returns what is special about it, of Special.
ALWAYS_INLINE uint8_t quantize_main(const Place &at, const Activations &a, int8_t *bytes) {
    for (int64_t i = 0; i < a.group; i += 16) prefetch(at.x + kBlockColumns + i);
    bool stands_out;
    const float top = measure(at, a.guarded, &stands_out);
    const float scale = quantize_part(at, a, a.main, top, nullptr, bytes);
    const bool odd = !a.guarded && !(scale >= kSmallestPower && scale <= kLargestPower);
    return (stands_out ? kHasRest : 0) | (odd ? kOddScale : 0);
}

// What 8 bits leave over: at most half a step.
static void quantize_rest(const Place &at, const Activations &a, int8_t *bytes) {
    alignas(64) float stood_for[128];
    bool stands_out;
    const float top = measure(at, true, &stands_out), scale = top > kTiny ? top / 127.0f : 0.0f;
    const F inverse = splat(top > kTiny ? 127.0f / top : 0.0f);
    for (int64_t i = 0; i < a.group; i += 16)
        store(stood_for + i, mul(splat(scale), to_float(to_int(mul(value_at(at.x, i, at.n), inverse)))));
    // A row that does not need it adds exact zeros, so that it comes out as it would in other company.
    quantize_part(at, a, a.rest, stands_out ? scale * 0.5f : 0.0f, stood_for, bytes);
}

// A row's columns lie together, but its bytes between those of the others: so a block of columns at a time, whose bytes
// stay in the L1 cache. The next block of the row is fetched meanwhile. The tile starts at `row`, the block at g0.
static void quantize_block(const float *x, const Activations &a, int64_t row, int64_t g0) {
    const int64_t T = a.tile_rows(row), left = a.groups - g0;
    const int64_t end = g0 + (left < a.block_groups() ? left : a.block_groups());
    uint8_t *special = a.special + row / a.tile * a.groups;
    const auto place = [&](int64_t m, int64_t g) {
        const int64_t left = a.k - g * a.group;
        return Place{x + (row + m) * a.k + g * a.group, left < a.group ? left : a.group, row, T, m, g};
    };
    alignas(64) RowBytes bytes[kStreamRows > kTileRows ? kStreamRows : kTileRows];
    uint8_t found[kBlockColumns / 32] = {};  // not in place: other threads write to the same cache lines
    for (int64_t m = 0; m < T; m++)
        for (int64_t g = g0; g < end; g++)
            found[g - g0] |= quantize_main(place(m, g), a, bytes[m] + (g - g0) * a.group);
    std::memcpy(special + g0, found, (size_t)(end - g0));
    interleave(bytes, T, (end - g0) * a.group, a.main.values + a.values_at(row, T, g0));
    for (int64_t g = g0; g < end; g++) {
        if (!(special[g] & kHasRest)) continue;
        for (int64_t m = 0; m < T; m++) quantize_rest(place(m, g), a, bytes[m]);
        interleave(bytes, T, a.group, a.rest.values + a.values_at(row, T, g));
    }
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
}

}}  // namespace chatglm::CHATGLM_ISA
