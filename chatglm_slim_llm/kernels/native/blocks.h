// All blocks of the model for the few rows of a step, by one team of threads from the first block to the last.
//
// Between two products a step has a few microseconds of other work, a hundred times over. If each were a call, with
// threads that part and gather again, that would take longer than the work itself.
#pragma once
#include "attention.h"
#include "elementwise.h"
#include "linear_half.h"
#include "linear_int.h"
#include "team.h"

namespace chatglm { namespace CHATGLM_ISA {

// Numbers that one thread activates at a time.
constexpr int64_t kStepPiece = 512;
// Rows that go through the blocks together. Later ones may see them, but not the other way round.
constexpr int64_t kStepRows = 64;
static_assert(kStepRows <= kBlockRows, "a product is of one block of rows");

// What a block makes on its way, of all rows.
struct Between {
    float *normal, *qkv, *query, *mixed, *attended, *middle, *inner;
    char *product;  // memory of the product in hand
};

template <typename Work>
static void with_product(const Dense &dense, int64_t rows, int threads, Parts parts, const Work &work) {
    if (dense.weight.bits == 16) {
        HalfLinear product(dense.weight, rows, threads, parts);
        work(product, parts.taken);
    } else {
        IntLinear product(dense.weight, rows, threads, parts);
        work(product, parts.taken);
    }
}

static int64_t product_bytes(const Dense &dense, int64_t rows, int threads) {
    int64_t bytes = 0;
    with_product(dense, rows, threads, Parts{nullptr}, [&](auto &, int64_t taken) { bytes = taken; });
    return bytes;
}

static void take_between(Between &b, const BlockWeights *blocks, int64_t count, int64_t rows, int threads,
                         Parts &parts) {
    const int64_t width = blocks->dense.weight.n;
    parts.take(b.normal, rows * width), parts.take(b.query, rows * width), parts.take(b.mixed, rows * width);
    parts.take(b.attended, rows * width), parts.take(b.middle, rows * width);
    parts.take(b.qkv, rows * blocks->query_key_value.weight.n), parts.take(b.inner, rows * blocks->up.weight.n);
    int64_t bytes = 0;
    for (int64_t i = 0; i < count; i++) {
        const Dense *const all[] = {&blocks[i].query_key_value, &blocks[i].dense, &blocks[i].up, &blocks[i].down};
        for (const Dense *dense : all) {
            const int64_t wanted = product_bytes(*dense, rows, threads);
            bytes = bytes > wanted ? bytes : wanted;
        }
    }
    parts.take(b.product, bytes);
}

// One thread's way through the blocks.
class Step {
    Member &me;
    const Rows &rows;
    Heads at;
    const float *cos, *sin;
    const Between &between;
    int threads;

    int64_t width() const { return at.heads * at.d; }
    // y = x w^T + bias, ready for all when it returns.
    void product(const Dense &dense, const float *x, float *y) {
        with_product(dense, rows.count, threads, Parts{between.product}, [&](auto &product, int64_t) {
            product.begin(x, rows.count, dense.bias, y);
            product.prepare(me);
            me.meet();
            product.multiply(me);
            me.meet();
        });
    }
    void normalize(const Norm &norm, const float *x, int64_t row, float *y) const {
        const int64_t first = row * width();
        normalize_row(x + first, norm.weight, norm.bias, norm.eps, width(), y + first);
    }
    void add_row(const float *x, float alpha, const float *y, int64_t row, float *out) const {
        const int64_t first = row * width();
        scale_add_piece(x + first, alpha, y + first, width(), out + first);
    }
    void attend(const BlockWeights &b) {
        product(b.query_key_value, between.normal, between.qkv);
        const int64_t items = rows.count * at.heads;
        me.each(items, [&](int64_t i) { store_head(rows, at, between.qkv, cos, sin, between.query, i); });
        me.meet();
        const HeadPieces pieces(rows, at, between.query, between.mixed, me.threads);
        me.each(pieces.count(), [&](int64_t i) { pieces.attend(i); });
        me.meet();
        product(b.dense, between.mixed, between.attended);
    }
    void activate(int64_t count) {
        const int64_t pieces = (count + kStepPiece - 1) / kStepPiece;
        me.each(pieces, [&](int64_t i) {
            const int64_t first = i * kStepPiece;
            gelu_piece(between.inner + first, at_most(count - first, kStepPiece));
        });
        me.meet();
    }

public:
    Step(Member &me, const Rows &rows, const Heads &at, const float *cos, const float *sin, const Between &between,
         int threads)
        : me(me), rows(rows), at(at), cos(cos), sin(sin), between(between), threads(threads) {}

    void pass(const BlockWeights &b, float *hidden) {
        me.each(rows.count, [&](int64_t row) { normalize(b.input, hidden, row, between.normal); });
        me.meet();
        attend(b);
        me.each(rows.count, [&](int64_t row) {
            add_row(between.normal, b.alpha, between.attended, row, between.normal);
            normalize(b.middle, between.normal, row, between.middle);
        });
        me.meet();
        product(b.up, between.middle, between.inner);
        activate(rows.count * b.up.weight.n);
        product(b.down, between.inner, hidden);
        me.each(rows.count, [&](int64_t row) { add_row(between.middle, b.alpha, hidden, row, hidden); });
        at.layer++;
    }
};

static int blocks(const BlockWeights *blocks, int64_t count, const Rows &rows, const Heads &at, const float *cos,
                  const float *sin, float *hidden, int threads) {
    static thread_local Workspace workspace;
    const int64_t most = at_most(rows.count, kStepRows), angles = at.d / 2, width = at.heads * at.d;
    Between between;
    Parts wanted{nullptr};
    take_between(between, blocks, count, most, threads, wanted);
    Parts parts{workspace.of(wanted.taken)};
    if (!parts.base) return -1;
    take_between(between, blocks, count, most, threads, parts);
    for (int64_t row = 0; row < rows.count; row += most) {
        const Rows some = {at_most(rows.count - row, most), rows.tables + row, rows.place + row, rows.visible + row};
        together(threads, [&](Member &me) {
            Step step(me, some, at, cos + row * angles, sin + row * angles, between, threads);
            for (int64_t i = 0; i < count; i++) step.pass(blocks[i], hidden + row * width);
        });
    }
    return 0;
}

}}  // namespace chatglm::CHATGLM_ISA
