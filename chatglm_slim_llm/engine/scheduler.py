"""Shares one model between any number of replies: their tokens are computed in common steps.

One thread runs the model while there is anything to compute. Readers and the thread talk through queues only: a reader
may be dropped by the garbage collector in any thread and at any moment, where taking a lock could wait forever.
"""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable, Generator, Sequence
from queue import Empty, SimpleQueue
from time import perf_counter
from typing import Any, Generic
from weakref import WeakSet

import torch
from torch import Tensor

from chatglm_slim_llm.engine.speculation import Speculator, StepCosts, Tally
from chatglm_slim_llm.model.forward import C, Forward

READ_AHEAD = 2
"""Tokens a reply may be ahead of its reader; then it waits, so that a reader who went away costs nothing."""
_DRAFT_ROWS = 8
"""Most rows of a step that has drafts: up to here rows are cheap on every processor we know."""
_POLL_S = 0.05
_EXIT_WAIT_S = 10.0


class Scheduler(Generic[C]):
    """Computes the tokens of many sequences at once; they join and leave between two steps.

    Each round of the worker takes in newcomers, computes one step for the sequences whose readers want more, and reads
    one piece of one new prompt. So a long prompt keeps nobody waiting for more than a piece.
    """

    def __init__(self, forward: Forward[C], eos_token_id: int, *, speculate: bool = True) -> None:
        self._forward, self._eos_token_id = forward, eos_token_id
        self._draft_rows, self._speculates = min(_DRAFT_ROWS, forward.max_rows), speculate
        self._costs = StepCosts(forward.max_rows)
        self._inbox: SimpleQueue[_Sequence[C] | None] = SimpleQueue()  # None: look again, a reader did something
        self._live: list[_Sequence[C]] = []  # the worker's alone; who was served last stands last
        self._starting = threading.Lock()
        self._worker = threading.Thread()  # the last one; it may have retired
        self._is_running = self._exiting = False
        _schedulers.add(self)

    def tokens(
        self,
        prompt_ids: Sequence[int],
        pick: Callable[[Tensor], int],
        *,
        max_new_tokens: int,
        cancel: threading.Event | None = None,
        tally: Tally | None = None,
        certain: Callable[[], Sequence[int]] | None = None,
    ) -> Generator[int]:
        """Yield new ids up to and including <eop>; closing the iterator frees its memory after the current step.

        Args:
            prompt_ids: ends in [gMASK] <sop>.
            pick: chooses an id from the scores, [vocab]; called in another thread, once for each token, in their order.
            max_new_tokens: where to end at the latest.
            cancel: once set, the iterator ends, whatever is being computed.
            tally: counts the drafts.
            certain: the tokens that ``pick`` will choose next whatever the scores; several are computed in one step.

        Raises:
            ValueError: the prompt has no [gMASK] or no <sop>.
            Exception: whatever ``pick`` raises.
        """
        speculates = self._speculates and self._draft_rows > 1
        sequence: _Sequence[C] = _Sequence(
            self._forward.prefill(prompt_ids),
            pick,
            Speculator(prompt_ids, tally or Tally()) if speculates else None,
            certain,
            eos_token_id=self._eos_token_id,
            max_new_tokens=max_new_tokens,
            cancel=cancel,
        )
        try:
            yield from iter(lambda: self._next_token(sequence), None)
        finally:
            sequence.is_closed = True
            self._wake(sequence)

    # --- in the readers' threads ---

    def _next_token(self, sequence: _Sequence[C]) -> int | None:
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
            if not isinstance(item, BaseException):
                return item
            try:
                raise item
            finally:
                del item  # this frame is in its traceback: they would keep each other alive
        return None

    def _submit(self, sequence: _Sequence[C]) -> None:
        sequence.is_submitted = True
        self._inbox.put(sequence)
        with self._starting:
            if not (self._is_running and self._worker.is_alive()):  # a fork takes no thread along
                self._worker = threading.Thread(target=self._run, name="chatglm-slim-engine", daemon=True)
                self._is_running = True
                _workers.add(self._worker)
                self._worker.start()

    def _wake(self, sequence: _Sequence[C]) -> None:
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
            self._live = [sequence for sequence in self._live if not (sequence.leaves() or self._exiting)]
            is_idle = not any(sequence.is_ready() or sequence.prefill is not None for sequence in self._live)
            try:
                arrived = self._inbox.get(block=is_idle and bool(self._live))
            except Empty:
                return
            if arrived is not None:
                self._live.append(arrived)

    def _serve_last(self, served: list[_Sequence[C]]) -> None:
        self._live = [sequence for sequence in self._live if sequence not in served] + served

    def _read_piece(self, sequence: _Sequence[C]) -> None:
        assert sequence.prefill is not None
        try:
            next(sequence.prefill)
        except StopIteration as done:
            context, scores = done.value
            sequence.prefill, sequence.context = None, context
            self._emit(sequence, [], scores[None])
        except BaseException as error:
            _fail([sequence], error)

    def _step(self, ready: list[_Sequence[C]]) -> None:
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

    def _drafts(self, ready: list[_Sequence[C]]) -> list[list[int]]:
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

    def _emit(self, sequence: _Sequence[C], draft: Sequence[int], rows: Tensor) -> None:
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


class _Sequence(Generic[C]):
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
        cancel: threading.Event | None,
    ) -> None:
        self.prefill: Generator[None, None, tuple[C, Tensor]] | None = prefill
        self.context: C | None = None
        self.pick, self.last_id, self.num_left = pick, eos_token_id, max_new_tokens
        self.unread: SimpleQueue[int | BaseException | None] = SimpleQueue()  # None: there is no more
        self.is_submitted = self.is_closed = False  # set by the reader
        self.is_over = False
        self._speculator, self._eos_token_id, self._cancel = speculator, eos_token_id, cancel
        self._certain, self._is_guess = certain, True

    def is_unwanted(self) -> bool:
        return self.is_closed or (self._cancel is not None and self._cancel.is_set())

    def is_ready(self) -> bool:
        """Whether its next token should be computed now."""
        return self.context is not None and self.unread.qsize() < READ_AHEAD

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
        self.unread.put(token_id)
        if token_id == self._eos_token_id or not self.num_left:
            self.end(None)

    def end(self, last_word: BaseException | None) -> None:
        """Free the memory, and tell the reader that nothing follows or why."""
        if not self.is_over:
            self.is_over = True
            self.prefill = self.context = None
            self.unread.put(last_word)

    def leaves(self) -> bool:
        """Whether it is over, or ends here because nobody wants more of it."""
        if self.is_unwanted():
            self.end(None)
        return self.is_over


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


def _fail(sequences: Sequence[_Sequence[C]], error: BaseException) -> None:
    for sequence in sequences:
        sequence.end(error)
