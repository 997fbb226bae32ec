"""The few rows of a step of decoding, through all blocks of a model in one call of the compiled kernels.

A call costs a microsecond or two and its threads a few to gather; a step would have three hundred of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from chatglm_slim_llm.kernels.library import BlockStruct, DenseStruct, NormStruct, check, native
from chatglm_slim_llm.kernels.linear import Linear
from chatglm_slim_llm.kernels.packed import PackedLinear
from chatglm_slim_llm.kernels.pages import RowBatch


@dataclass(frozen=True)
class BlockParts:
    """What one block is made of; its residual branch carries what a norm gave, times ``alpha``."""

    input_norm: nn.LayerNorm
    query_key_value: Linear | PackedLinear
    dense: Linear | PackedLinear
    middle_norm: nn.LayerNorm
    up: Linear | PackedLinear
    down: Linear | PackedLinear
    alpha: float


class Blocks:
    """The blocks of a model as the kernels want them, with their weights of now, which it keeps."""

    def __init__(self, parts: Sequence[BlockParts]) -> None:
        self._kept: list[Tensor] = []  # so that no address is left without its tensor
        self._structs = (BlockStruct * len(parts))(*(self._block(one) for one in parts))

    def run(self, batch: RowBatch, hidden: Tensor, cos: Tensor, sin: Tensor) -> None:
        """Keep the rows' keys and values, and turn ``hidden`` into what the last block makes of it.

        Args:
            batch: which token of which sequence each row is.
            hidden: fp32 [rows, heads * d]; overwritten.
            cos: fp32 [rows, 2, d / 4].
            sin: the same shape.

        Raises:
            MemoryError: there is none for intermediate results.
        """
        width = batch.shape.heads * batch.shape.d
        assert all(tensor.is_contiguous() and tensor.dtype == torch.float32 for tensor in (hidden, cos, sin))
        assert hidden.shape == (batch.count, width)
        assert cos.numel() == sin.numel() == batch.count * batch.shape.d // 2
        pointers = (cos.data_ptr(), sin.data_ptr(), hidden.data_ptr())
        rows = batch.described(0, 0, batch.count)
        check(native().chatglm_blocks(self._structs, len(self._structs), *rows, *pointers, torch.get_num_threads()))

    def _block(self, parts: BlockParts) -> BlockStruct:
        norms = (self._norm(parts.input_norm), self._norm(parts.middle_norm))
        linears = (parts.query_key_value, parts.dense, parts.up, parts.down)
        return BlockStruct(*norms, *(self._dense(linear) for linear in linears), parts.alpha)

    def _dense(self, linear: Linear | PackedLinear) -> DenseStruct:
        self._kept += [parameter.detach() for parameter in linear.parameters()]
        weight, bias = linear.native_weight()
        assert not weight.low, "only a head has a shortlist"
        return DenseStruct(weight, self._pointer(bias))

    def _norm(self, norm: nn.LayerNorm) -> NormStruct:
        return NormStruct(self._pointer(norm.weight.float()), self._pointer(norm.bias.float()), norm.eps)

    def _pointer(self, tensor: Tensor | None) -> int | None:
        if tensor is None:
            return None
        self._kept.append(tensor.detach())
        return tensor.data_ptr()
