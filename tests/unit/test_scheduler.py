"""Who is computed when, and who is left in peace: the scheduler over a made-up model."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice, pairwise
from pathlib import Path

import pytest
from fake_forward import EOS, VOCAB, Context, FakeForward, copying, greedy
from torch import Tensor

from chatglm_slim_llm.engine.scheduler import Scheduler
from chatglm_slim_llm.engine.sequence import READ_AHEAD
from chatglm_slim_llm.engine.speculation import Tally
from tests.programs import LIGHT
from tests.unit.workers import wait_until, workers


@pytest.fixture(autouse=True)
def no_worker_is_left() -> Iterator[None]:
    yield
    wait_until(lambda: not workers())


@contextmanager
def held(scheduler: Scheduler[Context], forward: FakeForward) -> Iterator[None]:
    """The worker stands in a step of another sequence, whose first token is 9."""
    at_work, go_on = threading.Event(), threading.Event()
    forward.before_step = lambda _: (at_work.set(), go_on.wait(10), None)[2]
    reader = threading.Thread(target=list, args=(scheduler.tokens([9], greedy, max_new_tokens=2),))
    reader.start()
    assert at_work.wait(10)
    forward.before_step = lambda _: None
    yield
    go_on.set()
    reader.join()


def start(
    forward: FakeForward, *prompts: Sequence[int], length: int = 1000, **options: bool
) -> tuple[Scheduler[Context], list[Generator[int]]]:
    scheduler = Scheduler(forward, EOS, **options)
    scheduler._costs.record = lambda *_: None  # a made-up model's time says nothing
    return scheduler, [scheduler.tokens(prompt, greedy, max_new_tokens=length) for prompt in prompts]


# --- tokens ---


def test_a_reply_that_is_held_to_a_grammar_wants_exact_scores_and_no_other_does() -> None:
    forward = FakeForward()
    scheduler = Scheduler(forward, EOS)
    list(scheduler.tokens([3, 4], greedy, max_new_tokens=2))
    list(scheduler.tokens([3, 4], greedy, max_new_tokens=2, certain=list))
    assert forward.exact == [False, True]


@pytest.mark.parametrize("speculate", [True, False])
@pytest.mark.parametrize("max_rows", [1, 2, 16])
def test_sequences_side_by_side_get_what_each_gets_alone(max_rows: int, speculate: bool) -> None:
    forward = FakeForward(max_rows)
    prompts = [list(range(first, 2 * first)) for first in range(1, 6)]
    _, streams = start(forward, *prompts, length=40, speculate=speculate)
    rounds = list(zip(*streams, strict=True))
    assert [list(tokens) for tokens in zip(*rounds, strict=True)] == [forward.expect(p, 40) for p in prompts]


def test_the_end_mark_is_the_last_token() -> None:
    forward = FakeForward(following=lambda ids: EOS if len(ids) == 7 else len(ids))
    _, (stream,) = start(forward, [1, 2, 3])
    assert list(stream) == [3, 4, 5, 6, EOS]


def test_a_reply_of_one_token_needs_no_step() -> None:
    forward = FakeForward()
    _, (stream,) = start(forward, [1, 2], length=1)
    assert list(stream) == forward.expect([1, 2], 1)
    assert not forward.rows


# --- who is computed when ---


def test_a_long_prompt_is_read_in_pieces_between_the_steps_of_others() -> None:
    forward = FakeForward()
    scheduler, (streaming,) = start(forward, [1])
    next(streaming)
    forward.piece_s = 0.003
    long_prompt = scheduler.tokens([2] * 20, greedy, max_new_tokens=1)
    reader = threading.Thread(target=lambda: next(long_prompt))
    reader.start()
    while reader.is_alive():
        next(streaming)
    streaming.close()
    pieces = [index for index, asked in enumerate(forward.asked) if asked == ("piece", [2])]
    assert len(pieces) == 20
    assert max(later - index for index, later in pairwise(pieces)) <= 2  # at most one step between two pieces
    assert pieces[-1] - pieces[0] > 19 + 5  # and the reader of [1], who is quicker than a piece, did get some


def test_a_short_prompt_is_not_stuck_behind_a_long_one() -> None:
    forward = FakeForward()
    scheduler, streams = start(forward, [1] * 100, [2] * 3, length=1)
    readers = [threading.Thread(target=list, args=(stream,)) for stream in streams]
    with held(scheduler, forward):
        for reader in readers:
            reader.start()
        time.sleep(0.05)
    for reader in readers:
        reader.join()
    pieces = [names[0] for kind, names in forward.asked if kind == "piece"]
    assert pieces[pieces.index(2) :][:6] == [2, 1, 2, 1, 2, 1]


def test_more_sequences_than_rows_take_turns() -> None:
    forward = FakeForward(max_rows=2)
    scheduler, streams = start(forward, [1], [2], [3], [4], [5], speculate=False)
    for stream in streams:
        next(stream)
    wait_until(lambda: sum(forward.rows) == 5 * READ_AHEAD)
    with held(scheduler, forward):
        for stream in streams:  # all of them want two tokens now
            assert len(list(islice(stream, READ_AHEAD))) == READ_AHEAD
    wait_until(lambda: sum(forward.rows) == 1 + 10 * READ_AHEAD)
    steps = [names for kind, names in forward.asked if kind == "step"][-5:]
    assert set(steps[0] + steps[1] + steps[2]) == {1, 2, 3, 4, 5}
    assert sorted(name for names in steps for name in names) == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    for stream in streams:
        stream.close()


def test_a_reader_that_does_not_read_costs_nothing_and_stops_nobody() -> None:
    forward = FakeForward()
    scheduler, (half_read,) = start(forward, [1])
    first = next(half_read)
    wait_until(lambda: len(forward.rows) == READ_AHEAD)
    (worker,) = workers()
    before = time.process_time()
    time.sleep(0.2)
    assert time.process_time() - before < 0.05
    assert len(forward.rows) == READ_AHEAD
    assert list(scheduler.tokens([2], greedy, max_new_tokens=30)) == forward.expect([2], 30)
    assert sum(1 in names for kind, names in forward.asked if kind == "step") == READ_AHEAD
    assert [first, *islice(half_read, 9)] == forward.expect([1], 10)
    assert workers() == [worker]
    half_read.close()


# --- leaving ---


@pytest.mark.parametrize("leave", ["close", "collect"])
def test_a_sequence_that_nobody_reads_any_more_is_freed_at_once(leave: str) -> None:
    forward = FakeForward()
    _, streams = start(forward, [1], [2])
    for stream in streams:
        next(stream)
    left = streams.pop()
    if leave == "close":
        left.close()
    del left, stream
    wait_until(lambda: forward.contexts[1]() is None)
    assert forward.contexts[0]() is not None
    streams.pop().close()
    wait_until(lambda: forward.contexts[0]() is None)


def test_a_sequence_that_is_over_is_freed_before_its_reader_is_gone() -> None:
    forward = FakeForward()
    _, (stream,) = start(forward, [1], length=3)
    next(stream)
    wait_until(lambda: forward.contexts[0]() is None)
    assert len(list(stream)) == 2


def test_closing_one_in_the_middle_of_its_prompt_leaves_the_others_alone() -> None:
    forward, cancel = FakeForward(), threading.Event()
    scheduler, (other,) = start(forward, [1], length=200)
    next(other)
    forward.before_step = lambda _: time.sleep(0.002)
    stream = scheduler.tokens([2] * 1000, greedy, max_new_tokens=5, cancel=cancel)
    reader = threading.Thread(target=list, args=(stream,))
    reader.start()
    for _ in range(50):
        next(other)
    cancel.set()
    reader.join()
    assert len(list(other)) == 149
    assert sum(names == [2] for kind, names in forward.asked if kind == "piece") < 1000


def test_cancelling_ends_a_sequence_while_a_long_step_runs() -> None:
    forward, at_work, go_on, cancel = FakeForward(), threading.Event(), threading.Event(), threading.Event()
    scheduler, (first,) = start(forward, [1], length=2)
    forward.before_step = lambda _: (at_work.set(), go_on.wait(10), None)[2]
    reader = threading.Thread(target=list, args=(first,))
    reader.start()
    at_work.wait(10)
    threading.Timer(0.05, cancel.set).start()
    started = time.monotonic()
    assert list(scheduler.tokens([2], greedy, max_new_tokens=9, cancel=cancel)) == []
    assert time.monotonic() - started < 8  # the step takes ten
    assert reader.is_alive()
    go_on.set()
    reader.join()
    assert ("piece", [2]) not in forward.asked


def test_what_is_cancelled_before_it_starts_computes_nothing() -> None:
    forward, cancel = FakeForward(), threading.Event()
    cancel.set()
    assert list(Scheduler(forward, EOS).tokens([1], greedy, max_new_tokens=9, cancel=cancel)) == []
    assert not forward.asked


def test_nothing_is_computed_before_the_first_token_is_asked_for() -> None:
    forward = FakeForward()
    _, (stream,) = start(forward, [1])
    assert not forward.asked
    assert not workers()
    stream.close()


def test_ctrl_c_ends_the_waiting_and_nothing_else() -> None:
    forward, go_on = FakeForward(), threading.Event()
    scheduler, (stream,) = start(forward, [1])
    forward.before_step = lambda _: (go_on.wait(10), None)[1]
    next(stream)
    threading.Timer(0.05, signal.raise_signal, (signal.SIGINT,)).start()
    with pytest.raises(KeyboardInterrupt):
        next(stream)
    go_on.set()
    assert list(scheduler.tokens([2], greedy, max_new_tokens=5)) == forward.expect([2], 5)


def test_requests_that_come_when_the_worker_is_about_to_end_are_served() -> None:
    forward = FakeForward()
    scheduler = Scheduler(forward, EOS)

    def ask(first: int) -> None:
        for _ in range(100):
            assert len(list(scheduler.tokens([first], greedy, max_new_tokens=1))) == 1
            served.append(first)

    served: list[int] = []
    threads = [threading.Thread(target=ask, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(served) == 400


# --- errors ---


def test_an_error_while_picking_reaches_its_own_reader_only() -> None:
    forward = FakeForward()
    scheduler, (other,) = start(forward, [1], length=50)
    next(other)

    def pick(scores: Tensor) -> int:
        if len(picked) == 3:
            raise ValueError("no more")
        picked.append(greedy(scores))
        return picked[-1]

    picked: list[int] = []
    failing = scheduler.tokens([2], pick, max_new_tokens=50)
    assert list(islice(failing, 3)) == forward.expect([2], 3)
    with pytest.raises(ValueError, match="no more") as caught:
        next(failing)
    assert "pick" in [entry.name for entry in caught.traceback]
    assert len(list(other)) == 49


def test_an_error_in_a_prompt_reaches_its_own_reader_only() -> None:
    forward = FakeForward(following=lambda ids: 1 // (ids[0] - 2) % VOCAB)
    scheduler, (other,) = start(forward, [3, 1], length=20)
    next(other)
    with pytest.raises(ZeroDivisionError):
        next(scheduler.tokens([2, 1], greedy, max_new_tokens=9))
    assert len(list(other)) == 19


def test_an_error_in_a_step_reaches_all_who_share_it_and_the_next_request_is_served() -> None:
    forward = FakeForward()
    scheduler, streams = start(forward, [1], [2])
    for stream in streams:
        next(stream)
    wait_until(lambda: sum(forward.rows) == 2 * READ_AHEAD)
    with held(scheduler, forward):
        for stream in streams:  # now both want one more
            next(stream)
        forward.before_step = fail
    errors = [read_to_the_end(stream) for stream in streams]
    assert all(isinstance(error, MemoryError) for error in errors)
    forward.before_step = lambda _: None
    assert list(scheduler.tokens([5], greedy, max_new_tokens=4)) == forward.expect([5], 4)
    del errors
    wait_until(lambda: not any(context() for context in forward.contexts))


def fail(_names: list[int]) -> None:
    raise MemoryError


def read_to_the_end(stream: Generator[int]) -> BaseException | None:
    try:
        for _ in islice(stream, 100):
            pass
    except MemoryError as error:
        return error
    return None


# --- drafts ---


def test_copying_takes_many_tokens_a_step_and_each_is_picked_once() -> None:
    forward, picked, tally = FakeForward(following=copying(30)), [], Tally()

    def pick(scores: Tensor) -> int:
        picked.append(greedy(scores))
        return picked[-1]

    prompt = list(range(30))
    tokens = list(start(forward)[0].tokens(prompt, pick, max_new_tokens=300, tally=tally))
    assert tokens == picked == forward.expect(prompt, 300)
    assert len(tokens) / len(forward.rows) > 4
    assert max(forward.rows) == 8
    assert tally.accepted == 299 - len(forward.rows)


def test_drafts_share_the_rows_that_sequences_leave() -> None:
    forward = FakeForward(following=copying(30))
    _, streams = start(forward, *[list(range(first, first + 30)) for first in range(6)], length=200)
    rounds = list(zip(*streams, strict=True))
    assert len(rounds) == 200
    assert max(forward.rows) <= 8


@pytest.mark.parametrize("max_rows", [1, 16])
def test_wrong_drafts_cost_few_rows_and_change_nothing(max_rows: int) -> None:
    forward, tally = FakeForward(max_rows, lambda ids: ids[-7] if len(ids) % 11 else len(ids) * 3 % EOS), Tally()
    prompt = list(range(20))
    tokens = list(start(forward)[0].tokens(prompt, greedy, max_new_tokens=400, tally=tally))
    assert tokens == forward.expect(prompt, 400)
    assert (tally.drafted > tally.accepted > 0) == (max_rows > 1)
    assert sum(forward.rows) == len(forward.rows) + tally.drafted


def test_a_draft_never_goes_past_the_last_token_that_is_wanted() -> None:
    for length in range(1, 40):
        forward = FakeForward(following=copying(3))
        _, (stream,) = start(forward, [1, 2, 3], length=length)
        assert len(list(stream)) == length
        assert sum(forward.rows) <= length


# --- the end of the program ---


@pytest.mark.long
def test_the_program_can_end_in_the_middle_of_a_step() -> None:
    program = """
