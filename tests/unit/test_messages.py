"""LangChain messages to system text, rounds and question."""

from __future__ import annotations

import pytest
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)

from chatglm_slim_llm.errors import GenerationError
from chatglm_slim_llm.messages import Conversation, MessageError, to_conversation
from chatglm_slim_llm.signatures import Tool

CALL = {"name": "add", "args": {}, "id": "1"}
WRITTEN = '{"name": "add", "arguments": {}}'


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


def test_plain_texts_are_read() -> None:
    blocks = [{"type": "text-plain", "text": "a", "mime_type": "text/plain"}, {"type": "text", "text": "b"}]
    assert to_conversation([HumanMessage(blocks)]).query == "ab"  # type: ignore[arg-type]


def test_chat_messages_are_known_by_their_role() -> None:
    messages = [ChatMessage("s", role="system"), ChatMessage("a", role="User"), ChatMessage("b", role="assistant")]
    assert to_conversation([*messages, HumanMessage("c")]) == Conversation("s", [("a", "b")], "c")


def test_calls_are_answers_and_their_results_are_questions() -> None:
    calls = [{"name": "find", "args": {"名": "a\n"}, "id": "1"}, {"name": "go", "args": {}, "id": "2"}]
    messages = [
        HumanMessage("a"),
        AIMessage("I look.", tool_calls=calls),
        ToolMessage("x", tool_call_id="2"),
        ToolMessage("y", tool_call_id="1", status="error"),
    ]
    written = 'I look.\n{"name": "find", "arguments": {"名": "a\\n"}}\n{"name": "go", "arguments": {}}'
    assert to_conversation(messages) == Conversation("", [("a", written)], "Result of go: x\nfind failed: y", 1)
    after = to_conversation([*messages, AIMessage("b"), HumanMessage("好")])
    assert after == Conversation("", [("a", written), ("go 的结果：x\nfind 出错：y", "b")], "好")


def test_results_and_calls_in_blocks_of_other_providers_are_read() -> None:
    messages = [
        HumanMessage("a"),
        AIMessage(
            [
                {"type": "thinking", "thinking": "hm"},
                {"type": "text", "text": "b"},
                {"type": "tool_use", "id": "1", "name": "add", "input": {}},
            ],
            tool_calls=[CALL],
        ),
        HumanMessage([{"type": "tool_result", "tool_use_id": "1", "content": [{"type": "text", "text": "3"}]}]),
        AIMessage([{"type": "reasoning", "reasoning": "hm"}, {"type": "text", "text": "c"}]),
        HumanMessage("d"),
    ]
    assert to_conversation(messages) == Conversation("", [("a", f"b\n{WRITTEN}"), ("Result of add: 3", "c")], "d")


def test_a_call_that_could_not_be_read_and_its_result_are_told_as_they_were() -> None:
    broken = {"name": "find", "args": '{"名": a', "id": "1", "error": "not JSON", "type": "invalid_tool_call"}
    messages = [
        HumanMessage("a"),
        AIMessage("", tool_calls=[{**CALL, "id": "2"}], invalid_tool_calls=[broken]),
        ToolMessage("no JSON", tool_call_id="1", status="error"),
        ToolMessage("3", tool_call_id="2"),
    ]
    told = to_conversation(messages)
    assert told.history == [("a", WRITTEN + '\n{"name": "find", "arguments": {"名": a}')]
    assert told.query == "find failed: no JSON\nResult of add: 3"
    nameless = {"name": None, "args": None, "id": "1", "error": None, "type": "invalid_tool_call"}
    messages = [HumanMessage("a"), AIMessage("", invalid_tool_calls=[nameless]), ToolMessage("b", tool_call_id="1")]
    assert to_conversation(messages).query == "Result of tool: b"


def test_the_rounds_since_the_question_in_hand_are_counted() -> None:
    def calls(i: int) -> list[BaseMessage]:
        call = AIMessage("", tool_calls=[{"name": "go", "args": {}, "id": str(i)}])
        return [call, ToolMessage("x", tool_call_id=str(i))]

    past: list[BaseMessage] = [HumanMessage("a"), *calls(0), AIMessage("b")]
    for count in range(4):
        asked = [HumanMessage("c"), *(message for i in range(1, 1 + count) for message in calls(i))]
        for before, rounds in (([], 0), (past, 2)):
            found = to_conversation([*before, *asked])
            assert (len(found.history), found.open_rounds) == (rounds + count, count)
    assert to_conversation([*past, *calls(1), HumanMessage("and c?")]).open_rounds == 0
    assert to_conversation(past, is_complete=False).open_rounds == 0


