// Panels of weights: 16 rows of a weight matrix, in the order in which the integer products read them.
#pragma once
#include "native.h"

namespace chatglm { namespace CHATGLM_ISA {

// A few panels that tiles of rows are multiplied with, and where the result goes.
struct Panels {
    const Weight *w;
    const float *bias;
    float *y;  // [rows, n]
    int64_t first, padded;

    int64_t bytes() const { return padded * 2 * w->bits; }  // of one panel
    const uint8_t *data(int p) const { return w->data + (first + p) * bytes(); }
    bool has_groups() const { return w->group; }
    int64_t group_scales() const { return has_groups() ? (w->k + w->group - 1) / w->group * 16 : 0; }  // of one panel
    const int8_t *group_scale(int p, int64_t g) const {
        return has_groups() ? w->group_scale + (first + p) * group_scales() + g * 16 : nullptr;
    }
    int64_t lanes(int p) const { return w->n - (first + p) * 16; }  // 16 or more: all of them
    F bias_of(int p) const {
        if (!bias) return zero();
        const int64_t n = lanes(p);
        return n < 16 ? load_tail(bias + (first + p) * 16, n) : load(bias + (first + p) * 16);
    }
    F scale_of(int p) const { return load_half(w->scale + (first + p) * 16); }
    float *place(int p, int64_t row) const { return y + row * w->n + (first + p) * 16; }
    void put(int p, int64_t row, F v) const {
        lanes(p) < 16 ? store_tail(place(p, row), v, lanes(p)) : store(place(p, row), v);
    }
    // Sums are without the row's scale and the bias until here.
    void finish(int p, int64_t row, F v) const { put(p, row, fma(scale_of(p), v, bias_of(p))); }
};

}}  // namespace chatglm::CHATGLM_ISA
