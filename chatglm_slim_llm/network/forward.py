"""What decoding needs of a model, whatever runs it: scores for any number of sequences at once."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Protocol, TypeVar

from torch import Tensor

C = TypeVar("C")


class Forward(Protocol[C]):
    """Runs the model over sequences whose tokens it remembers in contexts of type ``C``.

    A sequence's scores depend on its own tokens alone, to the last bit: not on what shares a step with it, nor on
    whether its tokens came one by one or several at a time.
    """

    max_rows: int
    """Most tokens that a step takes; 1 where every token costs as much as the first, so that nothing is shared."""

    def prefill(self, prompt_ids: Sequence[int], *, exact: bool = False) -> Generator[None, None, tuple[C, Tensor]]:
        """Read a prompt in pieces of a fraction of a second; return its context and the next token's scores, [vocab].

        Args:
            prompt_ids: ends in [gMASK] <sop>.
            exact: whether the scores of unlikely tokens matter too, here and in all steps of this context. A model
                may otherwise compute those roughly.

        Raises:
            ValueError: the prompt has no [gMASK] or no <sop>.
        """
        ...

    def step(self, contexts: Sequence[C], new_ids: Sequence[Sequence[int]]) -> list[Tensor]:
        """Append tokens to each context; return the scores after each of them, fp32 [tokens, vocab] a context."""
        ...

    def forget(self, context: C, num_tokens: int) -> None:
        """Take back the last tokens that were appended."""
        ...
