"""From a row of scores to the next token id: pure functions and the seeded `Sampler` over them.

Order and meaning are those of transformers' processors: repetition penalty, the guard against invalid
scores, temperature, top-k, top-p, softmax. Everything is computed in fp32 on the CPU, so a seed gives the
same text on every device that gives the same scores.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from chatglm_slim_llm.config import GenerationOptions
from chatglm_slim_llm.errors import GenerationError

BLANK_ID = 5
"""The piece "▁" in every ChatGLM-6B vocabulary; the original falls back to it when scores are invalid."""
_BLANK_SCORE = 5e4
_MAX_REPAIRS_IN_A_ROW = 3
_PARTS_SIZE = 16
"""Scores in each of the parts that top-k looks at first."""
_GREEDY_BELOW, _LARGEST_TEMPERATURE = 1e-30, 1e6
"""Beyond these fp32 divides to infinities or makes all scores equal."""
_ROUNDING = 1e-5
"""Scores that differ by less than this part of them count as equal there."""


def sample_probs(logits: Tensor, previous_ids: Iterable[int], options: GenerationOptions) -> Tensor:
    """The distribution the next token is drawn from.

    Args:
        logits: scores, [vocab].
        previous_ids: prompt and reply so far; only the repetition penalty looks at them.
        options: temperature, top_k, top_p and repetition_penalty are read.

    Returns:
        Probabilities in fp32, [vocab]; at temperature 0 all of it lies on one token.
    """
    scores = fix_invalid(_penalize(_to_scores(logits), sorted(set(previous_ids)), options))
    ids, probs = _candidates(scores, options)
    return torch.zeros(logits.shape, dtype=torch.float32).scatter(0, ids, probs)


def fix_invalid(logits: Tensor) -> Tensor:
    """Replace scores that contain nan or +inf by scores that force a blank, as the original's ``chat()`` does.

    Unlike the original's guard, -inf alone is fine: it only forbids a token.
    """
    if not is_invalid(logits):
        return logits
    fixed = torch.zeros_like(logits)
    fixed[BLANK_ID] = _BLANK_SCORE
    return fixed


def is_invalid(logits: Tensor) -> bool:
    """Whether any score is nan or +inf."""
    return not float(logits.max()) < math.inf  # the maximum is nan where any of them is


class Sampler:
    """Picks one token after the other for one reply.

    Raises `GenerationError` from `pick` when the scores say that the weights are broken: not one number in the
    row, or several rows in a row that had to be repaired.
    """

    def __init__(self, options: GenerationOptions, prompt_ids: Iterable[int] = ()) -> None:
        self._options = options
        self._seen = set(prompt_ids)
        self._repairs = 0
        self._generator = torch.Generator(device="cpu")
        if options.seed is None:
            self._generator.seed()
        else:
            self._generator.manual_seed(options.seed % 2**64)

    def pick(self, logits: Tensor) -> int:
        """Draw the next id from ``logits``, [vocab], and remember it."""
        token_id = self._draw(*_candidates(self.prepare(logits), self._options))
        self.remember(token_id)
        return token_id

    def prepare(self, logits: Tensor) -> Tensor:
        """The scores that ids are drawn by; call it once a token."""
        scores = _to_scores(logits)
        if not self._needs_repair(scores) and self._options.repetition_penalty == 1:
            return scores
        return fix_invalid(_penalize(scores, sorted(self._seen), self._options))

    def draw_among(self, scores: Tensor, ids: Tensor) -> int | None:
        """Draw one of ``ids`` by what `prepare` gave; None if none of them can be drawn."""
        allowed = scores[ids]
        if not allowed.isfinite().any():
            return None
        among, probs = _candidates(allowed, self._options)
        return int(ids[self._draw(among, probs)])

    def remember(self, token_id: int) -> None:
        """Take note of the next token, whoever chose it."""
        self._seen.add(token_id)

    def _draw(self, ids: Tensor, probs: Tensor) -> int:
        drawn = 0 if len(ids) == 1 else int(torch.multinomial(probs, 1, generator=self._generator))
        return int(ids[drawn])

    def _needs_repair(self, scores: Tensor) -> bool:
        top = float(scores.max())  # nan where any score is
        invalid = not top < math.inf
        self._repairs = self._repairs + 1 if invalid else 0
        no_number = top == -math.inf or (invalid and not scores.isfinite().any())
        if self._repairs >= _MAX_REPAIRS_IN_A_ROW or no_number:
            raise GenerationError(
                "the model's scores are not numbers (nan or infinite), so no token can be picked: its weights are "
                "damaged or overflow in this precision; get the checkpoint again, or try another quantization or device"
            )
        return invalid


def _to_scores(logits: Tensor) -> Tensor:
    return logits.detach().to(device="cpu", dtype=torch.float32)


def _penalize(scores: Tensor, seen_ids: list[int], options: GenerationOptions) -> Tensor:
    if options.repetition_penalty == 1 or not seen_ids:
        return scores
    index = torch.tensor(seen_ids)
    seen = scores[index]
    penalty = options.repetition_penalty
    return scores.index_copy(0, index, torch.where(seen < 0, seen * penalty, seen / penalty))


def _candidates(scores: Tensor, options: GenerationOptions) -> tuple[Tensor, Tensor]:
    """The ids that may be drawn, and their probabilities; no score is nan or +inf.

    Working on the survivors of top-k only spares a sort of the whole vocabulary at every token.
    """
    if options.temperature < _GREEDY_BELOW:
        return torch.tensor([int(scores.numpy().argmax())]), torch.ones(1)  # torch's takes ten times as long
    ids = _likely_ids(scores, options.top_k)
    # From 0 down, so no temperature makes it overflow.
    kept = (scores[ids] - scores.max()) / min(options.temperature, _LARGEST_TEMPERATURE)
    if 0 < options.top_k < len(kept):
        stays = kept >= kept.topk(options.top_k).values[-1]  # ties with the k-th stay, as in transformers
        ids, kept = ids[stays], kept[stays]
    if options.top_p == 1:
        return ids, kept.softmax(dim=-1)
    kept, order = kept.sort(stable=True)
    outside = kept.softmax(dim=-1).cumsum(dim=-1) <= 1 - options.top_p
    outside[-1] = False  # the likeliest token always stays
    return ids[order][~outside], kept[~outside].softmax(dim=-1)


def _likely_ids(scores: Tensor, top_k: int) -> Tensor:
    """All ids that top-k can leave over, and few others: found in two passes over the scores, without a selection.

    The k-th largest of the maxima of disjoint parts is no larger than the k-th largest score.
    """
    width = scores.numel() // _PARTS_SIZE
    if not 0 < top_k <= width:
        return torch.arange(scores.numel())
    maxima = scores[: _PARTS_SIZE * width].view(_PARTS_SIZE, width).amax(dim=0)
    top, lowest = float(maxima.max()), float(maxima.topk(top_k).values[-1])
    rounding = _ROUNDING * (abs(top) + abs(lowest))  # two scores may become equal when they are divided
    return torch.from_numpy((scores.numpy() >= lowest - rounding).nonzero()[0])
