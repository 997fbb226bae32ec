"""`with_structured_output` on the bundled model: every way to give a schema, and to give options of one call."""

from __future__ import annotations

from functools import reduce
from operator import add
from typing import Any, NotRequired, TypedDict

import pytest
from langchain.agents import create_agent
from langchain_core.exceptions import OutputParserException
from langchain_core.tools import Tool
from pydantic import BaseModel, Field, ValidationError, field_validator

from chatglm_slim_llm import ChatGLMSlim
from chatglm_slim_llm.errors import ChatGLMSlimError, ConfigError, ReplyTooShortError

QUESTION = "A guest called Bob, aged 7."
BOB = {"name": "Bob", "age": 7}


class Person(BaseModel):
    """Somebody who is mentioned in the text."""

    name: str = Field(max_length=40)
    age: int = Field(ge=0, le=150)


SCHEMA = Person.model_json_schema()
UNTITLED = {name: value for name, value in SCHEMA.items() if name != "title"}
OPENAI = {"name": "Person", "strict": True, "schema": UNTITLED}

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def llm() -> ChatGLMSlim:
    return ChatGLMSlim(model="demo", device="cpu", temperature=0)


FORMS = {
    "schema": SCHEMA,
    "without title": UNTITLED,
    "openai": OPENAI,
    "openai's response_format": {"type": "json_schema", "json_schema": OPENAI},
    "openai's newer api": {"type": "json_schema", **OPENAI},
    "openai's function": {"type": "function", "function": {"name": "Person", "parameters": SCHEMA}},
    "openai's function, flat": {"type": "function", "name": "Person", "parameters": SCHEMA},
    "llama.cpp's response_format": {"type": "json_object", "schema": SCHEMA},
    "anthropic": {"name": "Person", "input_schema": SCHEMA},
    "mcp": {"name": "Person", "inputSchema": SCHEMA},
}


@pytest.mark.parametrize("method", ["json_schema", "function_calling", "json_mode"])
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_every_form_of_a_schema_holds_the_reply(form: dict[str, Any], method: Any, llm: ChatGLMSlim) -> None:
    assert llm.with_structured_output(form, method=method).invoke(QUESTION) == BOB


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_a_form_without_a_schema_is_refused(method: Any, llm: ChatGLMSlim) -> None:
    for form in ({"type": "text"}, {"type": "json_schema"}, {"name": "Person", "strict": True}):
        with pytest.raises(ConfigError, match="holds no schema"):
            llm.with_structured_output(form, method=method)


class Guest(TypedDict):
    """Somebody who is mentioned in the text."""

    name: str
    age: int
    nickname: NotRequired[None]
    born: NotRequired[tuple[int, int]]


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_a_typed_dict_may_have_keys_that_are_not_required(method: Any, llm: ChatGLMSlim) -> None:
    reply: Any = llm.with_structured_output(Guest, method=method).invoke(QUESTION)
    assert {name: reply[name] for name in BOB} == BOB
    assert set(reply) <= set(Guest.__annotations__)


def test_a_tool_that_takes_one_text_is_called_with_it(llm: ChatGLMSlim) -> None:
    asked: list[str] = []
    price = Tool(name="price", description="Look up the price of an item", func=lambda item: asked.append(item) or "3")
    state = create_agent(llm, [price]).invoke({"messages": [("human", "What is the price of pear?")]})
    assert asked == ["pear"]
    assert state["messages"][1].tool_calls[0]["args"] == {"__arg1": "pear"}


# --- with the message beside the result ---


async def test_options_of_one_call_reach_the_model_also_with_its_message(llm: ChatGLMSlim) -> None:
    chain = llm.with_structured_output(Person, include_raw=True)
    bad: dict[str, Any] = {"temprature": 1}
    complaint = "no option 'temprature'; did you mean 'temperature'"
    with pytest.raises(ConfigError, match=complaint):
        chain.invoke(QUESTION, **bad)
    with pytest.raises(ConfigError, match=complaint):
        list(chain.stream(QUESTION, **bad))
    with pytest.raises(ConfigError, match=complaint):
        chain.batch([QUESTION, QUESTION], **bad)
    with pytest.raises(ConfigError, match=complaint):
        dict(chain.batch_as_completed([QUESTION], **bad))
    with pytest.raises(ConfigError, match=complaint):
        await chain.ainvoke(QUESTION, **bad)
    with pytest.raises(ConfigError, match=complaint):
        [each async for each in chain.astream(QUESTION, **bad)]
    with pytest.raises(ConfigError, match=complaint):
        await chain.abatch([QUESTION], **bad)
    with pytest.raises(ReplyTooShortError):
        chain.invoke(QUESTION, max_tokens=2)
    with pytest.raises(ChatGLMSlimError, match="nowhere"):
        chain.invoke(QUESTION, model="/nowhere")


