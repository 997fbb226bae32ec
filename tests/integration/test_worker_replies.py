"""The threads between the model and the screen: what they post, what they save, and that they never wait for long."""

from __future__ import annotations

import sqlite3
import sys
import threading
import time
from types import SimpleNamespace

import pytest

from chatglm_slim_llm.errors import GenerationError
from chatglm_slim_llm.hosting.assistant import ContextUse, ModelFacts, Piece, Request, Turn
from chatglm_slim_llm.storage import ConversationStore, Source
from tests.e2e.scripted_assistant import DONE, FACTS, ScriptedAssistant
from tui import counting, messages
from tui.worker import ModelWorker

SOURCE = Source(1, "p1", "/notes/a.md", "The key is under the mat.")
HELLO = Request([Turn("human", "你好")])


class Screen:
    """Keeps what is posted, in order."""

    def __init__(self):
        self.posted = []
        self._arrived = threading.Condition()

    def post(self, message):
        with self._arrived:
            self.posted.append(message)
            self._arrived.notify_all()

    def of(self, kind):
        return [message for message in self.posted if isinstance(message, kind)]

    def wait_for(self, kind, count=1, timeout_s=10):
        with self._arrived:
            assert self._arrived.wait_for(lambda: len(self.of(kind)) >= count, timeout_s), self.posted
        return self.of(kind)[count - 1]


@pytest.fixture
def store(tmp_path):
    with ConversationStore.open(tmp_path / "history.db") as store:
        yield store


@pytest.fixture
def screen():
    return Screen()


@pytest.fixture
def assistant():
    return ScriptedAssistant()


@pytest.fixture
def worker(assistant, store, screen):
    worker = ModelWorker(assistant, store, screen.post)
    yield worker
    assert worker.close(timeout_s=10)


def begin(store):
    question, answer = store.begin(None, None, "你好")
    return question.conversation_id, answer.id


def stored(store, message_id):
    (conversation,) = store.conversations()
    return next(message for message in store.messages(conversation.id) if message.id == message_id)


def wait_until(holds, timeout_s=10):
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_reply_is_posted_piece_by_piece_and_saved_with_its_figures(worker, assistant, store, screen):
    _, answer_id = begin(store)
    assistant.say("你", "好！", Piece("", "stop", DONE.figures, dropped_rounds=2))
    worker.reply(answer_id, HELLO)
    finished = screen.wait_for(messages.ReplyFinished)
    assert (finished.message_id, finished.finish_reason, finished.figures) == (answer_id, "stop", DONE.figures)
    assert (finished.sources, finished.dropped_rounds) == ((), 2)
    assert [delta.text for delta in screen.of(messages.ReplyDelta)] == ["你", "好！"]
    saved = stored(store, answer_id)
    assert (saved.content, saved.finish_reason, saved.figures) == ("你好！", "stop", DONE.figures)
    assert assistant.asked == [HELLO]
    assert screen.wait_for(messages.ModelReady).facts == FACTS
    assert worker.facts == FACTS


def test_what_a_reply_rests_on_is_saved_with_it(worker, assistant, store, screen):
    _, answer_id = begin(store)
    assistant.say("Under the mat [1].", Piece("", "stop", sources=(SOURCE,)))
    worker.reply(answer_id, HELLO)
    assert screen.wait_for(messages.ReplyFinished).sources == (SOURCE,)
    assert store.sources(answer_id) == [SOURCE]


def test_a_growing_answer_is_saved_while_the_model_is_silent(worker, assistant, store, screen):
    _, answer_id = begin(store)
    assistant.say("one ", "two ")
    worker.reply(answer_id, HELLO)
    wait_until(lambda: stored(store, answer_id).content == "one two ")
    assert stored(store, answer_id).finish_reason is None
    assistant.say("three", DONE)
    screen.wait_for(messages.ReplyFinished)
    assert stored(store, answer_id).content == "one two three"


def test_a_stop_keeps_what_is_there(worker, assistant, store, screen):
    _, answer_id = begin(store)
    assistant.say("half")
    worker.reply(answer_id, HELLO)
    screen.wait_for(messages.ReplyDelta)
    worker.stop()
    assert screen.wait_for(messages.ReplyFinished).finish_reason == "cancelled"
    assert assistant.closed.is_set()
    saved = stored(store, answer_id)
    assert (saved.content, saved.finish_reason) == ("half", "cancelled")