import threading, time
from chatglm_slim_llm.engine.scheduler import Scheduler
from fake_forward import EOS, FakeForward, greedy
forward = FakeForward()
scheduler = Scheduler(forward, EOS)
half_read, busy = (scheduler.tokens([first], greedy, max_new_tokens=10**6) for first in (1, 2))
next(half_read)
forward.before_step = lambda _: time.sleep(0.1)
threading.Thread(target=lambda: list(busy), daemon=True).start()
time.sleep(0.15)
print("done")
"""
    command, here = [sys.executable, "-c", LIGHT + program], Path(__file__).parent
    run = subprocess.run(command, cwd=here, capture_output=True, text=True, timeout=60, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (0, "done\n", "")


LAST_REFERENCE = """
import time
from fake_forward import FakeForward, greedy
from chatglm_slim_llm.engine.scheduler import Scheduler

class SlowToGo(FakeForward):
    def __del__(self):
        time.sleep(0.3)
        print("gone", flush=True)

list(Scheduler(SlowToGo(), 49).tokens([1, 2], greedy, max_new_tokens=3))
"""


@pytest.mark.long
def test_the_interpreter_waits_for_a_worker_that_frees_the_model() -> None:
    command = [sys.executable, "-c", LIGHT + LAST_REFERENCE]
    here = Path(__file__).parent
    run = subprocess.run(command, cwd=here, capture_output=True, text=True, timeout=60, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (0, "gone\n", "")
