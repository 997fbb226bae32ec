"""`ChatGLMSlim` as a LangChain user meets it, on a tiny trained checkpoint."""

from __future__ import annotations

import asyncio
import copy
import pickle
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.exceptions import ContextOverflowError
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from pydantic import ValidationInfo, field_validator, model_validator

from chatglm_slim_llm import ChatGLMSlim, ChatGLMSlimLLM
from chatglm_slim_llm.engine.sequence import READ_AHEAD
from chatglm_slim_llm.errors import (
    CheckpointNotFoundError,
    ConfigError,
    GenerationError,
    PromptTooLongError,
)
from tests.unit.native import needs_library

TINY = str(Path(__file__).parents[1] / "data" / "reference" / "tiny_v11")
HELLO = "你好👋！我是小灯，很高兴见到你，欢迎问我任何问题。"  # what the original answers to 你好, post-processed
RAMBLING = {"temperature": 50.0, "top_k": 0, "top_p": 1.0, "seed": 4}  # practically never meets the end mark
METADATA = {
    "model_name",
    "model_provider",
    "quantization",
    "finish_reason",
    "time_to_first_token_s",
    "tokens_per_s",
    "dropped_rounds",
}


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def llm() -> ChatGLMSlim:
    return ChatGLMSlim(model=TINY, device="cpu", temperature=0)


@pytest.fixture
def count_steps(llm: ChatGLMSlim) -> Iterator[Callable[[], int]]:
    """How many forward passes there were so far."""
    counted: list[int] = []
    with _on_each_step(llm, lambda: counted.append(1)):
        yield lambda: len(counted)


@pytest.fixture
def slow_steps(llm: ChatGLMSlim) -> Iterator[None]:
    """Every forward pass takes 20 ms longer, as a large model's does."""
    with _on_each_step(llm, lambda: time.sleep(0.02)):
        yield


class _on_each_step:  # noqa: N801
    def __init__(self, llm: ChatGLMSlim, act: Callable[[], Any]) -> None:
        llm.load()
        self._hook = llm._load().loaded.model.lm_head.register_forward_hook(lambda *_: act() and None)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        self._hook.remove()


# --- replies ---


def test_invoke_answers_as_the_original_does(llm: ChatGLMSlim) -> None:
    reply = llm.invoke("你好")
    assert isinstance(reply, AIMessage)
    assert reply.content == HELLO


def test_stream_shows_the_same_text_piece_by_piece(llm: ChatGLMSlim) -> None:
    chunks = list(llm.stream([("human", "你好")]))
    assert all(isinstance(chunk, AIMessageChunk) for chunk in chunks)
    assert "".join(str(chunk.content) for chunk in chunks) == HELLO
    assert sum(bool(chunk.content) for chunk in chunks) > 10


def test_usage_and_metadata_come_on_the_last_chunk_only(llm: ChatGLMSlim) -> None:
    *chunks, last = llm.stream("你好")
    assert not any(chunk.usage_metadata or chunk.response_metadata or chunk.chunk_position for chunk in chunks)
    assert last.usage_metadata == {"input_tokens": 4, "output_tokens": 25, "total_tokens": 29}
    assert set(last.response_metadata) == METADATA
    assert last.response_metadata["finish_reason"] == "stop"
    assert last.response_metadata["model_name"] == TINY
    assert last.response_metadata["quantization"] == "fp16"
    assert last.response_metadata["tokens_per_s"] > 0
    assert last.chunk_position == "last"


def test_invoke_carries_what_the_last_chunk_carries(llm: ChatGLMSlim) -> None:
    reply = llm.invoke("你好")
    assert reply.usage_metadata == {"input_tokens": 4, "output_tokens": 25, "total_tokens": 29}
    assert set(reply.response_metadata) == METADATA


def test_rounds_before_the_question_reach_the_model(llm: ChatGLMSlim) -> None:
    reply = llm.invoke([("human", "你好"), ("ai", HELLO), ("human", "你好")])
    assert reply.usage_metadata is not None
    assert reply.usage_metadata["input_tokens"] > 40


