"""Shares one model between any number of replies: their tokens are computed in common steps.

One thread runs the model while there is anything to compute. Readers and the thread talk through queues only: a reader
may be dropped by the garbage collector in any thread and at any moment, where taking a lock could wait forever.
"""

from __future__ import annotations

import asyncio
import atexit
import threading
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from time import perf_counter
from typing import Any, Generic, Required, TypedDict, Unpack
from weakref import WeakSet

import torch
from torch import Tensor

from chatglm_slim_llm.engine.sequence import READ_AHEAD, LiveSequence
from chatglm_slim_llm.engine.speculation import Speculator, StepCosts, Tally
from chatglm_slim_llm.network.forward import C, Forward

_DRAFT_ROWS = 8
"""Most rows of a step that has drafts: up to here rows are cheap on every processor we know."""
_POLL_S = 0.05
_EXIT_WAIT_S = 10.0


class Terms(TypedDict, total=False):
    """How long a reply may go on, and what is known of it."""

    max_new_tokens: Required[int]
    """Where to end at the latest."""
    read_ahead: int
    """Tokens it may be ahead of its reader, `READ_AHEAD` if not told."""
    cancel: threading.Event | None
    """Once set, the iterator ends, whatever is being computed."""
    tally: Tally
    """Counts the drafts."""
    certain: Callable[[], Sequence[int]] | None
    """The tokens that ``pick`` will choose next whatever the scores; several are computed in one step. A reply that has
    this is held to a grammar, which may leave unlikely tokens only, so all its scores are computed exactly."""