def test_a_stop_before_the_model_is_loaded_ends_the_reply(worker, assistant, store, screen):
    assistant.may_load.clear()
    _, answer_id = begin(store)
    worker.reply(answer_id, HELLO)
    worker.stop()
    assert screen.wait_for(messages.ReplyFinished).finish_reason == "cancelled"
    assistant.may_load.set()
    screen.wait_for(messages.ModelReady)
    assert assistant.asked == []


def test_a_failure_is_told_and_kept_with_what_came_before_it(worker, assistant, store, screen):
    _, answer_id = begin(store)
    assistant.say("half", GenerationError("the weights give scores that are no numbers"))
    worker.reply(answer_id, HELLO)
    assert screen.wait_for(messages.ReplyFailed).reason == "the weights give scores that are no numbers"
    saved = stored(store, answer_id)
    assert (saved.content, saved.finish_reason) == ("half", "error")
    assert saved.failure == "the weights give scores that are no numbers"
    assert screen.of(messages.ModelFailed) == []


def test_an_error_of_any_kind_is_one_sentence(worker, assistant, store, screen):
    _, answer_id = begin(store)
    assistant.say(RuntimeError("first line\nsecond line"))
    worker.reply(answer_id, HELLO)
    assert screen.wait_for(messages.ReplyFailed).reason == "The model failed with RuntimeError: first line"


def test_a_model_that_is_gone_is_loaded_again_by_the_next_reply(worker, assistant, store, screen):
    conversation_id, answer_id = begin(store)
    assistant.say("half")
    worker.reply(answer_id, HELLO)
    screen.wait_for(messages.ReplyDelta)
    assistant.crash()
    assistant.say(GenerationError("The model's process crashed"))
    assert screen.wait_for(messages.ReplyFailed).reason == "The model's process crashed"
    assert screen.wait_for(messages.ModelFailed).reason == "The model's process crashed"
    assert worker.facts is None

    _, answer = store.begin(conversation_id, answer_id, "again")
    assistant.say("whole", DONE)
    worker.reply(answer.id, HELLO)
    screen.wait_for(messages.ReplyFinished)
    assert stored(store, answer.id).content == "whole"
    assert assistant.loads == 2


def test_a_model_that_a_stop_has_ended_is_loaded_again_at_once(worker, assistant, store, screen):
    _, answer_id = begin(store)
    assistant.say("half")
    worker.reply(answer_id, HELLO)
    screen.wait_for(messages.ReplyDelta)
    assistant.crash()
    worker.stop()
    screen.wait_for(messages.ModelReady, count=2)
    assert screen.of(messages.ModelFailed) == []


def test_a_failed_loading_fails_the_reply_and_can_be_tried_again(worker, assistant, store, screen):
    conversation_id, answer_id = begin(store)
    assistant.load_error = GenerationError("no room")
    worker.reply(answer_id, HELLO)
    assert screen.wait_for(messages.ModelFailed).reason == "no room"
    assert screen.wait_for(messages.ReplyFailed).reason == "no room"
    assistant.load_error = None
    _, answer = store.begin(conversation_id, answer_id, "again")
    assistant.say("好", DONE)
    worker.reply(answer.id, HELLO)
    screen.wait_for(messages.ReplyFinished)


# --- downloading


def test_nothing_is_downloaded_before_someone_agrees(store, screen):
    assistant = ScriptedAssistant(available=False)
    worker = ModelWorker(assistant, store, screen.post)
    worker.load()
    screen.wait_for(messages.DownloadNeeded)
    time.sleep(0.05)
    assert assistant.loads == 0
    worker.answer_download(True)
    screen.wait_for(messages.ModelReady)
    assert screen.of(messages.ModelLoading)[0].total_bytes == 100
    assert worker.close(10)


