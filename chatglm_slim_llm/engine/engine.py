"""Token ids in, text deltas out.

The engine owns sampling, stopping and cancelling. It knows nothing of LangChain, of files or of the terminal:
`llm.py` speaks LangChain, `checkpoint/` reads files.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from time import perf_counter
from typing import Literal, Protocol

import torch
from torch import Tensor

from chatglm_slim_llm.config import GenerationOptions
from chatglm_slim_llm.engine.fitting import FittedPrompt, Round, fit_prompt
from chatglm_slim_llm.engine.sampling import Sampler
from chatglm_slim_llm.engine.stopping import StopScanner
from chatglm_slim_llm.model import ChatGLMForConditionalGeneration, ChatGLMTokenizer, StreamDecoder, decode_steps

FinishReason = Literal["stop", "length", "cancelled"]

_CANCEL_POLL_S = 0.05


class Steps(Protocol):
    """Computes one token for each ``next()``, nothing in between; `decode_steps` is the real one."""

    def __call__(
        self,
        model: ChatGLMForConditionalGeneration,
        input_ids: Tensor,
        pick: Callable[[Tensor], int],
        *,
        eos_token_id: int | None = None,
    ) -> Iterator[int]:
        """Yield ids up to and including <eop>; ``pick`` chooses each from its scores."""
        ...


@dataclass(frozen=True, kw_only=True)
class Request:
    """One reply that is wanted."""

    query: str
    history: Sequence[Round] = ()
    """Earlier questions with their answers; the oldest are left out when they do not fit."""
    system: str = ""
    """Stands before everything else; the model has no role for it."""
    options: GenerationOptions = field(default_factory=GenerationOptions)
    cancel: threading.Event | None = None
    """Once set, the reply ends after the token that is being computed, with ``finish_reason`` "cancelled"."""


@dataclass(frozen=True)
class Statistics:
    """What one reply cost."""

    prompt_tokens: int
    generated_tokens: int
    """Tokens the model made, its end mark included."""
    time_to_first_token_s: float
    """From the request to the first token, waiting for other requests included."""
    tokens_per_s: float
    """Speed after the first token (of the whole reply if it has only one)."""
    dropped_rounds: int
    """Rounds of the history that did not fit."""


@dataclass(frozen=True)
class Delta:
    """What one token added to the reply. The text is empty while something has to be held back."""

    text: str
    finish_reason: FinishReason | None = None
    """Set on the last delta only, and so are the statistics."""
    statistics: Statistics | None = None


class Engine:
    """Streams replies of one model.

    Any number of threads may stream at once. They take turns, one token each: the steps of concurrent requests
    never run side by side, and a stream that its reader leaves half read stops nobody.
    """

    def __init__(
        self, model: ChatGLMForConditionalGeneration, tokenizer: ChatGLMTokenizer, *, steps: Steps = decode_steps
    ) -> None:
        self.model, self.tokenizer, self._steps = model, tokenizer, steps
        self._turn = threading.Lock()

    def generate(self, request: Request) -> Delta:
        """The whole reply at once: its text, with the last delta's reason and statistics."""
        deltas = list(self.stream(request))
        return Delta("".join(delta.text for delta in deltas), deltas[-1].finish_reason, deltas[-1].statistics)

    def stream(self, request: Request) -> Generator[Delta]:
        """Yield one delta a token; closing the iterator between two of them ends the work and frees its memory.

        Raises:
            PromptTooLongError: the prompt leaves no room for a reply.
            GenerationError: the prompt is empty or no text, or the weights give scores that are no numbers.
        """
        meter = _Meter()
        prompt = self._fit(request)
        reply = _Reply(StreamDecoder(self.tokenizer), StopScanner(request.options.stop), self.tokenizer.eos_token_id)
        last_text = ""
        with closing(self._token_ids(prompt, request)) as token_ids:
            for token_id in token_ids:
                meter.count_token()
                last_text = reply.push(token_id, is_last=meter.tokens == prompt.max_new_tokens)
                if reply.finish_reason is not None:
                    break
                yield Delta(last_text)
            else:
                last_text = reply.cancel()
        yield Delta(last_text, reply.finish_reason, meter.statistics(prompt))

    def _fit(self, request: Request) -> FittedPrompt:
        return fit_prompt(
            self.tokenizer,
            query=request.query,
            history=request.history,
            system=request.system,
            options=request.options,
            context_length=self.model.config.max_sequence_length,
        )

    def _token_ids(self, prompt: FittedPrompt, request: Request) -> Generator[int]:
        """The ids the model picks, one turn each; they end early only when the request is cancelled."""
        sampler = Sampler(request.options, prompt.input_ids)
        input_ids = torch.tensor([prompt.input_ids], device=self.model.device)  # [1, prompt]
        steps = self._steps(self.model, input_ids, sampler.pick, eos_token_id=self.tokenizer.eos_token_id)
        while (token_id := self._in_turn(steps, request.cancel)) is not None:
            yield token_id

    def _in_turn(self, steps: Iterator[int], cancel: threading.Event | None) -> int | None:
        """Compute the next token when no other request computes one; None if this one is cancelled before."""
        if cancel is None:
            with self._turn:  # not acquire() and release(): Ctrl-C could come between them and the try
                return next(steps)
        while not cancel.is_set():
            if self._turn.acquire(timeout=_CANCEL_POLL_S):
                try:
                    return next(steps)
                finally:
                    self._turn.release()
        return None


class _Reply:
    """The text of one reply as its tokens arrive, and why it ended."""

    def __init__(self, decoder: StreamDecoder, stops: StopScanner, eos_token_id: int) -> None:
        self._decoder, self._stops, self._eos_token_id = decoder, stops, eos_token_id
        self.finish_reason: FinishReason | None = None

    def push(self, token_id: int, *, is_last: bool) -> str:
        """Take the next token; return the text that can be shown now."""
        if token_id == self._eos_token_id:
            return self._end("stop")
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


class _Meter:
    """Counts tokens and takes the times."""

    def __init__(self) -> None:
        self.tokens = 0
        self._started = self._first = self._last = perf_counter()

    def count_token(self) -> None:
        self._last = perf_counter()
        self.tokens += 1
        if self.tokens == 1:
            self._first = self._last

    def statistics(self, prompt: FittedPrompt) -> Statistics:
        tokens, elapsed_s = self.tokens - 1, self._last - self._first
        if self.tokens < 2:
            tokens, elapsed_s = self.tokens, self._last - self._started
        return Statistics(
            prompt_tokens=len(prompt.input_ids),
            generated_tokens=self.tokens,
            time_to_first_token_s=self._first - self._started,
            tokens_per_s=tokens / elapsed_s if elapsed_s else 0.0,
            dropped_rounds=prompt.dropped_rounds,
        )
