// fp16 weights to levels of 8 or 4 bits, levels to panels, and rows of panels back to numbers.
//
// One scale a row is the original's format, computed as the original does in fp16. One scale for a group of columns
// is ours: levels -8 .. 7, the scale the best of sixteen. No fused multiply-add decides there, so every instruction
// set finds the same levels.
#pragma once
#include "native.h"
#include "planes.h"

namespace chatglm { namespace CHATGLM_ISA {

ALWAYS_INLINE F half_vector(const uint16_t *p, int64_t left) {
    return left < 16 ? load_half_tail(p, left) : load_half(p);
}
ALWAYS_INLINE F to_half_and_back(F v) {
    uint16_t halves[16];
    store_half(halves, v);
    return load_half(halves);
}
// Clamped and rounded half to even: beyond 2^23 a float has no digits after the point. NaN becomes `low`.
ALWAYS_INLINE F to_level(F v, float low, float high) {
    const F digits = splat(12582912.0f);
    return sub(add(min(max(v, splat(low)), splat(high)), digits), digits);
}
ALWAYS_INLINE void store_levels(int8_t *out, F levels, int64_t left) {
    if (left >= 16) return store_bytes(out, to_int(levels));
    int8_t bytes[16];
    store_bytes(bytes, to_int(levels));
    std::memcpy(out, bytes, (size_t)left);
}

// ---- one scale a row ----

static void quantize_whole_row(const uint16_t *w, int64_t k, int64_t bits, int8_t *levels, uint16_t *scale) {
    const float most = bits == 4 ? 7.0f : 127.0f;
    F magnitude = zero();
    for (int64_t i = 0; i < k; i += 16) magnitude = max(magnitude, abs(half_vector(w + i, k - i)));
    *scale = float_to_half(largest(magnitude) / most);
    if (!(*scale & 0x7fff)) {
        std::memset(levels, 0, (size_t)k);
        return;
    }
    // The quotient is rounded to fp16 before it is rounded to a level, as torch does with halves.
    const F divisor = splat(half_to_float(*scale));
    for (int64_t i = 0; i < k; i += 16) {
        const F quotient = to_half_and_back(div(half_vector(w + i, k - i), divisor));
        store_levels(levels + i, to_level(quotient, -most, most), k - i);
    }
}

// ---- one scale a group of columns ----

constexpr int64_t kLargestGroup = 128;

// A group's weights, filled up with zeros to whole vectors, and what an error in each counts: large weights meet large
// activations more often than not, so they count for more, as sqrt(mean of the squares + square).
struct GroupWeights {
    alignas(64) float values[kLargestGroup], importance[kLargestGroup];
    int64_t count, padded;
};

static void load_group(const uint16_t *w, int64_t count, GroupWeights &g) {
    g.count = count, g.padded = (count + 15) / 16 * 16;
    F squares = zero();
    for (int64_t i = 0; i < g.padded; i += 16) {
        const F v = half_vector(w + i, count - i);
        store(g.values + i, v);
        squares = add(squares, mul(v, v));
    }
    const F mean = splat(sum(squares) / (float)count);
    for (int64_t i = 0; i < g.padded; i += 16) {
        const F v = load(g.values + i);
        store(g.importance + i, square_root(add(mean, mul(v, v))));
    }
}

// The weight of largest magnitude, with its sign; the positive one of two.
static float extreme(const GroupWeights &g) {
    F most = zero(), least = zero();
    for (int64_t i = 0; i < g.padded; i += 16) {
        const F v = load(g.values + i);
        most = max(most, v), least = max(least, sub(zero(), v));
    }
    const float up = largest(most), down = largest(least);
    return up >= down ? up : -down;
}

ALWAYS_INLINE F group_levels(F v, F inverse) { return to_level(mul(v, inverse), -8.0f, 7.0f); }

static float weighted_error(const GroupWeights &g, float scale, float inverse) {
    F total = zero();
    for (int64_t i = 0; i < g.padded; i += 16) {
        const F v = load(g.values + i), error = sub(v, mul(splat(scale), group_levels(v, splat(inverse))));
        total = add(total, mul(mul(error, error), load(g.importance + i)));
    }
    return sum(total);
}

// The extreme weight stands for level -6.25, -6.5, .. -10: unclamped and fine up to -8, beyond that clamped and finer
// still for the others. -7 and -8 are among them, so what has been quantised before keeps its values.
constexpr float kFirstDivisor = -6.25f, kDivisorStep = -0.25f;

static void quantize_one_group(const GroupWeights &g, int8_t *levels, uint16_t *scale) {
    float divisors[16], scales[16], inverses[16];
    for (int c = 0; c < 16; c++) divisors[c] = kFirstDivisor + kDivisorStep * (float)c;
    const F candidates = to_half_and_back(div(splat(extreme(g)), load(divisors)));
    store(scales, candidates);
    store(inverses, div(splat(1.0f), candidates));
    float best = __builtin_inff(), chosen = 0.0f, inverse = 0.0f;
    for (int c = 0; c < 16; c++) {
        if (scales[c] == 0.0f) continue;
        const float error = weighted_error(g, scales[c], inverses[c]);
        if (error < best) best = error, chosen = scales[c], inverse = inverses[c];
    }
    *scale = float_to_half(chosen);
    for (int64_t i = 0; i < g.count; i += 16)
        store_levels(levels + i, group_levels(load(g.values + i), splat(inverse)), g.count - i);
}

static void quantize_grouped_row(const uint16_t *w, int64_t k, int64_t group, int8_t *levels, uint16_t *scale) {
    GroupWeights g;
    for (int64_t at = 0; at < k; at += group) {
        load_group(w + at, k - at < group ? k - at : group, g);
        quantize_one_group(g, levels + at, scale++);
    }
}

static void quantize(const uint16_t *w, int64_t n, int64_t k, int64_t bits, int64_t group, int8_t *levels,
                     uint16_t *scale, int threads) {
    const int64_t groups = group ? (k + group - 1) / group : 1;
#pragma omp parallel for num_threads(threads) schedule(dynamic, 16)
    for (int64_t r = 0; r < n; r++) {
        if (group) quantize_grouped_row(w + r * k, k, group, levels + r * k, scale + r * groups);
        else quantize_whole_row(w + r * k, k, bits, levels + r * k, scale + r);
    }
}

// ---- panels ----

// Four levels as they stand in a panel: with the offset that makes them unsigned.
ALWAYS_INLINE uint32_t four_levels(const int8_t *levels, int64_t left, int64_t bits) {
    uint32_t four = 0;
    if (left >= 4) std::memcpy(&four, levels, 4);
    else if (left > 0) std::memcpy(&four, levels, (size_t)left);
    return bits == 4 ? (four & 0x0f0f0f0fu) ^ 0x08080808u : four ^ 0x80808080u;
}

// One row of a panel; null is a row of zeros.
static void pack_row(const int8_t *levels, int64_t k, int64_t padded, int64_t bits, uint8_t *out) {
    const int64_t real = levels ? k : 0;
    for (int64_t at = 0; at < padded; at += 8, out += bits * 16) {
        const uint32_t first = four_levels(levels + at, real - at, bits);
        const uint32_t second = four_levels(levels + at + 4, real - at - 4, bits);
        const uint32_t both = first | second << 4;
        std::memcpy(out, bits == 4 ? &both : &first, 4);
        if (bits == 8) std::memcpy(out + 64, &second, 4);
    }
}

static void pack(const int8_t *levels, int64_t n, int64_t k, int64_t bits, int64_t group, uint8_t *out, int threads) {
    const int64_t padded = padded_columns(k, group), panels = (n + 15) / 16;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t p = 0; p < panels; p++)
        for (int64_t r = 0; r < 16; r++) {
            const int8_t *row = p * 16 + r < n ? levels + (p * 16 + r) * k : nullptr;
            pack_row(row, k, padded, bits, out + p * padded * 2 * bits + r * 4);
        }
}

static void packed_row(const Weight &w, int64_t id, float *out) {
    const int64_t padded = padded_columns(w.k, w.group), groups = w.group ? (w.k + w.group - 1) / w.group : 1;
    const int64_t group = w.group ? w.group : w.k;
    const uint8_t *row = w.data + id / 16 * padded * 2 * w.bits + id % 16 * 4;
    const float scale = half_to_float(w.scale[id]);
    for (int64_t g = 0; g < groups; g++) {
        const float steps = w.group ? w.group_scale[(id / 16 * groups + g) * 16 + id % 16] : kScaleSteps;
        const float s = scale * steps / kScaleSteps;
        const int64_t end = (g + 1) * group < w.k ? (g + 1) * group : w.k;
        for (int64_t i = g * group; i < end; i++) {
            const uint8_t byte = row[(w.bits == 4 ? i / 8 : i / 4) * 64 + i % 4];
            const int level = w.bits == 8 ? byte - 128 : (i & 4 ? byte >> 4 : byte & 15) - 8;
            out[i] = (float)level * s;
        }
    }
}

static void rows_of(const Weight &w, const int64_t *ids, int64_t count, float *out, int threads) {
#pragma omp parallel for num_threads(threads) schedule(static) if (count * w.k >= 1 << 16)
    for (int64_t i = 0; i < count; i++) (w.low ? row_of_planes : packed_row)(w, ids[i], out + i * w.k);
}

}}  // namespace chatglm::CHATGLM_ISA
