// Attention over keys and values that lie in pages: rotate and store them, then softmax(q k / sqrt(d)) v.
//
// Kept in int8, the keys of a token share one scale in each head, and so do its values. The scale multiplies what comes
// of them, a score or a weight, so that a vector of 16 costs one conversion more than in fp16 and half the bytes.
//
// Scores and sums are fp32. Keys are visited page by page in their order, with a softmax that corrects what it has
// summed whenever a larger score appears, so a row's result depends on its own keys only: not on the other rows of the
// call, not on the threads.
#pragma once
#include "attention_context.h"
#include "attention_rows.h"
#include "native.h"
#include "pages.h"

namespace chatglm { namespace CHATGLM_ISA {

// work(i, numbers i and on, how many of them) from end to end of a vector.
template <typename Work>
ALWAYS_INLINE void each(const float *x, int64_t d, const Work &work) {
    for (int64_t i = 0; i < d; i += 16) work(i, get(x + i, d - i), d - i);
}

// The same with the pairs (i, i + d / 4) in both halves turned. Products are rounded one by one, as torch does.
template <typename Work>
ALWAYS_INLINE void each_turned(const float *x, const float *cos, const float *sin, int64_t d, const Work &work) {
    const int64_t quarter = d / 4;
    for (int64_t half = 0; half < d; half += d / 2, x += d / 2, cos += quarter, sin += quarter)
        for (int64_t i = 0; i < quarter; i += 16) {
            const int64_t n = quarter - i;
            const F first = get(x + i, n), second = get(x + quarter + i, n), c = get(cos + i, n), s = get(sin + i, n);
            work(half + i, sub(mul(first, c), mul(second, s)), n);
            work(half + quarter + i, add(mul(second, c), mul(first, s)), n);
        }
}

// Stores what one of those goes through.
template <typename Through>
ALWAYS_INLINE void keep(const Through &through, const Kept<uint16_t> &kept, int64_t slot) {
    through([&](int64_t i, F v, int64_t n) { put(kept.of(slot) + i, v, n); });
}

// What is no finite number spoils the scale, and so all that comes of the token.
template <typename Through>
ALWAYS_INLINE void keep(const Through &through, const Kept<int8_t> &kept, int64_t slot) {
    F top = zero(), spoilt = zero();
    through([&](int64_t, F v, int64_t) { top = max(top, abs(v)), spoilt = fma(v, zero(), spoilt); });
    const float most = largest(top), steps = most > kTiny ? 127 / most : 0;
    kept.scales()[slot] = most / 127 + sum(spoilt);
    through([&](int64_t i, F v, int64_t n) { put(kept.of(slot) + i, mul(v, splat(steps)), n); });
}

// One head of one row: i = row * heads + head.
static void store_head(const Rows &rows, const Heads &at, const float *qkv, const float *cos, const float *sin,
                       float *query, int64_t i) {
    const int64_t d = at.d, row = i / at.heads, head = i % at.heads, slot = rows.place[row] % kPageTokens;
    const float *q = qkv + i * 3 * d, *c = cos + row * (d / 2), *s = sin + row * (d / 2);
    char *page = rows.tables[row][rows.place[row] / kPageTokens];
    each_turned(q, c, s, d, [&](int64_t j, F v, int64_t n) { put(query + i * d + j, v, n); });
    as_kept(at, [&](auto number) {
        const auto part = [&](int64_t which) { return in_page<decltype(number)>(page, at, which, head); };
        keep([&](const auto &work) { each_turned(q + d, c, s, d, work); }, part(0), slot);
        keep([&](const auto &work) { each(q + 2 * d, d, work); }, part(1), slot);
    });
}

static void store(const Rows &rows, const Heads &at, const float *qkv, const float *cos, const float *sin, float *query,
                  int threads) {
    const int64_t items = rows.count * at.heads;
#pragma omp parallel for schedule(static) num_threads(threads) if (items * at.d >= 1 << 15)
    for (int64_t i = 0; i < items; i++) store_head(rows, at, qkv, cos, sin, query, i);
}

}}  // namespace chatglm::CHATGLM_ISA