def test_history_that_does_not_fit_is_left_out_by_whole_rounds(llm: ChatGLMSlim) -> None:
    history = [message for i in range(60) for message in (("human", f"问题 {i}"), ("ai", "好的" * 20))]
    reply = llm.invoke([("system", "你是小灯"), *history, ("human", "你好")])
    assert 0 < reply.response_metadata["dropped_rounds"] < 60
    assert reply.usage_metadata is not None
    assert reply.usage_metadata["input_tokens"] <= 2048 * 3 // 4


def test_batch_keeps_the_order(llm: ChatGLMSlim) -> None:
    replies = llm.batch(["你好", "hello", "你好"])
    assert [replies[0].content, replies[2].content] == [HELLO, HELLO]
    assert replies[1].content == llm.invoke("hello").content != HELLO


def test_the_model_works_in_a_chain(llm: ChatGLMSlim) -> None:
    chain = ChatPromptTemplate.from_messages([("human", "{word}")]) | llm | StrOutputParser()
    assert chain.invoke({"word": "你好"}) == HELLO
    assert "".join(chain.stream({"word": "你好"})) == HELLO


def test_punctuation_is_left_alone_if_asked(llm: ChatGLMSlim) -> None:
    raw = ChatGLMSlim(model=TINY, device="cpu", temperature=0, fix_punctuation=False)
    assert raw.invoke("你好").content == HELLO.replace("，", ",").replace("！", "!")


# --- options of one call ---


def test_a_stop_string_of_one_call_ends_the_reply_before_it(llm: ChatGLMSlim) -> None:
    reply = llm.invoke("你好", stop=["很高兴"])
    assert reply.content == HELLO[: HELLO.index("很高兴")]
    assert reply.response_metadata["finish_reason"] == "stop"


@pytest.mark.parametrize("stop", [["，很高兴"], [",很高兴"], "，很高兴"])
def test_a_stop_string_may_be_written_as_it_is_shown_or_as_the_model_writes_it(stop: Any, llm: ChatGLMSlim) -> None:
    assert llm.invoke("你好", stop=stop).content == HELLO[: HELLO.index("，很高兴")]


def test_the_stop_strings_of_the_object_hold_unless_a_call_gives_others() -> None:
    llm = ChatGLMSlim(model=TINY, device="cpu", temperature=0, stop="很")
    assert llm.invoke("你好").content == HELLO[: HELLO.index("很")]
    assert llm.invoke("你好", stop=["小灯"]).content == HELLO[: HELLO.index("小灯")]
    assert llm.bind(stop=[]).invoke("你好").content == HELLO


def test_sampling_can_be_changed_for_one_call(llm: ChatGLMSlim) -> None:
    def said(seed: int) -> Any:
        return llm.invoke("你好", temperature=3.0, top_k=0, top_p=1, seed=seed, max_tokens=20).content

    assert said(1) == said(1) != said(2)


def test_max_tokens_of_one_call_ends_the_reply_for_its_length(llm: ChatGLMSlim) -> None:
    reply = llm.invoke("你好", max_tokens=3)
    assert reply.response_metadata["finish_reason"] == "length"
    assert reply.usage_metadata is not None
    assert reply.usage_metadata["output_tokens"] == 3


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"temprature": 1}, "no option 'temprature'; did you mean 'temperature'"),
        ({"frobnicate": 1}, "no option 'frobnicate'; there are: "),
        ({"device": "cpu"}, "device cannot be given for one call"),
        ({"model": ""}, "model is ''; it must be"),
        ({"timeout": "soon"}, "timeout is 'soon'; it must be a number"),
        ({"timeout": -1}, "timeout is -1; it must be a number of seconds above 0"),
        ({"seed": True}, "seed is True; it must be a whole number"),
        ({"tool_choice": "any"}, "tool_choice is 'any', but there is no such tool"),
        ({"temperature": -1}, "temperature is -1; it must be a number of 0 or more"),
        ({"temperature": "hot"}, "temperature is 'hot'; it must be a number"),
        ({"max_tokens": 2.5}, "max_tokens is 2.5; it must be a whole number"),
        ({"seed": "x"}, "seed is 'x'; it must be a whole number"),
        ({"stop": [""]}, "non-empty strings"),
        ({"stop": 3}, "stop is 3; it must be a list of strings"),
        ({"stop": b"!"}, "stop is b'!'; it must be a list of strings"),
        ({"stop": [3]}, r"stop is \(3,\); it must be a list of non-empty strings"),
        ({"stream": "yes"}, "stream is 'yes'; it must be True or False"),
    ],
)
def test_a_call_option_that_cannot_be_used_is_named(given: dict[str, Any], complaint: str, llm: ChatGLMSlim) -> None:
    with pytest.raises(ConfigError, match=complaint):
        llm.invoke("你好", **given)


