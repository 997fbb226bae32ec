"""A process that writes answers is killed at any moment: what was on the screen half a second before is on disk.

The child is forked, so a kill costs no start of Python. It runs the terminal's own worker over a model that writes
numbers at a known pace, and reports through a pipe each prompt that was stored and each piece that was shown, with
its time. The clock is the system's, the same in both processes.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import threading
import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from chatglm_slim_llm.hosting.assistant import Piece, Request, Turn
from chatglm_slim_llm.storage import ConversationStore
from tests.e2e.scripted_assistant import DONE, ScriptedAssistant
from tui.messages import ReplyDelta, ReplyFinished
from tui.worker import ModelWorker

pytestmark = pytest.mark.skipif(not hasattr(os, "fork") or not Path("/proc/self").exists(), reason="forks")

LENGTHS = (1, 1, 3, 3, 10, 30, 300)
ENDLESS = (10_000,)


class Writer(ScriptedAssistant):
    """Says ``0 1 2 …`` with pauses of its own; some are so long that a save falls into them."""

    def __init__(self, rng, lengths):
        super().__init__()
        self._rng, self._lengths = rng, lengths

    def stream(self, request):
        for number in range(self._rng.choice(self._lengths)):
            time.sleep(self._rng.choice([0, 0.001, 0.004, 0.004, 0.01]) if self._rng.random() < 0.98 else 0.35)
            yield Piece(f"{number} ")
        yield DONE


def write_until_killed(path, report, seed, lengths):
    """Ask one question after the other, in conversations old and new, and report what a person could have seen."""

    def tell(*facts):
        os.write(report, json.dumps(facts).encode() + b"\n")  # short, so that a kill cannot cut it

    def post(message):
        if isinstance(message, ReplyDelta):
            tell("shown", message.message_id, message.text, time.monotonic())
        elif isinstance(message, ReplyFinished):
            tell("finished", message.message_id)
            is_free.set()

    rng, is_free = random.Random(seed), threading.Event()
    store = ConversationStore.open(path)
    worker = ModelWorker(Writer(rng, lengths), store, post)
    tell("ready")
    head = conversation_id = None
    for number in range(1_000_000):
        if rng.random() < 0.2:
            head = conversation_id = None
        prompt = f"question {seed}.{number}"
        question, answer = store.begin(conversation_id, head, prompt)
        tell("begun", question.conversation_id, question.id, prompt, answer.id)
        head, conversation_id = answer.id, question.conversation_id
        is_free.clear()
        worker.reply(answer.id, Request([Turn("human", prompt)]))
        is_free.wait()


@dataclass
class Seen:
    """What the child has reported."""

    prompts: dict[int, tuple[int, str]] = field(default_factory=dict)
    answers: list[int] = field(default_factory=list)
    shown: dict[int, list[tuple[str, float]]] = field(default_factory=dict)
    finished: set[int] = field(default_factory=set)
    killed_at: float = 0.0


def run_and_kill(path, seed, lives_s, lengths):
    """One process from its start to its death."""
    reports, report = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newer Pythons warn of a fork beside threads
        child = os.fork()
    if child == 0:
        try:
            write_until_killed(path, report, seed, lengths)
        finally:
            os._exit(1)
    os.close(report)
    with os.fdopen(reports, "rb") as pipe:
        assert json.loads(pipe.readline()) == ["ready"]
        time.sleep(lives_s)
        os.kill(child, signal.SIGKILL)
        killed_at = time.monotonic()
        lines = pipe.read().splitlines()
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "it ended by itself"
    return seen_in(lines, killed_at)


def seen_in(lines, killed_at):
    seen = Seen(killed_at=killed_at)
    for line in lines:
        match json.loads(line):
            case ["begun", conversation_id, question_id, prompt, answer_id]:
                seen.prompts[question_id] = (conversation_id, prompt)
                seen.answers.append(answer_id)
            case ["shown", message_id, text, at]:
                seen.shown.setdefault(message_id, []).append((text, at))
            case ["finished", message_id]:
                seen.finished.add(message_id)
    return seen


def lost_s(seen, contents):
    """How old the oldest text is that was shown and is not on disk."""
    worst = 0.0
    for message_id, pieces in seen.shown.items():
        saved, length = contents[message_id], 0
        whole = "".join(text for text, _ in pieces)
        assert saved.startswith(whole) or whole.startswith(saved), "what is on disk was never said"
        for text, at in pieces:
            length += len(text)
            if length > len(saved):
                worst = max(worst, seen.killed_at - at)
                break
    return worst


@pytest.mark.long
@pytest.mark.parametrize(
    ("kills", "most_lost_s"),
    [(10, 2), pytest.param(1000, 0.5, marks=[pytest.mark.slow, pytest.mark.timeout(3000)])],  # the slow one runs alone
)
def test_an_answer_may_be_killed_at_any_moment(tmp_path, kills, most_lost_s):
    path = tmp_path / "history.db"
    rng = random.Random(int(os.environ.get("KILL_SEED", "3")))
    with ConversationStore.open(path) as living:
        _, growing = living.begin(None, None, "the question of a program that lives")
        worst, amid, prompts = 0.0, 0, 1
        for seed in range(kills):
            life = rng.uniform(0.05, 1.2), LENGTHS
            if seed == kills - 1:
                life = 3.5, ENDLESS  # longer than what may be lost
            seen = run_and_kill(path, seed, *life)
            prompts += len(seen.prompts)
            worst = max(worst, check(path, seen, growing.id))
            amid += bool(set(seen.shown) - seen.finished)
        assert living.is_being_written(growing.id)
        with sqlite3.connect(path) as db:
            assert db.execute("pragma integrity_check").fetchall() == [("ok",)]
            assert db.execute("select count(*) from messages where role = 'user'").fetchone()[0] >= prompts
    db.close()
    print(f"{kills} kills, {amid} amid an answer, {prompts:,} prompts: at most {worst:.3f} s of text lost")  # noqa: T201
    assert worst <= most_lost_s


def check(path, seen, growing_id):
    """Nothing but the last moment is lost; gives how much."""
    db = sqlite3.connect(path)
    rows = {row[0]: row[1:] for row in db.execute("select id, conversation_id, content, finish_reason from messages")}
    unfinished = {
        id_ for (id_,) in db.execute("select id from messages where role = 'assistant' and finish_reason is null")
    }
    conversations = {id_ for (id_,) in db.execute("select id from conversations")}
    db.close()
    for question_id, (conversation_id, prompt) in seen.prompts.items():
        assert rows[question_id][:2] == (conversation_id, prompt)
        assert conversation_id in conversations
    assert set(seen.answers) <= set(rows)
    for message_id in seen.finished:
        assert rows[message_id][1] == "".join(text for text, _ in seen.shown.get(message_id, []))
        assert rows[message_id][2] == "stop"
    dead = unfinished - {growing_id}
    with ConversationStore.open(path) as store:
        assert store.mark_interrupted() == len(dead)
    db = sqlite3.connect(path)
    marked = {id_ for (id_,) in db.execute("select id from messages where finish_reason = 'interrupted'")}
    still = {id_ for (id_,) in db.execute("select id from messages where role='assistant' and finish_reason is null")}
    db.close()
    assert dead <= marked
    assert still == {growing_id}
    return lost_s(seen, {message_id: row[1] for message_id, row in rows.items()})
