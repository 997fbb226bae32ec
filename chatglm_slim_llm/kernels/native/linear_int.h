// y = x w^T for weights of 8 or 4 bits and activations quantised to int8 on the way.
//
// few_rows.h and many_rows.h add the same numbers in the same order, group after group:
//     y[n] = bias[n] + sum over groups g of  scale[n, g] * xscale[g] * (exact sum over k in g of q[n, k] * xq[k])
// so a row of the result is the same to the last bit whether it was computed alone, in a tile, or in a batch. A group
// with 16-bit activations has two such terms.
#pragma once
#include "few_rows.h"
#include "many_rows.h"
#include "shortlist.h"

namespace chatglm { namespace CHATGLM_ISA {

template <int BITS>
static void multiply_range(Panels panels, int64_t first, int64_t end, const Activations &a, Scratch *scratch) {
    panels.first = first;
    if (a.rows <= kStreamRows) FewRows<BITS, kStreamRows>::run(panels, end, a);
    else multiply<BITS>(panels, end, a, scratch);
}

// How the panels are shared out. Threads take a piece at a time, so that one on a busy core does not hold up the rest.
// Where memory is the limit, three quarters go in pieces of some length, read without a break; the rest is small change
// that lets all threads end together.
struct Pieces {
    int64_t panels, short_length, length, long_ones, count;

    Pieces(int64_t panels, bool few_rows, int threads) : panels(panels), short_length(few_rows ? 4 : kTilePanels) {
        const int64_t share = panels / (threads * 8);
        length = share > short_length ? share : short_length;
        long_ones = few_rows ? panels * 3 / 4 / length : 0;
        count = long_ones + (panels - long_ones * length + short_length - 1) / short_length;
    }
    int64_t first(int64_t i) const {
        const int64_t at = i <= long_ones ? i * length : long_ones * length + (i - long_ones) * short_length;
        return at < panels ? at : panels;
    }
};

static void linear_block(const Weight &w, const float *x, const Activations &a, const float *bias, float *y,
                         Scratch *scratch, int threads) {
    const bool few_rows = a.rows <= kStreamRows;
    const Pieces pieces((w.n + 15) / 16, few_rows, threads);
    const Panels panels = {&w, bias, y, 0, a.padded, w.group ? (w.k + w.group - 1) / w.group : 1};
    if (few_rows) quantize_tile(x, a, 0);
#pragma omp parallel num_threads(threads)
    {
        if (!few_rows) {
#pragma omp for schedule(dynamic, 1)
            for (int64_t row = 0; row < a.rows; row += a.tile) quantize_tile(x, a, row);
        }
        Scratch *own = few_rows ? nullptr : scratch + omp_get_thread_num();
#pragma omp for schedule(dynamic, 1) nowait
        for (int64_t i = 0; i < pieces.count; i++) {
            if (w.bits == 4) multiply_range<4>(panels, pieces.first(i), pieces.first(i + 1), a, own);
            else multiply_range<8>(panels, pieces.first(i), pieces.first(i + 1), a, own);
        }
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
    Shortlists shortlists;
    const auto take_all = [&](Parts &parts) {
        take_activations(a, block, parts), parts.take(scratch, block > kStreamRows ? threads : 0);
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
        linear_block(panels, x + first * w.k, a, bias, y + first * w.n, scratch, threads);
        if (w.low) add_terms(w, a, shortlists, y + first * w.n, threads);
    }
    return 0;
}

}}  // namespace chatglm::CHATGLM_ISA
