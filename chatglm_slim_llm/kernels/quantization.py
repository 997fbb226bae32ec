"""Weights as integers with fp16 scales: the original's format, and the same with a scale for a group of columns.

    one scale a row      scale = max|w| of the row / (2^(bits-1) - 1), as fp16
                         q     = round-half-even(w / scale), as int8
    groups of columns    q is -8 .. 7, and the scale the best of sixteen, see `quantize_levels`

At 4 bits two columns share a byte: the even column in the high nibble, the odd one in the
low nibble, both in two's complement.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from chatglm_slim_llm.kernels.library import library
from chatglm_slim_llm.kernels.packed import PackedFormat, quantize_rows

BITS = (4, 8)
GROUPS = (0, 32, 128)
"""Columns that share a scale at 4 bits; 0 is the whole row."""
_DIVISORS = torch.arange(16, dtype=torch.float32) * -0.25 - 6.25
"""What level the extreme weight of a group may stand for. Beyond -8 it is clamped, and the others come out finer."""


def quantize_weight(weight: Tensor, bits: int, group_size: int = 0) -> tuple[Tensor, Tensor]:
    """Quantise a weight; with one scale a row as the original does, bit for bit when it is fp16.

    Args:
        weight: floating point, [n, m]; m is even at 4 bits.
        bits: 8 or 4.
        group_size: columns that share a scale: 0 for the whole row; 32 or 128 at 4 bits.

    Returns:
        The packed integers, int8 [n, m] or [n, m / 2], and the scales, fp16 [n], or [n, groups]. A row of zeros
        stays zero (the original divides 0 by 0 there).

    Raises:
        ValueError: ``bits`` or ``group_size`` is not one of those, or m is odd at 4 bits.
    """
    check_bits(bits, group_size)
    if weight.dtype == torch.float16 and weight.device.type == "cpu" and library() is not None:
        levels, scale = quantize_rows(weight, PackedFormat(bits, group_size))
    else:
        levels, scale = quantize_levels(weight, bits, group_size)
    return (levels if bits == 8 else pack_int4(levels)), (scale if group_size else scale[:, 0])


def quantize_levels(weight: Tensor, bits: int, group_size: int = 0) -> tuple[Tensor, Tensor]:
    """What `quantize_weight` does, in plain torch and one integer a byte: int8 [n, m] and scales, fp16 [n, groups].

    In a group the weight of largest magnitude stands for one of sixteen levels, -6.25, -6.5, .. -10; the one with the
    least squared error over the group is taken, where large weights count for more: by the root of their square plus
    the group's mean square. So the scale may be negative.
    """
    if not group_size:
        return _quantize_rows(weight, 2 ** (bits - 1) - 1)
    columns = weight.shape[1]
    padded = F.pad(weight.float(), (0, -columns % group_size))
    groups = padded.view(len(padded), -1, group_size)  # [n, groups, size]
    extreme = groups.gather(2, groups.abs().argmax(dim=2, keepdim=True))  # [n, groups, 1]
    candidates = (extreme / _DIVISORS.to(extreme.device)).half().float()  # [n, groups, 16]
    importance = (groups.square().sum(2, keepdim=True) / _group_widths(columns, groups) + groups.square()).sqrt()
    errors = torch.stack([_weighted_error(groups, importance, scale) for scale in candidates.unbind(2)], dim=2)
    scale = candidates.gather(2, errors.argmin(dim=2, keepdim=True)).squeeze(2)  # [n, groups]
    return _levels_at(groups, scale).flatten(1)[:, :columns].to(torch.int8), scale.half()


def dequantize_weight(packed: Tensor, scale: Tensor, bits: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Turn packed integers back into numbers: [n, m] in ``dtype``, the product formed in ``dtype``.

    ``scale`` is [n], or [n, groups] with groups of 32 or 128 columns.
    """
    check_bits(bits)
    levels = unpack(packed, bits).to(dtype)
    return levels * spread_scale(scale, levels.shape[1]).to(dtype)


def spread_scale(scale: Tensor, columns: int) -> Tensor:
    """Scales [n] or [n, groups] as [n, 1] or [n, columns]."""
    if scale.dim() == 1:
        return scale[:, None]
    size = next(size for size in GROUPS[1:] if -(-columns // size) == scale.shape[1])
    return scale.repeat_interleave(size, dim=1)[:, :columns]


def _quantize_rows(weight: Tensor, largest: int) -> tuple[Tensor, Tensor]:
    scale = (weight.abs().amax(dim=-1, keepdim=True) / largest).half()  # [n, 1]
    divisor = scale.masked_fill(scale == 0, 1).to(weight.dtype)
    levels = (weight / divisor).round()
    # A subnormal scale is so coarse that the quotient may leave the range; int8 would wrap around.
    return levels.clamp(-largest, largest).masked_fill(scale == 0, 0).to(torch.int8), scale


def _levels_at(groups: Tensor, scale: Tensor) -> Tensor:
    inverse = torch.where(scale == 0, 0, 1 / scale)
    return (groups * inverse[:, :, None]).round().clamp(-8, 7)


def _weighted_error(groups: Tensor, importance: Tensor, scale: Tensor) -> Tensor:
    return ((groups - scale[:, :, None] * _levels_at(groups, scale)).square() * importance).sum(dim=2)


def _group_widths(columns: int, groups: Tensor) -> Tensor:
    """Columns in each group, [groups, 1]; the last one may have fewer."""
    ends = torch.arange(1, groups.shape[1] + 1, device=groups.device) * groups.shape[2]
    return groups.shape[2] - (ends - columns).clamp(min=0)[:, None]


def pack_int4(levels: Tensor) -> Tensor:
    """int8 [n, m] with values -8..7 -> int8 [n, m / 2], the even column in the high nibble."""
    if levels.shape[-1] % 2:
        raise ValueError(f"int4 packs columns in pairs, but the weight has {levels.shape[-1]} of them; use int8")
    return (levels[..., 0::2] << 4) | (levels[..., 1::2] & 0x0F)


def unpack(packed: Tensor, bits: int) -> Tensor:
    """The integers of a weight, one an element: int8 [n, m]."""
    return packed if bits == 8 else unpack_int4(packed)


def unpack_int4(packed: Tensor) -> Tensor:
    """int8 [n, m / 2] -> int8 [n, m] with values -8..7."""
    high = packed >> 4
    low = (packed << 4) >> 4  # the arithmetic shift brings the sign back
    return torch.stack((high, low), dim=-1).flatten(-2)


def check_bits(bits: int, group_size: int = 0) -> None:
    """Raise ValueError unless there is a format of so many bits and columns a scale."""
    if bits not in BITS:
        raise ValueError(f"cannot quantise to {bits!r} bits; choose 8 or 4")
    if group_size not in GROUPS or (group_size and bits != 4):
        raise ValueError(f"cannot quantise {bits} bits in groups of {group_size!r}; choose 32 or 128 at 4 bits, or 0")
