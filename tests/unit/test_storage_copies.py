"""A whole conversation goes out and comes in, with all its branches."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from chatglm_slim_llm.errors import StorageError
from chatglm_slim_llm.storage import (
    Attachment,
    ChatSettings,
    ConversationStore,
    Figures,
    Source,
    WholeConversation,
    WholeMessage,
)

AT = datetime(2023, 4, 5, 6, 7, 8, 90000, UTC)
WHOLE = WholeConversation(
    uid="chatgpt:1",
    title="题",
    created_at=AT,
    updated_at=AT.replace(month=5),
    messages=(
        WholeMessage(None, "user", "天气?", AT, attachments=(Attachment("a", "b", Path("/c")), Attachment("d", "e"))),
        WholeMessage(
            0, "assistant", "好", AT, "stop", figures=Figures(3), sources=(Source(1, "p", "/s", "t", page=2),)
        ),
        WholeMessage(0, "assistant", "坏", AT, "error", failure="why"),
        WholeMessage(1, "assistant", "", AT, "stop", original='{"a": 1}'),
        WholeMessage(3, "user", "end", AT),
    ),
    head=4,
    folder="f",
    is_pinned=True,
    archived_at=AT.replace(month=6),
    deleted_at=AT.replace(month=7),
    settings=ChatSettings("s", {"top_k": 1}, "k"),
)


@pytest.fixture
def store(tmp_path):
    with ConversationStore.open(tmp_path / "history.db") as store:
        yield store


def test_a_whole_conversation_comes_out_as_it_went_in(store):
    store.create("before it, so that ids differ")
    added = store.add_whole(WHOLE)
    assert added is not None
    assert (added.title, added.updated_at, added.uid) == ("题", WHOLE.updated_at, "chatgpt:1")
    out = store.whole(added.id)
    assert replace(out, messages=tuple(out.messages)) == WHOLE
    assert [each.content for each in store.messages(added.id)] == ["天气?", "好", "end"]
    assert [hit.conversation for hit in store.search("天气", shelf="trash")] == [added]


def test_what_is_there_is_not_added_again_wherever_it_lies(store):
    added = store.add_whole(WHOLE)
    assert added is not None
    before = store.whole(added.id)
    assert store.add_whole(replace(WHOLE, title="changed")) is None
    assert store.whole(added.id) == before
    store.delete(added.id)
    assert store.add_whole(WHOLE) is not None


def test_a_copy_in_another_history_has_the_same_uid(store, tmp_path):
    question, _ = store.begin(None, None, "q")
    whole = store.whole(question.conversation_id)
    with ConversationStore.open(tmp_path / "other.db") as other:
        copy = other.add_whole(whole)
        assert copy is not None
        assert copy.uid == store.conversation(question.conversation_id).uid
    assert store.add_whole(whole) is None


def test_a_message_before_its_parent_is_refused_and_nothing_is_kept(store):
    broken = replace(WHOLE, messages=(*WHOLE.messages, WholeMessage(6, "user", "x", AT)))
    with pytest.raises(StorageError, match="message 5 of '题' follows message 6"):
        store.add_whole(broken)
    assert store.conversations("trash") == []
    assert store.search("天气", shelf=None) == []


def test_a_conversation_without_messages_is_whole_too(store):
    empty = WholeConversation("u", "t", AT, AT)
    added = store.add_whole(empty)
    assert added is not None
    assert replace(store.whole(added.id), messages=()) == empty


def test_lone_surrogates_become_replacement_characters(store):
    message = WholeMessage(None, "user", "a\ud800", AT, original="o\ud800", failure="f\ud800")
    odd = WholeConversation("u\ud800", "t\ud800", AT, AT, (message,), 0, "f\ud800", settings=ChatSettings("s\ud800"))
    added = store.add_whole(odd)
    assert added is not None
    out = store.whole(added.id)
    assert (out.uid, out.title, out.folder, out.settings.system) == ("u�", "t�", "f�", "s�")
    assert (out.messages[0].content, out.messages[0].original, out.messages[0].failure) == ("a�", "o�", "f�")
    assert store.add_whole(odd) is None


def test_thousands_of_messages_go_out_and_come_in(store):
    messages = tuple(WholeMessage(n - 1 if n else None, "user", str(n), AT) for n in range(5000))
    added = store.add_whole(WholeConversation("long", "t", AT, AT, messages, 4999))
    assert added is not None
    assert tuple(store.whole(added.id).messages) == messages
    forked = store.fork(store.messages(added.id)[2999].id)
    assert [each.content for each in store.messages(forked.id)] == [str(n) for n in range(3000)]
