"""Replies that share steps of the real small model are what each would be alone."""

from __future__ import annotations

import gc
import random
import threading
import time
import weakref
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import islice
from typing import Any

import pytest
import torch
from torch import Tensor

from chatglm_slim_llm.checkpoint import Loaded, load
from chatglm_slim_llm.config import GenerationOptions, LoadOptions
from chatglm_slim_llm.engine import Delta, Engine, Request, Sampler, fit_prompt
from chatglm_slim_llm.engine.scheduler import Scheduler
from chatglm_slim_llm.engine.speculation import Tally
from chatglm_slim_llm.model import decode_steps, forward_for
from tests.unit.workers import wait_until, workers

QUERIES = ("你好", "写一首关于春天的诗", "hello", "1+1=?", "请介绍一下北京", "今天天气怎么样", "你是谁", "a b a b a b")


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def loaded() -> Loaded:
    return load(LoadOptions(model="demo", device="cpu"))


@pytest.fixture
def engine(loaded: Loaded) -> Engine:
    return Engine(loaded.model, loaded.tokenizer)


class Spy:
    """The real model, with its steps written down and its contexts watched."""

    def __init__(self, loaded: Loaded) -> None:
        self._forward: Any = forward_for(loaded.model)
        self.max_rows, self.forget = self._forward.max_rows, self._forward.forget
        self.rows: list[list[int]] = []
        self.contexts: list[weakref.ref[Any]] = []
        self.before_step: Callable[[], object] = lambda: None

    def prefill(self, prompt_ids: Sequence[int], *, exact: bool = False) -> Any:
        context, scores = yield from self._forward.prefill(prompt_ids, exact=exact)
        self.contexts.append(weakref.ref(context))
        return context, scores

    def step(self, contexts: Sequence[Any], new_ids: Sequence[Sequence[int]]) -> list[Tensor]:
        self.rows.append([len(ids) for ids in new_ids])
        self.before_step()
        scores: list[Tensor] = self._forward.step(contexts, new_ids)
        return scores


def prompt_of(loaded: Loaded, request: Request) -> list[int]:
    fitted = fit_prompt(
        loaded.tokenizer, query=request.query, history=(), system="", options=request.options, context_length=2048
    )
    return list(fitted.input_ids)


def alone(loaded: Loaded, request: Request) -> list[int]:
    """The tokens that the plain loop gives."""
    prompt_ids = prompt_of(loaded, request)
    steps = decode_steps(
        loaded.model, torch.tensor([prompt_ids]), Sampler(request.options, prompt_ids).pick, eos_token_id=eos(loaded)
    )
    return list(islice(steps, request.options.max_tokens))


def eos(loaded: Loaded) -> int:
    return int(loaded.tokenizer.eos_token_id)


def tokens(scheduler: Scheduler[Any], loaded: Loaded, request: Request, **more: Any) -> Generator[int]:
    prompt_ids, options = prompt_of(loaded, request), request.options
    assert options.max_tokens is not None
    pick = Sampler(options, prompt_ids).pick
    return scheduler.tokens(prompt_ids, pick, max_new_tokens=options.max_tokens, cancel=request.cancel, **more)


def ask(query: str, **options: Any) -> Request:
    return Request(query=query, options=GenerationOptions(**{"temperature": 0, "max_tokens": 60, **options}))


def rambling(query: str, seed: int) -> Request:
    return ask(query, temperature=1.5, top_k=0, top_p=1, seed=seed, repetition_penalty=1.0 + 0.1 * (seed % 2))


@pytest.mark.long
@pytest.mark.parametrize("speculate", [True, False])
def test_a_reply_is_the_same_alone_and_among_others_that_join_and_leave(speculate: bool, loaded: Loaded) -> None:
    spy = Spy(loaded)
    scheduler = Scheduler(spy, eos(loaded), speculate=speculate)
    requests = [*map(ask, QUERIES), *(rambling(query, seed) for seed, query in enumerate(QUERIES))]
    expected = [alone(loaded, request) for request in requests]
    found: list[tuple[int, bool, list[int]]] = []

    def read(seed: int) -> None:
        randomness = random.Random(seed)
        for index in randomness.sample(range(len(requests)), 6):
            time.sleep(randomness.random() * 0.01)
            length = randomness.choice([1, 5, 20, 60, 60])
            with closing(tokens(scheduler, loaded, requests[index])) as stream:
                found.append((index, length == 60, list(islice(stream, length))))

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 48
    for index, is_whole, said in found:
        assert said == expected[index][: None if is_whole else len(said)]
    assert spy.max_rows == 1 or max(map(len, spy.rows)) > 2
    wait_until(lambda: not workers() and not any(context() for context in spy.contexts))


