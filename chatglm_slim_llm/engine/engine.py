"""Token ids in, text deltas out.

The engine owns sampling, stopping and cancelling. It knows nothing of LangChain, of files or of the terminal:
`llm.py` speaks LangChain, `checkpoint/` reads files.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import aclosing, closing
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from chatglm_slim_llm.config import GenerationOptions
from chatglm_slim_llm.engine.fitting import FittedPrompt, Round, fit_prompt
from chatglm_slim_llm.engine.formats import CallsFormat, Format
from chatglm_slim_llm.engine.grammar.constraint import Constraint
from chatglm_slim_llm.engine.grammar.guides import Guides
from chatglm_slim_llm.engine.reply import Delta, Meter, Reply, Shown
from chatglm_slim_llm.engine.sampling import Sampler
from chatglm_slim_llm.engine.scheduler import Scheduler, Terms
from chatglm_slim_llm.engine.sequence import READ_AHEAD
from chatglm_slim_llm.engine.stopping import CallsOrStops, StopScanner
from chatglm_slim_llm.errors import ReplyTooShortError
from chatglm_slim_llm.network import ChatGLMTokenizer, StreamDecoder, forward_for
from chatglm_slim_llm.network.forward import Forward
from chatglm_slim_llm.network.network import AnyModel

_AHEAD_OF_STOPS = 16
"""Tokens a reply that is wanted whole may be ahead of its reader where a stop string can end it."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """One reply that is wanted."""

    query: str
    history: Sequence[Round] = ()
    """Earlier questions with their answers; the oldest are left out when they do not fit."""
    open_rounds: int = 0
    """The last so many of those belong to the question in hand, which stays: the query is the result of a tool."""
    system: str = ""
    """Stands before everything else; the model has no role for it."""
    options: GenerationOptions = field(default_factory=GenerationOptions)
    format: Format | None = None
    """What the reply must be; then it is valid whatever the options say, and ``stop`` only ends words."""
    wants_whole: bool = False
    """All of it is wanted before anything is done with it, so it is computed without waiting for its reader: a thread
    that gets no turn on a busy machine would fall out of the steps that it shares with others. What is computed behind
    a stop string that nobody has seen yet is lost, a few tokens at most."""
    cancel: threading.Event | None = None
    """Once set, the reply ends where its reader is, with ``finish_reason`` "cancelled"."""


class Engine:
    """Streams replies of one model.

    Any number of threads may stream at once. Where the kernels allow it their replies share each step of the model,
    else they take turns, one token each; the text is the same as alone. A stream is computed a few tokens ahead of
    its reader; one that is left half read waits, and neither stops nor slows anybody. Only a reply that is wanted whole
    goes on to its end.
    """

    def __init__(
        self,
        model: AnyModel,
        tokenizer: ChatGLMTokenizer,
        *,
        speculate: bool = True,
        forward: Forward[Any] | None = None,
    ) -> None:
        """Start nothing yet.

        Args:
            model: in eval mode.
            tokenizer: the model's own.
            speculate: guess tokens from the text so far, and check several in one step; the text stays the same.
            forward: runs the model; the fastest way that works here if missing.
        """
        self.model, self.tokenizer = model, tokenizer
        forward = forward_for(model) if forward is None else forward
        self._guides = Guides(tokenizer, model.config.vocab_size)
        self._scheduler = Scheduler(forward, tokenizer.eos_token_id, speculate=speculate)

    def generate(self, request: Request) -> Delta:
        """The whole reply at once: its text, with the last delta's reason and statistics."""
        deltas = list(self.stream(replace(request, wants_whole=True)))
        return Delta("".join(delta.text for delta in deltas), deltas[-1].finish_reason, deltas[-1].statistics)

    def stream(self, request: Request) -> Generator[Delta]:
        """Yield one delta a token; closing the iterator ends the work after the current step and frees its memory.

        Nothing is computed before the first is asked for.

        Raises:
            PromptTooLongError: the prompt leaves no room for a reply.
            GenerationError: the prompt is empty or no text, or the weights give scores that are no numbers.
            SchemaError: the format's schema is wrong, not supported, or cannot be met.
            ReplyTooShortError: the format needs more tokens than there are.
            MissingExtraError: a format needs llguidance, which is not installed.
        """
        writing = self._begin(request)
        with closing(self._scheduler.tokens(writing.prompt.input_ids, writing.pick, **writing.terms)) as token_ids:
            for token_id in token_ids:
                delta = writing.push(token_id)
                if delta.finish_reason is not None:
                    break
                yield delta
            else:
                delta = writing.cancel()
        yield delta

    async def astream(self, request: Request) -> AsyncGenerator[Delta]:
        """`stream` for an event loop: no thread waits for the tokens, and nothing blocks the loop."""
        writing = await asyncio.to_thread(self._begin, request)
        token_ids = self._scheduler.atokens(writing.prompt.input_ids, writing.pick, **writing.terms)
        async with aclosing(token_ids):
            async for token_id in token_ids:
                delta = writing.push(token_id)
                if delta.finish_reason is not None:
                    break
                yield delta
            else:
                delta = writing.cancel()
        yield delta

    def _begin(self, request: Request) -> _Writing:
        """Everything that must be known before the first token."""
        meter = Meter()
        prompt = self._fit(request)
        sampler = Sampler(request.options, prompt.input_ids)
        constraint = None if request.format is None else self._constrain(request.format, sampler, prompt)
        reply = Reply(StreamDecoder(self.tokenizer), _shown(request), self.tokenizer.eos_token_id)
        pick = meter.timed(sampler.pick if constraint is None else constraint.pick)
        return _Writing(prompt, reply, meter, pick, constraint, _read_ahead(request, prompt), request.cancel)

    def _fit(self, request: Request) -> FittedPrompt:
        return fit_prompt(
            self.tokenizer,
            query=request.query,
            history=request.history,
            system=request.system,
            options=request.options,
            context_length=self.model.config.max_sequence_length,
            open_rounds=request.open_rounds,
        )

    def _constrain(self, wanted: Format, sampler: Sampler, prompt: FittedPrompt) -> Constraint:
        guide = self._guides.get(wanted)
        needed, limit = len(guide.shortest), prompt.max_new_tokens
        if needed > limit and not guide.may_be_words:
            raise ReplyTooShortError(
                f"the shortest reply that has the wanted form takes {needed} tokens, but there is room for {limit}; "
                "raise max_tokens, shorten the prompt, or ask for less",
                needed=needed,
                limit=limit,
            )
        return Constraint(guide, sampler, limit)


