"""How weights are stored and multiplied; knows nothing of the model above it."""

from chatglm_slim_llm.kernels.linear import (
    KERNELS,
    QUANTIZED_LINEARS,
    Linear,
    QuantizedEmbedding,
    QuantizedLinear,
    replace_linears,
)
from chatglm_slim_llm.kernels.quantization import dequantize_weight, quantize_weight

__all__ = [
    "KERNELS",
    "QUANTIZED_LINEARS",
    "Linear",
    "QuantizedEmbedding",
    "QuantizedLinear",
    "dequantize_weight",
    "quantize_weight",
    "replace_linears",
]