@pytest.mark.parametrize("method", ["json_schema", "function_calling", "json_mode"])
async def test_the_message_stands_beside_the_result(method: Any, llm: ChatGLMSlim) -> None:
    chain: Any = llm.with_structured_output(Person, method=method, include_raw=True)
    options = {"max_tokens": 60}
    results = [chain.invoke(QUESTION, **options), *chain.batch([QUESTION], **options)]
    results += [await chain.ainvoke(QUESTION, **options), *await chain.abatch([QUESTION], **options)]
    streamed: Any = None
    for piece in chain.stream(QUESTION, **options):
        streamed = piece if streamed is None else streamed + piece
    for result in (*results, streamed):
        assert list(result) == ["raw", "parsed", "parsing_error"]
        assert result["raw"].usage_metadata["output_tokens"] > 3
        assert (result["parsed"], result["parsing_error"]) == (Person(name="Bob", age=7), None)


def test_an_object_that_validators_refuse_is_an_error_beside_its_message(llm: ChatGLMSlim) -> None:
    class Adult(Person):
        def model_post_init(self, _context: Any) -> None:
            if self.age < 18:
                raise ValueError("too young")

    result: Any = llm.with_structured_output(Adult, include_raw=True).invoke(QUESTION, max_tokens=60)
    assert result["parsed"] is None
    assert "too young" in str(result["parsing_error"])
    assert result["raw"].content == '{"name": "Bob", "age": 7}'


# --- in pieces ---


class Never(BaseModel):
    """What a validator refuses, whatever it is."""

    age: int

    @field_validator("age")
    @classmethod
    def _refuse(cls, value: int) -> int:
        raise ValueError(f"{value} is refused")


class Few(BaseModel):
    """What a validator takes at first, while it comes."""

    names: list[str]

    @field_validator("names")
    @classmethod
    def _few(cls, names: list[str]) -> list[str]:
        if len(names) > 1:
            raise ValueError("too many")
        return names


METHODS = [("json_schema", OutputParserException), ("json_mode", OutputParserException)]
METHODS += [("function_calling", ValidationError)]


async def _pieces(chain: Any, question: str, *, is_async: bool) -> list[Any]:
    return [each async for each in chain.astream(question)] if is_async else list(chain.stream(question))


@pytest.mark.parametrize("is_async", [False, True], ids=["stream", "astream"])
@pytest.mark.parametrize(("method", "error"), METHODS, ids=[method for method, _ in METHODS])
async def test_what_validators_refuse_is_the_same_error_in_pieces(
    method: Any, error: type[Exception], is_async: bool, llm: ChatGLMSlim
) -> None:
    chain = llm.with_structured_output(Never, method=method)
    with pytest.raises(error, match="refused") as whole:
        chain.invoke(QUESTION)
    with pytest.raises(error, match="refused") as in_pieces:
        await _pieces(chain, QUESTION, is_async=is_async)
    assert str(in_pieces.value) == str(whole.value)
    with_raw: Any = llm.with_structured_output(Never, method=method, include_raw=True)
    result = reduce(add, await _pieces(with_raw, QUESTION, is_async=is_async))
    assert (result["parsed"], type(result["parsing_error"])) == (None, error)
    assert "refused" in str(result["parsing_error"])
    assert result["raw"].usage_metadata["output_tokens"] > 3


@pytest.mark.parametrize(("method", "error"), METHODS, ids=[method for method, _ in METHODS])
def test_what_was_valid_while_it_came_is_an_error_if_the_whole_is_not(
    method: Any, error: type[Exception], llm: ChatGLMSlim
) -> None:
    came: list[Few] = []
    pieces: Any = llm.with_structured_output(Few, method=method).stream("The guests: Ann, Bob.")
    with pytest.raises(error, match="too many"):
        came.extend(pieces)
    assert came
    assert all(len(piece.names) < 2 for piece in came)


@pytest.mark.parametrize("is_async", [False, True], ids=["stream", "astream"])
@pytest.mark.parametrize("method", ["json_schema", "function_calling", "json_mode"])
async def test_a_dict_comes_as_far_as_it_is_written_and_whole_where_nothing_is_streamed(
    method: Any, is_async: bool, llm: ChatGLMSlim
) -> None:
    pieces = await _pieces(llm.with_structured_output(SCHEMA, method=method), QUESTION, is_async=is_async)
    assert {"name": "Bob"} in pieces
    assert pieces[-1] == BOB
    whole = ChatGLMSlim(model="demo", device="cpu", temperature=0, disable_streaming=True)
    for schema, wanted in ((SCHEMA, BOB), (Person, Person(name="Bob", age=7))):
        chain = whole.with_structured_output(schema, method=method)
        assert await _pieces(chain, QUESTION, is_async=is_async) == [wanted]
