"""What one call may change, and what the numbers that `ChatGLMSlim` gives are worth."""

from __future__ import annotations

import gc
import inspect
import subprocess
import sys
import time
import weakref
from pathlib import Path
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.load import dumpd, dumps, load
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
    trim_messages,
)
from langchain_core.rate_limiters import BaseRateLimiter
from langchain_core.runnables import ConfigurableField
from langchain_core.tools import tool

from chatglm_slim_llm import ChatGLMSlim, ChatGLMSlimLLM
from chatglm_slim_llm.asking import PromptOverflowError
from chatglm_slim_llm.engine import Engine, Request
from chatglm_slim_llm.errors import ConfigError, GenerationError
from chatglm_slim_llm.until import ReplyTimeoutError
from tests.programs import LIGHT
from tests.unit.workers import wait_until

TINY = str(Path(__file__).parents[1] / "data" / "reference" / "tiny_v11")
HELLO = "你好👋！我是小灯，很高兴见到你，欢迎问我任何问题。"
ENDLESS: dict[str, Any] = {"temperature": 50.0, "top_k": 0, "top_p": 1.0, "seed": 4}


@tool
def find_price(item: str, count: int = 1) -> str:
    """Price of something."""
    return f"{item}: {count * 3}"


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def llm() -> ChatGLMSlim:
    return ChatGLMSlim(model=TINY, device="cpu", temperature=0)


# --- one call ---


def test_another_model_can_answer_one_call(llm: ChatGLMSlim) -> None:
    reply = llm.invoke("你好", model="demo", max_tokens=5)
    assert reply.response_metadata["model_name"] == "demo"
    assert reply.content != llm.invoke("你好", max_tokens=5).content
    assert llm.invoke("你好").content == HELLO


def test_the_model_of_one_call_stays_loaded_until_another_is_named(llm: ChatGLMSlim) -> None:
    own = ChatGLMSlim(model="demo", device="cpu", quantization="int8")
    own.invoke("你好", model=TINY, max_tokens=1)
    other = weakref.ref(own._load(model=TINY).loaded.model)
    own.invoke("你好", max_tokens=1)
    assert other() is not None
    del own
    gc.collect()
    assert other() is None


def test_none_undoes_the_limit_of_the_object_and_leaves_other_options_alone(llm: ChatGLMSlim) -> None:
    short = ChatGLMSlim(model=TINY, device="cpu", temperature=0, max_tokens=2)
    assert short.invoke("你好", max_tokens=None, temperature=None).content == HELLO
    assert short.invoke("你好").usage_metadata["output_tokens"] == 2  # type: ignore[index]


def test_a_reply_that_takes_too_long_is_an_error_and_no_longer_computed(llm: ChatGLMSlim) -> None:
    assert llm.invoke("你好", timeout=60).content == HELLO
    hook = llm._load().loaded.model.lm_head.register_forward_hook(lambda *_: time.sleep(0.03))
    try:
        with pytest.raises(ReplyTimeoutError, match=r"timeout=0\.2 seconds") as caught:
            llm.invoke("你好", timeout=0.2, **ENDLESS)
        assert isinstance(caught.value, TimeoutError)
        with pytest.raises(ReplyTimeoutError):
            list(ChatGLMSlim(model=TINY, device="cpu", timeout=0.2).stream("你好", **ENDLESS))
    finally:
        hook.remove()
    wait_until(lambda: not llm._load().engine._scheduler._live)


async def test_a_reply_that_takes_too_long_is_an_error_for_who_awaits_it(llm: ChatGLMSlim) -> None:
    hook = llm._load().loaded.model.lm_head.register_forward_hook(lambda *_: time.sleep(0.03))
    try:
        with pytest.raises(ReplyTimeoutError):
            await llm.ainvoke("你好", timeout=0.2, **ENDLESS)
    finally:
        hook.remove()