@pytest.mark.parametrize("options", [{}, {"temperature": 0.7, "top_p": 0.9, "seed": 3}, {"repetition_penalty": 1.3}])
def test_guessing_changes_no_text(options: dict[str, Any], loaded: Loaded) -> None:
    engines = [Engine(loaded.model, loaded.tokenizer, speculate=speculate) for speculate in (True, False)]
    for query in QUERIES:
        guessed, plain = (engine.generate(ask(query, **options)) for engine in engines)
        assert guessed.text == plain.text
        assert guessed.statistics is not None
        assert plain.statistics is not None
        assert guessed.statistics.generated_tokens == plain.statistics.generated_tokens
        assert plain.statistics.drafted_tokens == 0 <= guessed.statistics.accepted_tokens


def test_copying_the_prompt_takes_several_tokens_a_step_and_leaves_the_right_context(loaded: Loaded) -> None:
    spy, tally = Spy(loaded), Tally()
    if spy.max_rows == 1:
        pytest.skip("nothing is guessed where every token has a step of its own")
    copied = loaded.tokenizer.encode("春眠不觉晓,处处闻啼鸟。夜来风雨声,花落知多少。" * 2, add_special_tokens=False)
    prompt_ids = prompt_of(loaded, ask("请重复: " + loaded.tokenizer.decode(copied)))
    seen: dict[bool, list[Tensor]] = {True: [], False: []}
    for speculate in (True, False):
        script = iter([*copied, eos(loaded)])
        scheduler = Scheduler(spy, eos(loaded), speculate=speculate)
        scheduler._costs.record = lambda *_: None  # type: ignore[method-assign]  # the machine may be busy

        def pick(scores: Tensor, script: Iterator[int] = script, kept: list[Tensor] = seen[speculate]) -> int:
            kept.append(scores.clone())
            return next(script)

        spy.rows.clear()
        said = list(scheduler.tokens(prompt_ids, pick, max_new_tokens=500, tally=tally))
        assert said == [*copied, eos(loaded)]
        assert (len(said) / len(spy.rows) > 2) == speculate
    assert tally.accepted > len(copied) // 2
    assert all(torch.equal(a, b) for a, b in zip(seen[True], seen[False], strict=True))


def test_cancelling_one_of_three_leaves_the_other_two(engine: Engine, loaded: Loaded) -> None:
    cancel = threading.Event()
    requests = [rambling(query, seed) for seed, query in enumerate(QUERIES[:3])]
    expected = [engine.generate(request).text for request in requests]
    streams = [engine.stream(replace(request, cancel=cancel if i == 1 else None)) for i, request in enumerate(requests)]
    begun = [[next(stream) for _ in range(4)] for stream in streams]
    cancel.set()
    replies = [start + list(stream) for start, stream in zip(begun, streams, strict=True)]
    texts = ["".join(delta.text for delta in reply) for reply in replies]
    assert [reply[-1].finish_reason for reply in replies][1] == "cancelled"
    assert [texts[0], texts[2]] == [expected[0], expected[2]]
    assert expected[1].startswith(texts[1])


def test_a_half_read_reply_waits_and_goes_on_where_it_was(engine: Engine) -> None:
    request = rambling("你好", 5)
    half_read = engine.stream(request)
    begun = [next(half_read).text for _ in range(3)]
    others = [engine.generate(ask(query)).finish_reason for query in QUERIES]
    assert set(others) <= {"stop", "length"}
    assert "".join([*begun, *(delta.text for delta in half_read)]) == engine.generate(request).text


def test_an_error_in_one_reply_leaves_the_others(loaded: Loaded) -> None:
    scheduler = Scheduler(Spy(loaded), eos(loaded))
    request = rambling("你好", 7)
    good = tokens(scheduler, loaded, request)
    begun = [next(good)]
    with pytest.raises(ZeroDivisionError):
        list(scheduler.tokens(prompt_of(loaded, request), lambda _: 1 // 0, max_new_tokens=5))
    with pytest.raises(ValueError, match="gMASK"):
        list(scheduler.tokens([5, 6, 7], lambda _: 5, max_new_tokens=5))
    assert begun + list(good) == alone(loaded, request)


def test_an_engine_that_nobody_uses_any_more_leaves_nothing_behind(loaded: Loaded) -> None:
    engine = Engine(loaded.model, loaded.tokenizer)
    half_read = engine.stream(rambling("你好", 5))
    assert isinstance(next(half_read), Delta)
    watched = weakref.ref(engine._scheduler)
    assert len(workers()) == 1
    del engine, half_read
    wait_until(lambda: not workers())
    gc.collect()
    assert watched() is None