def test_results_in_a_human_message_are_no_question_of_a_person() -> None:
    call = AIMessage("", tool_calls=[CALL])
    result = {"type": "tool_result", "tool_use_id": "1", "content": "3"}
    for role in (HumanMessage, lambda content: ChatMessage(content, role="user")):
        counted = [
            to_conversation([HumanMessage("a"), call, role(content)]).open_rounds
            for content in ([result], [result, result], [result, {"type": "text", "text": "and b?"}], ["b?"], "b?")
        ]
        assert counted == [1, 1, 0, 0, 0]


def test_tools_and_the_form_of_the_reply_stand_after_the_system_text() -> None:
    schema = {"properties": {"x": {"type": "integer"}}, "required": ["x"]}
    tools = [Tool("add", "Adds.", schema)]
    told = to_conversation([SystemMessage("s"), HumanMessage("a")], tools=tools, schema=schema).system
    assert told.startswith("s\n\nTools:\nadd(x: integer): Adds.\n")
    assert told.endswith("\n\nAnswer with JSON: {x: integer}")
    assert to_conversation([SystemMessage("说"), HumanMessage("好")], tools=tools).system.startswith("说\n\n工具：\n")


def test_a_conversation_that_asks_nothing_can_be_read_if_wanted() -> None:
    messages = [HumanMessage("a"), AIMessage("b")]
    assert to_conversation(messages, is_complete=False) == Conversation("", [("a", "b")], "")
    assert to_conversation([HumanMessage("a")], is_complete=False) == Conversation("", [], "a")
    assert to_conversation([SystemMessage("s")], is_complete=False) == Conversation("s", [], "")


def test_a_part_of_a_conversation_may_hold_a_result_without_its_call() -> None:
    result = ToolMessage("b", tool_call_id="1")
    assert to_conversation([result], is_complete=False).query == "Result of tool: b"
    named = ToolMessage("b", tool_call_id="1", name="add")
    assert to_conversation([named], is_complete=False).query == "Result of add: b"
    backwards = [result, AIMessage("", tool_calls=[CALL]), HumanMessage("a")]  # as `trim_messages` counts
    assert to_conversation(backwards, is_complete=False).history == [("Result of add: b", WRITTEN)]
    block = HumanMessage([{"type": "tool_result", "tool_use_id": "1", "content": "b"}])
    assert to_conversation([block], is_complete=False).query == "Result of tool: b"


@pytest.mark.parametrize(
    ("messages", "index", "complaint"),
    [
        ([], 0, "no human message"),
        ([SystemMessage("s")], 1, "no human message"),
        ([HumanMessage("a"), AIMessage("b"), SystemMessage("s")], 1, "message 1 is the model's own and the last"),
        ([HumanMessage("a"), AIMessage("b"), HumanMessage(" ")], 2, r"message 2 \(human\) is empty"),
        (
            [HumanMessage("a"), ToolMessage("b", tool_call_id="1")],
            1,
            r"message 1 is the result of the call '1', which no",
        ),
        ([HumanMessage("a"), AIMessage("", tool_calls=[CALL])], 1, "message 1 is the model's own and the last"),
        (
            [HumanMessage("a"), AIMessage("", tool_calls=[{"name": "f", "args": {"x": {1}}, "id": "1"}])],
            1,
            "message 1 calls f with arguments that JSON cannot hold",
        ),
        ([HumanMessage("a"), RemoveMessage("x")], 1, r"message 1 is of a kind .*\(RemoveMessage\)"),
        ([ChatMessage("a", role="critic")], 0, "role 'critic'"),
        (
            [HumanMessage([{"type": "image", "url": "https://x.y"}])],
            0,
            "message 0 \\(human\\) has a block of type 'image'",
        ),
        (
            [HumanMessage([{"type": "text"}])],
            0,
            "message 0 \\(human\\) has a block of type 'text' whose text is missing; give it one, or leave it out",
        ),
        ([HumanMessage([{"type": "text", "text": None}])], 0, "of type 'text' whose text is missing"),
        ([HumanMessage([{"type": "text", "text": 3}])], 0, "of type 'text' whose text is 3; give it a text"),
        ([HumanMessage([{"type": "text-plain", "base64": "YQ=="}])], 0, "of type 'text-plain' whose text is missing"),
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
