"""The engine on a tiny trained model, and on scripted tokens where a certain text is needed."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from chatglm_slim_llm.checkpoint import load_model, load_tokenizer
from chatglm_slim_llm.config import GenerationOptions
from chatglm_slim_llm.engine import Delta, Engine, Request
from chatglm_slim_llm.engine.sequence import READ_AHEAD
from chatglm_slim_llm.errors import GenerationError, PromptTooLongError
from chatglm_slim_llm.model import process_response
from tests.unit.workers import wait_until

REFERENCE = Path(__file__).parents[1] / "data" / "reference"
CHATS: dict[str, Any] = json.loads((REFERENCE / "expected" / "chat.json").read_text("utf-8"))
GREEDY = GenerationOptions(temperature=0, max_length=256)
RAMBLING = GenerationOptions(temperature=50, top_k=0, top_p=1, seed=4)  # practically never meets the end mark
EOS = 866


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(load_model(REFERENCE / "tiny_v11", dtype=torch.float32), load_tokenizer(REFERENCE / "tiny_v11"))


@pytest.fixture
def count_steps(engine: Engine) -> Iterator[Callable[[], int]]:
    """How many forward passes there were so far."""
    counted = []
    hook = engine.model.lm_head.register_forward_hook(lambda *_: counted.append(1))
    yield lambda: len(counted)
    hook.remove()


class Script:
    """A model that says just these tokens, one a step."""

    max_rows = 1

    def __init__(self, token_ids: list[int], before_prefill: Callable[[], object] = lambda: None) -> None:
        self._scores = torch.nn.functional.one_hot(torch.tensor(token_ids)).float()
        self._before_prefill = before_prefill

    def prefill(
        self, _prompt_ids: Sequence[int], *, exact: bool = False
    ) -> Generator[None, None, tuple[Iterator[Tensor], Tensor]]:
        yield
        self._before_prefill()
        scores = iter(self._scores)
        return scores, next(scores)

    def step(self, contexts: Sequence[Iterator[Tensor]], _new_ids: Sequence[Sequence[int]]) -> list[Tensor]:
        return [next(context)[None] for context in contexts]

    def forget(self, _context: Iterator[Tensor], _num_tokens: int) -> None:
        raise AssertionError("nothing was guessed")


def scripted(engine: Engine, token_ids: list[int]) -> Engine:
    """An engine whose model says just these tokens."""
    return Engine(engine.model, engine.tokenizer, forward=Script(token_ids))


def say(engine: Engine, text: str) -> Engine:
    return scripted(engine, [*engine.tokenizer.encode(text, add_special_tokens=False), EOS])


def ask(query: str = "你好", **options: Any) -> Request:
    return Request(query=query, options=GenerationOptions(**{"temperature": 0, **options}))


# --- text ---


@pytest.mark.parametrize("chat", CHATS["greedy_chats"], ids=lambda chat: chat["query"])
def test_greedy_replies_are_those_of_the_original(chat: dict[str, Any], engine: Engine) -> None:
    history = [(asked, answered) for asked, answered in chat["history"]]
    deltas = list(engine.stream(Request(query=chat["query"], history=history, options=GREEDY)))
    assert process_response("".join(delta.text for delta in deltas)) == chat["response"]
    assert [delta.finish_reason for delta in deltas] == [None] * (len(deltas) - 1) + ["stop"]


@pytest.mark.parametrize("case", CHATS["max_length_truncation"], ids=lambda case: str(case["max_length"]))
def test_the_last_token_before_max_length_is_shown(case: dict[str, Any], engine: Engine) -> None:
    reply = engine.generate(ask(case["query"], max_length=case["max_length"]))
    assert process_response(reply.text) == case["chat"]
    assert reply.finish_reason == "length"


@pytest.mark.long
def test_generate_joins_stream(engine: Engine) -> None:
    request = Request(query="你好", options=RAMBLING)
    deltas = list(engine.stream(request))
    reply = engine.generate(request)
    assert reply.text == "".join(delta.text for delta in deltas)
    assert reply.finish_reason == deltas[-1].finish_reason


def test_the_same_seed_gives_the_same_text_and_another_one_another(engine: Engine) -> None:
    texts = [
        engine.generate(ask(temperature=2.0, top_k=0, top_p=1, seed=seed, max_tokens=20)).text for seed in (1, 1, 2)
    ]
    assert texts[0] == texts[1] != texts[2]


def test_a_character_of_several_bytes_is_never_shown_in_halves(engine: Engine) -> None:
    shown = [delta.text for delta in say(engine, "好👋🏽吧").stream(ask())]
    assert "".join(shown) == "好👋🏽吧"
    assert not any("\ufffd" in text for text in shown)


@pytest.mark.parametrize("max_tokens", [4, 5])
def test_a_character_that_the_last_token_leaves_incomplete_is_not_shown(max_tokens: int, engine: Engine) -> None:
    assert engine.generate(ask(max_tokens=max_tokens)).text == "你好"  # 👋 is four tokens of one byte


def test_the_system_text_reaches_the_model(engine: Engine) -> None:
    plain = engine.generate(Request(query="你好", options=GREEDY))
    told = engine.generate(Request(query="你好", system="hello there", options=GREEDY))
    assert plain.statistics is not None
    assert told.statistics is not None
    assert told.statistics.prompt_tokens > plain.statistics.prompt_tokens


# --- where it ends ---


def test_a_stop_string_of_several_tokens_never_leaks(engine: Engine) -> None:
    speaker = say(engine, "很高兴见到你,欢迎")
    deltas = list(speaker.stream(ask(stop=("到你，欢",))))
    assert "".join(delta.text for delta in deltas) == "很高兴见"
    assert deltas[-1].finish_reason == "stop"


def test_a_real_model_stops_before_the_first_stop_string(engine: Engine) -> None:
    whole = engine.generate(ask()).text
    for stop in (whole[3:6], whole[5], whole[-3:]):
        assert engine.generate(ask(stop=(stop, "never said"))).text == whole[: whole.index(stop)]


def test_a_begun_stop_string_is_shown_when_max_tokens_end_the_reply(engine: Engine) -> None:
    reply = engine.generate(ask(max_tokens=2, stop=("好👋never",)))
    assert reply.finish_reason == "length"
    assert reply.text == engine.generate(ask(max_tokens=2)).text


def test_a_stop_string_completed_by_the_last_allowed_token_is_a_stop(engine: Engine) -> None:
    ids = engine.tokenizer.encode("你好", add_special_tokens=False)
    reply = scripted(engine, ids * 9).generate(ask(max_tokens=len(ids), stop=("好",)))
    assert (reply.text, reply.finish_reason) == ("你", "stop")


def test_max_tokens_limits_the_reply(engine: Engine) -> None:
    reply = engine.generate(ask(max_tokens=4))
    assert reply.finish_reason == "length"
    assert reply.statistics is not None
    assert reply.statistics.generated_tokens == 4


def test_a_reply_of_nothing_is_still_a_reply(engine: Engine) -> None:
    assert [(d.text, d.finish_reason) for d in scripted(engine, [EOS]).stream(ask())] == [("", "stop")]


# --- statistics ---


def test_statistics_count_tokens_and_time(engine: Engine) -> None:
    started = time.perf_counter()
    request = Request(query="你好", history=[("a", "b")] * 50, options=GREEDY)
    statistics = engine.generate(request).statistics
    elapsed_s = time.perf_counter() - started
    assert statistics is not None
    assert statistics.prompt_tokens <= 256 - 256 // 4
    assert 0 < statistics.dropped_rounds < 50
    assert 0 < statistics.time_to_first_token_s < elapsed_s
    assert statistics.generated_tokens / statistics.tokens_per_s < elapsed_s * 2


# --- cancelling ---


def test_closing_the_stream_stops_the_work_at_once(engine: Engine, count_steps: Callable[[], int]) -> None:
    stream = engine.stream(Request(query="你好", options=RAMBLING))
    for _ in range(5):
        next(stream)
    stream.close()
    assert engine.generate(ask(max_tokens=2)).finish_reason == "length"
    assert count_steps() <= 5 + READ_AHEAD + 2


def test_nothing_is_computed_before_the_first_delta_is_asked_for_and_little_ahead_of_the_reader(
    engine: Engine, count_steps: Callable[[], int]
) -> None:
    stream = engine.stream(Request(query="你好", options=RAMBLING))
    assert count_steps() == 0
    next(stream)
    assert engine.generate(ask(max_tokens=20)).finish_reason == "length"
    assert count_steps() == 1 + READ_AHEAD + 20
    stream.close()


def test_a_reply_that_is_wanted_whole_does_not_wait_for_its_reader(
    engine: Engine, count_steps: Callable[[], int]
) -> None:
    stream = engine.stream(Request(query="你好", options=replace(RAMBLING, max_tokens=40), wants_whole=True))
    next(stream)
    for _ in range(1000):
        if count_steps() == 40:
            break
        time.sleep(0.01)
    assert count_steps() == 40
    assert len(list(stream)) == 39


def test_a_late_reader_does_not_make_the_model_slow(engine: Engine) -> None:
    started = time.perf_counter()
    stream = engine.stream(Request(query="你好", options=replace(RAMBLING, max_tokens=40), wants_whole=True))
    next(stream)
    wait_until(lambda: not engine._scheduler._live, 30)
    computed_s = time.perf_counter() - started
    time.sleep(2 * computed_s)
    statistics = list(stream)[-1].statistics
    assert statistics is not None
    assert statistics.generated_tokens == 40
    assert 39 / statistics.tokens_per_s <= computed_s


def test_every_token_gives_a_delta_so_that_a_reader_can_stop_while_text_is_held_back(engine: Engine) -> None:
    deltas = list(say(engine, "aaaaaa").stream(ask(stop=("a" * 60,))))
    assert len(deltas) >= 2
    assert [delta.text for delta in deltas] == [""] * (len(deltas) - 1) + ["aaaaaa"]


def test_a_cancelled_request_ends_with_what_was_said(engine: Engine, count_steps: Callable[[], int]) -> None:
    cancel = threading.Event()
    stream = engine.stream(Request(query="你好", options=RAMBLING, cancel=cancel))
    texts = [next(stream).text for _ in range(3)]
    cancel.set()
    (last,) = stream
    assert last.finish_reason == "cancelled"
    assert count_steps() <= 3 + READ_AHEAD
    assert last.statistics is not None
    assert last.statistics.generated_tokens == len(texts)


def test_a_request_cancelled_while_it_waits_for_its_turn_computes_nothing(engine: Engine) -> None:
    at_work, go_on, cancel = threading.Event(), threading.Event(), threading.Event()

    def wait() -> None:
        prefills.append(1)
        at_work.set()
        go_on.wait(10)

    prefills: list[int] = []
    slow_engine = Engine(engine.model, engine.tokenizer, forward=Script([EOS], wait))
    first = threading.Thread(target=slow_engine.generate, args=(ask(),))
    first.start()
    at_work.wait(10)
    waiting = slow_engine.stream(Request(query="你好", cancel=cancel))
    threading.Timer(0.1, cancel.set).start()
    assert next(waiting).finish_reason == "cancelled"
    assert first.is_alive()
    go_on.set()
    first.join()
    assert len(prefills) == 1


def test_ctrl_c_in_the_middle_of_a_token_leaves_the_engine_usable(engine: Engine) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    stream = engine.stream(Request(query="你好", options=RAMBLING))
    next(stream)
    hook = engine.model.lm_head.register_forward_hook(interrupt)
    with pytest.raises(KeyboardInterrupt):
        list(stream)
    hook.remove()
    assert engine.generate(ask(max_tokens=3)).finish_reason == "length"


# --- many threads ---


@pytest.mark.long
def test_threads_share_one_model_and_each_gets_its_own_reply(engine: Engine) -> None:
    requests = [
        Request(query=query, options=GenerationOptions(temperature=0.9, top_p=1, seed=seed, max_tokens=25))
        for seed, query in enumerate(["你好", "hello", "1+1", "再见"] * 3)
    ]
    expected = [engine.generate(request).text for request in requests]
    found: dict[int, str] = {}

    def run(index: int) -> None:
        found[index] = engine.generate(requests[index]).text

    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(requests))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[index] for index in range(len(requests))] == expected


def test_a_half_read_stream_stops_nobody(engine: Engine) -> None:
    half_read = engine.stream(Request(query="你好", options=RAMBLING))
    next(half_read)
    assert engine.generate(ask()).finish_reason == "stop"
    assert isinstance(next(half_read), Delta)
    half_read.close()


# --- errors ---


def test_weights_that_are_no_numbers_are_an_error_that_says_so() -> None:
    model = load_model(REFERENCE / "tiny_v11", dtype=torch.float32)
    with torch.no_grad():
        model.transformer.layers[1].mlp.dense_h_to_4h.weight.fill_(torch.nan)
    broken = Engine(model, load_tokenizer(REFERENCE / "tiny_v11"))
    with pytest.raises(GenerationError, match="weights are damaged"):
        broken.generate(ask())


@pytest.mark.parametrize("query", ["", "  \n", "a\ud800b"])
def test_what_is_no_prompt_is_an_error_and_computes_nothing(
    query: str, engine: Engine, count_steps: Callable[[], int]
) -> None:
    with pytest.raises(GenerationError):
        engine.generate(ask(query))
    assert count_steps() == 0


def test_a_prompt_of_100_000_characters_is_an_error_within_seconds(engine: Engine) -> None:
    started = time.perf_counter()
    with pytest.raises(PromptTooLongError):
        engine.generate(ask("长" * 100_000))
    assert time.perf_counter() - started < 10
