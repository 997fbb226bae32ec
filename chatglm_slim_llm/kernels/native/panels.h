// Panels of weights: 16 rows of a weight matrix, in the order in which the integer products read them.
#pragma once
#include "native.h"

namespace chatglm { namespace CHATGLM_ISA {

// A few panels that tiles of rows are multiplied with, and where the result goes.
struct Panels {
    const Weight *w;
    const float *bias;
    float *y;  // [rows, n]
    int64_t first, padded, scale_groups;

    int64_t bytes() const { return padded * 2 * w->bits; }  // of one panel
    const uint8_t *data(int p) const { return w->data + (first + p) * bytes(); }
    // One scale for the whole of a row: then sums are without it, and without the bias, until they are finished.
    bool one_scale() const { return scale_groups == 1; }
    const uint16_t *scales(int p, int64_t g) const {
        return w->scale + ((first + p) * scale_groups + (one_scale() ? 0 : g)) * 16;
    }
    int64_t lanes(int p) const { return w->n - (first + p) * 16; }  // 16 or more: all of them
    F start(int p) const { return one_scale() ? zero() : bias_of(p); }
    F bias_of(int p) const {
        if (!bias) return zero();
        const int64_t n = lanes(p);
        return n < 16 ? load_tail(bias + (first + p) * 16, n) : load(bias + (first + p) * 16);
    }
    float *place(int p, int64_t row) const { return y + row * w->n + (first + p) * 16; }
    void finish(int p, int64_t row, F v) const {
        float *out = place(p, row);
        if (one_scale()) v = fma(load_half(scales(p, 0)), v, bias_of(p));
        lanes(p) < 16 ? store_tail(out, v, lanes(p)) : store(out, v);
    }
};

}}  // namespace chatglm::CHATGLM_ISA
