"""Several processes write into one history at once, and nothing is lost."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from chatglm_slim_llm.storage import ConversationStore

MESSAGES = 1000

BEGINS_MANY = """
import sys
from pathlib import Path
from chatglm_slim_llm.storage import ConversationStore
path, name, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
with ConversationStore.open(path) as store:
    chat = parent = None
    for number in range(count // 2):
        question, answer = store.begin(chat, parent, f"{name} asks {number} 天气")
        store.update(answer.id, f"{name} begins")
        assert store.mark_interrupted() == 0, "what a living process writes was marked"
        store.update(answer.id, f"{name} answers {number}", finish_reason="stop")
        chat, parent = question.conversation_id, answer.id
"""

APPENDS_TO_THE_SAME = """
import sys
from pathlib import Path
from chatglm_slim_llm.storage import ConversationStore
path, name, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
with ConversationStore.open(path) as store:
    for number in range(count):
        store.append(1, "user", f"{name}-{number}")
"""


def run_both(program: str, path: Path) -> None:
    command = [sys.executable, "-c", program, str(path)]
    processes = [
        subprocess.Popen([*command, name, str(MESSAGES)], stderr=subprocess.PIPE, text=True) for name in ("a", "b")
    ]
    errors = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], json.dumps(errors)
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("pragma integrity_check").fetchone() == ("ok",)


@pytest.mark.long
def test_two_processes_that_each_chat_a_thousand_messages_into_one_store_lose_none(tmp_path):
    path = tmp_path / "history.db"
    run_both(BEGINS_MANY, path)
    with ConversationStore.open(path) as store:
        chats = {store.messages(each.id)[0].content[0]: store.messages(each.id) for each in store.conversations()}
        for name in ("a", "b"):
            expected = [text for n in range(MESSAGES // 2) for text in (f"{name} asks {n} 天气", f"{name} answers {n}")]
            assert [each.content for each in chats[name]] == expected
        assert len(store.search("499")) == 2
        assert len(store.search("天气")) == 2


@pytest.mark.long
def test_two_processes_that_each_add_a_thousand_messages_to_one_conversation_lose_none(tmp_path):
    path = tmp_path / "history.db"
    with ConversationStore.open(path) as store:
        chat = store.create("t")
    run_both(APPENDS_TO_THE_SAME, path)
    with ConversationStore.open(path) as store:
        texts = [each.content for each in store.messages(chat.id)]
        for name in ("a", "b"):
            assert [text for text in texts if text.startswith(name)] == [f"{name}-{n}" for n in range(MESSAGES)]
        assert len(texts) == 2 * MESSAGES
