// y = x w^T for fp16 weights as they lie in a checkpoint; activations and sums are fp32.
//
// Sixteen lanes run over k, each pair of a weight row and an activation row has one vector of sums, which meets the
// columns in ascending order, zeros after the last one:
//     y = (sum over the lanes of  sum over k of w[k] * x[k]) + bias
// Every path below does exactly this, so a row of the result is the same to the last bit alone and in any batch.
#pragma once
#include "native.h"
#include "shares.h"
#include "team.h"
#include "workspace.h"

namespace chatglm { namespace CHATGLM_ISA {

// Sums that the registers hold; up to so many rows of activations (at most eight) are bound by reading the weights.
constexpr int kHalfSums = kHalfHeight * kHalfWidth;
constexpr int kHalfFewRows = kHalfSums < 8 ? kHalfSums : 8;
// Columns of a tile's activations that stay in the L1 cache while a block of weight rows, widened to fp32, passes by
// from the L2 cache, where the sums of a block of activation rows stay as well.
constexpr int64_t kHalfColumns = 512, kHalfWeights = 64, kHalfRows = 96;
// How many weights of few rows are on their way: 8 KiB cover the latency and leave the activations in the L1 cache.
constexpr int64_t kHalfAhead = 4096;

struct HalfProduct {
    const uint16_t *w;  // [n, k]
    const float *x;     // [rows, k]
    const float *bias;
    float *y;  // [rows, n]
    int64_t n, k, rows;
};

ALWAYS_INLINE F widened(const float *p, int64_t left) { return left < 16 ? load_tail(p, left) : load(p); }
ALWAYS_INLINE F widened(const uint16_t *p, int64_t left) {
    return left < 16 ? load_half_tail(p, left) : load_half(p);
}

// Sixteen columns, or the `left` last ones, of H weight rows and W activation rows.
template <int H, int W, typename Number>
ALWAYS_INLINE void half_step(F (&sums)[W][H], const Number *w, int64_t stride, const float *x, int64_t k,
                             int64_t left) {
    F v[H];
#pragma GCC unroll 8
    for (int r = 0; r < H; r++) v[r] = widened(w + r * stride, left);
#pragma GCC unroll 8
    for (int m = 0; m < W; m++) {
        F u = widened(x + m * k, left);
        if (sizeof(Number) == 4) keep(u);  // few rows wait for the memory and rather save registers
#pragma GCC unroll 8
        for (int r = 0; r < H; r++) sums[m][r] = fma(v[r], u, sums[m][r]);
    }
}

// Adds up the lanes of a tile that starts at weight row `first` and activation row `row`; rows beyond n are left out.
template <int H, int W>
ALWAYS_INLINE void half_finish(const HalfProduct &p, F (&sums)[W][H], int64_t first, int64_t row) {
#pragma GCC unroll 8
    for (int r = 0; r < H; r++) {
        if (first + r >= p.n) continue;
        const float bias = p.bias ? p.bias[first + r] : 0.0f;
#pragma GCC unroll 8
        for (int m = 0; m < W; m++) p.y[(row + m) * p.n + first + r] = sum(sums[m][r]) + bias;
    }
}

// ---- few rows: the weights are read once, straight from memory ----

// After a row's end comes the row that the next tile starts with, H rows further on.
template <int H>
ALWAYS_INLINE void half_fetch(const uint16_t *w, int64_t k, int64_t at) {
    const int64_t ahead = at + kHalfAhead / H, jump = ahead < k ? 0 : (H - 1) * k;
#pragma GCC unroll 8
    for (int r = 0; r < H; r++) prefetch_once(w + r * k + ahead + jump);
}

template <int H, int W>
static void half_stream(const HalfProduct &p, int64_t first) {
    const uint16_t *w = p.w + first * p.k;
    F sums[W][H];
#pragma GCC unroll 8
    for (int m = 0; m < W; m++)
#pragma GCC unroll 8
        for (int r = 0; r < H; r++) sums[m][r] = zero();
    int64_t at = 0;
    for (; at + 32 <= p.k; at += 32) {
        half_fetch<H>(w, p.k, at);
        half_step(sums, w + at, p.k, p.x + at, p.k, 16);
        half_step(sums, w + at + 16, p.k, p.x + at + 16, p.k, 16);
    }
    for (; at < p.k; at += 16) half_step(sums, w + at, p.k, p.x + at, p.k, p.k - at);
    half_finish(p, sums, first, 0);
}

template <int W>
static void half_few(const HalfProduct &p, int64_t first, int64_t end) {
    if (p.rows == W) {
        // Many weight rows share a load of activations; more than eight get into each other's way in the L1 cache. For
        // one row of activations, weights read from end to end come faster (88 against 81 % of the bandwidth) than
        // eight rows of them side by side.
        constexpr int most = kHalfSums / W, limit = W == 1 ? 1 : W < 4 ? 8 : 4, H = most < limit ? most : limit;
        for (; first + H <= end; first += H) half_stream<H, W>(p, first);
        for (; first < end; first++) half_stream<1, W>(p, first);
    } else if constexpr (W > 1) {
        half_few<W - 1>(p, first, end);
    }
}

// ---- many rows: weights are widened once for a block of activation rows ----

// Scratch of one thread: weights [tile][step of 16 columns][row of the tile][16], and the sums of the tiles.
struct HalfScratch {
    float weights[kHalfWeights * kHalfColumns];
    float sums[kHalfWeights * kHalfRows * 16];
};

// A block of activation rows, columns and weight rows.
struct HalfBlock {
    int64_t row, rows, column, columns, first, tiles;
};

// Also fetches the next block of columns, which is needed when this one has met all activation rows.
static void widen_tile(const HalfProduct &p, const HalfBlock &b, int64_t first, float *out) {
    const uint16_t *w = p.w + first * p.k + b.column;
    const int64_t real = p.n - first;  // zeros fill up the last tile
    for (int64_t at = 0; at < b.columns; at += 16, out += kHalfHeight * 16)
#pragma GCC unroll 8
        for (int r = 0; r < kHalfHeight; r++) {
            prefetch(w + r * p.k + at + kHalfColumns);
            store(out + r * 16, r < real ? widened(w + r * p.k + at, b.columns - at) : zero());
        }
}

template <int W>
static void half_tile(const HalfProduct &p, const HalfBlock &b, const float *w, int64_t row, int64_t first,
                      float *saved) {
    constexpr int H = kHalfHeight;
    const float *x = p.x + row * p.k + b.column;
    F sums[W][H];
#pragma GCC unroll 8
    for (int m = 0; m < W; m++)
#pragma GCC unroll 8
        for (int r = 0; r < H; r++) sums[m][r] = b.column ? load(saved + (m * H + r) * 16) : zero();
    int64_t at = 0;
    for (; at + 16 <= b.columns; at += 16, w += H * 16) half_step(sums, w, 16, x + at, p.k, 16);
    if (at < b.columns) half_step(sums, w, 16, x + at, p.k, b.columns - at);
    if (b.column + b.columns == p.k) return half_finish(p, sums, first, row);
#pragma GCC unroll 8
    for (int m = 0; m < W; m++)
#pragma GCC unroll 8
        for (int r = 0; r < H; r++) store(saved + (m * H + r) * 16, sums[m][r]);
}

// W rows of activations, or as many as are left, meet all weights of the block.
template <int W>
static void half_row_tile(const HalfProduct &p, const HalfBlock &b, int64_t m, HalfScratch *scratch) {
    if (b.rows - m >= W) {
        const int64_t tile = (b.columns + 15) / 16 * kHalfHeight * 16;
        for (int64_t t = 0; t < b.tiles; t++)
            half_tile<W>(p, b, scratch->weights + t * tile, b.row + m, b.first + t * kHalfHeight,
                         scratch->sums + (t * kHalfRows + m) * kHalfHeight * 16);
    } else if constexpr (W > 1) {
        half_row_tile<W - 1>(p, b, m, scratch);
    }
}

static void half_block(const HalfProduct &p, HalfBlock b, HalfScratch *scratch) {
    const int64_t left = (p.n - b.first + kHalfHeight - 1) / kHalfHeight, most = kHalfWeights / kHalfHeight;
    b.tiles = left < most ? left : most;
    for (b.column = 0; b.column < p.k; b.column += kHalfColumns) {
        b.columns = p.k - b.column < kHalfColumns ? p.k - b.column : kHalfColumns;
        const int64_t tile = (b.columns + 15) / 16 * kHalfHeight * 16;
        for (int64_t t = 0; t < b.tiles; t++)
            widen_tile(p, b, b.first + t * kHalfHeight, scratch->weights + t * tile);
        for (int64_t m = 0; m < b.rows; m += kHalfWidth) half_row_tile<kHalfWidth>(p, b, m, scratch);
    }
}

// Equal blocks: a last one of a few rows would cost a pass over the weights of its own.
static int64_t half_block_rows(int64_t rows) {
    const int64_t blocks = (rows + kHalfRows - 1) / kHalfRows, equal = (rows + blocks - 1) / blocks;
    return (equal + kHalfWidth - 1) / kHalfWidth * kHalfWidth;
}

// The product made by a team: each thread prepares, meets the others, and multiplies.
class HalfLinear {
    HalfProduct p;
    int64_t block;  // rows of activations
    HalfScratch *scratch;
    int64_t *numbers;

