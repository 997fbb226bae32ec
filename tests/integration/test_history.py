"""A conversation of the terminal as LangChain's message history, and the other way round."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
import threading
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.runnables.history import RunnableWithMessageHistory

from chatglm_slim_llm import ChatGLMSlim
from chatglm_slim_llm.errors import ConfigError, StorageError
from chatglm_slim_llm.history import ConversationHistory
from chatglm_slim_llm.hosting.turns import turns_of
from chatglm_slim_llm.storage import ConversationStore

CALL = {"name": "weather", "args": {"city": "北京", "days": [1, 2.5, None]}, "id": "call_1", "type": "tool_call"}
MESSAGES = [
    SystemMessage("Be brief.", id="s1"),
    HumanMessage("你好 👋", name="Anna", id="h1", additional_kwargs={"lang": "zh"}),
    HumanMessage(
        [{"type": "text", "text": "看"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}]
    ),
    HumanMessage(["a", {"type": "text", "text": "b"}, {"type": "of their own", "x": 1}]),
    HumanMessage("half a character: \ud83d"),
    AIMessage(
        "",
        id="a1",
        tool_calls=[CALL],
        invalid_tool_calls=[{"name": "weather", "args": "{", "id": "call_2", "error": "no JSON"}],
        usage_metadata={
            "input_tokens": 5,
            "output_tokens": 2,
            "total_tokens": 7,
            "input_token_details": {"cache_read": 3},
        },
        response_metadata={"finish_reason": "tool_calls", "model_name": "m", "tokens_per_s": 12.5},
    ),
    AIMessage([{"type": "reasoning", "reasoning": "hm"}, {"type": "text", "text": "A"}]),
    AIMessage(
        content_blocks=[{"type": "text", "text": "B"}, {"type": "tool_call", "name": "w", "args": {}, "id": "7"}],
        response_metadata={"output_version": "v1"},
    ),
    AIMessageChunk("C", tool_call_chunks=[{"name": "w", "args": '{"a": ', "id": "8", "index": 0}]),
    ToolMessage("20 °C", tool_call_id="call_1", name="weather", status="error", artifact={"raw": [20, "°C"]}),
    ToolMessage([{"type": "text", "text": "20"}], tool_call_id="call_1"),
    FunctionMessage("21", name="weather"),
    ChatMessage("I object.", role="critic"),
    ChatMessage("Me too.", role="User"),
    RemoveMessage(id="h1"),
]


class Scripted(GenericFakeChatModel):
    """Says what the test wants, and remembers what it was asked."""

    asked: list[list[BaseMessage]] = []

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> Any:
        self.asked.append(list(messages))
        return super()._generate(messages, *args, **kwargs)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "history.db"


def shown(path: Path, conversation_id: int | None) -> list[tuple[str, str]]:
    assert conversation_id is not None
    with ConversationStore.open(path) as store:
        return [(message.role, message.content) for message in store.messages(conversation_id)]


# --- what was written comes back


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_every_message_comes_back_whole(path, message):
    history = ConversationHistory(store=path)
    history.add_messages([message])
    (found,) = ConversationHistory(history.conversation_id, path).messages
    assert type(found) is type(message)
    assert found.model_dump() == message.model_dump()


def test_messages_come_back_in_order(path):
    history = ConversationHistory(store=path)
    history.add_message(MESSAGES[0])
    history.add_messages(MESSAGES[1:])
    assert ConversationHistory(history.conversation_id, path).messages == MESSAGES


def test_an_empty_history_leaves_no_trace(path):
    history = ConversationHistory(store=path)
    history.add_messages([])
    history.clear()
    assert history.messages == []
    assert history.conversation_id is None
    assert not path.parent.exists()


def test_a_store_that_is_given_is_used(path):
    with ConversationStore.open(path) as store:
        history = ConversationHistory(store=store)
        history.add_user_message("a")
        assert [message.content for message in store.messages(1)] == ["a"]


# --- the terminal and LangChain share it


def test_the_terminal_lists_a_conversation_of_langchain_with_its_title(path):
    history = ConversationHistory(store=path)
    history.add_messages([SystemMessage("Be brief."), HumanMessage("How warm is it\nin Beijing?"), AIMessage("20 °C")])
    with ConversationStore.open(path) as store:
        (conversation,) = store.conversations()
    assert (conversation.id, conversation.title) == (history.conversation_id, "How warm is it in Beijing?")


def test_a_conversation_that_nobody_asked_anything_in_has_a_title_too(path):
    ConversationHistory(store=path).add_ai_message("Hello!")
    ConversationHistory(store=path).add_messages([MESSAGES[5]])
    with ConversationStore.open(path) as store:
        assert [each.title for each in store.conversations()] == ["Conversation", "Hello!"]


def test_the_terminal_shows_what_was_said_and_not_how_tools_were_used(path):
    history = ConversationHistory(store=path)
    history.add_messages(
        [HumanMessage("Beijing?"), AIMessage("", tool_calls=[CALL]), ToolMessage("20", tool_call_id="call_1")]
    )
    history.add_messages([AIMessage("It is 20 °C.")])
    assert shown(path, history.conversation_id) == [("user", "Beijing?"), ("assistant", "It is 20 °C.")]
    with ConversationStore.open(path) as store:
        store.append(1, "user", "And tomorrow?")
        turns = [(turn.role, turn.text) for turn in turns_of(store.messages(1), {})]
    assert turns == [("human", "Beijing?"), ("ai", "It is 20 °C."), ("human", "And tomorrow?")]


def test_the_terminal_names_what_it_cannot_show(path):
    history = ConversationHistory(store=path)
    history.add_messages([MESSAGES[2], MESSAGES[3], MESSAGES[6], MESSAGES[12], MESSAGES[13]])
    assert shown(path, history.conversation_id) == [
        ("user", "看[image]"),
        ("user", "ab[non_standard]"),
        ("assistant", "A"),
        ("system", "I object."),
        ("user", "Me too."),
    ]


@pytest.mark.parametrize(
    ("said", "kept"),
    [("length", "length"), ("cancelled", "cancelled"), ("tool_calls", "stop"), (None, "stop"), ([], "stop")],
)
def test_a_reply_of_langchain_does_not_look_interrupted(path, said, kept):
    ConversationHistory(store=path).add_messages([AIMessage("a", response_metadata={"finish_reason": said})])
    with ConversationStore.open(path) as store:
        assert store.messages(1)[0].finish_reason == kept


def test_a_conversation_of_the_terminal_is_continued_from_langchain(path):
    with ConversationStore.open(path) as store:
        conversation = store.create("问候")
        store.append(conversation.id, "system", "Be brief.")
        store.append(conversation.id, "user", "你好")
        store.append(conversation.id, "assistant", "你好！", finish_reason="stop")
    history = ConversationHistory(conversation.id, path)
    assert history.messages == [
        SystemMessage("Be brief."),
        HumanMessage("你好"),
        AIMessage("你好！", response_metadata={"finish_reason": "stop"}),
    ]
    history.add_user_message("再见")
    assert shown(path, conversation.id)[1:] == [("user", "你好"), ("assistant", "你好！"), ("user", "再见")]


def test_a_reply_that_says_nothing_yet_is_not_read(path):
    with ConversationStore.open(path) as store:
        conversation = store.create("t")
        store.append(conversation.id, "user", "你好")
        reply = store.append(conversation.id, "assistant", "")
        history = ConversationHistory(conversation.id, store)
        assert history.messages == [HumanMessage("你好")]
        store.update(reply.id, "你")
        assert history.messages == [HumanMessage("你好"), AIMessage("你")]


def test_a_cleared_history_keeps_its_conversation(path):
    history = ConversationHistory(store=path)
    history.add_user_message("a")
    history.clear()
    assert history.messages == []
    history.add_user_message("b")
    with ConversationStore.open(path) as store:
        assert [each.title for each in store.conversations()] == ["a"]
    assert shown(path, history.conversation_id) == [("user", "b")]


def test_what_the_terminal_deleted_is_not_written_into(path):
    history = ConversationHistory(store=path)
    history.add_user_message("a")
    with ConversationStore.open(path) as store:
        store.delete(history.conversation_id)
    with pytest.raises(StorageError, match="has no conversation 1"):
        history.add_user_message("b")
    with pytest.raises(StorageError, match="has no conversation 1"):  # before a reply is made that nobody keeps
        _ = history.messages


@pytest.mark.parametrize("session_id", ["alice", "1", True, 1.0, b"1", 0, -1, 2**70])
def test_only_a_number_names_a_conversation(path, session_id):
    ConversationHistory(store=path).add_user_message("private")
    with pytest.raises(ConfigError, match=r"it must be the number .* or None; keep a ConversationHistory for each"):
        ConversationHistory(session_id, path)


def test_a_conversation_that_never_was_is_an_error_when_it_is_read(path):
    ConversationHistory(store=path).add_user_message("a")
    with pytest.raises(StorageError, match="has no conversation 99999: it was deleted or never there"):
        _ = ConversationHistory(99999, path).messages


def test_a_conversation_of_a_file_that_is_not_there_is_an_error_when_it_is_read(path):
    with pytest.raises(StorageError, match="has no conversation 1"):
        _ = ConversationHistory(1, path).messages
    assert not path.exists()


# --- what must not be kept or made


@pytest.mark.parametrize("artifact", [b"bytes", {1, 2}, object()])
def test_what_json_cannot_hold_is_refused_with_all_of_its_batch(path, artifact):
    history = ConversationHistory(store=path)
    with pytest.raises(StorageError, match=r"message 1 \(tool\) cannot be kept as JSON"):
        history.add_messages([HumanMessage("a"), ToolMessage("b", tool_call_id="c", artifact=artifact)])
    assert not path.exists()


class Telegram(BaseMessage):
    type: str = "telegram"


def test_a_message_that_could_not_be_read_back_is_refused(path):
    with pytest.raises(StorageError, match=r"message 0 \(telegram\)"):
        ConversationHistory(store=path).add_messages([Telegram(content="stop")])
    assert not path.exists()


@pytest.mark.parametrize(
    "original",
    [
        {"lc": 1, "type": "constructor", "id": ["langchain_core", "prompts", "PromptTemplate"], "kwargs": {}},
        {"lc": 2, "type": "constructor", "id": ["antigravity", "fly"], "args": []},
        {"type": "antigravity.fly", "data": {}},
        {"type": "human", "data": {"content": 7}},
        {"type": "human"},
        [],
        "{",
    ],
)
def test_json_that_is_no_message_makes_nothing_and_is_an_error_of_ours(path, original):
    ConversationHistory(store=path).add_user_message("a")
    with sqlite3.connect(path) as db:
        db.execute("update messages set original = ?", (original if original == "{" else json.dumps(original),))
    db.close()
    with pytest.raises(StorageError, match="message 1 of conversation 1 is not one of LangChain's"):
        _ = ConversationHistory(1, path).messages
    assert "antigravity" not in sys.modules
    assert shown(path, 1) == [("user", "a")]


# --- LangChain's own way of using a history


@pytest.mark.filterwarnings("ignore:RunnableWithMessageHistory is deprecated")
def test_a_chain_remembers_in_the_file(path):
    model = Scripted(messages=iter([AIMessage("You are Anna."), AIMessage("Anna, still.")]), asked=[])
    first = ConversationHistory(store=path)
    config = {"configurable": {"session_id": "1"}}
    RunnableWithMessageHistory(model, lambda _: first).invoke([HumanMessage("I am Anna.")], config)
    chain = RunnableWithMessageHistory(model, lambda session_id: ConversationHistory(int(session_id), path))
    assert chain.invoke([HumanMessage("Who am I?")], config).content == "Anna, still."
    assert [message.content for message in model.asked[-1]] == ["I am Anna.", "You are Anna.", "Who am I?"]
    assert [text for _, text in shown(path, 1)] == ["I am Anna.", "You are Anna.", "Who am I?", "Anna, still."]


@pytest.mark.filterwarnings("ignore:RunnableWithMessageHistory is deprecated")
def test_sessions_of_a_program_have_a_conversation_each(path):
    histories = defaultdict(lambda: ConversationHistory(store=path))
    model = Scripted(messages=iter([AIMessage("1"), AIMessage("2"), AIMessage("3")]), asked=[])
    chain = RunnableWithMessageHistory(model, lambda session_id: histories[session_id])
    for session_id, text in [("alice", "a"), ("bob", "b"), ("alice", "c")]:
        chain.invoke([HumanMessage(text)], {"configurable": {"session_id": session_id}})
    assert shown(path, histories["alice"].conversation_id) == [
        ("user", "a"),
        ("assistant", "1"),
        ("user", "c"),
        ("assistant", "3"),
    ]
    assert shown(path, histories["bob"].conversation_id) == [("user", "b"), ("assistant", "2")]


@pytest.mark.filterwarnings("ignore:RunnableWithMessageHistory is deprecated")
def test_a_session_whose_conversation_is_gone_is_told_before_the_model_replies(path):
    model = Scripted(messages=iter([AIMessage("lost")]), asked=[])
    chain = RunnableWithMessageHistory(model, lambda session_id: ConversationHistory(int(session_id), path))
    with pytest.raises(StorageError, match="has no conversation 99999"):
        chain.invoke([HumanMessage("a")], {"configurable": {"session_id": "99999"}})
    assert model.asked == []


@pytest.mark.filterwarnings("ignore:RunnableWithMessageHistory is deprecated")
async def test_an_async_chain_remembers_in_the_file(path):
    history = ConversationHistory(store=path)
    model = Scripted(messages=iter([AIMessage("b"), AIMessage("d")]), asked=[])
    chain = RunnableWithMessageHistory(model, lambda _: history)
    for text in ("a", "c"):
        await chain.ainvoke([HumanMessage(text)], {"configurable": {"session_id": "1"}})
    assert [message.content for message in await history.aget_messages()] == ["a", "b", "c", "d"]
    await history.aclear()
    assert await history.aget_messages() == []


@pytest.mark.filterwarnings("ignore:RunnableWithMessageHistory is deprecated")
def test_the_demo_model_continues_a_conversation_of_the_terminal(path):
    with ConversationStore.open(path) as store:
        conversation = store.create("t")
        store.append(conversation.id, "user", "你好")
        store.append(conversation.id, "assistant", "你好！", finish_reason="stop")
    model = ChatGLMSlim(temperature=0, max_tokens=8)
    chain = RunnableWithMessageHistory(model, lambda session_id: ConversationHistory(int(session_id), path))
    said = [HumanMessage("你好"), AIMessage("你好！"), HumanMessage("你是谁？")]
    reply = chain.invoke(said[-1:], {"configurable": {"session_id": str(conversation.id)}})
    assert reply.content == model.invoke(said).content
    kept = ConversationHistory(conversation.id, path).messages[-1]
    assert isinstance(kept, AIMessage)
    assert kept.usage_metadata == reply.usage_metadata
    assert kept.response_metadata == reply.response_metadata


# --- several at once

WRITES_ROUNDS = """
import sys
from langchain_core.messages import AIMessage, HumanMessage
from chatglm_slim_llm.history import ConversationHistory
history = ConversationHistory(1, sys.argv[1])
for number in range(30):
    history.add_messages([HumanMessage(f"{sys.argv[2]}{number}?"), AIMessage(f"{sys.argv[2]}{number}!")])
