"""What a reader sees of one reply: its text as the tokens arrive, why it ended, and what it cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Literal, Protocol

from torch import Tensor

from chatglm_slim_llm.engine.fitting import FittedPrompt
from chatglm_slim_llm.engine.speculation import Tally
from chatglm_slim_llm.network import StreamDecoder

FinishReason = Literal["stop", "length", "cancelled"]


@dataclass(frozen=True)
class Statistics:
    """What one reply cost."""

    prompt_tokens: int
    generated_tokens: int
    """Tokens the model made, its end mark included."""
    time_to_first_token_s: float
    """From the request to the first token, steps shared with other requests included."""
    tokens_per_s: float
    """Speed after the first token (of the whole reply if it has only one)."""
    dropped_rounds: int
    """Rounds of the history that did not fit."""
    drafted_tokens: int = 0
    """Tokens that were guessed from the text so far, and checked together with the one before."""
    accepted_tokens: int = 0
    """Those of them that the model would have said anyway: so many steps were saved."""


@dataclass(frozen=True)
class Delta:
    """What one token added to the reply. The text is empty while something has to be held back."""

    text: str
    finish_reason: FinishReason | None = None
    """Set on the last delta only, and so are the statistics."""
    statistics: Statistics | None = None


class Shown(Protocol):
    """Decides what of the text is shown, and when."""

    @property
    def stopped(self) -> bool:
        """A stop string was seen: everything shown so far is the whole reply."""
        ...

    def push(self, text: str) -> str:
        """Take newly generated text; return what can be shown now."""
        ...

    def flush(self) -> str:
        """The model has ended: return what was held back."""
        ...


class Reply:
    """The text of one reply as its tokens arrive, and why it ended."""

    def __init__(self, decoder: StreamDecoder, stops: Shown, eos_token_id: int) -> None:
        self._decoder, self._stops, self._eos_token_id = decoder, stops, eos_token_id
        self.finish_reason: FinishReason | None = None

    def push(self, token_id: int, *, is_last: bool, is_cut: bool = False) -> str:
        """Take the next token; return the text that can be shown now.

        Args:
            token_id: what was picked.
            is_last: there is no room for another.
            is_cut: what the model wanted to say did not fit, so this is a way to end in time.
        """
        if token_id == self._eos_token_id:
            return self._end("length" if is_cut else "stop")
        text = self._stops.push(self._decoder.push(token_id))
        if self._stops.stopped:
            self.finish_reason = "stop"
        elif is_last:
            text += self._end("length")
        return text

    def cancel(self) -> str:
        """The reply ends here because nobody wants more of it."""
        return self._end("cancelled")

    def _end(self, reason: FinishReason) -> str:
        """Show what was held back, but for the bytes of a character that was never completed."""
        text = self._stops.flush()
        self.finish_reason = "stop" if self._stops.stopped else reason
        return text


class Meter:
    """Counts the tokens that were read, and takes the times when they are picked: a reader may be late."""

    def __init__(self) -> None:
        self.tally = Tally()
        self.tokens = 0
        self._started = perf_counter()
        self._picked: list[float] = []

    def timed(self, pick: Callable[[Tensor], int]) -> Callable[[Tensor], int]:
        """``pick``, with the time taken of each token."""

        def timed_pick(scores: Tensor) -> int:
            token_id = pick(scores)
            self._picked.append(perf_counter())
            return token_id

        return timed_pick

    def count_token(self) -> None:
        self.tokens += 1

    def statistics(self, prompt: FittedPrompt) -> Statistics:
        times = self._picked[: self.tokens] or [self._started]
        first, last = times[0], times[-1]
        tokens, elapsed_s = self.tokens - 1, last - first
        if self.tokens < 2:
            tokens, elapsed_s = self.tokens, last - self._started
        return Statistics(
            prompt_tokens=len(prompt.input_ids),
            generated_tokens=self.tokens,
            time_to_first_token_s=first - self._started,
            tokens_per_s=tokens / elapsed_s if elapsed_s else 0.0,
            dropped_rounds=prompt.dropped_rounds,
            drafted_tokens=self.tally.drafted,
            accepted_tokens=self.tally.accepted,
        )