# --- construction ---


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"temprature": 1}, "^ChatGLMSlim has no option 'temprature'; did you mean 'temperature'"),
        ({"temperature": -1}, "^temperature is -1.0; it must be"),
        ({"temperature": "hot"}, "^temperature is 'hot'; it must be a number"),
        ({"temperature": "0.5"}, "^temperature is '0.5'; it must be a number"),
        ({"max_tokens": True}, "^max_tokens is True; it must be a whole number"),
        ({"timeout": 0}, "^timeout is 0; it must be a number of seconds above 0"),
        ({"timeout": float("nan")}, "^timeout is nan; it must be a number of seconds above 0"),
        ({"top_p": 0}, "^top_p is 0.0"),
        ({"max_tokens": 0}, "^max_tokens is 0"),
        ({"stop": [""]}, "^stop is "),
        ({"quantization": "int3"}, "^quantization 'int3' is not a level"),
        ({"device": "gpu"}, "^device 'gpu' is unknown"),
        ({"model": ""}, "^model is ''"),
        ({"model": 3}, "^model is 3"),
        ({"seed": "a"}, "^seed is 'a'; it must be a whole number"),
        ({"timeout": -1}, "^timeout is -1; it must be a number of seconds above 0"),
        ({"temperature": None}, "^temperature is None: input should be a valid number"),
        ({"fix_punctuation": "perhaps"}, "^fix_punctuation is 'perhaps': input should be a valid boolean"),
        ({"kv_cache_dtype": "int3"}, "^kv_cache_dtype 'int3' is unknown"),
    ],
)
def test_an_option_that_cannot_be_used_is_named_at_once(given: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint) as caught:
        ChatGLMSlim(**given)
    [(name, value)] = given.items()
    assert caught.value.key == name
    assert "\n" not in str(caught.value)
    for made in (ChatGLMSlim(), ChatGLMSlimLLM()):
        before = made.model_dump()
        with pytest.raises(ConfigError) as set_later:
            setattr(made, name, value)
        assert str(set_later.value) == str(caught.value).replace("ChatGLMSlim ", f"{type(made).__name__} ")
        assert set_later.value.key == name
        assert made.model_dump() == before


def test_an_option_that_is_set_later_is_read_as_one_that_is_given_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {"model": Path(TINY), "stop": "很", "temperature": 0, "max_tokens": 9, "seed": 3}
    llm = ChatGLMSlim(device="cpu")
    profile = llm.profile
    monkeypatch.setenv("CHATGLM_SLIM_QUANTIZATION", "int3")  # which is read at the start only
    for name, value in given.items():
        setattr(llm, name, value)
    assert (llm.model, llm.stop, llm.profile) == (TINY, ["很"], profile)
    assert llm.invoke("你好").content == HELLO[: HELLO.index("很")]
    llm.stop = llm.max_tokens = llm.seed = llm.timeout = None
    assert llm.invoke("你好").content == HELLO
    assert "seed" in llm.model_fields_set
    llm.callbacks = callbacks = []
    assert llm.callbacks is callbacks  # LangChain's own fields are left as they are


class Careful(ChatGLMSlim):
    """Of a user, with pydantic's validators; the one of the whole object sets an option, and looks at several."""

    looked: int = 0

    @field_validator("top_p")
    @classmethod
    def _not_too_wide(cls, value: float, info: ValidationInfo) -> float:
        if value > 0.9 and info.data["temperature"] > 1:
            raise ValueError("Too wide")
        return round(value, 1)

    @model_validator(mode="after")
    def _settle(self) -> Self:
        self.seed = 5
        self.temperature = min(self.temperature, 1.5)
        self.looked += 1
        if self.max_tokens is not None and self.top_k > self.max_tokens:
            raise ValueError("top_k is above max_tokens")
        return self


