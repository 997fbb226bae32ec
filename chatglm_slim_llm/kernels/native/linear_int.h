// y = x w^T for weights of 8 or 4 bits and activations quantised to int8 on the way.
//
// few_rows.h and many_rows.h add the same numbers in the same order, group after group:
//     y[n] = bias[n] + sum over groups g of  scale[n, g] * xscale[g] * (exact sum over k in g of q[n, k] * xq[k])
// or, where there is one scale for the whole of row n,
//     y[n] = bias[n] + scale[n] * (sum over groups g of  xscale[g] * (exact sum over k in g of q[n, k] * xq[k]))
// so a row of the result is the same to the last bit whether it was computed alone, in a tile, or in a batch. A group
// with 16-bit activations has two such terms. Without the weight's scale the sums of inputs beyond 1e33 may overflow.
#pragma once
#include "few_rows.h"
#include "many_rows.h"
#include "shares.h"
#include "shortlist.h"

namespace chatglm { namespace CHATGLM_ISA {

template <int BITS>
static void multiply_range(Panels panels, int64_t first, int64_t end, const Activations &a, Scratch *scratch) {
    panels.first = first;
    if (a.rows <= kStreamRows) FewRows<BITS, kStreamRows>::run(panels, end, a);
    else multiply<BITS>(panels, end, a, scratch);
}

static void linear_block(const Weight &w, const float *x, const Activations &a, const float *bias, float *y,
                         Scratch *scratch, int64_t *numbers, int threads) {
    const bool few_rows = a.rows <= kStreamRows;
    const int64_t count = (w.n + 15) / 16, at_once = few_rows ? kStreamPanels : kTilePanels;
    const Panels panels = {&w, bias, y, 0, a.padded, w.group ? (w.k + w.group - 1) / w.group : 1};
    const Shares shares((count + at_once - 1) / at_once, threads, numbers);
    if (few_rows) quantize_tile(x, a, 0);
#pragma omp parallel num_threads(threads)
    {
        if (!few_rows) {
#pragma omp for schedule(dynamic, 1)
            for (int64_t row = 0; row < a.rows; row += a.tile) quantize_tile(x, a, row);
        }
        const int thread = omp_get_thread_num();
        Scratch *own = few_rows ? nullptr : scratch + thread;
        shares.each(thread, [&](int64_t piece) {
            const int64_t first = piece * at_once, end = first + at_once < count ? first + at_once : count;
            if (w.bits == 4) multiply_range<4>(panels, first, end, a, own);
            else multiply_range<8>(panels, first, end, a, own);
        });
    }
}

// Equal blocks of whole tiles: a last one of a few rows would cost a pass over the weights of its own.
static int64_t block_rows(int64_t rows) {
    const int64_t blocks = (rows + kBlockRows - 1) / kBlockRows;
    if (blocks <= 1) return rows;
    return ((rows + blocks - 1) / blocks + kTileRows - 1) / kTileRows * kTileRows;
}

static int linear_int(const Weight &w, const float *x, int64_t rows, const float *bias, float *y, int threads) {
    static thread_local Workspace workspace;
    Activations a{};
    a.k = w.k, a.group = activation_group(w.group), a.padded = padded_columns(w.k, w.group);
    const Weight panels = w.low ? high_plane(w) : w;
    a.groups = a.padded / a.group, a.offset = panels.bits == 4 ? 8 : 128 - kByteZero, a.guarded = w.bits == 8;
    a.unit = w.low ? kHighUnit : 1.0f;
    const int64_t block = block_rows(rows);
    Scratch *scratch;
    int64_t *numbers;
    Shortlists shortlists;
    const auto take_all = [&](Parts &parts) {
        take_activations(a, block, parts), parts.take(scratch, block > kStreamRows ? threads : 0);
        parts.take(numbers, Shares::numbers(threads));
        if (w.low) take_shortlists(shortlists, a, block, threads, parts);
    };
    Parts wanted{nullptr};
    take_all(wanted);
    Parts parts{workspace.of(wanted.taken)};
    if (!parts.base) return -1;
    take_all(parts);
    for (int64_t first = 0; first < rows; first += block) {
        a.rows = rows - first < block ? rows - first : block;
        a.tile = a.rows <= kStreamRows ? a.rows : kTileRows;
        linear_block(panels, x + first * w.k, a, bias, y + first * w.n, scratch, numbers, threads);
        if (w.low) add_terms(w, a, shortlists, y + first * w.n, threads);
    }
    return 0;
}

}}  // namespace chatglm::CHATGLM_ISA
