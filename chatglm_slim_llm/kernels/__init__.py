"""How weights are stored and multiplied, and what else a token costs; knows nothing of the model above it."""

from chatglm_slim_llm.kernels.blocks import BlockParts, Blocks
from chatglm_slim_llm.kernels.elementwise import gelu, layer_norm, scale_add
from chatglm_slim_llm.kernels.library import (
    ignored_choice,
    instruction_set,
    library,
    shares_threads_with_torch,
    why_not,
)
from chatglm_slim_llm.kernels.linear import (
    QUANTIZED_LINEARS,
    Linear,
    QuantizedEmbedding,
    QuantizedLinear,
    replace_linears,
)
from chatglm_slim_llm.kernels.packed import PackedEmbedding, PackedFormat, PackedLinear
from chatglm_slim_llm.kernels.pages import CacheShape, Pages, RowBatch
from chatglm_slim_llm.kernels.quantization import dequantize_weight, quantize_weight

__all__ = [
    "QUANTIZED_LINEARS",
    "BlockParts",
    "Blocks",
    "CacheShape",
    "Linear",
    "PackedEmbedding",
    "PackedFormat",
    "PackedLinear",
    "Pages",
    "QuantizedEmbedding",
    "QuantizedLinear",
    "RowBatch",
    "dequantize_weight",
    "gelu",
    "ignored_choice",
    "instruction_set",
    "layer_norm",
    "library",
    "quantize_weight",
    "replace_linears",
    "scale_add",
    "shares_threads_with_torch",
    "why_not",
]
