"""`with_structured_output` on the bundled model: every way to give a schema, and to give options of one call."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, Field

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
    "anthropic": {"name": "Person", "input_schema": SCHEMA},
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