def test_a_download_can_be_declined_and_cancelled(store, screen):
    assistant = ScriptedAssistant(available=False)
    assistant.may_load.clear()
    worker = ModelWorker(assistant, store, screen.post)
    worker.load()
    screen.wait_for(messages.DownloadNeeded)
    worker.answer_download(False)
    screen.wait_for(messages.ModelFailed)
    worker.load()
    screen.wait_for(messages.DownloadNeeded, count=2)
    worker.answer_download(True)
    screen.wait_for(messages.ModelLoading)
    worker.answer_download(False)
    assert "weights are not on this machine" in screen.wait_for(messages.ModelFailed, count=2).reason
    assert worker.close(10)


# --- saving


def test_a_store_that_cannot_be_written_is_said_once_and_the_answer_goes_on(
    worker, assistant, store, screen, tmp_path, monkeypatch
):
    _, answer_id = begin(store)
    other = sqlite3.connect(tmp_path / "history.db", isolation_level=None)
    store._database._connected().execute("pragma busy_timeout = 20")
    other.execute("begin immediate")
    assistant.say("one ")
    worker.reply(answer_id, HELLO)
    failed = screen.wait_for(messages.SaveFailed)
    assert "history.db" in failed.reason
    assistant.say("two ")
    screen.wait_for(messages.ReplyDelta, count=2)
    time.sleep(0.6)
    assert len(screen.of(messages.SaveFailed)) == 1
    other.execute("rollback")
    other.close()
    assistant.say("three", DONE)
    screen.wait_for(messages.ReplyFinished)
    assert stored(store, answer_id).content == "one two three"


def test_a_full_disk_is_said_and_what_fits_again_is_saved(worker, assistant, store, screen):
    _, answer_id = begin(store)
    database = store._database._connected()
    (pages,) = database.execute("pragma page_count").fetchone()
    database.execute(f"pragma max_page_count = {pages}")
    assistant.say("x" * 100_000)
    worker.reply(answer_id, HELLO)
    assert "make room on the disk" in screen.wait_for(messages.SaveFailed).reason
    assistant.say("the end")
    screen.wait_for(messages.ReplyDelta, count=2)
    database.execute(f"pragma max_page_count = {pages + 1000}")
    assistant.say(DONE)
    screen.wait_for(messages.ReplyFinished)
    assert stored(store, answer_id).content == "x" * 100_000 + "the end"


def test_an_answer_whose_message_was_deleted_ends_quietly(worker, assistant, store, screen):
    conversation_id, answer_id = begin(store)
    assistant.say("one")
    worker.reply(answer_id, HELLO)
    screen.wait_for(messages.ReplyDelta)
    store.delete(conversation_id)
    assistant.say(Piece("", "stop", sources=(SOURCE,)))
    screen.wait_for(messages.ReplyFinished)
    assert screen.of(messages.SaveFailed) == []


# --- counting


def test_of_many_counts_in_a_row_the_newest_is_done(worker, assistant, screen, monkeypatch):
    has_rested = threading.Event()
    monkeypatch.setattr(counting, "time", SimpleNamespace(sleep=lambda _rest_s: has_rested.wait(10)))
    worker.load()
    screen.wait_for(messages.ModelReady)
    before = threading.active_count()
    for length in range(1, 201):
        worker.count(7, Request([Turn("human", "x" * length)]))
    assert threading.active_count() <= before + 1
    has_rested.set()
    counted = screen.wait_for(messages.ContextCounted)
    assert (counted.conversation_id, counted.use) == (7, ContextUse(200, 2048, 0, 200))
    worker.count(None, HELLO)
    assert screen.wait_for(messages.ContextCounted, count=2).conversation_id is None
    assert len(assistant.counted) == 2


def test_nothing_is_counted_while_no_model_is_loaded(worker, assistant, screen):
    worker.count(1, HELLO)
    time.sleep(0.3)
    assert assistant.counted == []
    assert assistant.loads == 0


def test_a_count_that_waits_does_not_bring_the_model_that_is_chosen_meanwhile(worker, assistant, screen):
    worker.load()
    screen.wait_for(messages.ModelReady)
    second = ScriptedAssistant(available=False)
    worker.count(1, HELLO)
    worker.replace(second)
    screen.wait_for(messages.DownloadNeeded)
    time.sleep(0.3)
    assert second.counted == assistant.counted == []
    assert screen.of(messages.ModelFailed) == []


