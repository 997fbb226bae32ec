"""From a row of scores to the next token id: pure functions and the seeded `Sampler` over them.

Order and meaning are those of transformers' processors: repetition penalty, the guard against invalid
scores, temperature, top-k, top-p, softmax. Everything is computed in fp32 on the CPU, so a seed gives the
same text on every device that gives the same scores.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from chatglm_slim_llm.config import GenerationOptions
from chatglm_slim_llm.errors import GenerationError

BLANK_ID = 5
"""The piece "▁" in every ChatGLM-6B vocabulary; the original falls back to it when scores are invalid."""
_BLANK_SCORE = 5e4
_MAX_REPAIRS_IN_A_ROW = 3


def sample_probs(logits: Tensor, previous_ids: Iterable[int], options: GenerationOptions) -> Tensor:
    """The distribution the next token is drawn from.

    Args:
        logits: scores, [vocab].
        previous_ids: prompt and reply so far; only the repetition penalty looks at them.
        options: temperature, top_k, top_p and repetition_penalty are read.

    Returns:
        Probabilities in fp32, [vocab]; at temperature 0 all of it lies on one token.
    """
    ids, probs = _candidates(_penalize(_to_scores(logits), sorted(set(previous_ids)), options), options)
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
    return bool((logits.isnan() | logits.isposinf()).any())


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
        self._want_usable(scores)
        seen = sorted(self._seen) if self._options.repetition_penalty != 1 else []
        return fix_invalid(_penalize(scores, seen, self._options))

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

    def _want_usable(self, scores: Tensor) -> None:
        self._repairs = self._repairs + 1 if is_invalid(scores) else 0
        if self._repairs >= _MAX_REPAIRS_IN_A_ROW or not scores.isfinite().any():
            raise GenerationError(
                "the model's scores are not numbers (nan or infinite), so no token can be picked: its weights are "
                "damaged or overflow in this precision; get the checkpoint again, or try another quantization or device"
            )


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
    """The ids that may be drawn, and their probabilities.

    Working on the survivors of top-k only spares a sort of the whole vocabulary at every token.
    """
    scores = fix_invalid(scores)
    if options.temperature == 0:
        return scores.argmax().unsqueeze(0), torch.ones(1)
    scores = (scores - scores.max()) / options.temperature  # from 0 down, so no temperature makes it overflow
    ids = _top_k_ids(scores, options.top_k)
    if options.top_p == 1:
        return ids, scores[ids].softmax(dim=-1)
    kept, order = scores[ids].sort(stable=True)
    outside = kept.softmax(dim=-1).cumsum(dim=-1) <= 1 - options.top_p
    outside[-1] = False  # the likeliest token always stays
    return ids[order][~outside], kept[~outside].softmax(dim=-1)


def _top_k_ids(scores: Tensor, top_k: int) -> Tensor:
    """Ids that score at least as high as the k-th; ties with it stay, as in transformers."""
    if not 0 < top_k < scores.numel():
        return torch.arange(scores.numel())
    lowest = scores.topk(top_k).values[-1]
    return (scores >= lowest).nonzero().squeeze(1)
