"""The original's weight format: symmetric integers, one fp16 scale a row.

    scale = max|w| of the row / (2^(bits-1) - 1), as fp16
    q     = round-half-even(w / scale), as int8

At 4 bits two columns share a byte: the even column in the high nibble, the odd one in the
low nibble, both in two's complement.
"""

from __future__ import annotations

import torch
from torch import Tensor

BITS = (4, 8)


def quantize_weight(weight: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """Quantise a weight as the original does, bit for bit when it is fp16.

    Args:
        weight: floating point, [n, m]; m is even at 4 bits.
        bits: 8 or 4.

    Returns:
        The packed integers, int8 [n, m] or [n, m / 2], and the scales, fp16 [n]. A row of zeros
        stays zero (the original divides 0 by 0 there).

    Raises:
        ValueError: ``bits`` is neither 8 nor 4, or m is odd at 4 bits.
    """
    check_bits(bits)
    largest = 2 ** (bits - 1) - 1
    scale = (weight.abs().amax(dim=-1) / largest).half()  # [n]
    divisor = scale.masked_fill(scale == 0, 1).to(weight.dtype)
    levels = (weight / divisor[:, None]).round()
    # A subnormal scale is so coarse that the quotient may leave the range; int8 would wrap around.
    levels = levels.clamp(-largest, largest).masked_fill((scale == 0)[:, None], 0).to(torch.int8)  # [n, m]
    return (levels if bits == 8 else pack_int4(levels)), scale


def dequantize_weight(packed: Tensor, scale: Tensor, bits: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Turn packed integers back into numbers: [n, m] in ``dtype``, the product formed in ``dtype``."""
    check_bits(bits)
    return unpack(packed, bits).to(dtype) * scale.to(dtype)[:, None]


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


def check_bits(bits: int) -> None:
    """Raise ValueError unless ``bits`` is a level that this format has."""
    if bits not in BITS:
        raise ValueError(f"cannot quantise to {bits!r} bits; choose 8 or 4")
