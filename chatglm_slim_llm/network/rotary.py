"""Two-dimensional rotary positions: each half of a head turns by one of a token's two positions."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

_BASE = 10_000.0


def rotary_angles(positions: Tensor, dim: int) -> Tensor:
    """Angles by which the pairs of a rotary width ``dim`` turn.

    The frequencies are rounded to fp16, as the original's are in every dtype; the angles themselves are
    computed in fp32 (the original's fp16 and bf16 tables lose the far positions).

    Args:
        positions: integers, [...].
        dim: rotary width, 64 for the 6B model.

    Returns:
        fp32 [..., dim / 2].

    Source: RoPE, arXiv:2104.09864.
    """
    return positions[..., None].float() * _inverse_frequencies(dim, positions.device)


@lru_cache(maxsize=8)
def _inverse_frequencies(dim: int, device: torch.device) -> Tensor:
    """fp32 [dim / 2]; remembered, as a step of decoding needs them for one token."""
    with torch.inference_mode(mode=False):  # who trains uses them too
        exponent = torch.arange(0, dim, 2, device=device, dtype=torch.float32) / dim
        return (_BASE**-exponent).half().float()


def rotary_table(position_ids: Tensor, head_size: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines for both positions of each token.

    Args:
        position_ids: [batch, 2, seq], position and block position.
        head_size: d, width of a head.

    Returns:
        cos and sin, fp32 [batch, seq, 1, 2, d / 4]: the same for every head, one row for each half of it.
    """
    angles = rotary_angles(position_ids, head_size // 2)  # [batch, 2, seq, d / 4]
    angles = angles.transpose(1, 2)[:, :, None]  # [batch, seq, 1, 2, d / 4]
    return angles.cos(), angles.sin()


def apply_rotary(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn each pair (i, i + d / 4) within each half of a head by its angle.

    Args:
        x: queries or keys, [batch, seq, heads, d].
        cos: [batch, seq, 1, 2, d / 4].
        sin: the same shape.

    Returns:
        The turned tensor, shape and dtype of ``x``; computed in fp32.
    """
    first, second = x.unflatten(-1, (2, 2, -1)).unbind(dim=-2)  # [batch, seq, heads, 2, d / 4] each
    turned = torch.stack((first * cos - second * sin, second * cos + first * sin), dim=-2)
    return turned.flatten(-3).to(x.dtype)