@dataclass(frozen=True)
class _Writing:
    """One reply from its prompt to its last delta, whoever carries the tokens."""

    prompt: FittedPrompt
    reply: Reply
    meter: Meter
    pick: Callable[[Tensor], int]
    constraint: Constraint | None
    read_ahead: int
    cancelled: threading.Event | None

    @property
    def terms(self) -> Terms:
        """What the scheduler is told beside the prompt and how to pick."""
        return {
            "max_new_tokens": self.prompt.max_new_tokens,
            "read_ahead": self.read_ahead,
            "cancel": self.cancelled,
            "tally": self.meter.tally,
            "certain": None if self.constraint is None else self.constraint.certain,
        }

    def push(self, token_id: int) -> Delta:
        """What the next token adds."""
        self.meter.count_token()
        is_cut = self.constraint is not None and self.constraint.is_cut
        text = self.reply.push(token_id, is_last=self.meter.tokens == self.prompt.max_new_tokens, is_cut=is_cut)
        return self._last(text) if self.reply.finish_reason is not None else Delta(text)

    def cancel(self) -> Delta:
        """The tokens ended before the reply did, because nobody wants more of it."""
        return self._last(self.reply.cancel())

    def _last(self, text: str) -> Delta:
        return Delta(text, self.reply.finish_reason, self.meter.statistics(self.prompt))


def _read_ahead(request: Request, prompt: FittedPrompt) -> int:
    """Tokens that the reply may be ahead of its reader, who alone sees where a stop string ends it."""
    if not request.wants_whole:
        return READ_AHEAD
    return _AHEAD_OF_STOPS if request.options.stop else prompt.max_new_tokens


def _shown(request: Request) -> Shown:
    """What becomes of the text before it is shown."""
    if request.format is None:
        return StopScanner(request.options.stop)
    may_be_words = isinstance(request.format, CallsFormat) and request.format.may_be_words
    return CallsOrStops(request.options.stop) if may_be_words else StopScanner(())
