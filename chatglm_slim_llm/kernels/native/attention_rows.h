// Attention of few rows, each of any sequence: bound by how fast pages can be read.
#pragma once
#include <float.h>
#include <math.h>
#include <type_traits>

#include "native.h"
#include "pages.h"
#include "vector_math.h"

namespace chatglm { namespace CHATGLM_ISA {

// What a row has seen so far: its largest score, and the sum of its weights relative to that score.
struct Seen {
    float largest, total;
};

// How many bytes ahead keys and values are fetched.
constexpr int64_t kPageAhead = 4096;

// One head of some rows of one sequence: each row's query [d] and result [d], `stride` apart from the next row's.
struct HeadRows {
    const float *query;
    float *out;
    int64_t stride, d;
};

// scores[r][t] = query of row r . key of token t, four at a time, so that it takes fewer steps to sum across lanes.
// The tokens are rounded up to whole steps; who reads the scores ignores the last ones.
template <int D, int R, typename Number>
static void score_page(const HeadRows &rows, const Kept<Number> &kept, int64_t tokens, float (*scores)[kPageTokens]) {
    constexpr int T = 4 / R;
    const int64_t d = D ? D : rows.d, stride = D ? D : kept.stride;
    const Number *keys = kept.numbers;
    F q[R][D / 16 + 1];
    for (int r = 0; r < R; r++)
        for (int i = 0; i < D / 16; i++) q[r][i] = load(rows.query + r * rows.stride + 16 * i);
    for (int64_t t = 0; t < tokens; t += T, keys += T * stride) {
        fetch(keys + kPageAhead / (int64_t)sizeof(Number), T * stride);
        F sums[4] = {zero(), zero(), zero(), zero()};
        for (int i = 0; i < D / 16; i++)
#pragma GCC unroll 8
            for (int j = 0; j < T; j++) {
                const F key = get(keys + j * stride + 16 * i, 16);
#pragma GCC unroll 8
                for (int r = 0; r < R; r++) sums[r * T + j] = fma(q[r][i], key, sums[r * T + j]);
            }
        for (int64_t i = D; i < d; i += 16)
#pragma GCC unroll 8
            for (int j = 0; j < T; j++) {
                const F key = get(keys + j * stride + i, d - i);
#pragma GCC unroll 8
                for (int r = 0; r < R; r++)
                    sums[r * T + j] = fma(get(rows.query + r * rows.stride + i, d - i), key, sums[r * T + j]);
            }
        float four[4];
        sum_four(sums[0], sums[1], sums[2], sums[3], four);
        for (int i = 0; i < 4; i++) scores[i / T][t + i % T] = four[i];
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
template <int R, int N, typename Number>
static void add_columns(const HeadRows &rows, const Kept<Number> &kept, int64_t tokens, int64_t column, int64_t n,
                        const float (*weights)[kPageTokens], const float *shrink) {
    const Number *values = kept.numbers + column;
    float *out = rows.out + column;
    F sum[R][N];
#pragma GCC unroll 8
    for (int r = 0; r < R; r++)
#pragma GCC unroll 8
        for (int i = 0; i < N; i++) sum[r][i] = mul(get(out + r * rows.stride + 16 * i, n), splat(shrink[r]));
    for (int64_t t = 0; t < tokens; t++, values += kept.stride) {
        F value[N];
        fetch(values + kPageAhead / (int64_t)sizeof(Number), 16 * N);
#pragma GCC unroll 8
        for (int i = 0; i < N; i++) value[i] = get(values + 16 * i, n);
#pragma GCC unroll 8
        for (int r = 0; r < R; r++)
#pragma GCC unroll 8
            for (int i = 0; i < N; i++) sum[r][i] = fma(splat(weights[r][t]), value[i], sum[r][i]);
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; r++)
#pragma GCC unroll 8
        for (int i = 0; i < N; i++) put(out + r * rows.stride + 16 * i, sum[r][i], n);
}

template <int R, typename Number>
static void add_values(const HeadRows &rows, const Kept<Number> &values, int64_t tokens,
                       const float (*weights)[kPageTokens], const float *shrink) {
    constexpr int N = kHeadVectors / (R < 2 ? 1 : 2);
    int64_t i = 0;
    for (; i + 16 * N <= rows.d; i += 16 * N) add_columns<R, N>(rows, values, tokens, i, 16, weights, shrink);
    for (; i < rows.d; i += 16) add_columns<R, 1>(rows, values, tokens, i, rows.d - i, weights, shrink);
}

// How many of the next rows see as much of the page as the first: 1, 2 or 4.
static int64_t alike(const int64_t *visible, int64_t count, int64_t start) {
    const int64_t tokens = at_most(visible[0] - start, kPageTokens);
    int64_t n = 1;
    while (n < at_most(count, 4) && at_most(visible[n] - start, kPageTokens) == tokens) n++;
    return n == 3 ? 2 : n;
}

// Most rows of a run, which are of one sequence; and most heads that go through its pages together.
constexpr int64_t kRun = 16, kRunHeads = 16;
// Heads whose keys, which lie together in a page, are read before their values, which do so elsewhere: memory gives
// more to who reads on for 128 KiB than for 16.
constexpr int64_t kPageHeads = 8;

struct Run {
    const Rows &rows;
    const Heads &at;
    int64_t row, count;  // the rows `row` and on
    const float *query;
    float *out;

    const int64_t *visible() const { return rows.visible + row; }
    HeadRows of(int64_t head, int64_t r) const {
        const int64_t place = ((row + r) * at.heads + head) * at.d;
        return {query + place, out + place, at.heads * at.d, at.d};
    }
    int64_t last() const {
        int64_t most = 0;
        for (int64_t r = 0; r < count; r++) most = visible()[r] > most ? visible()[r] : most;
        return most;
    }
    // work(R, r, tokens) for each R rows from r on that see the same tokens of the page that begins at `start`: they
    // share what it takes to read a page and to convert it. Each row's sums are those that it gets alone.
    template <typename Work>
    void by_rows(int64_t start, const Work &work) const {
        for (int64_t r = 0, n; r < count; r += n) {
            const int64_t tokens = at_most(visible()[r] - start, kPageTokens);
            n = alike(visible() + r, count - r, start);
            if (tokens <= 0) continue;
            if (n == 4) work(std::integral_constant<int, 4>(), r, tokens);
            else if (n == 2) work(std::integral_constant<int, 2>(), r, tokens);
            else work(std::integral_constant<int, 1>(), r, tokens);
        }
    }
};

// Some heads of the page that begins at token `start`; seen [heads][kRun].
template <int D, typename Number>
static void attend_page(const Run &run, int64_t start, int64_t first, int64_t end, Seen (*seen)[kRun]) {
    float weights[kPageHeads][kRun][kPageTokens], shrink[kPageHeads][kRun];
    char *page = run.rows.tables[run.row][start / kPageTokens];
    for (int64_t head = first; head < end; head++) {
        const Kept<Number> keys = in_page<Number>(page, run.at, 0, head);
        run.by_rows(start, [&](auto alike, int64_t r, int64_t tokens) {
            constexpr int R = decltype(alike)::value;
            float(*w)[kPageTokens] = weights[head - first] + r;
            score_page<D, R>(run.of(head, r), keys, tokens, w);
            for (int i = 0; i < R; i++) {
                keys.scale(w[i]);
                shrink[head - first][r + i] =
                    weigh_page(w[i], tokens, 1 / sqrtf((float)run.at.d), seen[head - first][r + i]);
            }
        });
    }
    for (int64_t head = first; head < end; head++) {
        const Kept<Number> values = in_page<Number>(page, run.at, 1, head);
        run.by_rows(start, [&](auto alike, int64_t r, int64_t tokens) {
            constexpr int R = decltype(alike)::value;
            float(*w)[kPageTokens] = weights[head - first] + r;
            for (int i = 0; i < R; i++) values.scale(w[i]);
            add_values<R>(run.of(head, r), values, tokens, w, shrink[head - first] + r);
        });
    }
}

// At most kRunHeads heads of a run, page by page: all but the first rows find a page in the cache.
template <int D, typename Number>
static void attend_run(const Run &run, int64_t first, int64_t end) {
    Seen seen[kRunHeads][kRun];
    const int64_t d = run.at.d, last = run.last();
    for (int64_t head = first; head < end; head++)
        for (int64_t r = 0; r < run.count; r++) {
            seen[head - first][r] = {-FLT_MAX, 0};
            std::memset(run.of(head, r).out, 0, (size_t)d * sizeof(float));
        }
    for (int64_t start = 0; start < last; start += kPageTokens)
        for (int64_t head = first; head < end; head += kPageHeads)
            attend_page<D, Number>(run, start, head, at_most(head + kPageHeads, end), seen + (head - first));
    for (int64_t head = first; head < end; head++)
        for (int64_t r = 0; r < run.count; r++)
            for (int64_t i = 0; i < d; i++) run.of(head, r).out[i] /= seen[head - first][r].total;
}

// How many rows from this one on form a run; 0 if this one belongs to an earlier row's run.
static int64_t run_at(const Rows &rows, int64_t row) {
    if (row % kRun && rows.tables[row] == rows.tables[row - 1]) return 0;
    int64_t end = row + 1;
    while (end < rows.count && end % kRun && rows.tables[end] == rows.tables[row]) end++;
    return end - row;
}

// All heads of all rows, in pieces: so many heads of the run that begins at a row, if one does.
class HeadPieces {
    const Rows &rows;
    const Heads &at;
    const float *query;
    float *out;
    int64_t heads;  // of a piece

public:
    HeadPieces(const Rows &rows, const Heads &at, const float *query, float *out, int64_t threads)
        : rows(rows), at(at), query(query), out(out), heads(at_most((at.heads + threads - 1) / threads, kRunHeads)) {}

    int64_t count() const { return (at.heads + heads - 1) / heads * rows.count; }
    void attend(int64_t piece) const {
        const int64_t first = piece / rows.count * heads, row = piece % rows.count, count = run_at(rows, row);
        const Run run = {rows, at, row, count, query, out};
        if (!count) return;
        as_kept(at, [&](auto number) {
            using Number = decltype(number);
            const auto work = at.d == 128 ? attend_run<128, Number> : attend_run<0, Number>;
            work(run, first, at_most(first + heads, at.heads));
        });
    }
};

static int attend_rows(const Rows &rows, const Heads &at, const float *query, float *out, int threads) {
    const HeadPieces pieces(rows, at, query, out, threads);
#pragma omp parallel for schedule(static) num_threads(threads) if (worth_threads(rows, at))
    for (int64_t i = 0; i < pieces.count(); i++) pieces.attend(i);
    return 0;
}

}}  // namespace chatglm::CHATGLM_ISA
