#include "simd_portable.h"

#include "kernels.h"
