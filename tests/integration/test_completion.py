"""`ChatGLMSlimLLM` as a LangChain user with prompts meets it, on a tiny trained checkpoint."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.exceptions import ContextOverflowError
from langchain_core.load import dumpd, load
from langchain_core.messages import HumanMessage
from langchain_core.outputs import GenerationChunk, LLMResult
from langchain_core.prompts import PromptTemplate

from chatglm_slim_llm import ChatGLMSlim, ChatGLMSlimLLM
from chatglm_slim_llm.engine import Delta, Engine, Request
from chatglm_slim_llm.errors import ConfigError, GenerationError, PromptTooLongError
from chatglm_slim_llm.until import ReplyTimeoutError
from tests.unit.workers import wait_until

TINY = str(Path(__file__).parents[1] / "data" / "reference" / "tiny_v11")
HELLO = "你好👋！我是小灯，很高兴见到你，欢迎问我任何问题。"  # what the original answers to 你好, post-processed
ENDLESS: dict[str, Any] = {"temperature": 50.0, "top_k": 0, "top_p": 1.0, "seed": 4}
USAGE = {"input_tokens": 4, "output_tokens": 25, "total_tokens": 29}


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def llm() -> ChatGLMSlimLLM:
    return ChatGLMSlimLLM(model=TINY, device="cpu", temperature=0)


@pytest.fixture
def count_steps(llm: ChatGLMSlimLLM) -> Iterator[Callable[[], int]]:
    """How many forward passes there were so far; each takes at least 10 ms."""
    steps: list[int] = []

    def count(*_: Any) -> None:
        steps.append(1)
        time.sleep(0.01)

    hook = llm._load().loaded.model.lm_head.register_forward_hook(count)
    yield lambda: len(steps)
    hook.remove()


class Listener(BaseCallbackHandler):
    """Writes down what LangChain tells of a run."""

    def __init__(self) -> None:
        self.prompts: list[str] = []
        self.params: list[dict[str, Any]] = []
        self.tokens: list[str] = []
        self.results: list[LLMResult] = []
        self.errors: list[BaseException] = []

    def on_llm_start(self, serialized: dict[str, Any], prompts: list[str], **kwargs: Any) -> None:
        self.prompts += prompts
        self.params.append(kwargs["invocation_params"])

    def on_llm_new_token(self, token: Any, **kwargs: Any) -> None:
        self.tokens.append(token)

    def on_llm_end(self, response: LLMResult, **kwargs: Any) -> None:
        self.results.append(response)

    def on_llm_error(self, error: BaseException, **kwargs: Any) -> None:
        self.errors.append(error)


# --- replies ---


def test_a_prompt_is_answered_as_the_original_does(llm: ChatGLMSlimLLM) -> None:
    assert llm.invoke("你好") == HELLO
    assert "".join(llm.stream("你好")) == HELLO


def test_the_prompt_reaches_the_model_as_it_is(llm: ChatGLMSlimLLM, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Request] = []
    stream = Engine.stream

    def listen(engine: Engine, request: Request) -> Iterator[Delta]:
        asked.append(request)
        return stream(engine, request)

    monkeypatch.setattr(Engine, "stream", listen)
    prompt = "[Round 0]\n问：1+1\n答：2\n[Round 1]\n问：你好 {x}\n答："
    llm.invoke(prompt, max_tokens=1)
    assert [(request.system, request.history, request.query) for request in asked] == [("", [], prompt)]


def test_the_model_works_in_a_chain_of_a_prompt(llm: ChatGLMSlimLLM) -> None:
    chain = PromptTemplate.from_template("{word}") | llm
    assert chain.invoke({"word": "你好"}) == HELLO
    assert "".join(chain.stream({"word": "你好"})) == HELLO


def test_messages_are_written_out_as_langchain_writes_them(llm: ChatGLMSlimLLM) -> None:
    listener = Listener()
    llm.invoke([HumanMessage("你好")], {"callbacks": [listener]}, max_tokens=1)
    assert listener.prompts == ["Human: 你好"]


def test_several_prompts_are_answered_in_common_steps(llm: ChatGLMSlimLLM, count_steps: Callable[[], int]) -> None:
    before = count_steps()
    alone = [llm.invoke(prompt, max_tokens=12) for prompt in ("你好", "hello")]
    steps_alone = count_steps() - before
    before = count_steps()
    assert llm.batch(["你好", "hello"] * 4, max_tokens=12) == alone * 4
    assert count_steps() - before < 2.5 * steps_alone  # one by one it would be 4 times
    before = count_steps()
    generated = llm.generate(["你好", "hello"] * 4, max_tokens=12)
    assert [replies[0].text for replies in generated.generations] == alone * 4
    assert count_steps() - before < 2.5 * steps_alone


def test_an_error_of_one_input_of_a_batch_leaves_the_others_alone(llm: ChatGLMSlimLLM) -> None:
    good, bad, last = llm.batch(["你好", "", "你好"], return_exceptions=True)
    assert (good, last) == (HELLO, HELLO)
    assert isinstance(bad, GenerationError)
    with pytest.raises(GenerationError):
        llm.batch(["你好", ""])


def test_an_error_of_one_prompt_ends_the_others(llm: ChatGLMSlimLLM, count_steps: Callable[[], int]) -> None:
    with pytest.raises(ContextOverflowError):
        llm.generate(["你好", "长" * 5000], **ENDLESS)
    wait_until(lambda: not llm._load().engine._scheduler._live)
    assert count_steps() < 200  # of 2,000


def test_the_index_tells_whose_reply_is_there(llm: ChatGLMSlimLLM) -> None:
    replies = dict(llm.batch_as_completed(["你好", "hello", "你好"], max_tokens=6))
    assert [replies[i] for i in range(3)] == [llm.invoke(prompt, max_tokens=6) for prompt in ("你好", "hello", "你好")]


def test_many_threads_get_their_own_replies(llm: ChatGLMSlimLLM) -> None:
    expected = {prompt: llm.invoke(prompt) for prompt in ("你好", "hello", "1+1")}
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda prompt: (prompt, llm.invoke(prompt)), list(expected) * 4))
    assert all(expected[prompt] == reply for prompt, reply in replies)


# --- options ---


def test_options_of_one_call_hold_for_it_alone(llm: ChatGLMSlimLLM) -> None:
    assert llm.invoke("你好", stop=["很高兴"]) == HELLO[: HELLO.index("很高兴")]
    assert llm.bind(stop=["很高兴"]).invoke("你好") == HELLO[: HELLO.index("很高兴")]
    assert len(llm.invoke("你好", max_tokens=3)) < len(HELLO)
    assert llm.invoke("你好", model="demo", max_tokens=5) != llm.invoke("你好", max_tokens=5)
    assert llm.invoke("你好") == HELLO


def test_the_stop_strings_of_the_object_hold_unless_a_call_gives_others() -> None:
    llm = ChatGLMSlimLLM(model=TINY, device="cpu", temperature=0, stop="很")
    assert llm.invoke("你好") == HELLO[: HELLO.index("很")]
    assert "".join(llm.stream("你好")) == HELLO[: HELLO.index("很")]
    assert llm.bind(stop=["小灯"]).invoke("你好") == HELLO[: HELLO.index("小灯")]
    assert llm.bind(stop=[]).invoke("你好") == HELLO


def test_a_reply_can_be_held_to_json(llm: ChatGLMSlimLLM) -> None:
    pytest.importorskip("llguidance")
    form = {
        "type": "object",
        "properties": {"n": {"type": "integer"}},
        "required": ["n"],
        "additionalProperties": False,
    }
    assert isinstance(json.loads(llm.invoke("你好", response_format=form))["n"], int)


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"temprature": 1}, "ChatGLMSlimLLM has no option 'temprature'; did you mean 'temperature'"),
        ({"device": "cpu"}, "device cannot be given for one call; make another ChatGLMSlimLLM"),
        ({"temperature": -1}, "temperature is -1"),
        ({"stop": 3}, "stop is 3; it must be a list of strings"),
        ({"stop": b"!"}, "stop is b'!'; it must be a list of strings"),
        ({"tools": [{"name": "f", "description": "", "parameters": {}}]}, "a plain-text model cannot call tools"),
    ],
)
def test_a_call_option_that_cannot_be_used_is_named(given: dict[str, Any], complaint: str, llm: ChatGLMSlimLLM) -> None:
    with pytest.raises(ConfigError, match=complaint):
        llm.invoke("你好", **given)
    with pytest.raises(ConfigError, match=complaint):
        list(llm.stream("你好", **given))


def test_an_option_of_the_object_that_cannot_be_used_is_named_at_once() -> None:
    with pytest.raises(ConfigError, match=r"^ChatGLMSlimLLM has no option 'temprature'"):
        ChatGLMSlimLLM(temprature=1)  # type: ignore[call-arg]


# --- numbers and errors ---


def test_usage_and_finish_reason_come_with_the_last_chunk_only(llm: ChatGLMSlimLLM) -> None:
    *chunks, last = llm._stream("你好")
    assert not any(chunk.generation_info for chunk in chunks)
    assert isinstance(last, GenerationChunk)
    assert last.generation_info is not None
    assert last.generation_info["usage_metadata"] == USAGE
    assert last.generation_info["finish_reason"] == "stop"
    assert last.generation_info["model_name"] == TINY


def test_a_result_carries_what_the_last_chunk_carries_and_the_sum_of_the_tokens(llm: ChatGLMSlimLLM) -> None:
    result = llm.generate(["你好", "你好"])
    infos = [replies[0].generation_info for replies in result.generations]
    assert [info["usage_metadata"] for info in infos if info] == [USAGE, USAGE]
    assert result.llm_output == {"token_usage": {"prompt_tokens": 8, "completion_tokens": 50, "total_tokens": 58}}


def test_tokens_are_counted_with_the_models_own_vocabulary() -> None:
    llm = ChatGLMSlimLLM(model=TINY, device="cpu")
    assert llm.get_num_tokens("你好") == 2
    assert llm.get_num_tokens("<sop>") > 1


def test_a_prompt_that_is_too_long_is_langchains_error_and_ours(llm: ChatGLMSlimLLM) -> None:
    with pytest.raises(ContextOverflowError) as caught:
        llm.invoke("长" * 5000)
    assert isinstance(caught.value, PromptTooLongError)
    assert caught.value.limit == 2048


def test_a_reply_that_takes_too_long_is_an_error(llm: ChatGLMSlimLLM, count_steps: Callable[[], int]) -> None:
    with pytest.raises(ReplyTimeoutError):
        llm.invoke("你好", timeout=0.1, **ENDLESS)


# --- async ---


async def test_the_async_forms_give_what_the_sync_forms_give(llm: ChatGLMSlimLLM) -> None:
    assert await llm.ainvoke("你好") == HELLO
    assert "".join([chunk async for chunk in llm.astream("你好")]) == HELLO
    assert await llm.abatch(["你好", "hello"] * 2) == llm.batch(["你好", "hello"] * 2)
    assert (await llm.agenerate(["你好"])).llm_output == llm.generate(["你好"]).llm_output
    with pytest.raises(PromptTooLongError):
        await llm.ainvoke("长" * 5000)


@pytest.mark.parametrize("streaming", [True, False])
async def test_cancelling_the_task_stops_the_computation(
    streaming: bool, llm: ChatGLMSlimLLM, count_steps: Callable[[], int]
) -> None:
    async def run() -> None:
        if streaming:
            async for _ in llm.astream("你好", **ENDLESS):
                pass
        else:
            await llm.agenerate(["你好", "hello"], **ENDLESS)

    task = asyncio.create_task(run())
    while count_steps() < 4:
        await asyncio.sleep(0.002)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.to_thread(wait_until, lambda: not llm._load().engine._scheduler._live)
    assert count_steps() < 100  # of 2,000
    await asyncio.sleep(0.2)


# --- caches ---


class CountingCache(InMemoryCache):
    def __init__(self) -> None:
        super().__init__()
        self.hits = 0

    def lookup(self, prompt: str, llm_string: str) -> Any:
        found = super().lookup(prompt, llm_string)
        self.hits += found is not None
        return found


def test_a_cache_answers_the_second_time_and_only_the_same_question(count_steps: Callable[[], int]) -> None:
    cache = CountingCache()
    llm = ChatGLMSlimLLM(model=TINY, device="cpu", temperature=0, cache=cache)
    first = llm.invoke("你好", max_tokens=6)
    steps = count_steps()
    assert (llm.invoke("你好", max_tokens=6), count_steps(), cache.hits) == (first, steps, 1)
    assert steps > 0


@pytest.mark.parametrize(
    "other",
    [
        {"max_tokens": 5},
        {"temperature": 0.5},
        {"seed": 1},
        {"stop": ["小灯"]},
        {"model": "demo"},
        {"response_format": {"type": "object"}},
    ],
    ids=str,
)
async def test_a_cache_tells_apart_what_one_call_changes(
    other: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = CountingCache()
    llm = ChatGLMSlimLLM(model=TINY, device="cpu", temperature=0, cache=cache)
    monkeypatch.setattr(Engine, "stream", _say_nothing)
    for options in ({}, other):
        llm.invoke("你好", **options)
        assert cache.hits == 0
    llm.invoke("你好", **other)
    await llm.ainvoke("你好", **other)
    assert cache.hits == 2


def _say_nothing(engine: Engine, request: Request) -> Iterator[Delta]:
    from chatglm_slim_llm.engine import Statistics

    yield Delta("", "stop", Statistics(1, 1, 0.0, 0.0, 0))


def test_a_cache_tells_apart_objects_with_other_options_and_checkpoints_with_other_files(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(TINY, folder)
    cache = CountingCache()
    made = {"model": str(folder), "device": "cpu", "temperature": 0, "max_tokens": 2, "cache": cache}
    for options in ({}, {"top_p": 0.5}, {"stop": ["x"]}, {"fix_punctuation": False}, {"quantization": "int8"}):
        ChatGLMSlimLLM(**made | options).invoke("你好")  # type: ignore[arg-type]
    assert cache.hits == 0
    (folder / "config.json").write_text((folder / "config.json").read_text() + "\n")
    ChatGLMSlimLLM(**made).invoke("你好")  # type: ignore[arg-type]
    assert cache.hits == 0
    ChatGLMSlimLLM(**made).invoke("你好")  # type: ignore[arg-type]
    assert cache.hits == 1


def test_the_model_of_one_call_stays_loaded_beside_the_own(llm: ChatGLMSlimLLM) -> None:
    own = ChatGLMSlimLLM(model="demo", device="cpu", temperature=0)
    own.invoke("你好", model=TINY, max_tokens=1)
    assert own._weights_of(TINY).loaded is not None
    assert own._weights_of(TINY) is own._other_weights


def test_each_of_many_calls_at_once_gets_the_model_that_it_names() -> None:
    own = ChatGLMSlimLLM(model="demo", device="cpu")
    models = [f"{TINY}/{number}" for number in range(6)]  # handles read no file

    def ask(model: str) -> int:
        wanted = replace(own.load_options(), model=model)
        return sum(not own._weights_of(model).are_of(wanted) for _ in range(1500))

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(6) as pool:
            assert sum(pool.map(ask, models)) == 0
    finally:
        sys.setswitchinterval(interval)


# --- tracing, writing ---


def test_callbacks_hear_the_options_every_token_and_the_usage(llm: ChatGLMSlimLLM) -> None:
    listener = Listener()
    list(llm.stream("你好", {"callbacks": [listener]}, max_tokens=9))
    assert "".join(listener.tokens) == HELLO[: len("".join(listener.tokens))] != ""
    [[generation]] = listener.results[0].generations
    assert generation.generation_info is not None
    assert generation.generation_info["usage_metadata"]["output_tokens"] == 9
    llm.invoke("你好", {"callbacks": [listener]}, max_tokens=1, stop=["x"])
    assert listener.params[-1]["max_tokens"] == 1
    assert listener.params[-1]["stop"] == ["x"]
    assert listener.params[-1]["checkpoint"] == llm._weights.fingerprint()


async def test_events_carry_every_token(llm: ChatGLMSlimLLM) -> None:
    events = [event async for event in llm.astream_events("你好")]
    shown = "".join(event["data"]["chunk"] for event in events if event["event"] == "on_llm_stream")
    assert shown == HELLO


def test_callbacks_hear_of_errors(llm: ChatGLMSlimLLM) -> None:
    listener = Listener()
    with pytest.raises(PromptTooLongError):
        llm.invoke("长" * 5000, {"callbacks": [listener]})
    assert [type(error).__name__ for error in listener.errors] == ["PromptOverflowError"]


def test_traces_say_which_model_answered(llm: ChatGLMSlimLLM) -> None:
    assert llm._get_ls_params(stop=["x"], max_tokens=9) == {
        "ls_provider": "chatglm",
        "ls_model_type": "llm",
        "ls_model_name": TINY,
        "ls_temperature": 0,
        "ls_max_tokens": 9,
        "ls_stop": ["x"],
    }


@pytest.mark.filterwarnings("ignore:The function `load` is in beta")
def test_what_is_written_can_be_read_again(llm: ChatGLMSlimLLM) -> None:
    read = load(dumpd(llm), allowed_objects=[ChatGLMSlimLLM], valid_namespaces=["chatglm_slim_llm"])
    assert isinstance(read, ChatGLMSlimLLM)
    assert read.asdict() == llm.asdict()
    assert read.invoke("你好") == HELLO


def test_weights_are_shared_with_a_chat_model_of_the_same_options(llm: ChatGLMSlimLLM) -> None:
    assert ChatGLMSlim(model=TINY, device="cpu")._load() is llm._load()
