"""A process is killed while it begins and saves answers, and no prompt and no saved word is lost."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from chatglm_slim_llm.storage import ConversationStore
from chatglm_slim_llm.storage.connection import Database, FileKind
from chatglm_slim_llm.storage.migrations import MIGRATIONS

CHATS_FOR_EVER = """
import sys
from pathlib import Path
from chatglm_slim_llm.storage import Attachment, ConversationStore
store = ConversationStore.open(Path(sys.argv[1]))
store.mark_interrupted()
print("ready", flush=True)
chat = parent = None
number = 0
while True:
    number += 1
    if number % 5 == 0:
        chat = parent = None
    prompt = f"prompt {sys.argv[2]} {number} 天气"
    question, answer = store.begin(chat, parent, prompt, attachments=[Attachment("a", prompt)])
    print("begun", question.conversation_id, question.id, answer.id, prompt, sep="|", flush=True)
    text = ""
    for piece in range(8):
        text += f" {piece}" * 50
        store.update(answer.id, text, finish_reason="stop" if piece == 7 else None)
        print("saved", answer.id, len(text), piece == 7, sep="|", flush=True)
    chat, parent = question.conversation_id, answer.id
    if number % 7 == 0:
        print("deletes", chat, sep="|", flush=True)
        store.delete(chat)
        chat = parent = None
"""


def kill_once(path: Path, run: int, source: random.Random) -> list[list[str]]:
    """What a process said that it had done before it was killed."""
    command = [sys.executable, "-c", CHATS_FOR_EVER, str(path), str(run)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        time.sleep(source.uniform(0, 0.03))
        process.send_signal(signal.SIGKILL)
        lines = process.stdout.read().splitlines(keepends=True)
    return [line.rstrip("\n").split("|") for line in lines if line.endswith("\n")]


def check(store: ConversationStore, said: list[list[str]]) -> None:
    """All that was said to be done is there."""
    with store._database.transaction() as db:
        rows = {row["id"]: row for row in db.execute("select * from messages").fetchall()}
    may_be_gone = {rest[0] for what, *rest in said if what == "deletes"}
    answers = set()
    for _, chat, question, answer, prompt in (each for each in said if each[0] == "begun"):
        if chat in may_be_gone:
            continue
        assert rows[int(question)]["content"] == prompt
        assert rows[int(answer)]["parent_id"] == int(question)
        assert [each.text for each in store.attachments(int(question))] == [prompt]
        answers.add(answer)
    saved = {answer: (int(length), done) for _, answer, length, done in (each for each in said if each[0] == "saved")}
    for answer in answers & set(saved):
        length, is_done = saved[answer]
        assert len(rows[int(answer)]["content"]) >= length
        assert rows[int(answer)]["finish_reason"] in (("stop",) if is_done == "True" else ("interrupted", "stop"))


def kill_often(path: Path, kills: int) -> None:
    source = random.Random(kills)
    begun = 0
    for run in range(kills):
        said = kill_once(path, run, source)
        begun += sum(what == "begun" for what, *_ in said)
        with ConversationStore.open(path) as store:
            store.mark_interrupted()
            check(store, said)
            assert store.mark_interrupted() == 0
    assert begun > kills
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("pragma integrity_check").fetchone() == ("ok",)
        db.execute("insert into search_terms (search_terms) values ('integrity-check')")
        kept = {row[0] for row in db.execute("select conversation_id from messages")}
    with ConversationStore.open(path) as store:
        assert {hit.conversation.id for hit in store.search("天气", limit=10**6)} == kept
    assert sorted(each.name for each in path.parent.iterdir()) == ["history.db"]


@pytest.mark.long
def test_nothing_is_lost_by_kills_at_random_moments(tmp_path):
    kill_often(tmp_path / "history.db", kills=20)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_nothing_is_lost_by_hundreds_of_kills(tmp_path):
    kill_often(tmp_path / "history.db", kills=200)


OPENS = """
import sys
from pathlib import Path
from chatglm_slim_llm.storage import ConversationStore
print("ready", flush=True)
ConversationStore.open(Path(sys.argv[1])).close()
print("done", flush=True)
"""


@pytest.mark.long
def test_an_old_file_that_programs_are_killed_over_keeps_everything(tmp_path):
    path = tmp_path / "history.db"
    database = Database(path, FileKind("history file", 0x43474C4D, MIGRATIONS[:4]))
    texts = [f"message {number} 天气很好" for number in range(2000)]
    with database.transaction() as db:
        db.execute("insert into conversations (title, created_at, updated_at) values ('t', 0, 0)")
        db.executemany(
            "insert into messages (conversation_id, parent_id, role, content, created_at) values (1, ?, 'user', ?, 0)",
            [(number or None, text) for number, text in enumerate(texts)],
        )
        db.execute("update conversations set head_id = ?", (len(texts),))
    database.close()
    source = random.Random(0)
    for _ in range(10):
        with subprocess.Popen([sys.executable, "-c", OPENS, str(path)], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            process.stdout.readline()
            time.sleep(source.uniform(0, 0.1))
            process.send_signal(signal.SIGKILL)
        with closing(sqlite3.connect(path)) as db:
            assert db.execute("pragma integrity_check").fetchone() == ("ok",)
            assert [row[0] for row in db.execute("select content from messages order by id")] == texts
    with ConversationStore.open(path) as store:
        assert [each.content for each in store.messages(1)] == texts
        assert store.search("message 1999")[0].message_id == 2000
    assert len(list(tmp_path.glob("history.db.backup-*Z"))) <= 3
