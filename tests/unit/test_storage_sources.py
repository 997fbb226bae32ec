"""A reply's sources are kept with it, as they were."""

from __future__ import annotations

import sqlite3
import threading

import numpy as np
import pytest

from chatglm_slim_llm.errors import StorageError
from chatglm_slim_llm.storage import ConversationStore, Source

FIRST = Source(1, "a1", "/notes/清华.md", "清华大学成立于1911年。", "历史 › 建校", None, 10, 14, 0.75)
SECOND = Source(2, "b7", "/papers/x.pdf", "Tsinghua was founded\nin 1911.", page=3)


@pytest.fixture
def store(tmp_path):
    with ConversationStore.open(tmp_path / "history.db") as store:
        yield store


@pytest.fixture
def reply_id(store) -> int:
    return store.append(store.create("t").id, "assistant", "1911年 [1]", finish_reason="stop").id


def test_sources_come_back_by_number_after_a_reopening(store, reply_id):
    store.add_sources(reply_id, [SECOND, FIRST])
    store.close()
    assert store.sources(reply_id) == [FIRST, SECOND]


def test_a_message_without_sources_has_none(store, reply_id):
    assert store.sources(reply_id) == []
    assert store.sources(12345) == []


def test_looking_for_sources_in_an_empty_history_leaves_no_trace(store):
    assert store.sources(1) == []
    assert not store.path.exists()


def test_a_number_given_again_is_replaced(store, reply_id):
    store.add_sources(reply_id, [FIRST, SECOND])
    store.add_sources(reply_id, [Source(2, "c", "new", "other")])
    assert store.sources(reply_id) == [FIRST, Source(2, "c", "new", "other")]


@pytest.mark.parametrize("act", ["delete", "clear"])
def test_sources_go_with_their_message(store, act):
    chat = store.create("t")
    message = store.append(chat.id, "assistant", "…")
    store.add_sources(message.id, [FIRST])
    getattr(store, act)(chat.id)
    assert store.sources(message.id) == []
    with sqlite3.connect(store.path) as db:
        assert db.execute("select count(*) from sources").fetchone() == (0,)
    db.close()


def test_updating_a_reply_keeps_its_sources(store, reply_id):
    store.add_sources(reply_id, [FIRST])
    store.update(reply_id, "longer", finish_reason="stop")
    assert store.sources(reply_id) == [FIRST]


def test_a_message_that_is_gone_takes_no_sources(store, reply_id):
    with pytest.raises(StorageError, match=f"no message {reply_id + 1}: it was deleted"):
        store.add_sources(reply_id + 1, [FIRST])
    with sqlite3.connect(store.path) as db:
        assert db.execute("select count(*) from sources").fetchone() == (0,)
    db.close()


def test_lone_surrogates_and_scores_of_numpy_are_stored_as_text_and_numbers(store, reply_id):
    store.add_sources(reply_id, [Source(1, "a", "/x/\udcff.txt", "a\ud800b", score=np.float32(0.5))])
    [kept] = store.sources(reply_id)
    assert (kept.source, kept.text, kept.score) == ("/x/�.txt", "a�b", 0.5)


def test_threads_add_sources_side_by_side(store):
    chat = store.create("t")
    messages = [store.append(chat.id, "assistant", str(i)).id for i in range(8)]
    threads = [threading.Thread(target=store.add_sources, args=(each, [FIRST, SECOND])) for each in messages]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [store.sources(each) for each in messages] == [[FIRST, SECOND]] * 8
