#include "simd_neon.h"

#include "kernels.h"
