"""A made-up model that writes down what the scheduler asks of it."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Generator, Sequence

import torch
from torch import Tensor

VOCAB, EOS = 50, 49


class Context:
    """The tokens of one sequence."""

    def __init__(self, ids: list[int]) -> None:
        self.ids = ids


class FakeForward:
    """A model whose next token hangs on all tokens so far; it never ends by itself."""

    def __init__(self, max_rows: int = 16, following: Callable[[list[int]], int] | None = None) -> None:
        self.max_rows = max_rows
        self.following = following or (lambda ids: (sum(ids) * 7 + len(ids)) % (VOCAB - 1))
        self.asked: list[tuple[str, list[int]]] = []
        """("piece", [first token]), or ("step", first tokens of the sequences in it)."""
        self.rows: list[int] = []
        self.exact: list[bool] = []
        """Of each sequence, whether its reply wants exact scores."""
        self.piece_s = 0.0
        self.contexts: list[weakref.ref[Context]] = []
        self.before_step: Callable[[list[int]], None] = lambda _: None

    def prefill(
        self, prompt_ids: Sequence[int], *, exact: bool = False
    ) -> Generator[None, None, tuple[Context, Tensor]]:
        """As many pieces as there are tokens."""
        context = Context(list(prompt_ids))
        self.contexts.append(weakref.ref(context))
        self.exact.append(exact)
        for _ in prompt_ids[1:]:
            self.asked.append(("piece", [prompt_ids[0]]))
            time.sleep(self.piece_s)
            yield
        self.asked.append(("piece", [prompt_ids[0]]))
        return context, self._scores(context.ids)

    def step(self, contexts: Sequence[Context], new_ids: Sequence[Sequence[int]]) -> list[Tensor]:
        """Scores of 1 for what follows."""
        names = [context.ids[0] for context in contexts]
        self.asked.append(("step", names))
        self.rows.append(sum(map(len, new_ids)))
        self.before_step(names)
        scores = []
        for context, ids in zip(contexts, new_ids, strict=True):
            assert ids
            starts = [context.ids + list(ids[: end + 1]) for end in range(len(ids))]
            scores.append(torch.stack([self._scores(start) for start in starts]))
            context.ids = starts[-1]
        return scores

    def forget(self, context: Context, num_tokens: int) -> None:
        assert num_tokens > 0
        del context.ids[-num_tokens:]

    def _scores(self, ids: list[int]) -> Tensor:
        return torch.nn.functional.one_hot(torch.tensor(self.following(ids)), VOCAB).float()

    def expect(self, prompt_ids: Sequence[int], length: int) -> list[int]:
        """What a sequence alone must give."""
        ids = list(prompt_ids)
        for _ in range(length):
            ids.append(self.following(ids))
        return ids[len(prompt_ids) :]


def greedy(scores: Tensor) -> int:
    return int(scores.argmax())


def copying(period: int) -> Callable[[list[int]], int]:
    """A model that says again what was said."""
    return lambda ids: ids[-period]
