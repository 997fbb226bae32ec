"""Replies that are held to a form, on the bundled model and on tiny ones whose scores mean nothing."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks.schemas import outcomes, validate
from chatglm_slim_llm.checkpoint import load_model, load_tokenizer
from chatglm_slim_llm.config import GenerationOptions
from chatglm_slim_llm.engine import CALL_START, CallsFormat, Engine, Format, JsonFormat, Request
from chatglm_slim_llm.engine.grammar.constraint import Constraint
from chatglm_slim_llm.errors import GenerationError, MissingExtraError, ReplyTooShortError, SchemaError
from tests.unit.workers import wait_until, workers

DEMO = Path(__file__).parents[2] / "chatglm_slim_llm" / "demo"
REFERENCE = Path(__file__).parents[1] / "data" / "reference"
PERSON = {
    "type": "object",
    "properties": {"full_name": {"type": "string"}, "age": {"type": "integer", "minimum": 0, "maximum": 150}},
    "required": ["full_name", "age"],
}
GUEST = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 40}, "age": PERSON["properties"]["age"]},  # type: ignore[index]
    "required": ["name", "age"],
}
TOOLS = {"get_weather": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}, "now": {}}
WILD: dict[str, Any] = {"temperature": 30.0, "top_k": 0, "top_p": 1.0}


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(load_model(DEMO), load_tokenizer(DEMO))


@pytest.fixture(scope="module")
def tiny() -> Engine:
    folder = REFERENCE / "tiny_v11"
    return Engine(load_model(folder, dtype=torch.float32), load_tokenizer(folder))


class Counted:
    """A model of which the steps are counted."""

    def __init__(self, forward: Any, max_rows: int | None = None) -> None:
        self._forward, self.max_rows = forward, max_rows or forward.max_rows
        self.rows: list[int] = []
        self.prefill, self.forget = forward.prefill, forward.forget

    def step(self, contexts: Any, new_ids: Any) -> list[Tensor]:
        self.rows.append(sum(map(len, new_ids)))
        scores: list[Tensor] = self._forward.step(contexts, new_ids)
        return scores


def counted(engine: Engine, max_rows: int | None = None) -> tuple[Engine, Counted]:
    forward = Counted(engine._scheduler._forward, max_rows)
    return Engine(engine.model, engine.tokenizer, forward=forward), forward


def saying(engine: Engine, token_ids: list[int]) -> Engine:
    """An engine whose model would say just these tokens."""

    num_scores = engine.model.config.vocab_size

    class Script:
        max_rows = 1

        def prefill(self, _ids: Any, *, exact: bool = False) -> Any:
            yield
            scores = iter(torch.nn.functional.one_hot(torch.tensor(token_ids), num_scores).float() * 50)
            return scores, next(scores)

        def step(self, contexts: Any, _new_ids: Any) -> list[Tensor]:
            return [next(context, torch.zeros(num_scores))[None] for context in contexts]

        def forget(self, _context: Any, _num_tokens: int) -> None:
            raise AssertionError("nothing was guessed")

    return Engine(engine.model, engine.tokenizer, forward=Script())


def ask(wanted: Format | None, query: str = "Bob is 32.", **options: Any) -> Request:
    return Request(query=query, format=wanted, options=GenerationOptions(**{"seed": 1, "max_tokens": 40, **options}))


def shortest(engine: Engine, wanted: Format) -> int:
    with pytest.raises(ReplyTooShortError) as caught:
        engine.generate(ask(wanted, max_tokens=1))
    assert caught.value.limit == 1
    return caught.value.needed


# --- always valid ---


@pytest.mark.long
def test_random_schemas_give_valid_replies(engine: Engine) -> None:
    wrong = [outcome.detail for outcome in outcomes(engine, 150, seed=0) if outcome.kind == "wrong"]
    assert not wrong


@pytest.mark.slow
def test_two_thousand_random_schemas_give_valid_replies(engine: Engine) -> None:
    wrong = [outcome.detail for outcome in outcomes(engine, 2000, seed=7) if outcome.kind == "wrong"]
    assert not wrong


@pytest.mark.long
def test_random_schemas_give_valid_replies_in_another_vocabulary(tiny: Engine) -> None:
    wrong = [outcome.detail for outcome in outcomes(tiny, 40, seed=3) if outcome.kind == "wrong"]
    assert not wrong


@pytest.mark.long
@pytest.mark.parametrize("seed", range(4))
def test_a_budget_of_the_shortest_reply_and_a_little_more_is_enough(seed: int, engine: Engine) -> None:
    needed = shortest(engine, JsonFormat(PERSON))
    free = engine.generate(ask(JsonFormat(PERSON), max_tokens=400, seed=seed, **WILD))
    for spare in range(8):
        reply = engine.generate(ask(JsonFormat(PERSON), max_tokens=needed + spare, seed=seed, **WILD))
        validate(reply.text, PERSON)
        assert reply.finish_reason == ("stop" if reply.text == free.text else "length")
        assert reply.statistics is not None
        assert reply.statistics.generated_tokens <= needed + spare


@pytest.mark.parametrize(
    "text", ['{"name": "Bob", "age": 7}', '{"name": "", "age": 150}', '{"name": "李雷", "age": 32}']
)
def test_a_reply_that_just_fits_is_what_the_model_says_and_one_that_does_not_ends_with_length(
    text: str, engine: Engine
) -> None:
    wanted = JsonFormat(GUEST)
    said = [*engine._guides.get(wanted).vocabulary(text), engine.tokenizer.eos_token_id]
    for spare in range(4):
        reply = saying(engine, said).generate(ask(wanted, temperature=0, max_tokens=len(said) + spare))
        assert (reply.text, reply.finish_reason) == (text, "stop")
    for limit in range(shortest(engine, wanted), len(said)):
        reply = saying(engine, said).generate(ask(wanted, temperature=0, max_tokens=limit))
        validate(reply.text, GUEST)
        assert reply.text != text
        assert reply.finish_reason == "length"


def test_a_call_that_was_cut_short_ends_with_length(engine: Engine) -> None:
    wanted = CallsFormat({"find": GUEST}, may_be_words=False)
    text = '{"name": "find", "arguments": {"name": "Bob", "age": 7}}'
    said = [*engine._guides.get(wanted).vocabulary(text), engine.tokenizer.eos_token_id]
    for limit, reason in ((len(said), "stop"), (len(said) - 1, "length")):
        reply = saying(engine, said).generate(ask(wanted, temperature=0, max_tokens=limit))
        assert (reply.text == text, reply.finish_reason) == (reason == "stop", reason)


def test_a_budget_below_the_shortest_reply_is_an_error_before_the_first_token(engine: Engine) -> None:
    watched, forward = counted(engine)
    needed = shortest(watched, JsonFormat(PERSON))
    with pytest.raises(
        ReplyTooShortError, match=f"takes {needed} tokens, but there is room for {needed - 1}"
    ) as caught:
        watched.generate(ask(JsonFormat(PERSON), max_tokens=needed - 1))
    assert (caught.value.needed, caught.value.limit) == (needed, needed - 1)
    assert not forward.rows
    assert not workers()


def test_a_schema_that_cannot_be_held_is_an_error_before_the_first_token(engine: Engine) -> None:
    watched, forward = counted(engine)
    with pytest.raises(SchemaError, match=r"^#/properties/a: 'not' is not supported"):
        watched.generate(ask(JsonFormat({"properties": {"a": {"not": {}}}})))
    assert not forward.rows


def test_no_name_is_written_twice(engine: Engine) -> None:
    letters = {"additionalProperties": {"const": 0}, "propertyNames": {"pattern": "^[ab]{1,2}$"}}
    guide = engine._guides.get(JsonFormat(letters))
    said = guide.vocabulary('{"a": 0, "a": 0, "a": 0, "b": 0, "b": 0, "ab": 0}')
    reply = saying(engine, [*said, engine.tokenizer.eos_token_id]).generate(ask(JsonFormat(letters), temperature=0))
    validate(reply.text, letters)
    assert reply.text.startswith('{"a": 0, "a')
    assert reply.finish_reason == "stop", "there was room"
    for seed in range(5):
        reply = engine.generate(ask(JsonFormat(letters), seed=seed, **WILD))
        validate(reply.text, letters)


def test_scores_that_are_no_numbers_do_not_make_the_reply_invalid(engine: Engine) -> None:
    class Broken(Counted):
        def step(self, contexts: Any, new_ids: Any) -> list[Tensor]:
            scores = super().step(contexts, new_ids)
            spoilt = torch.nan if len(self.rows) % 3 == 0 else -torch.inf
            return [torch.where(torch.arange(rows.shape[-1]) % 2 == 0, rows, spoilt) for rows in scores]

    forward = Broken(engine._scheduler._forward)
    broken = Engine(engine.model, engine.tokenizer, forward=forward, speculate=False)
    for seed in range(3):
        validate(broken.generate(ask(JsonFormat(PERSON), seed=seed)).text, PERSON)


def test_weights_that_give_no_number_at_all_are_an_error(engine: Engine) -> None:
    class Broken(Counted):
        def step(self, contexts: Any, new_ids: Any) -> list[Tensor]:
            return [torch.full_like(rows, torch.nan) for rows in super().step(contexts, new_ids)]

    broken = Engine(engine.model, engine.tokenizer, forward=Broken(engine._scheduler._forward))
    with pytest.raises(GenerationError, match="scores are not numbers"):
        broken.generate(ask(JsonFormat(PERSON)))


@pytest.mark.long
def test_the_same_seed_gives_the_same_reply_alone_and_beside_others(engine: Engine) -> None:
    requests = [ask(JsonFormat(PERSON), seed=seed, **{**WILD, "temperature": 4.0}) for seed in range(12)]
    requests += [ask(None, seed=seed) for seed in range(4)]
    alone = [engine.generate(request).text for request in requests]
    with ThreadPoolExecutor(16) as pool:
        together = [reply.text for reply in pool.map(engine.generate, requests)]
    assert alone == together
    assert len(set(alone)) > 6


# --- words or calls ---


def test_words_are_what_they_would_be_without_tools(engine: Engine) -> None:
    for query in ("hello", "你好", "Who are you?"):
        plain = engine.generate(ask(None, query, temperature=0))
        free = engine.generate(ask(CallsFormat(TOOLS, may_be_words=True), query, temperature=0))
        assert free.text == plain.text
        assert free.finish_reason == plain.finish_reason


def test_a_reply_that_must_be_calls_is(engine: Engine) -> None:
    for seed in range(6):
        reply = engine.generate(ask(CallsFormat(TOOLS, may_be_words=False), max_tokens=60, seed=seed, temperature=2))
        calls = [json.loads(line) for line in reply.text.split("\n")]
        assert calls
        assert reply.finish_reason == "stop"
        for call in calls:
            assert list(call) == ["name", "arguments"]
            validate(json.dumps(call["arguments"]), TOOLS[call["name"]] or {"maxProperties": 0})


CALL = '{"name": "now", "arguments": {}}'


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (CALL, CALL),
        ('{"name": "tomorrow", "arguments": {}}', None),
        ("Let me see.", "Let me see."),
        ('{"nam', '{"nam'),
        ('{"name" is what I need', '{"name" is what I need'),
        ('{"x": 1}', '{"x": 1}'),
        ("", ""),
        ("<{", "<{"),
    ],
)
@pytest.mark.parametrize("space", [True, False])
def test_what_begins_as_a_call_ends_as_one_and_all_else_is_words(
    said: str, shown: str | None, space: bool, engine: Engine
) -> None:
    wanted = CallsFormat(TOOLS, may_be_words=True)
    guide = engine._guides.get(wanted)
    assert guide.vocabulary.dropped_space_id is not None
    token_ids = [guide.vocabulary.dropped_space_id] * space + guide.vocabulary(said) + [engine.tokenizer.eos_token_id]
    reply = saying(engine, token_ids).generate(ask(wanted, temperature=0))
    if shown is None:
        assert json.loads(reply.text.split("\n")[0])["name"] in TOOLS
    else:
        assert reply.text == shown
    assert reply.finish_reason == ("length" if shown is None else "stop"), "the script ends in the wrong name"


def test_words_that_run_out_of_tokens_end_with_length(engine: Engine) -> None:
    wanted = CallsFormat(TOOLS, may_be_words=True)
    reply = saying(engine, engine._guides.get(wanted).vocabulary("one two three four")).generate(
        ask(wanted, temperature=0, max_tokens=3)
    )
    assert reply.finish_reason == "length"
    assert "one two three four".startswith(reply.text)


def test_a_call_for_which_there_is_no_room_is_not_begun(engine: Engine) -> None:
    wanted = CallsFormat(TOOLS, may_be_words=True)
    guide = engine._guides.get(wanted)
    for limit in range(1, 16):
        request = ask(wanted, temperature=0, max_tokens=limit)
        reply = saying(engine, [*guide.vocabulary(CALL), engine.tokenizer.eos_token_id]).generate(request)
        if limit >= len(guide.shortest):
            assert reply.text == CALL
        assert reply.text == CALL or not reply.text.startswith(CALL_START)


def test_stop_strings_end_words_and_leave_json_alone(engine: Engine) -> None:
    person = engine.generate(ask(JsonFormat(PERSON), stop=('"', "a", "}")))
    validate(person.text, PERSON)
    calls = engine.generate(ask(CallsFormat(TOOLS, may_be_words=False), stop=("now", "name", "{")))
    assert json.loads(calls.text.split("\n")[0])
    words = CallsFormat(TOOLS, may_be_words=True)
    guide = engine._guides.get(words)
    said = saying(engine, [*guide.vocabulary('{"nothing" to say'), engine.tokenizer.eos_token_id])
    assert said.generate(ask(words, temperature=0, stop=("noth",))).text == '{"'
    assert said.generate(ask(words, temperature=0, stop=('{"n',))).text == ""
    called = saying(engine, [*guide.vocabulary(CALL), engine.tokenizer.eos_token_id])
    assert called.generate(ask(words, temperature=0, stop=('{"n', "now"))).text == CALL


# --- speed ---


def test_what_is_certain_takes_no_steps_of_its_own(engine: Engine) -> None:
    fields = {f"a_rather_long_name_of_a_field_{i}": {"const": i} for i in range(6)}
    schema = {"type": "object", "properties": fields, "required": list(fields)}
    watched, forward = counted(engine)
    if forward.max_rows == 1:
        pytest.skip("the kernels do not run here")
    reply = watched.generate(ask(JsonFormat(schema), max_tokens=200))
    assert json.loads(reply.text) == {name: i for i, name in enumerate(fields)}
    assert reply.statistics is not None
    assert len(forward.rows) < reply.statistics.generated_tokens / 6


def test_it_works_where_each_step_takes_one_token(engine: Engine) -> None:
    watched, forward = counted(engine, max_rows=1)
    reply = watched.generate(ask(JsonFormat(PERSON)))
    validate(reply.text, PERSON)
    assert set(forward.rows) == {1}
    assert reply.text == engine.generate(ask(JsonFormat(PERSON))).text


# --- when something is missing, breaks or is not wanted any more ---


def test_cancelling_ends_a_reply_that_is_held_to_a_form(engine: Engine) -> None:
    cancel = threading.Event()
    options = GenerationOptions(seed=1, max_tokens=500, temperature=0)
    stream = engine.stream(Request(query="?", format=JsonFormat({"type": "string"}), options=options, cancel=cancel))
    first = next(stream)
    assert first.finish_reason is None
    cancel.set()
    *_, last = stream
    assert last.finish_reason == "cancelled"
    wait_until(lambda: not workers())


def test_an_error_of_the_grammar_reaches_the_reader_and_nobody_else(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    allowed: Callable[[Constraint], Any] = Constraint._allowed

    def fail(self: Constraint) -> Any:
        if self._left < 38:
            raise GenerationError("the lexer is too complex")
        return allowed(self)

    with ThreadPoolExecutor(2) as pool:
        monkeypatch.setattr(Constraint, "_allowed", fail)
        held = pool.submit(engine.generate, ask(JsonFormat(PERSON)))
        free = pool.submit(engine.generate, ask(None))
        with pytest.raises(GenerationError, match="the lexer is too complex"):
            held.result()
        assert free.result().text


def test_a_grammar_that_llguidance_finds_too_complex_says_so(engine: Engine) -> None:
    pattern = "^(" + "|".join(f"(a{{1,40}}b{{1,40}}){{1,40}}{i}" for i in range(40)) + ")$"
    with pytest.raises(SchemaError, match=r"pattern .* is too large|too complex"):
        engine.generate(ask(JsonFormat({"type": "string", "pattern": pattern})))


def test_without_llguidance_the_error_names_the_extra(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "llguidance", None)
    fresh = Engine(engine.model, engine.tokenizer)
    assert fresh.generate(ask(None, max_tokens=2)).text
    with pytest.raises(MissingExtraError, match=r"pip install 'chatglm-slim-llm\[structured\]'") as caught:
        fresh.generate(ask(JsonFormat(PERSON)))
    assert caught.value.extra == "structured"
