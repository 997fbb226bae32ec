"""Ways to quantise weights, activations, keys and values, each brought back to fp32 at once.

`benchmarks.quality` compares them.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

Rule = Callable[[Tensor], Tensor]

_SMALLEST = 1e-12
_FAR = 6.0
"""Values so many times as large as the root mean square mark a column as an outlier."""


def grouped(x: Tensor, group: int) -> Tensor:
    """[..., k] -> [..., groups, group]; zeros fill the last group, and 0 makes one group of the row."""
    group = group or x.shape[-1]
    return F.pad(x, (0, -x.shape[-1] % group)).unflatten(-1, (-1, group))


def ungrouped(x: Tensor, width: int) -> Tensor:
    """The inverse of `grouped`."""
    return x.flatten(-2)[..., :width]


def absmax(bits: int, group: int = 0) -> Rule:
    """The largest absolute value becomes the largest level; scales are fp16."""
    largest = 2 ** (bits - 1) - 1
    return _by_group(group, lambda w: _rounded(w, _peak(w).abs() / largest, -largest, largest))


def signed(group: int) -> Rule:
    """Four bits; the value that is largest without its sign becomes level -8, as in llama.cpp's q4_0."""
    return _by_group(group, lambda w: _rounded(w, _peak(w) / -8, -8, 7))


def searched(group: int, *, weighted: bool = False) -> Rule:
    """Four bits; the largest value becomes level -6.25, -6.5, .. or -10, whichever has the least squared error.

    Args:
        group: columns that share a scale.
        weighted: errors of large weights count more, by sqrt(mean of w^2 + w^2), an idea of llama.cpp's: the plain
            sum clips the largest weights, and those often meet the largest inputs.
    """
    by_group = _by_group(group, lambda w: _best_of_many(w, weighted=weighted))
    return lambda w: torch.cat([by_group(rows) for rows in w.split(512)])  # in the cache: several times as fast


def int8_inputs(group: int = 0) -> Rule:
    """One fp32 scale a token and group."""
    return _by_group(group, lambda x: (s := _safe(_peak(x).abs() / 127)) * (x / s).round())


def int8_by_powers(group: int) -> Rule:
    """As `int8_inputs`, with scales that are powers of two, so that a scale is an addition to an exponent."""
    return _by_group(group, lambda x: (s := _safe(_peak(x).abs() / 127).log2().ceil().exp2()) * (x / s).round())


def int8_in_two_terms(group: int, far: float) -> Rule:
    """As `int8_inputs`; a group with a value ``far`` times its root mean square gets a second int8 term for the rest.

    Two terms cost a second dot product over weights that are at hand already, and a row still needs no other row.
    """

    def apply(x: Tensor) -> Tensor:
        peak = _peak(x).abs()
        coarse, fine = _safe(peak / 127), _safe(peak / 127 / 254)
        first = coarse * (x / coarse).round()
        second = fine * ((x - first) / fine).round()
        return torch.where(peak > far * x.square().mean(-1, keepdim=True).sqrt(), first + second, first)

    return _by_group(group, apply)


def with_outliers_apart(rule: Rule) -> Rule:
    """Columns that hold a far value stay as they are; the rest is quantised without them."""

    def apply(x: Tensor) -> Tensor:
        rows = x.flatten(0, -2)
        far = (rows.abs() > _FAR * rows.square().mean().sqrt()).any(0)
        return torch.where(far, x, rule(x.masked_fill(far, 0)))

    return apply


def turned(rule: Rule, block: int = 128) -> Rule:
    """Quantise what random signs and a Hadamard matrix make of each block of columns.

    It leaves a product as it is if both sides are turned. Columns that stand out, in weights or inputs, are shared out
    among their block, and numbers come to lie as on a bell curve (QuaRot, arXiv:2404.00456).

    Args:
        rule: for the turned numbers.
        block: columns at most; as many as a power of two divides the width.
    """

    def apply(x: Tensor) -> Tensor:
        signs, turn = _random_signs(x.shape[-1]), _hadamard(min(x.shape[-1] & -x.shape[-1], block))
        by_block = _by_group(len(turn), lambda rows: rows @ turn)  # its own inverse
        return by_block(rule(by_block(x * signs))) * signs

    return apply


def _hadamard(size: int) -> Tensor:
    """Orthonormal and symmetric, [size, size]; the size is a power of two."""
    matrix = torch.ones(1, 1)
    while len(matrix) < size:
        matrix = torch.cat([torch.cat([matrix, matrix], 1), torch.cat([matrix, -matrix], 1)])
    return matrix / size**0.5


def _random_signs(width: int) -> Tensor:
    """The same for each weight and input of that width, [width]."""
    return torch.randint(0, 2, (width,), generator=torch.Generator().manual_seed(0)) * 2.0 - 1


def _by_group(group: int, rule: Rule) -> Rule:
    return lambda x: ungrouped(rule(grouped(x, group)), x.shape[-1])


def _peak(w: Tensor) -> Tensor:
    low, high = w.amin(-1, keepdim=True), w.amax(-1, keepdim=True)  # ten times as fast as argmax
    return torch.where(-low > high, low, high)


def _rounded(w: Tensor, scale: Tensor, lowest: int, highest: int) -> Tensor:
    scale = scale.half().float()
    return (w / _safe(scale)).round().clamp(lowest, highest) * scale


def _safe(scale: Tensor) -> Tensor:
    return torch.where(scale.abs() < _SMALLEST, _SMALLEST, scale)


def _best_of_many(w: Tensor, *, weighted: bool) -> Tensor:
    peak, square = _peak(w), w.square()
    best, least = w, torch.full_like(peak, torch.inf)
    weight = (square.mean(-1, keepdim=True) + square).sqrt() if weighted else 1
    for i in range(16):
        candidate = _rounded(w, peak / -(6.25 + 0.25 * i), -8, 7)
        error = (weight * (candidate - w).square()).sum(-1, keepdim=True)
        best, least = torch.where(error < least, candidate, best), error.minimum(least)
    return best


def half(x: Tensor) -> Tensor:
    """Through fp16."""
    return x.half().float()


WEIGHTS: dict[str, Rule] = {
    "fp16": half,
    "int8 row": absmax(8),
    "int8 g128": absmax(8, 128),
    "int4 row (the original's)": absmax(4),
    "int4 g128": absmax(4, 128),
    "int4 g128 signed": signed(128),
    "int4 g128 searched": searched(128),
    "int4 g128 weighted": searched(128, weighted=True),
    "int4 g128 searched, turned": turned(searched(128)),
    "int4 g32": absmax(4, 32),
    "int4 g32 signed (q4_0)": signed(32),
    "int4 g32 searched": searched(32),
    "int4 g32 weighted": searched(32, weighted=True),
}
CACHES: dict[str, Rule] = {
    "fp16": half,
    "int8 token": int8_inputs(),
    "int8 g32": int8_inputs(32),
    "int4 g32": absmax(4, 32),
}
INPUTS: dict[str, Rule] = {"int8 token": int8_inputs(), "int8 g128": int8_inputs(128), "int8 g32": int8_inputs(32)}
INPUTS["int8 g128, powers of two"] = int8_by_powers(128)
INPUTS["int8 g128, powers of two, turned"] = turned(INPUTS["int8 g128, powers of two"])
INPUTS |= {f"{name}, outliers apart": with_outliers_apart(INPUTS[name]) for name in ("int8 token", "int8 g128")}
INPUTS |= {f"int8 g128, two terms from {far} rms": int8_in_two_terms(128, far) for far in (4, 5, 6)}
