"""The plugin of Simon Willison's ``llm``, through its Python interface, on the demo model and a tiny checkpoint."""

from __future__ import annotations

import gc
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import jsonschema
import llm
import pydantic
import pytest
import sqlite_utils
from huggingface_hub import constants
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from llm.migrations import migrate
from llm.parts import AttachmentPart, ReasoningPart, StreamEvent, TextPart, ToolCallPart, ToolResultPart

from chatglm_slim_llm import ChatGLMSlim
from chatglm_slim_llm.errors import CheckpointNotFoundError, PromptTooLongError
from chatglm_slim_llm.llm_plugin.boundary import keep
from tests.unit.native import needs_library
from tests.unit.workers import wait_until

TINY = Path(__file__).parents[1] / "data" / "reference" / "tiny_v11"
HELLO = "你好！我是随程序附带的演示小模型。"
ENDLESS: dict[str, Any] = {"model": str(TINY), "temperature": 50.0, "top_k": 0, "top_p": 1.0, "seed": 4}
PRICE = "What is the price of pear?"

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name in ("CHATGLM_SLIM_MODEL", "CHATGLM_SLIM_QUANTIZATION", "CHATGLM_SLIM_DEVICE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LLM_USER_PATH", str(tmp_path / "llm"))
    monkeypatch.setenv("CHATGLM_SLIM_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    yield tmp_path
    keep.cache_clear()


@pytest.fixture
def model() -> llm.Model:
    return llm.get_model("chatglm")


def find_price(item: str) -> str:
    """Look up the price of an item."""
    return {"pear": "3 yuan"}.get(item, "unknown")


def engine() -> Any:
    return ChatGLMSlim(model=str(TINY))._load().engine


# --- one reply ---


def test_a_reply_is_that_of_the_chat_model_and_comes_bit_by_bit(model: llm.Model) -> None:
    response = model.prompt("你好", temperature=0)
    pieces = list(response)
    assert "".join(pieces) == HELLO
    assert len(pieces) > 3
    assert model.prompt("你好", temperature=0, stream=False).text() == HELLO


def test_the_log_has_usage_the_checkpoint_and_why_the_reply_ended(model: llm.Model) -> None:
    response = model.prompt("hello", max_tokens=4, seed=1)
    usage = response.usage()
    assert (usage.input, usage.output, usage.details) == (
        ChatGLMSlim().get_num_tokens_from_messages([HumanMessage("hello")]), 4, None,
    )  # fmt: skip
    assert response.resolved_model == "demo"
    about = response.json()
    assert about is not None
    assert (about["finish_reason"], about["quantization"]) == ("length", "fp16")


def test_the_same_seed_gives_the_same_reply_and_stops_end_it(model: llm.Model) -> None:
    first, second = (model.prompt("hello", temperature=1.5, seed=9).text() for _ in range(2))
    assert first == second
    assert model.prompt("你好", temperature=0, stop="！").text() == "你好"
    assert model.prompt("你好", temperature=0, stop='["演示", "！"]').text() == "你好"  # as on a command line


def test_the_level_of_the_weights_is_an_option(model: llm.Model) -> None:
    response = model.prompt("你好", quantization="int8", max_tokens=1)
    about = response.json()
    assert about is not None
    assert about["quantization"] == "int8"


def test_a_stream_that_is_left_ends_the_work(model: llm.Model) -> None:
    stream = iter(model.prompt("你好", **ENDLESS))
    next(stream)
    assert engine()._scheduler._live
    stream.close()  # type: ignore[attr-defined]  # a generator, declared as an iterator
    wait_until(lambda: not engine()._scheduler._live)


def test_weights_stay_between_calls_though_nobody_holds_the_model(tmp_path: Path) -> None:
    copy = str(shutil.copytree(TINY, tmp_path / "tiny"))  # which no other test may hold
    llm.get_model("chatglm").prompt("hello", model=copy, max_tokens=1).text()
    gc.collect()
    assert ChatGLMSlim(model=copy)._weights.loaded is not None
    llm.get_model("chatglm").prompt("hello", model=str(TINY), max_tokens=1).text()
    gc.collect()
    assert ChatGLMSlim(model=copy)._weights.loaded is None  # one checkpoint at a time


@needs_library
def test_embeddings_and_replies_share_the_weights_however_the_context_is_kept(
    loads: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CHATGLM_SLIM_MODEL", str(shutil.copytree(TINY, tmp_path / "tiny")))
    for kv_cache_dtype in ("int8", "fp16"):
        llm.get_model("chatglm").prompt("hello", max_tokens=1, kv_cache_dtype=kv_cache_dtype).text()
        gc.collect()
        llm.get_embedding_model("chatglm-embed").embed("hello")
        gc.collect()
    assert len(loads) == 1


def test_how_the_context_is_kept_is_an_option(model: llm.Model, without_kernels: None) -> None:
    with pytest.raises(llm.ModelError, match=r"^kv_cache_dtype is int8, but"):
        model.prompt("你好", kv_cache_dtype="int8").text()


# --- conversations ---


def test_a_conversation_is_what_the_chat_model_is_told(model: llm.Model) -> None:
    conversation = model.conversation()
    first = conversation.prompt("hello", system="Be brief.", temperature=0).text()
    second = conversation.prompt("thank you", temperature=0)
    told = [SystemMessage("Be brief."), HumanMessage("hello"), AIMessage(first), HumanMessage("thank you")]
    assert second.text() == ChatGLMSlim(temperature=0).invoke(told).content
    assert second.usage().input == ChatGLMSlim().get_num_tokens_from_messages(told)


def test_a_system_text_of_a_later_turn_is_told_too(model: llm.Model) -> None:
    conversation = model.conversation()
    first = conversation.prompt("hello", system="Be brief.", max_tokens=3, seed=1).text()
    second = conversation.prompt("thank you", system="Be kind.", max_tokens=1)
    told = [SystemMessage("Be brief.\n\nBe kind."), HumanMessage("hello"), AIMessage(first), HumanMessage("thank you")]
    assert second.usage().input == ChatGLMSlim().get_num_tokens_from_messages(told)


def test_rounds_that_do_not_fit_are_left_out_and_counted(model: llm.Model) -> None:
    past = [llm.user("hello " * 500), llm.assistant("Hello!")] * 6
    usage = model.prompt("thank you", messages=past, max_tokens=5).usage()
    assert usage.details is not None
    assert 0 < usage.details["dropped_rounds"] < 6


def test_what_other_models_left_in_a_conversation_is_read(model: llm.Model) -> None:
    past = [
        llm.system("Be brief."),
        llm.user("hello", "again"),
        llm.assistant(ReasoningPart("hm"), TextPart("Hello!"), ToolCallPart("add", {"a": 1}, None)),
        llm.tool_message(ToolResultPart("add", "2"), ToolResultPart("unheard_of", "3", "id7")),
    ]
    usage = model.prompt(messages=past, max_tokens=1).usage()
    told = [
        SystemMessage("Be brief."),
        HumanMessage("hello\nagain"),
        AIMessage('Hello!\n{"name": "add", "arguments": {"a": 1}}'),
        HumanMessage("Result of add: 2\nResult of unheard_of: 3"),
    ]
    assert usage.input == ChatGLMSlim().get_num_tokens_from_messages(told)


# --- schemas and tools ---


@pytest.mark.parametrize("seed", [1, 2])
def test_json_always_fits_the_schema_whatever_the_options(model: llm.Model, seed: int) -> None:
    schema = {
        "type": "object",
        "properties": {
            "name": {"type": "string", "maxLength": 9},
            "ages": {"items": {"type": "integer"}, "maxItems": 3},
        },
        "required": ["name", "ages"],
    }
    text = model.prompt("Who?", schema=schema, temperature=30, top_k=0, top_p=1, seed=seed, max_tokens=40).text()
    jsonschema.validate(json.loads(text), schema)


def test_a_pydantic_class_can_be_the_schema(model: llm.Model) -> None:
    class Person(pydantic.BaseModel):
        name: str = pydantic.Field(max_length=40)
        age: int

    text = model.prompt("A guest called Bob, aged 7.", schema=Person, temperature=0).text()
    assert Person.model_validate_json(text) == Person(name="Bob", age=7)


def test_a_chain_calls_the_tool_and_answers_from_its_result(model: llm.Model) -> None:
    chain = model.chain(PRICE, tools=[find_price], options={"temperature": 0})
    assert chain.text() == "3 yuan"
    asked, answered = chain._responses
    (call,) = asked.tool_calls()
    assert (call.name, call.arguments) == ("find_price", {"item": "pear"})
    (message,) = asked.messages()
    assert message.parts == [ToolCallPart("find_price", {"item": "pear"}, call.tool_call_id)]
    assert answered.prompt.tool_results[0].output == "3 yuan"


def test_a_logged_conversation_with_tools_goes_on(model: llm.Model, home: Path) -> None:
    from llm.cli import load_conversation  # what `llm -c` does

    chain = model.chain(PRICE, tools=[find_price], options={"temperature": 0})
    chain.text()
    path = home / "logs.db"
    db = sqlite_utils.Database(path)
    migrate(db)
    chain.log_to_db(db)
    db.close()
    conversation = load_conversation(None, database=str(path))
    assert isinstance(conversation, llm.Conversation)
    usage = conversation.prompt("thank you", max_tokens=1).usage()
    told = [
        HumanMessage(PRICE),
        AIMessage('{"name": "find_price", "arguments": {"item": "pear"}}'),
        HumanMessage("Result of find_price: 3 yuan"),
        AIMessage("3 yuan"),
        HumanMessage("thank you"),
    ]
    assert usage.input == ChatGLMSlim().get_num_tokens_from_messages(told)


def test_calls_come_bit_by_bit_with_one_id(model: llm.Model) -> None:
    events: list[StreamEvent] = list(model.prompt(PRICE, tools=[find_price], temperature=0).stream_events())
    assert [event.chunk for event in events if event.type == "tool_call_name"] == ["find_price"]
    arguments = [event.chunk for event in events if event.type == "tool_call_args"]
    assert json.loads("".join(arguments)) == {"item": "pear"}
    assert len(arguments) > 3
    assert len({event.tool_call_id for event in events}) == 1


# --- async ---


async def test_the_async_model_says_the_same_and_calls_tools() -> None:
    model = llm.get_async_model("chatglm")
    assert await model.prompt("你好", temperature=0).text() == HELLO
    assert await model.chain(PRICE, tools=[find_price], options={"temperature": 0}).text() == "3 yuan"


async def test_an_async_stream_that_is_left_ends_the_work() -> None:
    stream = llm.get_async_model("chatglm").prompt("你好", **ENDLESS).astream_events()
    await anext(stream)
    assert engine()._scheduler._live
    await stream.aclose()
    wait_until(lambda: not engine()._scheduler._live)


# --- what goes wrong ---


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"top_p": "7"}, "top_p is 7.0; it must be a number above 0 and up to 1"),
        ({"temperature": "nan"}, "temperature is nan; it must be a number of 0 or more"),
        ({"max_tokens": 0}, "max_tokens is 0; it must be a positive count or None"),
        ({"quantization": "int5"}, "quantization 'int5' is not a level; choose one of fp16, int8, int4"),
        ({"device": "tpu"}, "device 'tpu' is unknown; choose auto, cpu, cuda, cuda:N or mps"),
        ({"stop": ""}, "stop is ('',); it must be a list of non-empty strings"),
    ],
)
def test_an_option_that_cannot_be_used_is_told_at_once(model: llm.Model, options: Any, sentence: str) -> None:
    with pytest.raises(pydantic.ValidationError) as caught:
        model.prompt("hello", **options)
    (error,) = caught.value.errors()
    assert error["msg"] == sentence


