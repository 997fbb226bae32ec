// Activations as int8: quantised on their way into the integer products, in tiles of rows.
//
// Each group of 128 (or 32) columns of a row has a scale of its own, so that a large value costs its group only. Where
// one value stands so far above the rest of its group that the rest would be rounded away, what the rounding left over
// is quantised once more: that group then has 16 bits, at the price of a second pass over its weights in the cache.
// That is for weights of 8 bits; those of 4 bits have errors of their own that hide these.
#pragma once
#include "native.h"
#include "workspace.h"

namespace chatglm { namespace CHATGLM_ISA {

// A group's largest value over its root mean square, above which it gets 16 bits: the error of 8 bits would be more
// than kOutlier / (127 * sqrt(12)) = 1.1 % of the group. Normally distributed values reach 2.7.
constexpr float kOutlier = 5.0f;
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

struct Activations {
    Quantized main, rest;
    uint8_t *has_rest;  // [tiles][groups]
    int64_t rows, tile, k, padded, group, groups;
    int32_t offset;
    bool guarded;  // 16 bits for groups in which a value stands out
    float unit;    // what one step of the weights' integers counts; the scales are times this

    // Where the values of a group begin in the tile of T rows that starts at `row`.
    int64_t values_at(int64_t row, int64_t T, int64_t g) const {
        const int64_t start = g * group / kBlockColumns * kBlockColumns, left = padded - start;
        return start * rows + row * (left < kBlockColumns ? left : kBlockColumns) + (g * group - start) * T;
    }
    int64_t tile_rows(int64_t row) const { return rows - row < tile ? rows - row : tile; }
    const uint8_t *rests(int64_t tile) const { return has_rest + tile * groups; }
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

// Four bytes of this row, then the next row's four, and so on: `bytes` are columns of one row.
ALWAYS_INLINE void scatter(const int8_t *bytes, int64_t count, int8_t *out, int64_t T) {
    for (int64_t j = 0; j < count; j += 4) std::memcpy(out + j * T, bytes + j, 4);
}

// Quantises x, or x - minus. Of a part that is not finite everything becomes NaN, so that it shows in the end.
ALWAYS_INLINE void quantize_part(Place at, const Activations &a, const Quantized &out, float top, const float *minus) {
    const bool finite = top - top == 0.0f, counts = finite && top > kTiny;
    if (!counts) at.n = 0, minus = nullptr;  // so that nothing of it meets an integer
    const F inverse = splat(counts ? 127.0f / top : 0.0f);
    const float scale = !finite ? __builtin_nanf("") : counts ? top / 127.0f : 0.0f;
    int8_t *values = out.values + a.values_at(at.row, at.T, at.g) + at.m * 4;
    alignas(64) int8_t bytes[128];
    I total = izero();
    for (int64_t i = 0; i < a.group; i += 16) {
        F v = value_at(at.x, i, at.n);
        if (minus) v = sub(v, load(minus + i));
        const I q = to_int(mul(v, inverse));
        total = iadd(total, q);
        store_bytes(bytes + i, q);
    }
    scatter(bytes, a.group, values, at.T);
    const int64_t where = at.row * a.groups + at.g * at.T + at.m;
    out.scales[where] = scale * a.unit;
    out.corrections[where] = -a.offset * isum(total);
}

// Says whether a value stands out.
ALWAYS_INLINE bool quantize_main(const Place &at, const Activations &a) {
    for (int64_t i = 0; i < a.group; i += 16) prefetch(at.x + kBlockColumns + i);
    bool stands_out;
    const float top = measure(at, a.guarded, &stands_out);
    quantize_part(at, a, a.main, top, nullptr);
    return stands_out;
}

// What 8 bits leave over: at most half a step.
static void quantize_rest(const Place &at, const Activations &a) {
    alignas(64) float stood_for[128];
    bool stands_out;
    const float top = measure(at, true, &stands_out), scale = top > kTiny ? top / 127.0f : 0.0f;
    const F inverse = splat(top > kTiny ? 127.0f / top : 0.0f);
    for (int64_t i = 0; i < a.group; i += 16)
        store(stood_for + i, mul(splat(scale), to_float(to_int(mul(value_at(at.x, i, at.n), inverse)))));
    // A row that does not need it adds exact zeros, so that it comes out as it would in other company.
    quantize_part(at, a, a.rest, stands_out ? scale * 0.5f : 0.0f, stood_for);
}

// A row's columns lie together, but its bytes between those of the others: so a block of columns at a time, whose bytes
// stay in the L1 cache. The next block of the row is fetched meanwhile.
static void quantize_tile(const float *x, const Activations &a, int64_t row) {
    const int64_t T = a.tile_rows(row), at_once = kBlockColumns / a.group;
    uint8_t *has_rest = a.has_rest + row / a.tile * a.groups;
    const auto place = [&](int64_t m, int64_t g) {
        const int64_t left = a.k - g * a.group;
        return Place{x + (row + m) * a.k + g * a.group, left < a.group ? left : a.group, row, T, m, g};
    };
    std::memset(has_rest, 0, (size_t)a.groups);
    for (int64_t g0 = 0; g0 < a.groups; g0 += at_once)
        for (int64_t m = 0; m < T; m++)
            for (int64_t g = g0; g < g0 + at_once && g < a.groups; g++)
                if (quantize_main(place(m, g), a)) has_rest[g] = 1;
    for (int64_t g = 0; g < a.groups; g++)
        for (int64_t m = 0; has_rest[g] && m < T; m++) quantize_rest(place(m, g), a);
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
    parts.take(a.has_rest, rows * a.groups);
}

}}  // namespace chatglm::CHATGLM_ISA
