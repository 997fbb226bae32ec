// Attention over keys and values that lie in pages: rotate and store them, then softmax(q k / sqrt(d)) v.
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

// Turns the pairs (i, i + d / 4) in both halves of a head. Products are rounded one by one, as torch does.
template <typename T>
static void turn(const float *x, const float *cos, const float *sin, int64_t quarter, T *out) {
    for (int64_t half = 0; half < 2; half++, x += 2 * quarter, out += 2 * quarter, cos += quarter, sin += quarter)
        for (int64_t i = 0; i < quarter; i += 16) {
            const int64_t n = quarter - i;
            const F first = get(x + i, n), second = get(x + quarter + i, n), c = get(cos + i, n), s = get(sin + i, n);
            put(out + i, sub(mul(first, c), mul(second, s)), n);
            put(out + quarter + i, add(mul(second, c), mul(first, s)), n);
        }
}

// One head of one row: i = row * heads + head.
static void store_head(const Rows &rows, const Heads &at, const float *qkv, const float *cos, const float *sin,
                       float *query, int64_t i) {
    const int64_t d = at.d, row = i / at.heads, head = i % at.heads, slot = rows.place[row] % kPageTokens;
    const float *q = qkv + i * 3 * d, *v = q + 2 * d, *c = cos + row * (d / 2), *s = sin + row * (d / 2);
    uint16_t *page = rows.tables[row][rows.place[row] / kPageTokens];
    uint16_t *value = in_page(page, at, 1, head) + slot * d;
    turn(q, c, s, d / 4, query + i * d);
    turn(q + d, c, s, d / 4, in_page(page, at, 0, head) + slot * d);
    for (int64_t j = 0; j < d; j += 16) put(value + j, get(v + j, d - j), d - j);
}

static void store(const Rows &rows, const Heads &at, const float *qkv, const float *cos, const float *sin, float *query,
                  int threads) {
    const int64_t items = rows.count * at.heads;
#pragma omp parallel for schedule(static) num_threads(threads) if (items * at.d >= 1 << 15)
    for (int64_t i = 0; i < items; i++) store_head(rows, at, qkv, cos, sin, query, i);
}

}}  // namespace chatglm::CHATGLM_ISA
