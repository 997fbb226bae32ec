"""Linear layers and embeddings whose weights are stored in fewer bits than they compute in.

The model asks for ``Linear`` and never learns what a weight is made of. fp16 weights meet fp32 activations in the
compiled kernels where there are any. All else here is plain torch, on any device: a block of rows is brought to the
activations' dtype, multiplied, forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chatglm_slim_llm.kernels.library import WeightStruct, library
from chatglm_slim_llm.kernels.packed import HALF, NativeWeight, native_linear
from chatglm_slim_llm.kernels.quantization import check_bits, dequantize_weight, quantize_weight, unpack

QUANTIZED_LINEARS = ("query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h")

_BLOCK_ELEMENTS = 2**22
"""Weights brought to fp32 at a time: 16 MiB stay in the cache (64 MiB take twice as long, measured on 2 cores)."""
_FEW_ROWS = 16
"""Up to here a half-precision product beats converting the weight (2 cores, AVX-512: 25 against 362 ms)."""


class Linear(nn.Linear):
    """A linear layer that takes activations of a wider dtype than its weight."""

    def __init__(self, in_features: int, out_features: int, bias: bool = True, **kwargs: Any) -> None:
        super().__init__(in_features, out_features, bias, **kwargs)
        self._known = NativeWeight(out_features, in_features, HALF)

    def forward(self, input: Tensor) -> Tensor:
        """[..., in] -> [..., out], in the dtype of the activations."""
        if input.dtype == self.weight.dtype:
            return F.linear(input, self.weight, self.bias)
        if self._runs_natively(input):
            weight, bias = self.native_weight()
            return native_linear(weight, input, bias)
        return _add_bias(_mixed_matmul(input, self.weight), self.bias)

    def native_weight(self) -> tuple[WeightStruct, Tensor | None]:
        """The weight as the compiled kernels want it, and the bias in fp32; both while the layer keeps them."""
        return self._known.of(self.weight), self._float_bias()

    def _runs_natively(self, input: Tensor) -> bool:
        """Whether the compiled kernels multiply: fp16 weights, fp32 activations, no gradients."""
        wants_gradients = torch.is_grad_enabled() and (input.requires_grad or self.weight.requires_grad)
        fits = self.weight.dtype == torch.float16 and input.dtype == torch.float32
        are_here = input.device.type == self.weight.device.type == "cpu"
        return fits and are_here and not wants_gradients and self.weight.is_contiguous() and library() is not None

    def _float_bias(self) -> Tensor | None:
        """The bias in fp32, converted once for each version of it."""
        if self.bias is None or self.bias.dtype == torch.float32:
            return self.bias
        version = (self.bias.data_ptr(), 0 if self.bias.is_inference() else self.bias._version)
        known = self.__dict__.get("_known_bias")
        if known is None or known[0] != version:
            # The original is kept as well: while it lives, no other bias can come to lie at its address.
            original = self.bias.detach()
            known = self.__dict__["_known_bias"] = (version, original.float(), original)
        converted: Tensor = known[1]
        return converted


class QuantizedLinear(nn.Module):
    """A linear layer over int8 or packed int4 weights in the original's format, or with a scale for each group."""

    def __init__(
        self, in_features: int, out_features: int, bits: int, *, group_size: int = 0, bias: bool = True
    ) -> None:
        super().__init__()
        check_bits(bits, group_size)
        self.in_features, self.out_features, self.bits, self.group_size = in_features, out_features, bits, group_size
        self.weight = _frozen(torch.zeros(out_features, in_features * bits // 8, dtype=torch.int8))
        groups = (-(-in_features // group_size),) if group_size else ()
        self.weight_scale = _frozen(torch.zeros(out_features, *groups, dtype=torch.float16))
        self.bias = nn.Parameter(torch.zeros(out_features), requires_grad=False) if bias else None

    @classmethod
    def from_linear(cls, linear: nn.Linear, bits: int, group_size: int = 0) -> QuantizedLinear:
        """Quantise the weight of ``linear``; the bias is taken over as it is."""
        sizes = (linear.in_features, linear.out_features, bits)
        with torch.device("meta"):
            quantized = cls(*sizes, group_size=group_size, bias=linear.bias is not None)
        packed, scale = quantize_weight(linear.weight.detach(), bits, group_size)
        quantized.weight, quantized.weight_scale = _frozen(packed), _frozen(scale)
        if linear.bias is not None:
            quantized.bias = _frozen(linear.bias.detach())
        return quantized

    def forward(self, input: Tensor) -> Tensor:
        """[..., in] -> [..., out], in the dtype of the activations."""
        return _add_bias(dequantize_then_matmul(input, self.weight, self.weight_scale, self.bits), self.bias)

    def extra_repr(self) -> str:
        sizes = f"in_features={self.in_features}, out_features={self.out_features}"
        return f"{sizes}, bits={self.bits}, group_size={self.group_size}"


class QuantizedEmbedding(nn.Module):
    """An embedding table over int8 or packed int4 rows, as in the ``-qe`` checkpoints."""

    def __init__(self, num_embeddings: int, embedding_dim: int, bits: int) -> None:
        super().__init__()
        check_bits(bits)
        self.num_embeddings, self.embedding_dim, self.bits = num_embeddings, embedding_dim, bits
        self.weight = _frozen(torch.zeros(num_embeddings, embedding_dim * bits // 8, dtype=torch.int8))
        self.weight_scale = _frozen(torch.zeros(num_embeddings, dtype=torch.float16))

    def forward(self, input_ids: Tensor) -> Tensor:
        """ids [...] -> fp16 rows [..., embedding_dim]."""
        rows = dequantize_weight(
            self.weight[input_ids].flatten(0, -2), self.weight_scale[input_ids].flatten(), self.bits, torch.float16
        )
        return rows.view(*input_ids.shape, self.embedding_dim)


def replace_linears(
    model: nn.Module, make: Callable[[nn.Linear], nn.Module], *, names: Container[str] = QUANTIZED_LINEARS
) -> list[str]:
    """Replace each linear whose own name is in ``names``; return the paths replaced, in order."""
    paths = [p for p, m in model.named_modules() if isinstance(m, nn.Linear) and p.rpartition(".")[2] in names]
    for path in paths:
        linear = model.get_submodule(path)
        assert isinstance(linear, nn.Linear)
        model.set_submodule(path, make(linear))
    return paths


def dequantize_then_matmul(x: Tensor, packed: Tensor, scale: Tensor, bits: int) -> Tensor:
    """x [..., m] times the dequantised weight, [..., n]; correct everywhere, fast nowhere."""
    if (
        x.dtype == torch.float32 and scale.dim() == 1
    ):  # there is room for unscaled sums: one product an output, not one a weight
        unscaled = _matmul_in_blocks(x, len(packed), x.shape[-1], lambda rows: unpack(packed[rows], bits).to(x.dtype))
        return unscaled * scale.float()
    return _matmul_in_blocks(
        x,
        len(packed),
        x.shape[-1],
        lambda rows: dequantize_weight(packed[rows], scale[rows], bits, x.dtype),
    )


def _mixed_matmul(x: Tensor, weight: Tensor) -> Tensor:
    if weight.dtype == torch.float16 and x.numel() <= _FEW_ROWS * x.shape[-1]:
        return F.linear(x.half(), weight).to(x.dtype)
    return _matmul_in_blocks(x, len(weight), x.shape[-1], lambda rows: weight[rows].to(x.dtype))


def _matmul_in_blocks(x: Tensor, num_rows: int, width: int, block: Callable[[slice], Tensor]) -> Tensor:
    step = max(1, _BLOCK_ELEMENTS // width)
    if num_rows <= step:
        return F.linear(x, block(slice(None)))
    starts = range(0, num_rows, step)
    return torch.cat([F.linear(x, block(slice(start, start + step))) for start in starts], dim=-1)


def _add_bias(y: Tensor, bias: Tensor | None) -> Tensor:
    return y if bias is None else y + bias.to(y.dtype)


def _frozen(tensor: Tensor) -> nn.Parameter:
    return nn.Parameter(tensor, requires_grad=False)