def test_what_every_chat_model_is_given_is_taken() -> None:
    llm = ChatGLMSlim(api_key="x", base_url="http://localhost", max_retries=2, timeout=60, streaming=True)
    assert (llm.timeout, llm.streaming) == (60, True)


def test_a_reply_comes_out_of_the_model_in_one_batch(llm: ChatGLMSlim, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[int] = []
    asked: list[Request] = []
    stream = Engine.stream

    def noted(self: Engine, request: Request) -> Any:
        asked.append(request)
        return stream(self, request)

    def count(_module: Any, args: Any, _output: Any) -> None:
        steps.append(len(args[0]))
        wait_until(lambda: len(asked) >= 12, 30)  # else a tiny model is done with the first before others have asked

    monkeypatch.setattr(Engine, "stream", noted)
    hook = llm._load().loaded.model.lm_head.register_forward_hook(count)
    try:
        replies = llm.batch(["你好"] * 12)
        together = len(steps)
        steps.clear()
        llm.batch(["你好"] * 12, {"max_concurrency": 1})
    finally:
        hook.remove()
    assert [reply.content for reply in replies] == [HELLO] * 12
    assert together < len(steps) / 3


def test_the_question_stays_before_a_long_result_of_a_tool(llm: ChatGLMSlim) -> None:
    def asked(notes: int, old: str = "") -> list[BaseMessage]:
        call = AIMessage("", tool_calls=[{"name": "find", "args": {}, "id": "1"}])
        past = [HumanMessage(old), AIMessage("ok")] if old else []
        return [*past, HumanMessage("What does the pear cost?"), call, ToolMessage("note. " * notes, tool_call_id="1")]

    fits = asked(500)
    reply = llm.invoke(fits, max_tokens=1)
    assert reply.response_metadata["dropped_rounds"] == 0
    assert reply.usage_metadata is not None
    assert reply.usage_metadata["input_tokens"] == llm.get_num_tokens_from_messages(fits) > 2048 * 3 // 4
    reply = llm.invoke(asked(500, old="old. " * 300), max_tokens=1)
    assert reply.response_metadata["dropped_rounds"] == 1
    assert reply.usage_metadata == llm.invoke(fits, max_tokens=1).usage_metadata
    with pytest.raises(PromptOverflowError):
        llm.invoke(asked(1000))


async def test_only_streams_wait_for_their_readers(llm: ChatGLMSlim, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []

    def note(name: str) -> None:
        original = getattr(Engine, name)

        def noted(self: Engine, request: Request) -> object:
            asked.append(request.wants_whole)
            return original(self, request)

        monkeypatch.setattr(Engine, name, noted)

    note("stream"), note("astream")
    plain = ChatGLMSlimLLM(model=TINY, device="cpu", temperature=0)
    for model in (llm, plain):
        options = {"max_tokens": 2}
        model.invoke("你好", **options), model.batch(["你好", "hello"], **options)
        await model.ainvoke("你好", **options)
        assert asked == [True] * 4
        asked.clear()
        list(model.stream("你好", **options))
        [chunk async for chunk in model.astream("你好", **options)]
        assert asked == [False] * 2
        asked.clear()


def test_results_that_come_as_they_are_ready_carry_their_numbers(llm: ChatGLMSlim) -> None:
    replies = dict(llm.batch_as_completed(["你好", "hello"]))
    assert replies[0].content == HELLO
    assert replies[1].content == llm.invoke("hello").content
    assert isinstance(dict(llm.batch_as_completed(["", "你好"], return_exceptions=True))[0], GenerationError)


def test_fields_can_be_set_through_the_configuration(llm: ChatGLMSlim) -> None:
    chain = llm.configurable_fields(max_tokens=ConfigurableField("most"), stop=ConfigurableField("stop"))
    reply = chain.with_config(configurable={"most": 3}).invoke("你好")
    assert reply.usage_metadata["output_tokens"] == 3
    assert chain.with_config(configurable={"stop": ["，"]}).invoke("你好").content == HELLO[: HELLO.index("，")]


def test_alternatives_can_be_chosen_through_the_configuration(llm: ChatGLMSlim) -> None:
    other = ChatGLMSlim(model=TINY, device="cpu", temperature=0, max_tokens=1)
    chain = llm.configurable_alternatives(ConfigurableField("who"), default_key="long", short=other)
    assert chain.invoke("你好").content == HELLO
    assert chain.with_config(configurable={"who": "short"}).invoke("你好").usage_metadata["output_tokens"] == 1


def test_a_rate_limiter_is_asked_before_each_call() -> None:
    done: list[str] = []

    class Limiter(BaseRateLimiter):
        def acquire(self, *, blocking: bool = True) -> bool:
            done.append("asked" if blocking else "tried")
            return True

        async def aacquire(self, *, blocking: bool = True) -> bool:
            raise NotImplementedError

    limited = ChatGLMSlim(model=TINY, device="cpu", max_tokens=1, rate_limiter=Limiter())
    hook = limited._load().loaded.model.lm_head.register_forward_hook(lambda *_: done.append("computed"))
    try:
        limited.invoke("你好")
        list(limited.stream("你好"))
        limited.invoke("你好")
    finally:
        hook.remove()
    assert done == ["asked", "computed"] * 3


# --- numbers ---


@pytest.mark.parametrize(
    "messages",
    [
        [HumanMessage("你好")],
        [SystemMessage("Be kind."), HumanMessage("a"), AIMessage("b"), HumanMessage("c\n\n d")],
        [
            HumanMessage("pear?"),
            AIMessage("", tool_calls=[{"name": "find_price", "args": {"item": "pear"}, "id": "1"}]),
            ToolMessage("pear: 3", tool_call_id="1"),
        ],
    ],
)
def test_counted_tokens_are_the_tokens_that_the_model_reads(messages: list[Any], llm: ChatGLMSlim) -> None:
    usage = llm.invoke(messages, max_tokens=1).usage_metadata
    assert usage is not None
    assert llm.get_num_tokens_from_messages(messages) == usage["input_tokens"]


def test_messages_that_are_no_question_yet_can_be_counted(llm: ChatGLMSlim) -> None:
    asked = llm.get_num_tokens_from_messages([HumanMessage("a")])
    assert llm.get_num_tokens_from_messages([HumanMessage("a"), AIMessage("b")]) > asked
    assert llm.get_num_tokens_from_messages([]) == 2  # [gMASK] <sop>


LOOKED_UP: list[BaseMessage] = [
    SystemMessage("Be kind."),
    HumanMessage("pear?"),
    AIMessage("", tool_calls=[{"name": "find_price", "args": {"item": "pear"}, "id": "1"}]),
    ToolMessage("pear: 3", tool_call_id="1"),
    AIMessage("3 yuan"),
    HumanMessage("apple?"),
    AIMessage("", tool_calls=[{"name": "find_price", "args": {"item": "apple"}, "id": "2"}]),
    ToolMessage("apple: 4", tool_call_id="2"),
]


def test_any_part_of_a_conversation_can_be_counted(llm: ChatGLMSlim) -> None:
    whole = llm.get_num_tokens_from_messages(LOOKED_UP)
    for start in range(len(LOOKED_UP)):
        for end in range(start + 1, len(LOOKED_UP) + 1):
            part = LOOKED_UP[start:end]
            for messages in (part, part[::-1]):
                assert 2 < llm.get_num_tokens_from_messages(messages) <= whole
    with pytest.raises(GenerationError, match="message 0 is the result of the call '1', which no message"):
        llm.invoke(LOOKED_UP[3:])


@pytest.mark.parametrize("strategy", ["first", "last"])
def test_histories_with_tool_calls_can_be_trimmed(strategy: Any, llm: ChatGLMSlim) -> None:
    whole = llm.get_num_tokens_from_messages(LOOKED_UP)
    options: dict[str, Any] = {"start_on": "human", "include_system": True} if strategy == "last" else {}
    trimmed = trim_messages(LOOKED_UP, max_tokens=whole - 1, strategy=strategy, token_counter=llm, **options)
    assert 0 < len(trimmed) < len(LOOKED_UP)
    assert llm.get_num_tokens_from_messages(trimmed) < whole
    if strategy == "last":
        assert trimmed == [LOOKED_UP[0], *LOOKED_UP[5:]]
    assert trim_messages(LOOKED_UP, max_tokens=2 * whole, strategy=strategy, token_counter=llm, **options) == LOOKED_UP


def test_tools_count(llm: ChatGLMSlim) -> None:
    messages = [HumanMessage("pear?")]
    with_tools = llm.get_num_tokens_from_messages(messages, tools=[find_price])
    listed = "Tools:\nfind_price(item: string, count?: integer): Price of something."
    assert with_tools > llm.get_num_tokens_from_messages(messages) + llm.get_num_tokens(listed)


def test_the_profile_tells_the_limits() -> None:
    profile = ChatGLMSlim(max_length=1024, max_tokens=100).profile
    assert profile is not None
    assert (profile["max_input_tokens"], profile["max_output_tokens"]) == (1024, 100)
    assert (profile["tool_calling"], profile["image_inputs"]) == (True, False)
    profile = ChatGLMSlim(max_length=4096, max_tokens=3000).profile  # the model was trained for 2,048
    assert profile is not None
    assert (profile["max_input_tokens"], profile["max_output_tokens"]) == (2048, 2048)
    profile = ChatGLMSlim(max_length=256, max_tokens=999).profile
    assert profile is not None
    assert (profile["max_input_tokens"], profile["max_output_tokens"]) == (256, 256)


def test_a_seed_decides_the_reply_also_in_company(llm: ChatGLMSlim) -> None:
    options: dict[str, Any] = {"temperature": 2.0, "top_k": 0, "top_p": 1.0, "max_tokens": 20}
    alone = [llm.invoke("你好", seed=seed, **options).content for seed in range(4)]
    assert len(set(alone)) == 4
    models = [ChatGLMSlim(model=TINY, device="cpu", seed=seed, **options) for seed in range(4)]
    assert [model.batch(["你好"] * 3)[2].content for model in models] == alone


def test_a_cache_asks_again_when_the_checkpoint_has_changed(tmp_path: Path) -> None:
    import shutil

    folder = Path(shutil.copytree(TINY, tmp_path / "model"))
    llm = ChatGLMSlim(model=str(folder), device="cpu", temperature=0, max_tokens=3, cache=InMemoryCache())
    before = llm._get_llm_string()
    assert llm._get_llm_string() == before
    (folder / "config.json").touch()
    assert llm._get_llm_string() != before


# --- serialisation ---


@pytest.mark.filterwarnings("ignore:The function `load` is in beta")
def test_an_object_can_be_written_and_read_again() -> None:
    llm = ChatGLMSlim(model=TINY, device="cpu", temperature=0.5, stop=["x"], seed=3)
    read = load(dumpd(llm), allowed_objects=[ChatGLMSlim], valid_namespaces=["chatglm_slim_llm"])
    assert isinstance(read, ChatGLMSlim)
    assert read.model_dump() == llm.model_dump()
    assert "weights" not in dumps(llm)


@pytest.mark.filterwarnings("ignore:The function `load` is in beta")
def test_a_bad_option_is_said_when_it_is_read_again() -> None:
    written = dumpd(ChatGLMSlim())
    written["kwargs"]["temperature"] = -1
    with pytest.raises(ConfigError, match="temperature is -1"):
        load(written, allowed_objects=[ChatGLMSlim], valid_namespaces=["chatglm_slim_llm"])


# --- messages of the version 1 kind ---


def test_content_blocks_stream_and_join(llm: ChatGLMSlim) -> None:
    blocks = ChatGLMSlim(model=TINY, device="cpu", temperature=0, output_version="v1")
    reply = blocks.invoke("你好")
    assert reply.content == [{"type": "text", "text": HELLO}]
    full: AIMessageChunk | None = None
    for chunk in blocks.stream("你好"):
        full = chunk if full is None else full + chunk
    assert full is not None
    assert full.text == HELLO
    assert llm.invoke([HumanMessage("你好"), reply, HumanMessage("你好")]).usage_metadata is not None


# --- what constructing costs, and who is told what ---

COUNTS_FILES = """
import sys
from chatglm_slim_llm import ChatGLMSlim, ChatGLMSlimEmbeddings, ChatGLMSlimLLM
seen = []
sys.addaudithook(lambda event, args: seen.append((event, args)))
for kind in (ChatGLMSlim, ChatGLMSlimLLM, ChatGLMSlimEmbeddings):
    kind(model="silver/chatglm-6b-slim", quantization="int4")
print([each for each in seen if each[0].split(".")[0] in ("open", "os", "socket", "import", "subprocess")])
"""


@pytest.mark.long
def test_constructing_opens_no_file_and_imports_nothing() -> None:
    done = subprocess.run([sys.executable, "-c", COUNTS_FILES], capture_output=True, text=True)
    assert (done.stderr, done.stdout) == ("", "[]\n")


class _Heard(BaseCallbackHandler):
    def __init__(self) -> None:
        self.text, self.ends = "", 0

    def on_llm_new_token(self, token: str, **kwargs: Any) -> None:
        self.text += token

    def on_llm_end(self, response: Any, **kwargs: Any) -> None:
        self.ends += 1


@pytest.mark.parametrize("streaming", [True, False])
async def test_every_run_of_a_batch_tells_its_own_callbacks(streaming: bool) -> None:
    llm = ChatGLMSlim(model=TINY, device="cpu", temperature=0, streaming=streaming)
    questions = ["你好", "hello", "1+1", "你好"]
    expected = [llm.invoke(question).content for question in questions]
    for batch in (llm.batch, llm.abatch):
        heard = [_Heard() for _ in questions]
        replies = batch(questions, [{"callbacks": [each]} for each in heard])
        replies = await replies if inspect.isawaitable(replies) else replies
        assert [reply.content for reply in replies] == expected
        assert [each.ends for each in heard] == [1] * 4
        assert [each.text for each in heard] == (expected if streaming else [""] * 4)


async def test_max_concurrency_is_honoured(llm: ChatGLMSlim) -> None:
    scheduler, most = llm._load().engine._scheduler, 0
    hook = llm._load().loaded.model.lm_head.register_forward_hook(lambda *_: counts.append(len(scheduler._live)))
    counts: list[int] = []
    try:
        llm.batch(["你好"] * 6, {"max_concurrency": 2})
        await llm.abatch(["你好"] * 6, {"max_concurrency": 2})
        most = max(counts)
        llm.batch(["你好"] * 6)
    finally:
        hook.remove()
    assert most == 2
    assert max(counts) > 2


FIRST_USE = f"""
import asyncio, sys, threading
from chatglm_slim_llm import ChatGLMSlim

class Watch:  # of who imports torch
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            print(threading.current_thread() is threading.main_thread())

async def main():
    llm = ChatGLMSlim(model={TINY!r}, device="cpu")
    sys.meta_path.insert(0, Watch())
    await llm.ainvoke("你好", max_tokens=1)

asyncio.run(main())
"""


@pytest.mark.long
def test_the_event_loop_does_not_wait_for_torch_on_first_use() -> None:
    done = subprocess.run([sys.executable, "-c", LIGHT + FIRST_USE], capture_output=True, text=True)
    assert (done.stderr, done.stdout) == ("", "False\n")
