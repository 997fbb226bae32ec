// Attention of many rows of one sequence: bound by arithmetic.
//
// Queries lie side by side in the lanes: [d][kLanes], scores [kPageTokens][kLanes], sums [d][kLanes]. Keys and values
// are then what a tile of registers broadcasts, and the softmax needs no sums across lanes.
#pragma once
#include <float.h>
#include <math.h>
#include <omp.h>
#include <stdlib.h>

#include "native.h"
#include "pages.h"
#include "vector_math.h"

namespace chatglm { namespace CHATGLM_ISA {

constexpr int64_t kLanes = 16 * kContextVectors;
constexpr int64_t kBlocksOfTask = 288 / kLanes;  // blocks of kLanes queries that share a page's conversion to fp32

// Of one block: queries and sums are [depth][kLanes], depth being d in whole vectors; the rest is [kLanes].
struct Block {
    float *queries, *sums, *largest, *total, *visible;
};

// Of one thread: the page in hand as fp32, keys [kPageTokens][depth], values [depth / 16][kPageTokens][16].
struct Desk {
    float *keys, *values, *scores, *shrink;
    Block blocks[kBlocksOfTask];
};

static int64_t depth_of(const Heads &at) { return whole_vectors(at.d); }

static int64_t desk_floats(const Heads &at) {
    const int64_t depth = depth_of(at);
    return kPageTokens * (2 * depth + kLanes) + kLanes + kBlocksOfTask * kLanes * (2 * depth + 3);
}

static Desk lay_out(float *p, const Heads &at) {
    const int64_t depth = depth_of(at), page = kPageTokens * depth;
    Desk desk = {p, p + page, p + 2 * page, p + 2 * page + kPageTokens * kLanes, {}};
    p = desk.shrink + kLanes;
    for (Block &b : desk.blocks) {
        b = {p, p + depth * kLanes, p + 2 * depth * kLanes, p + (2 * depth + 1) * kLanes, p + (2 * depth + 2) * kLanes};
        p += (2 * depth + 3) * kLanes;
    }
    return desk;
}

// c[i][lane] = c[i][lane] * shrink[lane] + sum over k of a[i * row + k * step] * b[k][lane], for `height` i and N
// vectors of lanes; without shrink what c held does not count. count is a multiple of 4.
template <int N, int height>
static void attend_tile(const float *a, int64_t row, int64_t step, const float *b, int64_t count, const float *shrink,
                        float *c) {
    static_assert(4 % kContextUnroll == 0, "count is whole turns");
    F sum[height][N];
#pragma GCC unroll 8
    for (int i = 0; i < height; i++)
#pragma GCC unroll 8
        for (int j = 0; j < N; j++)
            sum[i][j] = shrink ? mul(load(c + i * kLanes + 16 * j), load(shrink + 16 * j)) : zero();
    for (int64_t k = 0; k < count; k += kContextUnroll)
#pragma GCC unroll 8
        for (int u = 0; u < kContextUnroll; u++) {
            F lanes[N];
#pragma GCC unroll 8
            for (int j = 0; j < N; j++) lanes[j] = load(b + (k + u) * kLanes + 16 * j);
#pragma GCC unroll 8
            for (int i = 0; i < height; i++) {
                const F one = splat(a[i * row + (k + u) * step]);
#pragma GCC unroll 8
                for (int j = 0; j < N; j++) sum[i][j] = fma(one, lanes[j], sum[i][j]);
            }
        }
#pragma GCC unroll 8
    for (int i = 0; i < height; i++)
#pragma GCC unroll 8
        for (int j = 0; j < N; j++) store(c + i * kLanes + 16 * j, sum[i][j]);
}

// The same for sixteen i, in the fewest tiles that hold them: 6 + 5 + 5 where a tile holds 6, as a low tile would leave
// the processor waiting for its sums.
template <int N, int left = 16>
ALWAYS_INLINE void attend_tiles(const float *a, int64_t row, int64_t step, const float *b, int64_t count,
                                const float *shrink, float *c) {
    constexpr int tiles = (left + kContextHeight - 1) / kContextHeight, height = (left + tiles - 1) / tiles;
    attend_tile<N, height>(a, row, step, b, count, shrink, c);
    if constexpr (left > height)
        attend_tiles<N, left - height>(a + height * row, row, step, b, count, shrink, c + height * kLanes);
}

// 1 for lanes that see the token, 0 for the others.
ALWAYS_INLINE F sees(F visible, int64_t token) {
    return max(min(sub(visible, splat((float)token)), splat(1.0f)), zero());
}

// The softmax of a page for one vector of lanes: scores become weights. What a lane does not see gets the lowest score
// that there is, and no weight.
template <bool all_visible>
static void weigh_lanes(const Block &block, int64_t start, int64_t tokens, int64_t lane, const Desk &desk) {
    float *scores = desk.scores + lane;
    const F visible = load(block.visible + lane), before = load(block.largest + lane);
    F top = before, total = zero();
    for (int64_t t = 0; t < tokens; t++) {
        F score = load(scores + t * kLanes);
        if (!all_visible) score = min(score, mul(sub(sees(visible, start + t), splat(0.5f)), splat(FLT_MAX)));
        if (!all_visible) store(scores + t * kLanes, score);
        top = max(score, top);
    }
    for (int64_t t = 0; t < tokens; t++) {
        F weight = exp(sub(load(scores + t * kLanes), top));
        if (!all_visible) weight = mul(weight, sees(visible, start + t));
        store(scores + t * kLanes, weight);
        total = add(total, weight);
    }
    const F shrink = exp(sub(before, top));
    store(desk.shrink + lane, shrink);
    store(block.largest + lane, top);
    store(block.total + lane, add(mul(load(block.total + lane), shrink), total));
}

// One page for N vectors of a block's lanes, as far as they see it.
template <int N>
static void attend_block(const Block &block, int64_t start, const Heads &at, const Desk &desk) {
    const int64_t depth = depth_of(at);
    float least = FLT_MAX, most = 0;
    for (int i = 0; i < 16 * N; i++) {
        if (block.visible[i] < least) least = block.visible[i];
        if (block.visible[i] > most) most = block.visible[i];
    }
    if (most <= (float)start) return;
    const int64_t tokens = at_most(whole_vectors((int64_t)most - start), kPageTokens);
    for (int64_t t = 0; t < tokens; t += 16)
        attend_tiles<N>(desk.keys + t * depth, depth, 1, block.queries, at.d, nullptr, desk.scores + t * kLanes);
    const auto weigh = least >= (float)(start + kPageTokens) ? weigh_lanes<true> : weigh_lanes<false>;
    for (int64_t lane = 0; lane < 16 * N; lane += 16) weigh(block, start, tokens, lane, desk);
    for (int64_t i = 0; i < depth; i += 16)
        attend_tiles<N>(desk.values + i * kPageTokens, 1, 16, desk.scores, tokens, desk.shrink,
                        block.sums + i * kLanes);
}

static void attend_lanes(const Block &block, int64_t rows, int64_t start, const Heads &at, const Desk &desk) {
    static_assert(kContextVectors <= 3, "a case for each number of vectors");
    if (rows <= 16) return attend_block<1>(block, start, at, desk);
    if (rows <= 32) return attend_block<(kContextVectors < 2 ? kContextVectors : 2)>(block, start, at, desk);
    attend_block<kContextVectors>(block, start, at, desk);
}

// Puts a page of one head on the desk, and fetches the next one meanwhile. Tokens from `tokens` on have not been
// written yet; they become zeros.
template <typename Number>
static void convert_page(char *page, char *next, int64_t tokens, int64_t head, const Heads &at, const Desk &desk) {
    const int64_t depth = depth_of(at);
    const Kept<Number> keys = in_page<Number>(page, at, 0, head), values = in_page<Number>(page, at, 1, head);
    const Kept<Number> next_keys = in_page<Number>(next, at, 0, head), next_values = in_page<Number>(next, at, 1, head);
    for (int64_t t = 0; t < kPageTokens; t++) {
        fetch(next_keys.of(t), at.d);
        fetch(next_values.of(t), at.d);
        const Number *key = keys.of(t), *value = values.of(t);
        const F key_step = splat(keys.step(t)), value_step = splat(values.step(t));
        for (int64_t i = 0; i < depth; i += 16) {
            const bool there = t < tokens;
            store(desk.keys + t * depth + i, there ? mul(get(key + i, at.d - i), key_step) : zero());
            store(desk.values + i * kPageTokens + t * 16, there ? mul(get(value + i, at.d - i), value_step) : zero());
        }
    }
}

// The row of a block's lane. Lanes without one do the last row's work once more.
static int64_t row_of(int64_t lane, int64_t first, int64_t count) { return first + at_most(lane, count - 1); }

static void begin_block(const Rows &rows, int64_t first, int64_t count, const Heads &at, int64_t head,
                        const float *query, const Block &block) {
    const float scale = 1 / sqrtf((float)at.d);
    for (int64_t lane = 0; lane < kLanes; lane++) {
        block.visible[lane] = (float)rows.visible[row_of(lane, first, count)];
        block.largest[lane] = -FLT_MAX;
        block.total[lane] = 0;
    }
    for (int64_t i = 0; i < depth_of(at) * kLanes; i++) block.sums[i] = 0;
    for (int64_t lane = 0; lane < kLanes; lane += 4) {
        const float *q[4];
        for (int j = 0; j < 4; j++) q[j] = query + (row_of(lane + j, first, count) * at.heads + head) * at.d;
        float *turned = block.queries + lane;
        for (int64_t i = 0, d = at.d; i < d; i += 4) {
            Quarter part[4];
            for (int j = 0; j < 4; j++) part[j] = load_quarter(q[j] + i) * scale;
            transpose(part);
            for (int j = 0; j < 4; j++) store_quarter(turned + (i + j) * kLanes, part[j]);
        }
    }
}

static void end_block(int64_t first, int64_t count, const Heads &at, int64_t head, const Block &block, float *out) {
    for (int64_t lane = 0; lane < count; lane += 4) {
        float *o[4];
        for (int j = 0; j < 4; j++) o[j] = out + (row_of(lane + j, first, count) * at.heads + head) * at.d;
        const float *sums = block.sums + lane;
        const Quarter total = load_quarter(block.total + lane);
        for (int64_t i = 0, d = at.d; i < d; i += 4) {
            Quarter part[4];
            for (int j = 0; j < 4; j++) part[j] = load_quarter(sums + (i + j) * kLanes) / total;
            transpose(part);
            for (int j = 0; j < 4; j++) store_quarter(o[j] + i, part[j]);
        }
    }
}

// Rows first .. first + count - 1, at most kBlocksOfTask * kLanes, of one head.
static void attend_task(const Rows &rows, int64_t first, int64_t count, const Heads &at, int64_t head,
                        const float *query, float *out, const Desk &desk) {
    int64_t last = 0;
    for (int64_t r = first; r < first + count; r++)
        if (rows.visible[r] > last) last = rows.visible[r];
    for (int64_t r = 0; r < count; r += kLanes)
        begin_block(rows, first + r, at_most(count - r, kLanes), at, head, query, desk.blocks[r / kLanes]);
    for (int64_t start = 0; start < last; start += kPageTokens) {
        char *const *page = rows.tables[first] + start / kPageTokens;
        as_kept(at, [&](auto number) {
            convert_page<decltype(number)>(page[0], page[start + kPageTokens < last], last - start, head, at, desk);
        });
        for (int64_t r = 0; r < count; r += kLanes) attend_lanes(desk.blocks[r / kLanes], count - r, start, at, desk);
    }
    for (int64_t r = 0; r < count; r += kLanes)
        end_block(first + r, at_most(count - r, kLanes), at, head, desk.blocks[r / kLanes], out);
}

// Rows of a task: as many as a desk holds, unless threads would then be left without one.
static int64_t rows_of_task(int64_t rows, int64_t heads, int threads) {
    const int64_t blocks = (rows + kLanes - 1) / kLanes, share = blocks * heads / (4 * threads);
    return kLanes * (share < 1 ? 1 : at_most(share, kBlocksOfTask));
}

static int attend_context(const Rows &rows, const Heads &at, const float *query, float *out, int threads) {
    const int64_t desk = desk_floats(at), step = rows_of_task(rows.count, at.heads, threads);
    const int64_t steps = (rows.count + step - 1) / step;
    void *memory;
    if (posix_memalign(&memory, 64, (size_t)(desk * threads) * sizeof(float))) return -1;
#pragma omp parallel for schedule(dynamic) num_threads(threads) if (worth_threads(rows, at))
    for (int64_t i = 0; i < steps * at.heads; i++) {
        const int64_t first = i % steps * step;
        attend_task(rows, first, at_most(step, rows.count - first), at, i / steps, query, out,
                    lay_out((float *)memory + omp_get_thread_num() * desk, at));
    }
    free(memory);
    return 0;
}

}}  // namespace chatglm::CHATGLM_ISA
