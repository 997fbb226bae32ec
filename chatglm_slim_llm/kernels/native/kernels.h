// All kernels for one instruction set: include a simd_*.h first, then this, in a file compiled for that set.
#pragma once
#include <omp.h>

#include "native.h"

#include "linear_int.h"
#include "linear_half.h"
#include "quantize.h"
#include "attention.h"
#include "blocks.h"
#include "elementwise.h"
#include "limits.h"

namespace chatglm { namespace CHATGLM_ISA {

static int linear(const Weight &w, const float *x, int64_t rows, const float *bias, float *y, int threads) {
    return w.bits == 16 ? linear_half(w, x, rows, bias, y, threads) : linear_int(w, x, rows, bias, y, threads);
}

}}  // namespace chatglm::CHATGLM_ISA

#define CHATGLM_NAME_(isa) #isa
#define CHATGLM_NAME(isa) CHATGLM_NAME_(isa)
#define CHATGLM_TABLE_(isa) isa##_kernels
#define CHATGLM_TABLE(isa) CHATGLM_TABLE_(isa)

namespace chatglm {
extern const Kernels CHATGLM_TABLE(CHATGLM_ISA);
const Kernels CHATGLM_TABLE(CHATGLM_ISA) = {
    CHATGLM_NAME(CHATGLM_ISA), CHATGLM_ISA::linear,      CHATGLM_ISA::quantize,       CHATGLM_ISA::pack,
    CHATGLM_ISA::pack_planes,  CHATGLM_ISA::rows_of,     CHATGLM_ISA::store,          CHATGLM_ISA::attend_rows,
    CHATGLM_ISA::attend_context, CHATGLM_ISA::blocks,    CHATGLM_ISA::layer_norm,     CHATGLM_ISA::gelu,
    CHATGLM_ISA::scale_add,    CHATGLM_ISA::read_all,    CHATGLM_ISA::dot_peak,
};
}  // namespace chatglm