def test_a_validator_of_the_whole_object_may_set_options_and_runs_only_when_it_is_made() -> None:
    llm = Careful(temperature=3, max_tokens=70)
    assert (llm.seed, llm.temperature, llm.looked) == (5, 1.5, 1)
    llm.max_tokens = 3  # as every pydantic object, unless its class has validate_assignment
    assert (llm.max_tokens, llm.looked) == (3, 1)
    with pytest.raises(ConfigError, match=r"^options is .*top_k is above max_tokens"):
        Careful(max_tokens=3)


def test_a_validator_of_one_field_reads_what_is_set_later_too() -> None:
    llm = Careful(temperature=1.2)
    llm.top_p = 0.88
    assert llm.top_p == 0.9
    with pytest.raises(ConfigError, match=r"^top_p is 1\.0: value error, too wide$"):
        llm.top_p = 1.0
    assert llm.top_p == 0.9


def test_a_class_that_holds_others_of_its_kind_checks_options_too() -> None:
    class Chained(ChatGLMSlim):
        following: Chained | None = None

    llm = Chained(following=Chained())
    llm.top_k = 3
    with pytest.raises(ConfigError, match=r"^fix_punctuation is 'perhaps': input should be a valid boolean"):
        llm.fix_punctuation = "perhaps"
    assert (llm.top_k, llm.fix_punctuation) == (3, True)


def test_defaults_come_from_the_environment_and_arguments_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATGLM_SLIM_MODEL", TINY)
    monkeypatch.setenv("CHATGLM_SLIM_QUANTIZATION", "int8")
    assert (ChatGLMSlim().model, ChatGLMSlim().quantization, ChatGLMSlim().is_demo) == (TINY, "int8", False)
    assert ChatGLMSlim(model="demo", quantization="int4").quantization == "int4"
    monkeypatch.setenv("CHATGLM_SLIM_DEVICE", "toaster")
    with pytest.raises(ConfigError, match="CHATGLM_SLIM_DEVICE"):
        ChatGLMSlim()


def test_no_argument_means_the_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MODEL", "QUANTIZATION", "DEVICE"):
        monkeypatch.delenv(f"CHATGLM_SLIM_{name}", raising=False)
    assert (ChatGLMSlim().model, ChatGLMSlim().is_demo) == ("demo", True)


def test_a_path_object_names_a_folder() -> None:
    assert ChatGLMSlim(model=Path(TINY)).model == TINY


# --- weights ---


def test_two_objects_with_the_same_weights_share_them(llm: ChatGLMSlim) -> None:
    other = ChatGLMSlim(model=TINY, device="cpu", temperature=1.5, stop=["x"])
    assert other._load() is llm._load()


def test_weights_load_once_on_first_use_and_tell_how_far_they_are() -> None:
    llm = ChatGLMSlim(model=TINY, device="cpu", quantization="int8")
    assert llm.is_available()
    assert llm._weights.loaded is None
    told: list[tuple[str, int, int]] = []
    llm.load(progress=lambda *state: told.append(state))
    assert told[-1][1] == told[-1][2] > 0
    with ThreadPoolExecutor(8) as pool:
        loaded = set(pool.map(lambda _: id(llm._load().loaded), range(16)))
    assert len(loaded) == 1


def test_another_level_set_on_the_object_loads_the_weights_again() -> None:
    llm = ChatGLMSlim(model=TINY, device="cpu", temperature=0)
    assert llm.invoke("你好", max_tokens=1).response_metadata["quantization"] == "fp16"
    llm.quantization = "int8"
    assert llm.invoke("你好", max_tokens=1).response_metadata["quantization"] == "int8"


@needs_library
def test_keys_and_values_kept_otherwise_need_no_other_weights() -> None:
    llm = ChatGLMSlim(model=TINY, device="cpu")
    before = llm._load()
    llm.kv_cache_dtype = "int8"
    after = llm._load()
    assert after.engine is not before.engine
    assert after.loaded is before.loaded
    named = ChatGLMSlim(model="demo", device="cpu", kv_cache_dtype="int8")._load(model=TINY)  # as one call may
    assert named.engine is after.engine


