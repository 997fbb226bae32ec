// y = x w^T for weights of 8 or 4 bits and activations quantised to int8 on the way.
//
// few_rows.h and many_rows.h add the same numbers in the same order, group after group:
//     y[n] = bias[n] + scale[n] * (sum over groups g of
//                                      gscale[n, g] * xscale[g] * (exact sum over k in g of q[n, k] * xq[k]))
// so a row of the result is the same to the last bit whether it was computed alone, in a tile, or in a batch. gscale is
// the scale of a group of weights, or 1. A group with 16-bit activations has two such terms. Without the scale of the
// row the sums of inputs beyond 1e33 may overflow.
#pragma once
#include "few_rows.h"
#include "many_rows.h"
#include "shares.h"
#include "shortlist.h"
#include "team.h"

namespace chatglm { namespace CHATGLM_ISA {

template <int BITS>
static void multiply_range(Panels panels, int64_t first, int64_t end, const Activations &a, Scratch *scratch) {
    panels.first = first;
    if (a.rows <= kStreamRows) FewRows<BITS, kStreamRows>::run(panels, end, a);
    else if (a.group == 32) multiply<BITS, 32>(panels, end, a, scratch);
    else multiply<BITS, 128>(panels, end, a, scratch);
}

// The product with a block of rows, made by a team: each thread prepares, meets the others, and multiplies. Of a weight
// in two planes it is the product with the high one.
class IntLinear {
    Weight w;
    Activations a{};
    Panels panels;
    const float *x;
    Scratch *scratch;
    int64_t *numbers;

    bool few_rows() const { return a.rows <= kStreamRows; }
    int64_t count() const { return (w.n + 15) / 16; }
    int64_t at_once() const { return few_rows() ? kStreamPanels : kTilePanels; }
    Shares shares(const Member &me) const { return {(count() + at_once() - 1) / at_once(), me.threads, numbers}; }

public:
    // With memory for so many rows or fewer.
    IntLinear(const Weight &weight, int64_t rows, int threads, Parts &parts)
        : w(weight.low ? high_plane(weight) : weight) {
        a.k = w.k, a.group = activation_group(w.group), a.padded = padded_columns(w.k, w.group);
        a.groups = a.padded / a.group, a.offset = w.bits == 4 ? 8 : 128 - kByteZero, a.guarded = weight.bits == 8;
        a.unit = weight.low ? kHighUnit : w.group ? 1.0f / kScaleSteps : 1.0f;
        take_activations(a, rows, parts), parts.take(scratch, rows > kStreamRows ? threads : 0);
        parts.take(numbers, Shares::numbers(threads));
    }
    IntLinear(const IntLinear &) = delete;

    void begin(const float *input, int64_t rows, const float *bias, float *y) {
        x = input, a.rows = rows, a.tile = few_rows() ? rows : kTileRows;
        a.tiles = (rows + a.tile - 1) / a.tile;
        panels = {&w, bias, y, 0, a.padded};
    }
    const Activations &activations() const { return a; }

    void prepare(const Member &me) const {
        if (me.thread == 0) shares(me).deal();
        const int64_t blocks = (a.groups + a.block_groups() - 1) / a.block_groups();
        me.each(a.tiles * blocks,
                [&](int64_t i) { quantize_block(x, a, i / blocks * a.tile, i % blocks * a.block_groups()); });
    }
    void multiply(const Member &me) const {
        shares(me).each(me.thread, [&](int64_t piece) {
            const int64_t first = piece * at_once(), end = at_most(first + at_once(), count());
            if (w.bits == 4) multiply_range<4>(panels, first, end, a, scratch + me.thread);
            else multiply_range<8>(panels, first, end, a, scratch + me.thread);
        });
    }
};

// Equal blocks of whole tiles: a last one of a few rows would cost a pass over the weights of its own.
static int64_t block_rows(int64_t rows) {
    const int64_t blocks = (rows + kBlockRows - 1) / kBlockRows;
    if (blocks <= 1) return rows;
    return ((rows + blocks - 1) / blocks + kTileRows - 1) / kTileRows * kTileRows;
}

static int linear_int(const Weight &w, const float *x, int64_t rows, const float *bias, float *y, int threads) {
    static thread_local Workspace workspace;
    const int64_t block = block_rows(rows);
    Shortlists shortlists;
    const auto take_shortlists_of = [&](const IntLinear &product, Parts &parts) {
        if (w.low) take_shortlists(shortlists, product.activations(), block, threads, parts);
    };
    Parts wanted{nullptr};
    take_shortlists_of(IntLinear(w, block, threads, wanted), wanted);
    Parts parts{workspace.of(wanted.taken)};
    if (!parts.base) return -1;
    IntLinear product(w, block, threads, parts);
    take_shortlists_of(product, parts);
    for (int64_t first = 0; first < rows; first += block) {
        product.begin(x + first * w.k, at_most(rows - first, block), bias, y + first * w.n);
        together(threads, [&](Member &me) {
            product.prepare(me);
            me.meet();
            if (w.low) line_up_all(me, product.activations(), shortlists);
            product.multiply(me);
            if (!w.low) return;
            me.meet();
            find_shortlists(me, w, product.activations(), shortlists, y + first * w.n);
            make_all_exact(me, w, product.activations(), shortlists, y + first * w.n);
        });
    }
    return 0;
}

}}  // namespace chatglm::CHATGLM_ISA
