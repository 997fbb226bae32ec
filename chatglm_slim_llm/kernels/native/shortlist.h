// The product with a weight in two planes of nibbles: every row is scored by its high nibbles, which are half of the
// bytes, and only the rows of the largest scores by their low ones too.
//
//     score = scale * sum over groups g of  xscale[g] * (16 * sum (high - 8) x  +  7.5 * sum x  +  sum (low - 7.5) x)
//
// The first term is a product with a weight of 4 bits. The second is what low nibbles add on average: with it the
// scores of long and short rows can be compared. The third makes a score exact, and the shortlist alone has it.
#pragma once
#include "activations.h"
#include "planes.h"
#include "team.h"

namespace chatglm { namespace CHATGLM_ISA {

// What a high nibble counts, and what a low one counts on average.
constexpr float kHighUnit = 16.0f, kLowMean = 7.5f;
// Scores are counted by sign, exponent and seven bits of their fraction: in steps of less than 1 %.
constexpr int64_t kBins = 1 << 16;
// Scores that a thread looks through at a time.
constexpr int64_t kShare = 1024;

static Weight high_plane(Weight w) {
    w.bits = 4, w.low = nullptr;
    return w;
}

// A block of rows of activations, the values of each side by side, and where its shortlist begins.
struct Shortlists {
    int8_t *values, *rest;                               // [rows][padded]
    float *scales, *rest_scales;                         // [rows][groups]; a scale of zero: no such term
    float *low_means;                                    // [rows]; the second term but for the weight's scale
    float *least;                                        // [rows]; the least score of the shortlist
    uint32_t *bins;                                      // [threads][kBins], of the row in hand
};

// One row of them.
struct Line {
    const int8_t *values, *rest;
    const float *scales, *rest_scales;
    float low_mean;
};

static Line line_of(const Shortlists &s, const Activations &a, int64_t row) {
    return {s.values + row * a.padded, s.rest + row * a.padded, s.scales + row * a.groups,
            s.rest_scales + row * a.groups, s.low_means[row]};
}

// ---- the activations ----

// One group of a row; returns its part of the second term.
static float line_up_group(const Activations &a, const Quantized &form, int64_t row, int64_t g, int8_t *values,
                           float *scales) {
    const int64_t tile = row / a.tile * a.tile, T = a.tile_rows(tile), m = row - tile;
    const int8_t *from = form.values + a.values_at(tile, T, g) + m * 4;
    for (int64_t k = 0; k < a.group; k += 4) std::memcpy(values + g * a.group + k, from + k * T, 4);
    const int64_t at = tile * a.groups + g * T + m;
    scales[g] = form.scales[at] / kHighUnit;
    return scales[g] * ((float)form.corrections[at] * (kLowMean / (float)-a.offset));
}

static void line_up(const Activations &a, int64_t row, const Shortlists &s) {
    float *scales = s.scales + row * a.groups, *rest_scales = s.rest_scales + row * a.groups, low_mean = 0.0f;
    for (int64_t g = 0; g < a.groups; g++) {
        rest_scales[g] = 0.0f;
        low_mean += line_up_group(a, a.main, row, g, s.values + row * a.padded, scales);
        if (a.specials(row / a.tile)[g] & kHasRest)
            low_mean += line_up_group(a, a.rest, row, g, s.rest + row * a.padded, rest_scales);
    }
    s.low_means[row] = low_mean;
}

// ---- the shortlist ----

// Rises with the score; what is no number lies beyond infinity, on either side.
ALWAYS_INLINE uint32_t bin_of(float score) {
    uint32_t bits;
    std::memcpy(&bits, &score, 4);
    return (bits ^ ((uint32_t)((int32_t)bits >> 31) | 0x80000000u)) >> 16;
}

// Not a number where the bin holds such: then no score is less.
static float least_of(uint32_t bin) {
    const uint32_t bits = bin >> 15 ? (bin << 16) ^ 0x80000000u : ~(bin << 16);
    float score;
    std::memcpy(&score, &bits, 4);
    return score;
}

// Adds the second term to the scores of 16 rows of weights, and counts them.
ALWAYS_INLINE void count_scores(const Weight &w, float low_mean, float *y, int64_t i, uint32_t *bins) {
    const int64_t end = i + 16 < w.n ? i + 16 : w.n;
    const F v = fma(load_half(w.scale + i), splat(low_mean), value_at<false>(y, i, w.n));
    end - i < 16 ? store_tail(y + i, v, end - i) : store(y + i, v);
    for (int64_t j = i; j < end; j++) bins[bin_of(y[j])]++;
}

// The least score of the bin that completes the shortlist, from what the threads have counted.
static float least_score(const uint32_t *bins, int64_t threads, int64_t shortlist) {
    int64_t bin = kBins, found = 0;
    while (bin > 0 && found < shortlist) {
        bin--;
        for (int64_t thread = 0; thread < threads; thread++) found += bins[thread * kBins + bin];
    }
    return least_of((uint32_t)bin);
}

// ---- its scores ----

ALWAYS_INLINE F add_nibbles(F sums, B low, B high, const int8_t *x, float scale) {
    I products = izero();
    dot_nibbles(products, low, x), dot_nibbles(products, high, x + kLineColumns / 2);
    return fma(splat(scale), to_float(products), sums);
}

// sum over groups of scale * sum low x; meanwhile the row that comes after the next is fetched.
static float low_product(const uint8_t *row, const Line &x, int64_t groups, const uint8_t *later) {
    F sums = zero();
    for (int64_t g = 0; g < groups; g++, row += 64, later += 64) {
        prefetch(later);
        const B v = load_bytes(row), low = low_nibbles(v), high = high_nibbles(v);
        sums = add_nibbles(sums, low, high, x.values + g * kLineColumns, x.scales[g]);
        if (x.rest_scales[g] != 0.0f) sums = add_nibbles(sums, low, high, x.rest + g * kLineColumns, x.rest_scales[g]);
    }
    return sum(sums);
}

// The third term for those of the rows first .. first + kShare that are on the shortlist.
static void make_exact(const Weight &w, const Line &x, int64_t groups, float least, int64_t first, float *y) {
    const int64_t row_bytes = groups * (kLineColumns / 2);
    int32_t ids[kShare + 2];
    int64_t count = 0;
    for (int64_t i = first; i < w.n && i < first + kShare; i++)
        if (!(y[i] < least)) ids[count++] = (int32_t)i;
    if (!count) return;
    ids[count] = ids[count + 1] = ids[count - 1];
    for (int64_t i = 0; i < 2; i++)
        for (int64_t at = 0; at < row_bytes; at += 64) prefetch(w.low + ids[i] * row_bytes + at);
    for (int64_t i = 0; i < count; i++) {
        const int64_t id = ids[i];
        const float product = low_product(w.low + id * row_bytes, x, groups, w.low + ids[i + 2] * row_bytes);
        y[id] += half_to_float(w.scale[id]) * (product - x.low_mean);
    }
}

// ---- all of it ----

static void take_shortlists(Shortlists &s, const Activations &a, int64_t rows, int threads, Parts &parts) {
    parts.take(s.values, rows * a.padded), parts.take(s.rest, rows * a.padded);
    parts.take(s.scales, rows * a.groups), parts.take(s.rest_scales, rows * a.groups);
    parts.take(s.low_means, rows), parts.take(s.least, rows), parts.take(s.bins, threads * kBins);
}

// Once the activations are quantised.
static void line_up_all(const Member &me, const Activations &a, const Shortlists &s) {
    me.each(a.rows, [&](int64_t row) { line_up(a, row, s); });
}

// Adds the second terms to y [rows, n], which holds the first ones, and finds where each row's shortlist begins.
static void find_shortlists(Member &me, const Weight &w, const Activations &a, const Shortlists &s, float *y) {
    uint32_t *own = s.bins + me.thread * kBins;
    for (int64_t row = 0; row < a.rows; row++, y += w.n) {
        std::memset(own, 0, kBins * sizeof *own);
        me.each((w.n + 15) / 16, [&](int64_t i) { count_scores(w, s.low_means[row], y, i * 16, own); });
        me.meet();
        if (me.thread == 0) s.least[row] = least_score(s.bins, me.threads, w.shortlist);
        me.meet();
    }
}

// Adds the third terms. All rows of activations meet the same share of the weight, and what their shortlists have in
// common is in the cache. Shortlists are long where frequent tokens lie: a thread takes every so many-th share.
static void make_all_exact(const Member &me, const Weight &w, const Activations &a, const Shortlists &s, float *y) {
    for (int64_t first = me.thread * kShare; first < w.n; first += me.threads * kShare)
        for (int64_t row = 0; row < a.rows; row++)
            make_exact(w, line_of(s, a, row), a.groups, s.least[row], first, y + row * w.n);
}

}}  // namespace chatglm::CHATGLM_ISA
