// Attention of few rows, each of any sequence: bound by how fast pages can be read.
#pragma once
#include <float.h>
#include <math.h>

#include "native.h"
#include "pages.h"
#include "vector_math.h"

namespace chatglm { namespace CHATGLM_ISA {

// What a row has seen so far: its largest score, and the sum of its weights relative to that score.
struct Seen {
    float largest, total;
};

// One head of some rows of one sequence: each row's query [d] and result [d], `stride` apart from the next row's.
struct HeadRows {
    const float *query;
    float *out;
    int64_t stride, d;
};

// One head of a page, of which `tokens` are seen, and the keys that will be wanted after it. Every 16 KiB lie somewhere
// else: too short for the processor to see them coming, so each key fetches a value of those that follow, and each
// value a key of the next page.
struct HeadPage {
    const uint16_t *keys, *values, *next;
    int64_t tokens;
};

// scores[r][t] = query of row r . key of token t, four at a time, so that it takes fewer steps to sum across lanes.
// The tokens are rounded up to whole steps; who reads the scores ignores the last ones.
template <int D, int R>
static void score_page(const HeadRows &rows, const HeadPage &page, float (*scores)[kPageTokens]) {
    constexpr int T = 4 / R;
    const int64_t d = D ? D : rows.d;
    const uint16_t *keys = page.keys;
    F q[R][D / 16 + 1];
    for (int r = 0; r < R; r++)
        for (int i = 0; i < D / 16; i++) q[r][i] = load(rows.query + r * rows.stride + 16 * i);
    for (int64_t t = 0; t < page.tokens; t += T, keys += T * d) {
        F sums[4] = {zero(), zero(), zero(), zero()};
        for (int i = 0; i < D / 16; i++)
#pragma GCC unroll 8
            for (int j = 0; j < T; j++) {
                const F key = load_half(keys + j * d + 16 * i);
#pragma GCC unroll 8
                for (int r = 0; r < R; r++) sums[r * T + j] = fma(q[r][i], key, sums[r * T + j]);
            }
        for (int64_t i = D; i < d; i += 16)
#pragma GCC unroll 8
            for (int j = 0; j < T; j++) {
                const F key = get(keys + j * d + i, d - i);
#pragma GCC unroll 8
                for (int r = 0; r < R; r++)
                    sums[r * T + j] = fma(get(rows.query + r * rows.stride + i, d - i), key, sums[r * T + j]);
            }
        float four[4];
        sum_four(sums[0], sums[1], sums[2], sums[3], four);
        for (int i = 0; i < 4; i++) scores[i / T][t + i % T] = four[i];
        fetch(page.values + t * d, T * d);
    }
}

// Turns the scores of one row into weights; returns by how much all earlier sums shrink.
static float weigh_page(float *scores, int64_t tokens, float scale, Seen &seen) {
    constexpr int kVectors = kPageTokens / 16;
    for (int64_t t = tokens; t < kPageTokens; t++) scores[t] = -FLT_MAX;
    F s[kVectors], top = splat(seen.largest), total = zero();
    for (int i = 0; i < kVectors; i++) s[i] = mul(load(scores + 16 * i), splat(scale));
    for (int i = 0; i < kVectors; i++) top = max(s[i], top);
    top = splat(largest(top));
    const float shrink = largest(exp(sub(splat(seen.largest), top)));
    for (int i = 0; i < kVectors; i++) {
        s[i] = exp(sub(s[i], top));
        total = add(total, s[i]);
        store(scores + 16 * i, s[i]);
    }
    seen = {largest(top), seen.total * shrink + sum(total)};
    return shrink;
}

// out = out * shrink + sum over the tokens of weight * value, for N vectors of a head, or for its last n < 16 columns.
template <int R, int N>
static void add_values(const HeadRows &rows, const HeadPage &page, int64_t column, int64_t n,
                       const float (*weights)[kPageTokens], const float *shrink) {
    const uint16_t *values = page.values + column, *next = page.next + column;
    float *out = rows.out + column;
    F sum[R][N];
#pragma GCC unroll 8
    for (int r = 0; r < R; r++)
#pragma GCC unroll 8
        for (int i = 0; i < N; i++) sum[r][i] = mul(get(out + r * rows.stride + 16 * i, n), splat(shrink[r]));
    for (int64_t t = 0; t < page.tokens; t++, values += rows.d, next += rows.d) {
        F value[N];
#pragma GCC unroll 8
        for (int i = 0; i < N; i++) value[i] = get(values + 16 * i, n);
#pragma GCC unroll 8
        for (int r = 0; r < R; r++)
#pragma GCC unroll 8
            for (int i = 0; i < N; i++) sum[r][i] = fma(splat(weights[r][t]), value[i], sum[r][i]);
        fetch(next, 16 * N);
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; r++)
#pragma GCC unroll 8
        for (int i = 0; i < N; i++) put(out + r * rows.stride + 16 * i, sum[r][i], n);
}

// R rows share what it takes to read a page and to convert it. Each row's sums are those that it gets alone.
template <int D, int R>
static void attend_page(const HeadRows &rows, const HeadPage &page, Seen *seen) {
    constexpr int N = kHeadVectors / (R < 2 ? 1 : 2);
    float scores[R][kPageTokens], shrink[R];
    score_page<D, R>(rows, page, scores);
    for (int r = 0; r < R; r++)
        shrink[r] = weigh_page(scores[r], page.tokens, 1 / sqrtf((float)rows.d), seen[r]);
    int64_t i = 0;
    for (; i + 16 * N <= rows.d; i += 16 * N) add_values<R, N>(rows, page, i, 16, scores, shrink);
    for (; i < rows.d; i += 16) add_values<R, 1>(rows, page, i, rows.d - i, scores, shrink);
}

// How many of the next rows see as much of the page as the first: 1, 2 or 4.
static int64_t alike(const int64_t *visible, int64_t count, int64_t start) {
    const int64_t tokens = at_most(visible[0] - start, kPageTokens);
    int64_t n = 1;
    while (n < at_most(count, 4) && at_most(visible[n] - start, kPageTokens) == tokens) n++;
    return n == 3 ? 2 : n;
}

// The keys to read after a page: those of the next one, or those that the next head begins with.
static const uint16_t *keys_after(uint16_t *const *table, int64_t start, int64_t last, const Heads &at, int64_t head) {
    if (start + kPageTokens < last) return in_page(table[start / kPageTokens + 1], at, 0, head);
    return in_page(table[0], at, 0, at_most(head + 1, at.heads - 1));
}

// One head of up to kRun rows of the same sequence, page by page: all but the first rows find a page in the cache.
constexpr int64_t kRun = 16;

template <int D>
static void attend_run(uint16_t *const *table, const int64_t *visible, int64_t count, const Heads &at, int64_t head,
                       HeadRows rows) {
    Seen seen[kRun];
    int64_t last = 0;
    for (int64_t r = 0; r < count; r++) {
        seen[r] = {-FLT_MAX, 0};
        if (visible[r] > last) last = visible[r];
        for (int64_t i = 0; i < at.d; i++) rows.out[r * rows.stride + i] = 0;
    }
    for (int64_t start = 0; start < last; start += kPageTokens) {
        uint16_t *in_use = table[start / kPageTokens];
        HeadPage page = {in_page(in_use, at, 0, head), in_page(in_use, at, 1, head),
                         keys_after(table, start, last, at, head), 0};
        for (int64_t r = 0, n; r < count; r += n) {
            const HeadRows some = {rows.query + r * rows.stride, rows.out + r * rows.stride, rows.stride, rows.d};
            page.tokens = at_most(visible[r] - start, kPageTokens);
            n = alike(visible + r, count - r, start);
            if (page.tokens <= 0) continue;
            if (n == 4) attend_page<D, 4>(some, page, seen + r);
            else if (n == 2) attend_page<D, 2>(some, page, seen + r);
            else attend_page<D, 1>(some, page, seen + r);
        }
    }
    for (int64_t r = 0; r < count; r++)
        for (int64_t i = 0; i < at.d; i++) rows.out[r * rows.stride + i] /= seen[r].total;
}

// How many rows from this one on form a run; 0 if this one belongs to an earlier row's run.
static int64_t run_at(const Rows &rows, int64_t row) {
    if (row % kRun && rows.tables[row] == rows.tables[row - 1]) return 0;
    int64_t end = row + 1;
    while (end < rows.count && end % kRun && rows.tables[end] == rows.tables[row]) end++;
    return end - row;
}

// One head of the run of rows that begins at a row, if one does: i = head * rows + row.
static void attend_head(const Rows &rows, const Heads &at, const float *query, float *out, int64_t i) {
    const auto attend = at.d == 128 ? attend_run<128> : attend_run<0>;
    const int64_t head = i / rows.count, row = i % rows.count, count = run_at(rows, row);
    const int64_t place = (row * at.heads + head) * at.d;
    if (count)
        attend(rows.tables[row], rows.visible + row, count, at, head,
               {query + place, out + place, at.heads * at.d, at.d});
}

static int attend_rows(const Rows &rows, const Heads &at, const float *query, float *out, int threads) {
#pragma omp parallel for schedule(static) num_threads(threads) if (worth_threads(rows, at))
    for (int64_t i = 0; i < rows.count * at.heads; i++) attend_head(rows, at, query, out, i);
    return 0;
}

}}  // namespace chatglm::CHATGLM_ISA
