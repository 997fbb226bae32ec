// What the library offers, and the tables of kernels that it chooses from when it is first called.
//
// Everything is row-major. Functions return 0, or -1 if memory ran out. `threads` is the number of OpenMP threads.
#pragma once
#include <cstdint>

namespace chatglm {

static inline int64_t at_most(int64_t n, int64_t limit) { return n < limit ? n : limit; }

// A weight [n, k] of a linear layer.
//
//   bits 16    data is fp16 [n, k] as in a checkpoint; no scale.
//   bits 8, 4  data is in panels of 16 rows, k in steps of four: at 8 bits each 64 bytes are 16 rows x 4 columns of
//              q + 128; at 4 bits they are 16 rows x 8 columns of q + 8, the first four columns in the low nibbles.
//              A row has a scale, fp16 [panels][16], and where group is not 0, each so many of its columns have one of
//              their own: group_scale [panels][k / group][16], in units of the row's scale / kScaleSteps. Rows are
//              filled up with zeros to whole panels, columns to whole activation groups (see activation_group).
//   8 in two   low is not null, group is 0, and q + 128 = 16 * high + low: data is the high nibbles, in panels as at 4
//   planes     bits; low has n rows of lines of 64 bytes, which are 128 columns, the first 64 in the low nibbles. A
//              product reads low for the `shortlist` rows of the largest results only: see shortlist.h.
struct Weight {
    const uint8_t *data;
    const uint16_t *scale;
    const int8_t *group_scale;
    int64_t n, k, group;
    int64_t bits;
    const uint8_t *low;
    int64_t shortlist;
};

// A linear layer, a LayerNorm, and the block of layers that a model repeats. Its residual branch carries what a norm
// gave, times alpha. The bias of a linear layer is [n], or null for none.
struct Dense {
    Weight weight;
    const float *bias;
};
struct Norm {
    const float *weight, *bias;
    float eps;
};
struct BlockWeights {
    Norm input, middle;
    Dense query_key_value, dense, up, down;
    float alpha;
};

// The largest scale of a row's groups is 127 such steps of the row's own, which is half of it: it stays a normal fp16
// number for all but the smallest weights.
constexpr int64_t kScaleSteps = 64;

// Numbers below this are zero to any sum they could be part of, and their reciprocal would overflow.
constexpr float kTiny = 1e-30f;

// Activations are quantised to int8 with one scale for so many columns of a row. A few large values then cost
// their own group only, not the row.
static inline int64_t activation_group(int64_t weight_group) { return weight_group == 32 ? 32 : 128; }
static inline int64_t padded_columns(int64_t k, int64_t weight_group) {
    const int64_t g = activation_group(weight_group);
    return (k + g - 1) / g * g;
}

static inline int64_t whole_vectors(int64_t d) { return (d + 15) / 16 * 16; }

// Keys and values lie in pages of kPageTokens tokens, [layers][2][heads]: keys, then values. What a head has there is
//
//   bits 16    fp16 [kPageTokens][d]
//   bits 8     int8 [kPageTokens][d, in whole vectors of 16], then a scale for each token, float [kPageTokens]
constexpr int64_t kPageTokens = 64;

// The rows of one forward pass, of any number of sequences. Row r is token place[r] of its sequence, whose pages are
// tables[r][0], tables[r][1], ...; it sees the tokens 0 .. visible[r] - 1, itself among them.
struct Rows {
    int64_t count;
    char *const *const *tables;
    const int64_t *place, *visible;
};

// One attention layer: which it is, its shape, and how its keys and values are kept. d is a multiple of 4.
struct Heads {
    int64_t layer, heads, d, bits;

    int64_t stride() const { return bits == 8 ? whole_vectors(d) : d; }
    int64_t part_bytes() const { return kPageTokens * (bits == 8 ? stride() + (int64_t)sizeof(float) : 2 * d); }
    int64_t page_bytes() const { return 2 * heads * part_bytes(); }  // one layer's share of a page
};

struct Kernels {
    const char *name;
    // y [rows, n] = x [rows, k] times the weight, plus bias [n] unless it is null. A row's result does not depend on
    // the other rows: not on their number, not on its place among them. That holds for every kernel here while all
    // numbers are finite: 0 times what is no number is none either.
    int (*linear)(const Weight &w, const float *x, int64_t rows, const float *bias, float *y, int threads);
    // fp16 [n, k] -> levels int8 [n, k] and scale fp16 [n, max(1, k / group)].
    void (*quantize)(const uint16_t *w, int64_t n, int64_t k, int64_t bits, int64_t group, int8_t *levels,
                     uint16_t *scale, int threads);
    // levels int8 [n, k] -> whole panels.
    void (*pack)(const int8_t *levels, int64_t n, int64_t k, int64_t bits, int64_t group, uint8_t *out, int threads);
    // levels int8 [n, k] -> both planes.
    void (*pack_planes)(const int8_t *levels, int64_t n, int64_t k, uint8_t *high, uint8_t *low, int threads);
    // Rows ids[0 .. count) of a packed weight as floats [count, k].
    void (*rows_of)(const Weight &w, const int64_t *ids, int64_t count, float *out, int threads);
    // Turns queries and keys of qkv [count, heads, 3 * d] by the angles cos, sin [count, 2, d / 4] and stores keys and
    // values in their pages; query becomes [count, heads, d].
    void (*store)(const Rows &rows, const Heads &at, const float *qkv, const float *cos, const float *sin,
                  float *query, int threads);
    // softmax(q k / sqrt(d)) v over what each row sees: out [count, heads * d]. For few rows of any sequences.
    int (*attend_rows)(const Rows &rows, const Heads &at, const float *query, float *out, int threads);
    // The same for many rows of one sequence.
    int (*attend_context)(const Rows &rows, const Heads &at, const float *query, float *out, int threads);
    // The rows of a step, of which none sees a later one, through all blocks: hidden [count, heads * d] in and out.
    // `at` names the first block's layer. No weight is in two planes.
    int (*blocks)(const BlockWeights *blocks, int64_t count, const Rows &rows, const Heads &at, const float *cos,
                  const float *sin, float *hidden, int threads);
    // y = (x - mean) / sqrt(variance + eps) * weight + bias, each row of x [rows, width].
    void (*layer_norm)(const float *x, const float *weight, const float *bias, float eps, int64_t rows, int64_t width,
                       float *y, int threads);
    // x = gelu(x), the tanh approximation.
    void (*gelu)(float *x, int64_t count, int threads);
    // x = x * alpha + y.
    void (*scale_add)(float *x, float alpha, const float *y, int64_t count, int threads);
    // The machine's own limits, for benchmarks: bytes read once, sum returned; and dot products in registers.
    uint64_t (*read_all)(const uint8_t *data, int64_t bytes, int threads);
    int64_t (*dot_peak)(int64_t bits, int64_t repeats, int threads);
};

extern const Kernels portable_kernels;
#ifdef CHATGLM_X86
extern const Kernels avx2_kernels, avx512_kernels;
extern const Kernels avxvnni_kernels __attribute__((weak));  // none from a compiler that does not know it
#endif
#ifdef CHATGLM_ARM
extern const Kernels neon_kernels;
#endif

}  // namespace chatglm