def test_a_count_that_fails_says_nothing(worker, assistant, screen, monkeypatch):
    def fail(request):
        has_failed.set()
        raise ZeroDivisionError

    has_failed = threading.Event()
    worker.load()
    screen.wait_for(messages.ModelReady)
    monkeypatch.setattr(assistant, "count", fail)
    worker.count(1, HELLO)
    assert has_failed.wait(10)
    monkeypatch.undo()
    worker.count(1, HELLO)
    screen.wait_for(messages.ContextCounted)
    assert len(screen.of(messages.ContextCounted)) == 1


# --- another model


def test_another_model_takes_the_place_only_when_the_first_is_gone(worker, assistant, store, screen):
    _, answer_id = begin(store)
    assistant.say("half")
    worker.reply(answer_id, HELLO)
    screen.wait_for(messages.ReplyDelta)
    let_go = []

    class Second(ScriptedAssistant):
        def load(self, progress):
            let_go.append(assistant.let_go.is_set())
            return super().load(progress)

    second = Second(facts=ModelFacts("second", "int4", "cpu", 4096))
    worker.replace(second)
    assert screen.wait_for(messages.ReplyFinished).finish_reason == "cancelled"
    assert screen.wait_for(messages.ModelReady, count=2).facts.name == "second"
    assert let_go == [True]
    assert worker.facts.quantization == "int4"
    second.say("whole", DONE)
    _, answer = store.begin(None, None, "again")
    worker.reply(answer.id, HELLO)
    screen.wait_for(messages.ReplyFinished, count=2)
    assert second.asked == [HELLO]


def test_a_model_that_is_loading_gives_way_to_another(worker, assistant, screen):
    assistant.may_load.clear()
    worker.load()
    screen.wait_for(messages.ModelLoading)
    second, third = ScriptedAssistant(), ScriptedAssistant(facts=ModelFacts("third", "int8", "cpu", 2048))
    worker.replace(second)
    worker.replace(third)
    screen.wait_for(messages.ModelReady)
    assert worker.facts.name == "third"
    assert second.loads == 0
    assert [ready.facts.name for ready in screen.of(messages.ModelReady)] == ["third"]
    assert screen.of(messages.ModelFailed) == []


def test_a_reply_asked_for_while_models_change_goes_to_the_new_one(worker, assistant, store, screen):
    worker.load()
    screen.wait_for(messages.ModelReady)
    second = ScriptedAssistant()
    second.may_load.clear()
    worker.replace(second)
    _, answer_id = begin(store)
    worker.reply(answer_id, HELLO)
    second.say("好", DONE)
    second.may_load.set()
    screen.wait_for(messages.ReplyFinished)
    assert second.asked == [HELLO]
    assert assistant.asked == []


# --- the end


def test_closing_ends_all_threads_and_lets_the_model_go(assistant, store, screen):
    before = threading.active_count()
    worker = ModelWorker(assistant, store, screen.post)
    _, answer_id = begin(store)
    assistant.say("half")
    worker.reply(answer_id, HELLO)
    screen.wait_for(messages.ReplyDelta)
    worker.count(1, HELLO)
    assert worker.close(timeout_s=10)
    wait_until(lambda: threading.active_count() <= before)
    assert assistant.let_go.is_set()
    assert (stored(store, answer_id).content, stored(store, answer_id).finish_reason) == ("half", "cancelled")
    posted = len(screen.posted)
    time.sleep(0.3)
    assert len(screen.posted) == posted


def test_no_thread_is_forgotten_when_several_begin_at_once(worker):
    may_end = threading.Event()
    starters = [threading.Thread(target=lambda: [worker._start(may_end.wait) for _ in range(30)]) for _ in range(8)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for starter in starters:
            starter.start()
        for starter in starters:
            starter.join()
        assert len(worker._threads) == 240
    finally:
        sys.setswitchinterval(interval)
        may_end.set()


def test_closing_does_not_wait_for_a_model_that_is_stuck(store, screen):
    class Stuck(ScriptedAssistant):
        def load(self, progress):
            release.wait(10)
            return FACTS

    release = threading.Event()
    worker = ModelWorker(Stuck(), store, screen.post)
    worker.load()
    started = time.monotonic()
    assert not worker.close(timeout_s=0.2)
    assert time.monotonic() - started < 5
    release.set()
    wait_until(lambda: not any(thread.name == "load" for thread in threading.enumerate()))
