"""LangChain messages to system text, rounds and question."""

from __future__ import annotations

import pytest
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from chatglm_slim_llm.errors import GenerationError
from chatglm_slim_llm.messages import Conversation, MessageError, to_conversation

CALL = {"name": "add", "args": {}, "id": "1"}


def test_rounds_and_question_are_told_apart() -> None:
    messages = [HumanMessage("a"), AIMessage("b"), HumanMessage("c"), AIMessageChunk(content="d"), HumanMessage("e")]
    assert to_conversation(messages) == Conversation("", [("a", "b"), ("c", "d")], "e")


def test_system_messages_are_joined_wherever_they_stand() -> None:
    messages = [SystemMessage("one"), HumanMessage("a"), SystemMessage(""), SystemMessage("two")]
    assert to_conversation(messages) == Conversation("one\n\ntwo", [], "a")


def test_neighbours_of_one_role_are_joined_by_a_line_break() -> None:
    messages = [HumanMessage("a"), HumanMessage("b"), AIMessage("c"), AIMessage("d"), HumanMessage("e")]
    assert to_conversation(messages) == Conversation("", [("a\nb", "c\nd")], "e")


def test_a_greeting_of_the_model_answers_an_empty_question() -> None:
    assert to_conversation([AIMessage("hi"), HumanMessage("a")]) == Conversation("", [("", "hi")], "a")


def test_an_empty_answer_counts_as_an_answer() -> None:
    messages = [HumanMessage("a"), AIMessage(""), HumanMessage("b")]
    assert to_conversation(messages) == Conversation("", [("a", "")], "b")


def test_text_blocks_are_joined() -> None:
    assert to_conversation([HumanMessage([{"type": "text", "text": "a"}, "b"])]).query == "ab"


def test_chat_messages_are_known_by_their_role() -> None:
    messages = [ChatMessage("s", role="system"), ChatMessage("a", role="User"), ChatMessage("b", role="assistant")]
    assert to_conversation([*messages, HumanMessage("c")]) == Conversation("s", [("a", "b")], "c")


@pytest.mark.parametrize(
    ("messages", "index", "complaint"),
    [
        ([], 0, "no human message"),
        ([SystemMessage("s")], 1, "no human message"),
        ([HumanMessage("a"), AIMessage("b"), SystemMessage("s")], 1, "message 1 is the model's own and the last"),
        ([HumanMessage("a"), AIMessage("b"), HumanMessage(" ")], 2, r"message 2 \(human\) is empty"),
        ([HumanMessage("a"), ToolMessage("b", tool_call_id="1")], 1, r"message 1 is of a kind .*\(ToolMessage\)"),
        ([HumanMessage("a"), AIMessage("", tool_calls=[CALL])], 1, r"message 1 .*\(AIMessage with tool calls\)"),
        ([ChatMessage("a", role="critic")], 0, "role 'critic'"),
        ([HumanMessage([{"type": "image", "url": "https://x.y"}])], 0, "message 0 has a block of type 'image'"),
        ([HumanMessage([{"type": "text"}])], 0, "message 0 has a block of type 'text'"),
    ],
)
def test_what_the_model_cannot_take_is_named_by_its_index(
    messages: list[BaseMessage], index: int, complaint: str
) -> None:
    with pytest.raises(MessageError, match=complaint) as caught:
        to_conversation(messages)
    assert caught.value.index == index
    assert isinstance(caught.value, GenerationError)
    assert isinstance(caught.value, ValueError)