def test_errors_are_both_of_llms_kinds_in_one_sentence_with_their_cause(model: llm.Model) -> None:
    with pytest.raises(llm.ModelError) as caught:
        model.prompt("hello", model="nobody/nothing").text()
    assert isinstance(caught.value, click.ClickException)
    assert str(caught.value) == (
        "nobody/nothing is neither a folder here nor on this machine yet; "
        "download it with 'chatglm-slim pull nobody/nothing'"
    )
    assert isinstance(caught.value.__cause__, CheckpointNotFoundError)


def test_what_cannot_be_answered_is_said(model: llm.Model) -> None:
    def complaint(*args: Any, **kwargs: Any) -> llm.ModelError:
        with pytest.raises(llm.ModelError) as caught:
            model.prompt(*args, **kwargs).text()
        return caught.value

    assert str(complaint("")) == "the prompt is empty; write something to answer"
    assert str(complaint("", messages=[llm.user("hi"), llm.assistant("Hi!")])) == str(complaint(""))
    too_long = complaint("你好" * 3000)
    assert isinstance(too_long.__cause__, PromptTooLongError)
    assert "shorten it or split it" in str(too_long)
    assert "a schema and tools are given together" in str(
        complaint("hi", schema={"type": "object"}, tools=[find_price])
    )
    assert "'not' is not supported" in str(complaint("hi", schema={"not": {}}))
    picture = AttachmentPart(llm.Attachment(type="image/png", content=b"x"))
    assert "reads only text" in str(complaint(messages=[llm.user("look", picture)]))