    bool few_rows() const { return p.rows <= kHalfFewRows; }
    int64_t chunk(int64_t threads) const {  // rows of weights that a thread takes at a time
        if (!few_rows()) return kHalfWeights;
        const int64_t share = p.n / (threads * 8) / 8 * 8;
        return share < 8 ? 8 : share > 64 ? 64 : share;
    }
    int64_t chunks(int64_t threads) const { return (p.n + chunk(threads) - 1) / chunk(threads); }
    Shares shares(const Member &me) const {
        return {chunks(me.threads) * ((p.rows + block - 1) / block), me.threads, numbers};
    }

public:
    // With memory for so many rows or fewer.
    HalfLinear(const Weight &w, int64_t rows, int threads, Parts &parts) : p{} {
        p.w = (const uint16_t *)w.data, p.n = w.n, p.k = w.k;
        parts.take(scratch, rows > kHalfFewRows ? threads : 0), parts.take(numbers, Shares::numbers(threads));
    }
    void begin(const float *x, int64_t rows, const float *bias, float *y) {
        p.x = x, p.rows = rows, p.bias = bias, p.y = y, block = few_rows() ? rows : half_block_rows(rows);
    }
    void prepare(const Member &me) const {
        if (me.thread == 0) shares(me).deal();
    }
    void multiply(const Member &me) const {
        const int64_t weights = chunk(me.threads), count = chunks(me.threads);
        shares(me).each(me.thread, [&](int64_t piece) {
            const int64_t row = piece / count * block, first = piece % count * weights;
            if (few_rows()) return half_few<kHalfFewRows>(p, first, first + weights < p.n ? first + weights : p.n);
            const int64_t rows = p.rows - row < block ? p.rows - row : block;
            half_block(p, HalfBlock{row, rows, 0, 0, first, 0}, scratch + me.thread);
        });
    }
};

static int linear_half(const Weight &w, const float *x, int64_t rows, const float *bias, float *y, int threads) {
    static thread_local Workspace workspace;
    Parts wanted{nullptr};
    HalfLinear(w, rows, threads, wanted);
    Parts parts{workspace.of(wanted.taken)};
    if (!parts.base) return -1;
    HalfLinear product(w, rows, threads, parts);
    product.begin(x, rows, bias, y);
    together(threads, [&](Member &me) {
        product.prepare(me);
        me.meet();
        product.multiply(me);
    });
    return 0;
}

}}  // namespace chatglm::CHATGLM_ISA
