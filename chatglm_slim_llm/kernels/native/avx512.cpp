#include "simd_avx512.h"

#include "kernels.h"