def test_an_environment_that_cannot_be_used_hurts_no_other_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATGLM_SLIM_QUANTIZATION", "int5")
    monkeypatch.setenv("CHATGLM_SLIM_HOME", "~nobody-of-this-name/home")
    model = llm.get_model("chatglm-slim")
    with pytest.raises(llm.ModelError, match="CHATGLM_SLIM_QUANTIZATION"):
        model.prompt("hello").text()


# --- checkpoints by name ---


def test_checkpoints_on_this_machine_have_names_of_their_own(home: Path) -> None:
    cached = home / "hub" / "models--anna--slim"
    (cached / "snapshots").mkdir(parents=True)
    (cached / "snapshots" / "c0ffee").symlink_to(TINY)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text("c0ffee")
    unfinished = home / "hub" / "models--anna--unfinished" / "snapshots" / "c0ffee"
    unfinished.mkdir(parents=True)
    (unfinished / "ice_text.model").touch()
    (home / "home" / "data" / "models").mkdir(parents=True)
    (home / "home" / "data" / "models" / "mine").symlink_to(TINY)

    names = {each.model.model_id for each in llm.get_models_with_aliases() if "chatglm" in each.model.model_id}
    assert names == {"chatglm-slim", "chatglm-slim/anna/slim", "chatglm-slim/mine"}
    expected = ChatGLMSlim(model=str(TINY), temperature=0).invoke("你好").content
    named = llm.get_model("chatglm-slim/mine")
    assert named.prompt("你好", temperature=0).text() == expected
    with pytest.raises(pydantic.ValidationError, match="model"):
        named.prompt("你好", model="demo")
    width = json.loads((TINY / "config.json").read_text())["hidden_size"]
    assert len(llm.get_embedding_model("chatglm-slim-embed/mine").embed("你好")) == width