"""


@pytest.mark.long
def test_processes_continue_one_conversation_without_parting_what_belongs_together(path):
    ConversationHistory(store=path).add_user_message("begin")
    started = [subprocess.Popen([sys.executable, "-c", WRITES_ROUNDS, str(path), name]) for name in "abc"]
    assert [process.wait() for process in started] == [0, 0, 0]
    texts = [str(message.content) for message in ConversationHistory(1, path).messages][1:]
    questions, answers = texts[::2], texts[1::2]
    assert [text[:-1] for text in questions] == [text[:-1] for text in answers]
    assert sorted(questions) == sorted(f"{name}{number}?" for name in "abc" for number in range(30))


def test_threads_that_begin_a_history_begin_one_conversation(path):
    history = ConversationHistory(store=path)
    barrier = threading.Barrier(4)

    def add(text: str) -> None:
        barrier.wait()
        history.add_user_message(text)

    threads = [threading.Thread(target=add, args=(text,)) for text in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(text for _, text in shown(path, 1)) == ["a", "b", "c", "d"]
    with ConversationStore.open(path) as store:
        assert len(store.conversations()) == 1


async def test_the_event_loop_goes_on_while_another_program_holds_the_file(path):
    history = ConversationHistory(store=path)
    await history.aadd_messages([HumanMessage("a")])
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("begin immediate")
    adding = asyncio.create_task(history.aadd_messages([HumanMessage("b")]))
    for _ in range(20):  # were the loop blocked, nobody would give the file free and the write would fail
        await asyncio.sleep(0.005)
    assert not adding.done()
    other.close()
    await adding
    assert [message.content for message in await history.aget_messages()] == ["a", "b"]
