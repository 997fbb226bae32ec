"""What a model did with tools is kept with its reply, and goes where the reply goes."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pytest

from chatglm_slim_llm.errors import StorageError
from chatglm_slim_llm.storage import ChatSettings, ConversationStore, ToolUse
from chatglm_slim_llm.storage.exchange import export_text, import_file, write_export

ASKED = ToolUse("u1", "weather", {"city": "北京", "days": [1, 2]}, "asked")
DONE = ToolUse("u1", "weather", {"city": "北京", "days": [1, 2]}, "done", "晴 <b>\n多云")
REFUSED = ToolUse("u2", "delete_file", {"path": "/x"}, "refused")


@pytest.fixture
def store(tmp_path):
    with ConversationStore.open(tmp_path / "history.db") as store:
        yield store


@pytest.fixture
def answer(store):
    return store.begin(None, None, "天气?")[1]


def uses(store, answer):
    return store.tool_uses_of_path(answer.conversation_id).get(answer.id)


def test_uses_come_back_in_their_order_after_a_reopening(store, answer):
    assert uses(store, answer) is None
    assert store.set_tool_uses(answer.id, [DONE, REFUSED])
    store.close()
    assert uses(store, answer) == [DONE, REFUSED]


def test_what_is_set_again_takes_the_place_of_what_was_there(store, answer):
    store.set_tool_uses(answer.id, [ASKED, REFUSED])
    store.set_tool_uses(answer.id, [DONE])
    assert uses(store, answer) == [DONE]


def test_a_use_that_had_not_ended_when_its_reply_did_has_failed(store, answer):
    store.set_tool_uses(answer.id, [ASKED])
    assert uses(store, answer) == [ASKED]
    store.update(answer.id, "", finish_reason="cancelled")
    assert [use.state for use in uses(store, answer)] == ["failed"]


@pytest.mark.parametrize("act", ["delete", "clear"])
def test_uses_go_with_their_reply(store, answer, act):
    store.set_tool_uses(answer.id, [DONE])
    getattr(store, act)(answer.conversation_id)
    with closing(sqlite3.connect(store.path)) as db:
        assert db.execute("select count(*) from tool_uses").fetchone() == (0,)
    assert not store.set_tool_uses(answer.id, [DONE])


def test_each_variant_of_an_answer_has_its_own_uses(store, answer):
    store.set_tool_uses(answer.id, [DONE])
    other = store.begin_answer(answer.parent_id)
    assert store.tool_uses_of_path(answer.conversation_id) == {}
    store.set_tool_uses(other.id, [REFUSED])
    assert store.tool_uses_of_path(answer.conversation_id) == {other.id: [REFUSED]}
    store.show_variant(answer.id)
    assert store.tool_uses_of_path(answer.conversation_id) == {answer.id: [DONE]}


def test_a_fork_has_them_too(store, answer):
    store.set_tool_uses(answer.id, [ASKED, REFUSED])  # the answer still grows; its copy does not
    forked = store.fork(answer.id)
    [copied] = store.tool_uses_of_path(forked.id).values()
    assert [(use.name, use.state) for use in copied] == [("weather", "failed"), ("delete_file", "refused")]


def test_text_that_sqlite_cannot_hold_is_stored_as_what_it_can(store, answer):
    store.set_tool_uses(answer.id, [ToolUse("u", "a\ud800", {"\ud801": float("inf")}, "done", "\ud802")])
    [kept] = uses(store, answer)
    assert (kept.name, kept.arguments, kept.result) == ("a\ufffd", {"\ufffd": "Infinity"}, "\ufffd")
    assert "Infinity" in export_text(store, answer.conversation_id, "json")


def test_the_tools_of_a_chat_are_among_its_settings(store, answer):
    store.set_chat_settings(answer.conversation_id, ChatSettings(tools=("weather", "clock")))
    assert store.chat_settings(answer.conversation_id) == ChatSettings(tools=("weather", "clock"))


def test_our_own_json_brings_everything_back(store, answer, tmp_path):
    store.update(answer.id, "晴", finish_reason="stop")
    store.set_tool_uses(answer.id, [DONE, REFUSED])
    store.set_chat_settings(answer.conversation_id, ChatSettings(tools=("weather",)))
    path = write_export(store, [answer.conversation_id], tmp_path / "x.json")
    with ConversationStore.at(tmp_path / "other.db") as other:
        assert import_file(other, path).conversations == 1
        [copy] = other.conversations()
        assert list(other.tool_uses_of_path(copy.id).values()) == [[DONE, REFUSED]]
        assert other.chat_settings(copy.id).tools == ("weather",)


@pytest.mark.parametrize("uses", [[{"id": "u", "name": "n", "state": "eaten"}], [{"name": 3}], "x"])
def test_json_whose_uses_are_none_is_refused_in_a_sentence(store, answer, tmp_path, uses):
    path = write_export(store, [answer.conversation_id], tmp_path / "x.json")
    broken = json.loads(path.read_text())
    broken["conversations"][0]["messages"][1]["tool_uses"] = uses
    broken["conversations"][0]["uid"] = "another"
    path.write_text(json.dumps(broken))
    with pytest.raises(StorageError, match="tool_uses"):
        import_file(store, path)


def test_a_reader_of_markdown_and_of_a_page_sees_what_was_done(store, answer):
    store.update(answer.id, "It is sunny.", finish_reason="stop")
    store.set_tool_uses(answer.id, [DONE, REFUSED])
    store.rename(answer.conversation_id, "weather of today and of tomorrow")
    text = export_text(store, answer.conversation_id, "markdown")
    assert (
        "**Tools**\n\n"
        '- `weather(city="北京", days=[1, 2])`\n\n  > 晴 <b>\n  > 多云\n\n'
        '- `delete_file(path="/x")` · not allowed\n\n'
        "It is sunny.\n"
    ) in text
    page = export_text(store, answer.conversation_id, "html")
    assert "<code>weather(city=&quot;北京&quot;, days=[1, 2])</code></summary><p class=plain>晴 &lt;b&gt;" in page
    assert "not allowed" in page


def test_a_reader_is_told_that_a_use_was_stopped_and_not_that_it_failed(store, answer):
    store.set_tool_uses(answer.id, [ASKED])
    store.update(answer.id, "", finish_reason="cancelled")
    for form in ("markdown", "html"):
        text = export_text(store, answer.conversation_id, form)
        assert " · 已停止" in text
        assert "失败" not in text
