"""What may be made of a thread's state that the history file holds, and what it costs to hold it."""

from __future__ import annotations

import sqlite3
import zlib
from pathlib import Path
from typing import Any, TypedDict

import ormsgpack
import pytest
from langgraph.checkpoint.serde.jsonplus import EXT_CONSTRUCTOR_SINGLE_ARG, JsonPlusSerializer
from langgraph.graph import START, StateGraph
from pydantic import BaseModel

from chatglm_slim_llm.checkpointer import ConversationCheckpointer
from chatglm_slim_llm.errors import StorageError

THREAD = {"configurable": {"thread_id": "1"}}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.db"


class Answer(BaseModel):
    degrees: int


class Asked(TypedDict):
    answer: Answer | None


def answers(checkpointer: ConversationCheckpointer) -> Any:
    graph = StateGraph(Asked)
    graph.add_node("answer", lambda state: {"answer": Answer(degrees=20)})
    graph.add_edge(START, "answer")
    return graph.compile(checkpointer=checkpointer)


def test_objects_of_allowed_types_come_back_and_of_others_only_their_fields(path):
    answers(ConversationCheckpointer(path)).invoke({"answer": None}, THREAD)
    strict, open_to = ConversationCheckpointer(path), ConversationCheckpointer(path, allowed_types=[Answer])
    assert answers(strict).get_state(THREAD).values == {"answer": {"degrees": 20}}
    assert answers(open_to).get_state(THREAD).values == {"answer": Answer(degrees=20)}


def tamper(path: Path, kind: str, state: bytes) -> None:
    answers(ConversationCheckpointer(path)).invoke({"answer": None}, THREAD)
    with sqlite3.connect(path) as db:
        db.execute("update thread_checkpoints set kind = ?, state = ?", (kind, zlib.compress(state)))
    db.close()


def test_a_function_that_the_file_names_is_not_called(path, tmp_path):
    """What LangGraph's serializer does call unless it is told which types it may make."""
    mark = tmp_path / "mark"
    named = ormsgpack.packb(("os", "mkdir", str(mark)))
    state = ormsgpack.packb({"id": ormsgpack.Ext(EXT_CONSTRUCTOR_SINGLE_ARG, named)})
    tamper(path, "msgpack", state)
    found = ConversationCheckpointer(path).get_tuple(THREAD)
    assert found is not None
    assert found.checkpoint == {"id": str(mark)}
    assert not mark.exists()
    JsonPlusSerializer(allowed_msgpack_modules=[("os", "mkdir")]).loads_typed(("msgpack", state))
    assert mark.exists()  # or the state above would prove nothing


@pytest.mark.parametrize("kind", ["pickle", "json"])
def test_a_state_that_would_make_objects_by_name_is_refused(path, kind):
    tamper(path, kind, b'{"lc": 1, "type": "constructor", "id": ["langchain_core", "prompts", "PromptTemplate"]}')
    with pytest.raises(StorageError, match=f"of kind '{kind}'"):
        ConversationCheckpointer(path).get_tuple(THREAD)


@pytest.mark.parametrize("state", [b"not packed", zlib.compress(b"\xc1")])
def test_a_damaged_state_is_an_error_of_ours(path, state):
    answers(ConversationCheckpointer(path)).invoke({"answer": None}, THREAD)
    with sqlite3.connect(path) as db:
        db.execute("update thread_checkpoints set state = ?", (state,))
    db.close()
    with pytest.raises(StorageError, match=r"damaged .*; delete the thread"):
        ConversationCheckpointer(path).get_tuple(THREAD)


def test_rows_are_smaller_than_what_they_hold(path):
    config = {"configurable": {"thread_id": "1", "checkpoint_id": "1"}}
    ConversationCheckpointer(path).put_writes(config, [("messages", "你好，世界" * 1000)], "task")
    with sqlite3.connect(path) as db:
        assert db.execute("select length(value) < 1500 from thread_writes").fetchone() == (1,)
    db.close()
