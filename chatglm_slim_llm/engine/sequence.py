"""One reply under way, between the thread that computes it and whoever reads it.

They share a queue and a few flags, no lock: a reader may be dropped by the garbage collector in any thread and at any
moment, where taking a lock could wait forever.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Sequence
from queue import SimpleQueue
from typing import Generic

from torch import Tensor

from chatglm_slim_llm.engine.speculation import Speculator
from chatglm_slim_llm.network.forward import C

READ_AHEAD = 2
"""Tokens a stream may be ahead of its reader; then it waits, so that a reader who went away costs nothing."""


class LiveSequence(Generic[C]):
    """One reply under way, seen by its reader and by the worker."""

    def __init__(
        self,
        prefill: Generator[None, None, tuple[C, Tensor]],
        pick: Callable[[Tensor], int],
        speculator: Speculator | None,
        certain: Callable[[], Sequence[int]] | None,
        *,
        eos_token_id: int,
        max_new_tokens: int,
        read_ahead: int,
        cancel: threading.Event | None,
    ) -> None:
        self.prefill: Generator[None, None, tuple[C, Tensor]] | None = prefill
        self.context: C | None = None
        self.pick, self.last_id, self.num_left = pick, eos_token_id, max_new_tokens
        self.unread: SimpleQueue[int | BaseException | None] = SimpleQueue()  # None: there is no more
        self.is_submitted = self.is_closed = False  # set by the reader
        self.tell: Callable[[], None] | None = None  # called when there is something to read, by who put it there
        self.is_over = False
        self._speculator, self._eos_token_id, self._cancel = speculator, eos_token_id, cancel
        self._certain, self._is_guess, self._read_ahead = certain, True, read_ahead

    def is_unwanted(self) -> bool:
        return self.is_closed or (self._cancel is not None and self._cancel.is_set())

    def is_ready(self) -> bool:
        """Whether its next token should be computed now."""
        return self.context is not None and self.unread.qsize() < self._read_ahead

    def get_context(self) -> C:
        assert self.context is not None
        return self.context

    def certain(self, spare: int) -> list[int]:
        """The tokens that come next whatever the scores, up to ``spare``; the last of a reply needs no scores."""
        certain = [] if self._certain is None else self._certain()
        self._is_guess = not certain
        return list(certain[: max(0, min(spare, self.num_left - 1))])

    def ends_certainly(self) -> bool:
        """Whether the end mark comes next whatever the scores, so that no step is needed for it."""
        return self._certain is not None and list(self._certain()) == [self._eos_token_id]

    def draft(self, costs: Sequence[float], saving: float) -> list[int]:
        if self._speculator is None or not self._is_guess:
            return []
        return self._speculator.draft(costs, saving)

    def settle(self, accepted: int) -> None:
        if self._speculator is not None and self._is_guess:
            self._speculator.settle(accepted)

    def take(self, token_id: int, *, is_guessed: bool) -> None:
        """Hand the next token to the reader, who may look at the tally as soon as it has the last one."""
        self.last_id = token_id
        self.num_left -= 1
        if self._speculator is not None:
            self._speculator.push(token_id, is_guessed=is_guessed and self._is_guess)
        self._put(token_id)
        if token_id == self._eos_token_id or not self.num_left:
            self.end(None)

    def _put(self, item: int | BaseException | None) -> None:
        self.unread.put(item)
        if self.tell is not None:
            self.tell()

    def end(self, last_word: BaseException | None) -> None:
        """Free the memory, and tell the reader that nothing follows or why."""
        if not self.is_over:
            self.is_over = True
            self.prefill = self.context = None
            self._put(last_word)

    def leaves(self, *, at_once: bool) -> bool:
        """Whether it is over, or ends here because nobody wants more of it, or because it must."""
        if at_once or self.is_unwanted():
            self.end(None)
        return self.is_over