@pytest.mark.parametrize("cls", [ChatGLMSlim, ChatGLMSlimLLM])
def test_keys_and_values_are_kept_as_the_environment_says(
    cls: type[Any], without_kernels: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CHATGLM_SLIM_KV_CACHE_DTYPE", "int8")
    model = str(shutil.copytree(TINY, tmp_path / "tiny"))  # which nobody has loaded with the kernels
    with pytest.raises(ConfigError, match=r"^kv_cache_dtype is int8, but"):
        cls(model=model, device="cpu").invoke("你好")
    assert cls(model=model, device="cpu", kv_cache_dtype="auto", temperature=0).invoke("你好")


def test_a_copy_shares_the_weights_and_a_pickle_finds_them_again(llm: ChatGLMSlim) -> None:
    llm.load()
    assert copy.deepcopy(llm)._load() is llm._load()
    sent = pickle.loads(pickle.dumps(llm))
    assert sent.invoke("你好").content == HELLO


def test_a_checkpoint_that_is_not_there_is_said_on_first_use(tmp_path: Path) -> None:
    llm = ChatGLMSlim(model=str(tmp_path / "none"))
    assert not llm.is_available()
    with pytest.raises(CheckpointNotFoundError, match="none"):
        llm.invoke("你好")


# --- async ---


async def test_ainvoke_and_astream_give_what_their_sync_forms_give(llm: ChatGLMSlim) -> None:
    reply = await llm.ainvoke("你好")
    assert reply.content == HELLO
    assert reply.usage_metadata == {"input_tokens": 4, "output_tokens": 25, "total_tokens": 29}
    chunks = [chunk async for chunk in llm.astream("你好")]
    assert "".join(str(chunk.content) for chunk in chunks) == HELLO
    assert [bool(chunk.usage_metadata) for chunk in chunks] == [False] * (len(chunks) - 1) + [True]


async def test_abatch_keeps_the_order(llm: ChatGLMSlim) -> None:
    replies = await llm.abatch(["你好", "hello"] * 3)
    assert [reply.content for reply in replies[::2]] == [HELLO] * 3


async def test_the_event_loop_runs_on_while_the_model_computes(llm: ChatGLMSlim) -> None:
    loop = asyncio.get_running_loop()
    met: list[bool] = []

    def meet() -> None:
        """Compute on only when the loop has come by."""
        came = threading.Event()
        loop.call_soon_threadsafe(came.set)
        met.append(came.wait(10))

    with _on_each_step(llm, meet):
        await llm.ainvoke("你好", max_tokens=5)
    assert met == [True] * 5


@pytest.mark.usefixtures("slow_steps")
@pytest.mark.parametrize("streaming", [True, False])
async def test_cancelling_the_task_stops_the_computation(
    streaming: bool, llm: ChatGLMSlim, count_steps: Callable[[], int]
) -> None:
    async def run() -> None:
        if streaming:
            async for _ in llm.astream("你好", **RAMBLING):
                pass
        else:
            await llm.ainvoke("你好", **RAMBLING)

    task = asyncio.create_task(run())
    while count_steps() < 3:
        await asyncio.sleep(0.005)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await _want_no_more_steps(count_steps)


@pytest.mark.usefixtures("slow_steps")
async def test_leaving_an_async_stream_stops_the_computation(llm: ChatGLMSlim, count_steps: Callable[[], int]) -> None:
    stream = llm.astream("你好", **RAMBLING)
    await anext(stream)
    await stream.aclose()
    await _want_no_more_steps(count_steps)


@pytest.mark.usefixtures("slow_steps")
async def test_a_timeout_stops_the_computation(llm: ChatGLMSlim, count_steps: Callable[[], int]) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await llm.ainvoke("你好", **RAMBLING)
    await _want_no_more_steps(count_steps)


async def _want_no_more_steps(count_steps: Callable[[], int]) -> None:
    at_cancel = count_steps()
    await asyncio.sleep(0.3)
    assert count_steps() <= at_cancel + 1


async def test_an_error_reaches_the_async_caller(llm: ChatGLMSlim) -> None:
    with pytest.raises(PromptTooLongError):
        await llm.ainvoke("长" * 5000)
    with pytest.raises(ConfigError):
        async for _ in llm.astream("你好", temprature=1):
            pass


# --- stopping, threads ---


def test_closing_the_stream_stops_the_computation(llm: ChatGLMSlim, count_steps: Callable[[], int]) -> None:
    stream = llm.stream("你好", **RAMBLING)
    for _ in range(4):
        next(stream)
    stream.close()  # type: ignore[attr-defined]
    llm.invoke("你好", max_tokens=1)
    assert count_steps() <= 4 + READ_AHEAD + 1


def test_streams_of_one_object_may_be_read_side_by_side(llm: ChatGLMSlim) -> None:
    pairs = list(zip(llm.stream("你好"), llm.stream("你好"), strict=True))
    assert ["".join(str(chunk.content) for chunk in side) for side in zip(*pairs, strict=True)] == [HELLO, HELLO]


def test_an_object_may_be_used_while_it_streams(llm: ChatGLMSlim) -> None:
    for _ in llm.stream("hello"):
        assert llm.invoke("你好", max_tokens=2).content


def test_many_threads_get_their_own_replies(llm: ChatGLMSlim) -> None:
    expected = {query: llm.invoke(query).content for query in ("你好", "hello", "1+1")}
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda query: (query, llm.invoke(query).content), list(expected) * 4))
    assert all(expected[query] == content for query, content in replies)


