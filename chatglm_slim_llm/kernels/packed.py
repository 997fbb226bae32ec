"""Weights in the order in which the compiled kernels read them, and the layers that hold such weights.

A packed weight is made once, from fp16 rows or from the original's integers, and cannot be turned back into a
checkpoint; it lives in memory and in the program's cache.
"""

from __future__ import annotations

from collections.abc import Callable
from ctypes import byref
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor, nn

from chatglm_slim_llm.kernels.library import WeightStruct, check, native
from chatglm_slim_llm.kernels.memory import empty_result

PANEL_ROWS = 16


@dataclass(frozen=True)
class PackedFormat:
    """How a weight is stored."""

    bits: int
    """8 or 4; 16 is a checkpoint's own fp16, which needs no packing."""
    group: int = 0
    """Columns that share a scale: 32 or 128; 0 means one scale a row."""
    shortlist: int = 0
    """More than 0: 8 bits lie in two planes of nibbles. A product reads the high ones, and the low ones of at least so
    many rows, those that come out largest so far; their results become exact. In the others the low nibbles stand for
    the middle of 16 integers. That is for a head, where small results are all but nothing after a softmax."""

    def __post_init__(self) -> None:
        """Raise ValueError for planes of anything but 8 bits with one scale a row."""
        if self.shortlist < 0 or (self.shortlist and (self.bits, self.group) != (8, 0)):
            raise ValueError(f"a shortlist is for 8 bits with one scale a row, not for {self}")

    def shapes(self, out_features: int, in_features: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """Shapes of the packed integers, uint8 [panels, bytes], and of the rows' scales, fp16 [panels, 16].

        Of two planes this is the high one; `low_shape` tells the other.
        """
        panels = -(-out_features // PANEL_ROWS)
        columns = native().chatglm_padded_columns(in_features, self.group)
        bits = 4 if self.shortlist else self.bits
        return (panels, columns * PANEL_ROWS * bits // 8), (panels, PANEL_ROWS)

    def group_shape(self, out_features: int, in_features: int) -> tuple[int, int, int]:
        """Shape of the groups' scales, int8 [panels, groups, 16]."""
        return -(-out_features // PANEL_ROWS), -(-in_features // self.group), PANEL_ROWS

    def low_shape(self, out_features: int, in_features: int) -> tuple[int, int]:
        """Shape of the low plane, uint8 [rows, bytes]."""
        return out_features, native().chatglm_padded_columns(in_features, self.group) // 2


HALF = PackedFormat(16)
_SCALE_STEPS = 64
"""A group's scale is kept in 8 bits, in 64ths of its row's scale. A step of decoding reads 1.3 % less, and the KL
divergence that int4 costs rises by 1 % (SmolLM2: 440 to 444). A group whose scale is less than 1/254 of its row's
largest becomes zeros, which is what it is as well where a whole row has one scale."""


def quantize_rows(weight: Tensor, form: PackedFormat) -> tuple[Tensor, Tensor]:
    """Quantise rows of a weight, as `quantization.quantize_weight` does, at the speed of the memory.

    Args:
        weight: fp16 [n, k].
        form: bits and group.

    Returns:
        The integers, int8 [n, k], and the scales, fp16 [n, groups].
    """
    n, k = weight.shape
    weight = weight.contiguous()
    levels = torch.empty(n, k, dtype=torch.int8)
    scale = torch.empty(n, -(-k // form.group) if form.group else 1, dtype=torch.float16)
    arguments = (weight.data_ptr(), n, k, form.bits, form.group, levels.data_ptr(), scale.data_ptr())
    native().chatglm_quantize(*arguments, torch.get_num_threads())
    return levels, scale


def pack_rows(levels: Tensor, form: PackedFormat, out: Tensor, low: Tensor | None = None) -> None:
    """Write integers in panels, or in two planes.

    Args:
        levels: int8 [n, k]; n is a multiple of 16 unless these are a weight's last rows.
        form: bits and group.
        out: uint8 [panels, bytes], see `PackedFormat.shapes`.
        low: the low plane where there are two, uint8 [n, bytes], see `PackedFormat.low_shape`.
    """
    n, k = levels.shape
    assert out.is_contiguous()
    assert (low is not None) == (form.shortlist > 0)
    levels = levels.contiguous()  # a name keeps a copy alive for as long as the kernel reads it
    pointer, threads = out.data_ptr(), torch.get_num_threads()
    if low is None:
        native().chatglm_pack(levels.data_ptr(), n, k, form.bits, form.group, pointer, threads)
    else:
        assert low.is_contiguous()
        native().chatglm_pack_planes(levels.data_ptr(), n, k, pointer, low.data_ptr(), threads)


def pack_scale(scale: Tensor, out: Tensor, group_out: Tensor | None = None) -> None:
    """Write scales, fp16 [n, groups], in panels.

    Args:
        scale: one group where there are none.
        out: the rows' scales, fp16 [panels, 16].
        group_out: the groups' scales where there are such, int8 [panels, groups, 16], rounded to 8 bits.
    """
    if group_out is not None:
        rows = scale.float().abs().amax(dim=1, keepdim=True).mul(_SCALE_STEPS / 127).half()
        steps = (scale.float() * _SCALE_STEPS / rows.float()).round().clamp(-127, 127)
        _to_panels(torch.where(rows == 0, 0, steps).to(torch.int8), group_out)
        scale = rows
    _to_panels(scale, out[:, None])


def _to_panels(rows: Tensor, out: Tensor) -> None:
    """[n, groups] -> [panels, groups, 16], zeros after the last row."""
    full = rows.new_zeros(len(out) * PANEL_ROWS, rows.shape[1])
    full[: len(rows)] = rows
    out.copy_(full.view(len(out), PANEL_ROWS, -1).transpose(1, 2))


class _KeepsItsDtypes(nn.Module):
    """Dtypes are part of the packed format: `model.float()` and `.half()` leave them as they are."""

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        def keep(tensor: Tensor) -> Tensor:
            changed = fn(tensor)
            return changed if changed.dtype == tensor.dtype else tensor.to(changed.device)

        super()._apply(keep, recurse)  # type: ignore[no-untyped-call]
        return self


class PackedLinear(_KeepsItsDtypes):
    """A linear layer over a packed weight; for inference in fp32 on a processor."""

    def __init__(self, in_features: int, out_features: int, form: PackedFormat, *, bias: bool = True) -> None:
        super().__init__()
        self.in_features, self.out_features, self.form = in_features, out_features, form
        packed, scale = form.shapes(out_features, in_features)
        self.weight = _frozen(torch.empty(packed, dtype=torch.uint8))
        self.weight_scale = _frozen(torch.empty(scale, dtype=torch.float16))
        self.weight_group_scale: nn.Parameter | None = None
        if form.group:
            self.weight_group_scale = _frozen(
                torch.empty(form.group_shape(out_features, in_features), dtype=torch.int8)
            )
        self.weight_low: nn.Parameter | None = None
        if form.shortlist:
            self.weight_low = _frozen(torch.empty(form.low_shape(out_features, in_features), dtype=torch.uint8))
        self.bias = _frozen(torch.zeros(out_features)) if bias else None
        self._known = NativeWeight(out_features, in_features, form)
        self._whole = NativeWeight(
            out_features, in_features, replace(form, shortlist=out_features if form.shortlist else 0)
        )

    @classmethod
    def from_linear(cls, linear: nn.Linear, form: PackedFormat) -> PackedLinear:
        """Quantise and pack the weight of ``linear``."""
        layer = cls(linear.in_features, linear.out_features, form, bias=linear.bias is not None)
        levels, scale = quantize_rows(linear.weight.detach().half(), form)
        pack_rows(levels, form, layer.weight, layer.weight_low)
        pack_scale(scale, layer.weight_scale, layer.weight_group_scale)
        if layer.bias is not None:
            layer.bias.copy_(linear.bias.detach())
        return layer

    def forward(self, input: Tensor) -> Tensor:
        """[..., in] -> [..., out], fp32; with a shortlist only the largest results are exact.

        Raises:
            TypeError: the input is not fp32, or it or the weights are not on a processor.
        """
        return self._product(self._known, input)

    def exact(self, input: Tensor) -> Tensor:
        """`forward` with exact results only."""
        return self._product(self._whole, input)

    def native_weight(self) -> tuple[WeightStruct, Tensor | None]:
        """The weight as the compiled kernels want it, and the bias; both while the layer keeps them."""
        return self._described(self._known), self.bias

    def _described(self, weight: NativeWeight) -> WeightStruct:
        return weight.of(self.weight, self.weight_scale, self.weight_group_scale, self.weight_low)

    def _product(self, weight: NativeWeight, input: Tensor) -> Tensor:
        if input.dtype != torch.float32:
            raise TypeError(
                f"weights packed for a processor take fp32, not {input.dtype}; load the checkpoint for that device "
                "instead of converting this model"
            )
        _want_processor(input, self.weight)
        return native_linear(self._described(weight), input, self.bias)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, form={self.form}"


class PackedEmbedding(_KeepsItsDtypes):
    """An embedding table over the packed weight of the head, which has the same rows."""

    def __init__(self, head: PackedLinear) -> None:
        super().__init__()
        self.num_embeddings, self.embedding_dim, self.form = head.out_features, head.in_features, head.form
        self.weight, self.weight_scale = head.weight, head.weight_scale
        self.weight_group_scale, self.weight_low = head.weight_group_scale, head.weight_low
        self._known = NativeWeight(head.out_features, head.in_features, head.form)

    def forward(self, input_ids: Tensor) -> Tensor:
        """ids [...] -> fp32 rows [..., embedding_dim].

        Raises:
            IndexError: an id is not in the table.
            TypeError: the ids or the weights are not on a processor.
        """
        _want_processor(input_ids, self.weight)
        ids = input_ids.reshape(-1).to(torch.int64).contiguous()
        if ids.numel() and not 0 <= int(ids.min()) <= int(ids.max()) < self.num_embeddings:
            raise IndexError(f"token ids must lie between 0 and {self.num_embeddings - 1}")
        rows = torch.empty(len(ids), self.embedding_dim, dtype=torch.float32)
        struct = self._known.of(self.weight, self.weight_scale, self.weight_group_scale, self.weight_low)
        threads = torch.get_num_threads()
        native().chatglm_rows_of(byref(struct), ids.data_ptr(), len(ids), rows.data_ptr(), threads)
        return rows.view(*input_ids.shape, self.embedding_dim)


class NativeWeight:
    """Remembers how the library wants a weight, but for where it is; a copy has a description of its own."""

    def __init__(self, n: int, k: int, form: PackedFormat) -> None:
        self._shape = (n, k, form)
        self._struct = WeightStruct(None, None, None, n, k, form.group, form.bits, None, form.shortlist)

    def of(
        self,
        weight: Tensor,
        scale: Tensor | None = None,
        group_scale: Tensor | None = None,
        low: Tensor | None = None,
    ) -> WeightStruct:
        """The description of ``weight`` with its scales and its low plane, where it has such."""
        if self._struct.bits == HALF.bits:  # transformers puts a longer or shorter one in place when a vocabulary grows
            self._struct.n, self._struct.k = weight.shape
        self._struct.data = weight.data_ptr()
        self._struct.scale = None if scale is None else scale.data_ptr()
        self._struct.group_scale = None if group_scale is None else group_scale.data_ptr()
        self._struct.low = None if low is None else low.data_ptr()
        return self._struct

    def __reduce__(self) -> tuple[type[NativeWeight], tuple[int, int, PackedFormat]]:
        return NativeWeight, self._shape


def native_linear(weight: WeightStruct, x: Tensor, bias: Tensor | None) -> Tensor:
    """fp32 [..., k] -> [..., n] with a weight in one of the library's formats; ``bias`` is fp32 [n].

    Raises:
        ValueError: the input has another width than the weight.
        MemoryError: there is none for intermediate results.
    """
    if x.shape[-1] != weight.k:
        raise ValueError(f"the input has {x.shape[-1]} columns and the weight {weight.k}")
    x = x.contiguous()
    y = empty_result((*x.shape[:-1], weight.n))
    rows = x.numel() // weight.k
    if rows:
        bias_pointer = None if bias is None else bias.data_ptr()
        threads = torch.get_num_threads()
        check(native().chatglm_linear(byref(weight), x.data_ptr(), rows, bias_pointer, y.data_ptr(), threads))
    return y


def _want_processor(*tensors: Tensor) -> None:
    """Raise TypeError where the kernels would follow addresses of another device."""
    for tensor in tensors:
        if tensor.device.type != "cpu":
            raise TypeError(
                f"weights packed for a processor work there, not on {tensor.device}; load the checkpoint for that "
                "device instead of moving this model"
            )


def _frozen(tensor: Tensor) -> nn.Parameter:
    return nn.Parameter(tensor, requires_grad=False)