# --- embeddings ---


def test_vectors_are_the_same_alone_and_in_a_batch_and_find_what_is_alike(home: Path) -> None:
    model = llm.get_embedding_model("chatglm-slim-embed")
    texts = ["What does the pear cost?", "The weather is fine today.", ""]
    vectors = list(model.embed_multi(texts))
    assert [len(vector) for vector in vectors] == [len(vectors[0])] * 3
    assert model.embed(texts[0]) == pytest.approx(vectors[0], abs=1e-5)
    assert llm.cosine_similarity(vectors[0], vectors[0]) == pytest.approx(1.0, abs=1e-4)

    collection = llm.Collection("notes", sqlite_utils.Database(home / "e.db"), model_id="chatglm-slim-embed")
    collection.embed_multi(enumerate(texts[:2]), store=True)
    assert collection.similar("The weather was fine today.", number=1)[0].content == texts[1]
    collection.db.close()


def test_an_embedding_model_takes_the_users_default_and_says_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    model = llm.get_embedding_model("chatglm-embed")
    monkeypatch.setenv("CHATGLM_SLIM_MODEL", "nobody/nothing")
    with pytest.raises(llm.ModelError, match="chatglm-slim pull nobody/nothing"):
        model.embed("hello")
    with pytest.raises(ValueError, match="does not support binary data"):
        model.embed(b"hello")