# --- errors ---


def test_a_prompt_that_is_too_long_is_langchains_error_and_ours(llm: ChatGLMSlim) -> None:
    with pytest.raises(ContextOverflowError) as caught:
        llm.invoke("长" * 5000)
    assert isinstance(caught.value, PromptTooLongError)
    assert (caught.value.prompt_tokens > 4000, caught.value.limit) == (True, 2048)


@pytest.mark.parametrize("prompt", ["", [], [("ai", "x")], [("human", [{"type": "image_url"}])]])
def test_messages_that_cannot_be_answered_are_an_error(prompt: Any, llm: ChatGLMSlim) -> None:
    with pytest.raises(GenerationError) as caught:
        llm.invoke(prompt)
    assert isinstance(caught.value, ValueError)


def test_half_a_surrogate_pair_is_an_error(llm: ChatGLMSlim) -> None:
    with pytest.raises(GenerationError, match="surrogate"):
        llm.invoke("a\ud83d")


# --- what LangChain asks for ---


def test_tokens_are_counted_with_the_models_own_vocabulary() -> None:
    llm = ChatGLMSlim(model=TINY, device="cpu", quantization="int8")
    assert llm.get_num_tokens("你好") == 2
    assert llm._weights.loaded is None  # the weights are not needed for that
    assert llm.get_num_tokens("<sop>") > 1


def test_cache_keys_tell_apart_what_replies_depend_on(llm: ChatGLMSlim) -> None:
    others = [
        {"model": "demo"},
        {"quantization": "int4"},
        {"kv_cache_dtype": "fp16"},
        {"temperature": 1},
        {"top_p": 0.5},
        {"seed": 1},
        {"stop": ["x"]},
        {"max_tokens": 5},
        {"fix_punctuation": False},
        {"repetition_penalty": 1.1},
    ]
    keys = [ChatGLMSlim(**{"model": TINY, "temperature": 0.0, **other})._get_llm_string() for other in [{}, *others]]
    keys += [llm._get_llm_string(stop=["y"]), llm._get_llm_string(temperature=0.3)]
    assert len(set(keys)) == len(keys)
    assert llm._get_llm_string(model="demo") == ChatGLMSlim(model="demo", temperature=0.0)._get_llm_string()


def test_a_cache_answers_the_second_time(llm: ChatGLMSlim, count_steps: Callable[[], int]) -> None:
    cached = ChatGLMSlim(model=TINY, device="cpu", temperature=0, cache=InMemoryCache())
    first = cached.invoke("你好")
    steps = count_steps()
    assert cached.invoke("你好").content == first.content
    assert steps == count_steps() > 0


def test_traces_say_which_model_answered(llm: ChatGLMSlim) -> None:
    params = llm._get_ls_params(stop=["x"], max_tokens=9)
    assert params == {
        "ls_provider": "chatglm",
        "ls_model_name": TINY,
        "ls_model_type": "chat",
        "ls_temperature": 0,
        "ls_max_tokens": 9,
        "ls_stop": ["x"],
    }


async def test_events_carry_every_token(llm: ChatGLMSlim) -> None:
    events = [event async for event in llm.astream_events([HumanMessage("你好")])]
    shown = "".join(event["data"]["chunk"].content for event in events if event["event"] == "on_chat_model_stream")
    assert shown == HELLO
    assert events[-1]["event"] == "on_chat_model_end"
