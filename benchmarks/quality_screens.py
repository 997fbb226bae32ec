"""Heads whose scores come from a few bits of each weight, and exactly for the tokens that score best by those.

A step then reads the few bits of the whole table and all bits of a shortlist. Real tables have a mean row and columns
that stand out, which eat up the levels of a coarse code; taking the mean away (it adds the same to all scores) and
turning the rows, with the input, by a Hadamard matrix with random signs leaves numbers as from a bell curve
(QuaRot, arXiv:2404.00456), for which two bits have a best code.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.quality_rules import turned

LEVELS = {
    2: (0.4528, 1.510),
    3: (0.2451, 0.7560, 1.344, 2.152),
}
"""Levels of the best code for a bell curve of width 1, without their signs (J. Max, IRE Trans. IT-6, 1960, table I)."""


@dataclass(frozen=True)
class Screen:
    """How the shortlist is found."""

    bits: int
    shortlist: int
    """Tokens whose scores are exact."""
    turned: bool
    """Whether the mean row is taken away and the rows are turned."""

    @property
    def name(self) -> str:
        """As in the results."""
        return f"int8 row, {self.shortlist} exact by {self.bits} bits{' of turned rows' * self.turned}"

    def rough(self, table: Tensor) -> Tensor:
        """The table [tokens, hidden] as its few bits say it."""
        if not self.turned:
            return _coded(table, self.bits)
        mean = table.mean(0)
        return turned(lambda rows: _coded(rows, self.bits), block=table.shape[1])(table - mean) + mean


class ScreenedHead(nn.Module):
    """Scores of hidden states, rough ones but for a shortlist of each row."""

    def __init__(self, table: Tensor, exact: Tensor, screen: Screen) -> None:
        super().__init__()
        self._rough, self._exact, self._shortlist = screen.rough(table), exact, screen.shortlist

    def forward(self, hidden: Tensor) -> Tensor:
        """[..., hidden] -> [..., tokens]."""
        scores = F.linear(hidden, self._rough)
        best = scores.topk(min(self._shortlist, scores.shape[-1]), dim=-1).indices
        return scores.scatter(-1, best, F.linear(hidden, self._exact).gather(-1, best))


def _coded(rows: Tensor, bits: int) -> Tensor:
    """Each number of a row as the nearest level, at the scale that fits the row best."""
    levels = torch.tensor([*(-level for level in reversed(LEVELS[bits])), *LEVELS[bits]])
    scale = rows.square().mean(-1, keepdim=True).sqrt()
    for _ in range(3):
        coded = levels[torch.bucketize(rows / scale, (levels[1:] + levels[:-1]) / 2)]
        scale = (rows * coded).sum(-1, keepdim=True) / coded.square().sum(-1, keepdim=True)
    return coded * scale


SCREENS = {
    screen.name: screen
    for bits, turned in ((2, False), (2, True), (3, True))
    for screen in (Screen(bits, size, turned) for size in (4096, 8192))
}