class Scheduler(Generic[C]):
    """Computes the tokens of many sequences at once; they join and leave between two steps.

    Each round of the worker takes in newcomers, computes one step for the sequences that are not too far ahead of their
    readers, and reads one piece of one new prompt. So a long prompt keeps nobody waiting for more than a piece.
    """

    def __init__(self, forward: Forward[C], eos_token_id: int, *, speculate: bool = True) -> None:
        self._forward, self._eos_token_id = forward, eos_token_id
        self._draft_rows, self._speculates = min(_DRAFT_ROWS, forward.max_rows), speculate
        self._costs = StepCosts(forward.max_rows)
        self._inbox: SimpleQueue[LiveSequence[C] | None] = SimpleQueue()  # None: look again, a reader did something
        self._live: list[LiveSequence[C]] = []  # the worker's alone; who was served last stands last
        self._starting = threading.Lock()
        self._worker = threading.Thread()  # the last one; it may have retired
        self._is_running = self._exiting = False
        _schedulers.add(self)

    def tokens(
        self, prompt_ids: Sequence[int], pick: Callable[[Tensor], int], **terms: Unpack[Terms]
    ) -> Generator[int]:
        """Yield new ids up to and including <eop>; closing the iterator frees its memory after the current step.

        Args:
            prompt_ids: ends in [gMASK] <sop>.
            pick: chooses an id from the scores, [vocab]; called in another thread, once for each token, in their order.
            **terms: see `Terms`.

        Raises:
            ValueError: the prompt has no [gMASK] or no <sop>.
            Exception: whatever ``pick`` raises.
        """
        sequence = self._open(prompt_ids, pick, terms)
        try:
            yield from iter(lambda: self._next_token(sequence), None)
        finally:
            self._close(sequence)

    async def atokens(
        self, prompt_ids: Sequence[int], pick: Callable[[Tensor], int], **terms: Unpack[Terms]
    ) -> AsyncGenerator[int]:
        """`tokens` for an event loop, which does something else meanwhile; needs no thread of its own."""
        sequence = self._open(prompt_ids, pick, terms)
        arrived = asyncio.Event()
        sequence.tell = partial(_set, arrived, asyncio.get_running_loop())
        try:
            while (token_id := await self._next_token_async(sequence, arrived)) is not None:
                yield token_id
        finally:
            self._close(sequence)

    def _open(self, prompt_ids: Sequence[int], pick: Callable[[Tensor], int], terms: Terms) -> LiveSequence[C]:
        speculates = self._speculates and self._draft_rows > 1
        return LiveSequence(
            self._forward.prefill(prompt_ids, exact=terms.get("certain") is not None),
            pick,
            Speculator(prompt_ids, terms.get("tally") or Tally()) if speculates else None,
            terms.get("certain"),
            eos_token_id=self._eos_token_id,
            max_new_tokens=terms["max_new_tokens"],
            read_ahead=terms.get("read_ahead", READ_AHEAD),
            cancel=terms.get("cancel"),
        )

    def _close(self, sequence: LiveSequence[C]) -> None:
        sequence.is_closed = True
        self._wake(sequence)

    # --- in the readers' threads ---

    def _next_token(self, sequence: LiveSequence[C]) -> int | None:
        """Wait for it; None if there is no more."""
        if sequence.is_unwanted():
            return None
        if not sequence.is_submitted:
            self._submit(sequence)
        while not (sequence.is_unwanted() or self._exiting):
            try:
                item = sequence.unread.get(timeout=_POLL_S)  # a wait without end hides Ctrl-C on Windows
            except Empty:
                continue
            self._wake(sequence)
            try:
                return _token_or_raise(item)
            finally:
                del item  # if it is an error, this frame is in its traceback: they would keep each other alive
        return None

    async def _next_token_async(self, sequence: LiveSequence[C], arrived: asyncio.Event) -> int | None:
        """Await it; None if there is no more."""
        if sequence.is_unwanted():
            return None
        if not sequence.is_submitted:
            self._submit(sequence)
        while not (sequence.is_unwanted() or self._exiting):
            arrived.clear()
            try:
                item = sequence.unread.get_nowait()
            except Empty:
                await arrived.wait()
                continue
            self._wake(sequence)
            try:
                return _token_or_raise(item)
            finally:
                del item  # if it is an error, this frame is in its traceback: they would keep each other alive
        return None

    def _submit(self, sequence: LiveSequence[C]) -> None:
        sequence.is_submitted = True
        self._inbox.put(sequence)
        with self._starting:
            if not (self._is_running and self._worker.is_alive()):  # a fork takes no thread along
                self._worker = threading.Thread(target=self._run, name="chatglm-slim-engine", daemon=True)
                self._is_running = True
                _workers.add(self._worker)
                self._worker.start()

    def _wake(self, sequence: LiveSequence[C]) -> None:
        """Tell the worker that the reader has read or left."""
        if sequence.is_submitted and not sequence.is_over:
            self._inbox.put(None)

    def stop(self) -> None:
        """End all replies after the current step, because the interpreter goes away."""
        self._exiting = True
        self._inbox.put(None)

    # --- in the worker's thread ---

    def _run(self) -> None:
        with torch.inference_mode():
            while not self._retire():
                try:
                    self._run_round()
                except BaseException as error:  # nobody may wait for a worker that is gone
                    _fail(self._live, error)

    def _retire(self) -> bool:
        """Whether there is nothing left to do for this thread."""
        with self._starting:
            if self._live or not (self._exiting or self._inbox.empty()):
                return False
            self._is_running = False
            return True

    def _run_round(self) -> None:
        self._take_in()
        ready = [sequence for sequence in self._live if sequence.is_ready()][: self._forward.max_rows]
        if ready:
            self._serve_last(ready)
            self._step(ready)
        reading = next((sequence for sequence in self._live if sequence.prefill is not None), None)
        if reading is not None:
            self._serve_last([reading])
            self._read_piece(reading)

    def _take_in(self) -> None:
        """Let newcomers in and those who left out; if there is nothing to compute, sleep until a reader wants more."""
        while True:
            self._live = [sequence for sequence in self._live if not sequence.leaves(at_once=self._exiting)]
            is_idle = not any(sequence.is_ready() or sequence.prefill is not None for sequence in self._live)
            try:
                arrived = self._inbox.get(block=is_idle and bool(self._live))
            except Empty:
                return
            if arrived is not None:
                self._live.append(arrived)

    def _serve_last(self, served: list[LiveSequence[C]]) -> None:
        self._live = [sequence for sequence in self._live if sequence not in served] + served

    def _read_piece(self, sequence: LiveSequence[C]) -> None:
        assert sequence.prefill is not None
        try:
            next(sequence.prefill)
        except StopIteration as done:
            context, scores = done.value
            sequence.prefill, sequence.context = None, context
            self._emit(sequence, [], scores[None])
        except BaseException as error:
            _fail([sequence], error)

    def _step(self, ready: list[LiveSequence[C]]) -> None:
        drafts = self._drafts(ready)
        new_ids = [[sequence.last_id, *draft] for sequence, draft in zip(ready, drafts, strict=True)]
        started = perf_counter()
        try:
            scores = self._forward.step([sequence.get_context() for sequence in ready], new_ids)
        except BaseException as error:
            _fail(ready, error)
            return
        self._costs.record(sum(map(len, new_ids)), perf_counter() - started)
        for sequence, draft, rows in zip(ready, drafts, scores, strict=True):
            self._emit(sequence, draft, rows)

    def _drafts(self, ready: list[LiveSequence[C]]) -> list[list[int]]:
        """What each sequence guesses; they share the rows that the sequences themselves leave."""
        rows = len(ready)
        drafts: list[list[int]] = []
        saving = self._costs[rows] / rows
        for sequence in ready:
            draft = sequence.certain(self._forward.max_rows - rows)
            if not draft:
                spare = max(0, min(self._draft_rows - rows, sequence.num_left - 1))
                draft = sequence.draft(self._costs.extra(rows, spare), saving)
            rows += len(draft)
            drafts.append(draft)
        return drafts

    def _emit(self, sequence: LiveSequence[C], draft: Sequence[int], rows: Tensor) -> None:
        """Pick a token after each row for as long as the draft said the same, and forget the rest of it.

        Args:
            sequence: has the draft in its context.
            draft: what followed the last token there.
            rows: scores after the last token and after each of the draft, [1 + draft, vocab].
        """
        accepted = 0
        try:
            for scores, guess in zip(rows, [*draft, None], strict=True):
                token_id = sequence.pick(scores)
                accepted += token_id == guess
                sequence.take(token_id, is_guessed=token_id == guess)
                if sequence.is_over or token_id != guess:
                    break
            sequence.settle(accepted)
            if not sequence.is_over and sequence.ends_certainly():
                sequence.take(sequence.pick(rows[-1]), is_guessed=False)
            if not sequence.is_over and accepted < len(draft):
                self._forward.forget(sequence.get_context(), len(draft) - accepted)
        except BaseException as error:
            _fail([sequence], error)


_schedulers: WeakSet[Scheduler[Any]] = WeakSet()
_workers: WeakSet[threading.Thread] = WeakSet()


@atexit.register
def _stop_all() -> None:
    """A daemon thread that is inside torch when the interpreter goes away is a crash.

    That may be the last thing that a worker does: with it goes the model, if nobody else has kept the scheduler.
    """
    for scheduler in list(_schedulers):
        scheduler.stop()
    for worker in list(_workers):
        if worker.is_alive():
            worker.join(_EXIT_WAIT_S)


def _token_or_raise(item: int | BaseException | None) -> int | None:
    if not isinstance(item, BaseException):
        return item
    try:
        raise item
    finally:
        del item  # for this frame too


def _set(arrived: asyncio.Event, loop: asyncio.AbstractEventLoop) -> None:
    with suppress(RuntimeError):  # the loop is closed: nobody reads any more
        loop.call_soon_threadsafe(arrived.set)


def _fail(sequences: Sequence[LiveSequence[C]], error: BaseException) -> None:
    for sequence in sequences:
        sequence.end(error)
