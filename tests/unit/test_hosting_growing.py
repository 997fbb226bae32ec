"""An answer on disk while it grows, with what is done on the way."""

from __future__ import annotations

import time

import pytest

from chatglm_slim_llm.hosting.assistant import ToolUse
from chatglm_slim_llm.hosting.growing import GrowingAnswer
from chatglm_slim_llm.storage import ConversationStore

ASKED = ToolUse("u1", "weather", {"city": "北京"}, "asked")
DONE = ToolUse("u1", "weather", {"city": "北京"}, "done", "晴")
NEXT = ToolUse("u2", "clock", {}, "running")


@pytest.fixture
def store(tmp_path):
    with ConversationStore.open(tmp_path / "history.db") as store:
        yield store


def uses(store, answer):
    return store.tool_uses_of_path(answer.conversation_id).get(answer.id)


def test_the_last_state_of_each_use_is_kept_in_the_order_in_which_they_began(store):
    answer = store.begin(None, None, "天气?")[1]
    with GrowingAnswer(store, answer.id, pytest.fail) as growing:
        growing.use(ASKED)
        growing.use(NEXT)
        growing.use(DONE)
        growing.grow("晴")
        growing.finish("stop")
    assert uses(store, answer)[0] == DONE
    assert [use.name for use in uses(store, answer)] == ["weather", "clock"]
    assert store.messages(answer.conversation_id)[-1].content == "晴"


def test_a_use_is_on_disk_before_there_is_any_text(store):
    answer = store.begin(None, None, "天气?")[1]
    with GrowingAnswer(store, answer.id, pytest.fail) as growing:
        growing.use(ASKED)
        deadline = time.monotonic() + 10
        while uses(store, answer) != [ASKED]:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        growing.finish("cancelled")
    assert [use.state for use in uses(store, answer)] == ["failed"]


def test_an_answer_that_was_deleted_meanwhile_takes_nothing_along(store):
    answer = store.begin(None, None, "天气?")[1]
    with GrowingAnswer(store, answer.id, pytest.fail) as growing:
        growing.use(DONE)
        store.delete(answer.conversation_id)
        growing.finish("stop")
    assert uses(store, answer) is None
