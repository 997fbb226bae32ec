"""Growing answers: whose they are, and what becomes of them when their writer is gone."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from chatglm_slim_llm.storage import ChatSettings, ConversationStore, Figures
from chatglm_slim_llm.storage.marks import is_alive

BEGINS_AND_WAITS = """
import sys
from pathlib import Path
from chatglm_slim_llm.storage import ConversationStore
store = ConversationStore.open(Path(sys.argv[1]))
question, answer = store.begin(None, None, "from another process")
store.update(answer.id, "half a mammoth")
print(answer.id, flush=True)
sys.stdin.readline()
"""

LOOKS = """
import sys
from pathlib import Path
from chatglm_slim_llm.storage.marks import is_alive
print(is_alive(Path(sys.argv[1]), sys.argv[2]))
"""


@pytest.fixture
def store(tmp_path):
    with ConversationStore.open(tmp_path / "history.db") as store:
        yield store


@pytest.fixture
def other_process(store):
    """A process that is writing an answer; gives it and the answer's id."""
    command = [sys.executable, "-c", BEGINS_AND_WAITS, str(store.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process, int(process.stdout.readline())
        process.kill()


def marks(store: ConversationStore) -> list[str]:
    return [each.name for each in store.path.parent.iterdir() if ".writer-" in each.name]


def test_an_answer_keeps_why_and_how_it_ended(store):
    _, answer = store.begin(None, None, "q")
    figures = Figures(output_tokens=128, tokens_per_s=21.5, first_token_s=0.4, prompt_tokens=1203, limit=2048)
    assert store.update(answer.id, "part", figures=figures)
    assert store.update(answer.id, "part", finish_reason="error", failure="the model's process ended", figures=figures)
    store.close()
    kept = store.messages(answer.conversation_id)[-1]
    assert (kept.content, kept.finish_reason) == ("part", "error")
    assert (kept.failure, kept.figures) == ("the model's process ended", figures)


def test_an_answer_is_being_written_until_it_ends(store):
    question, answer = store.begin(None, None, "q")
    assert store.is_being_written(answer.id)
    store.update(answer.id, "half")
    assert store.is_being_written(answer.id)
    assert store.mark_interrupted() == 0
    store.update(answer.id, "whole", finish_reason="stop")
    assert not store.is_being_written(answer.id)
    assert not store.is_being_written(question.id)
    assert not store.is_being_written(99)


def test_what_a_closed_store_was_writing_is_interrupted(store):
    _, answer = store.begin(None, None, "q")
    store.update(answer.id, "half")
    store.close()
    assert marks(store) == []
    with ConversationStore.open(store.path) as again:
        assert not again.is_being_written(answer.id)
        assert again.mark_interrupted() == 1
        assert again.mark_interrupted() == 0
        assert again.messages(answer.conversation_id)[-1].finish_reason == "interrupted"
        assert again.messages(answer.conversation_id)[-1].content == "half"


def test_a_store_that_nobody_closed_writes_no_more(tmp_path, store):
    other = ConversationStore.at(store.path)
    _, answer = other.begin(None, None, "q")
    assert store.is_being_written(answer.id)
    del other
    assert not store.is_being_written(answer.id)


def test_two_stores_of_one_process_leave_each_others_answers_alone(store):
    with ConversationStore.open(store.path) as other:
        _, ours = store.begin(None, None, "ours")
        _, theirs = other.begin(None, None, "theirs")
        assert store.mark_interrupted() == other.mark_interrupted() == 0
        assert store.is_being_written(theirs.id)
        assert other.is_being_written(ours.id)


def test_what_a_living_process_writes_is_left_alone(store, other_process):
    _, answer_id = other_process
    assert store.is_being_written(answer_id)
    assert store.mark_interrupted() == 0
    assert store.is_being_written(answer_id)


def test_what_a_killed_process_was_writing_is_interrupted_and_found(store, other_process):
    process, answer_id = other_process
    _, own = store.begin(None, None, "our own")
    assert len(marks(store)) == 2
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not store.is_being_written(answer_id)
    assert store.search("mammoth") == []
    assert store.mark_interrupted() == 1
    [hit] = store.search("mammoth")
    assert hit.message_id == answer_id
    assert store.messages(hit.conversation.id)[-1].finish_reason == "interrupted"
    assert store.is_being_written(own.id)
    assert len(marks(store)) == 1


def test_the_mark_of_a_process_that_was_killed_in_between_answers_is_removed(store):
    store.create("t")
    store.path.with_name("history.db.writer-0123456789abcdef").touch()
    assert store.mark_interrupted() == 0
    assert marks(store) == []


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # of threads that the test's runner has
def test_the_lock_is_the_parents_whoever_looks(store):
    _, answer = store.begin(None, None, "q")
    [mark] = marks(store)
    name = mark.rpartition("-")[2]
    child = os.fork()
    if child == 0:  # what it inherits is not its own, and looking does not let go of the parent's lock
        alive = is_alive(store.path, name)
        os._exit(0 if alive else 1)
    assert os.waitpid(child, 0)[1] == 0
    with ConversationStore.open(store.path) as beside:
        assert beside.is_being_written(answer.id)
        assert beside.mark_interrupted() == 0
    command = [sys.executable, "-c", LOOKS, str(store.path), name]
    looked = subprocess.run(command, capture_output=True, text=True, check=True)
    assert looked.stdout.strip() == "True"
    assert store.is_being_written(answer.id)


def test_a_mark_that_someone_deleted_is_made_again(store):
    _, answer = store.begin(None, None, "q")
    [mark] = marks(store)
    store.path.with_name(mark).unlink()
    store.update(answer.id, "more")
    assert marks(store) not in ([], [mark])
    assert store.is_being_written(answer.id)


def test_an_answer_that_goes_on_after_it_was_taken_for_dead_is_being_written_again(store):
    _, answer = store.begin(None, None, "q")
    store.close()
    with ConversationStore.open(store.path) as other:
        assert other.mark_interrupted() == 1
        store.update(answer.id, "still here: mammoth")
        assert other.is_being_written(answer.id)
        assert other.search("mammoth") == []
        store.update(answer.id, "still here: elephant", finish_reason="stop")
        assert [hit.message_id for hit in other.search("elephant")] == [answer.id]
        assert other.search("mammoth") == []


def test_a_question_that_is_changed_is_found_by_its_new_words_only(store):
    question, _ = store.begin(None, None, "old wording", title="t")
    store.update(question.id, "new wording")
    assert store.search("old") == []
    assert [hit.message_id for hit in store.search("new")] == [question.id]


def test_only_the_growing_answer_has_no_reason_to_have_ended(store):
    chat = store.create("t")
    answer = store.append(chat.id, "assistant", "")
    assert store.is_being_written(answer.id)
    done = store.append(chat.id, "assistant", "x", finish_reason="stop")
    assert not store.is_being_written(done.id)
    assert not store.is_being_written(store.append(chat.id, "user", "x").id)


@pytest.mark.parametrize("figures", ["{", "[]", '{"from": "a later version", "output_tokens": 3}'])
def test_figures_that_cannot_be_read_hide_no_message(store, figures):
    _, answer = store.begin(None, None, "q")
    store.update(answer.id, "a", finish_reason="stop", figures=Figures(output_tokens=3))
    with closing(sqlite3.connect(store.path)) as db, db:
        db.execute("update messages set figures = ?", (figures,))
        db.execute("update conversations set settings = ?", (figures,))
    kept = store.messages(answer.conversation_id)[-1]
    assert (kept.content, kept.figures) == ("a", Figures(3) if "3" in figures else Figures())
    assert store.chat_settings(answer.conversation_id) == ChatSettings()
