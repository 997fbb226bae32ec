"""Keys that arrive faster than the terminal can handle them, in a real pseudo-terminal."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from real_terminal import PASTE, terminal

from chatglm_slim_llm.storage import ConversationStore

LEFT, BACKSPACE, UP = "\x1b[D", "\x7f", "\x1b[A"


def questions(home: Path) -> list[str]:
    with ConversationStore.open(home / "data" / "history.db") as store:
        return [message.content for message in store.messages(store.conversations()[0].id) if message.role == "user"]


@pytest.mark.long
def test_a_burst_of_keys_is_sent_as_it_was_typed_and_what_follows_enter_stays(tmp_path):
    with terminal(tmp_path, "--model", "demo") as screen:
        screen.until_shown("Ask anything")
        screen.send(f"ax{BACKSPACE}\nd{LEFT}c{PASTE[0]}1\r2{PASTE[1]}\rlater")
        screen.until_shown("│ later")
        screen.quit()
    assert questions(tmp_path) == ["a\nc1\n2d"]


@pytest.mark.long
def test_a_command_and_an_earlier_prompt_in_one_burst(tmp_path):
    with terminal(tmp_path, "--model", "demo") as screen:
        screen.until_shown("Ask anything")
        screen.send("你好\r/new\r")
        screen.until_shown("Type below", "Today")
        screen.send(UP)
        screen.until_shown("│ /new")
        screen.send(UP)
        screen.until_shown("│ 你好")
        screen.quit()
    assert questions(tmp_path) == ["你好"]


def test_without_a_terminal_it_says_so_at_once(tmp_path):
    command = Path(sys.executable).parent / "chatglm-tui"
    environ = os.environ | {"CHATGLM_SLIM_HOME": str(tmp_path)}
    done = subprocess.run([command], input="x", capture_output=True, text=True, env=environ, timeout=20)
    assert (done.returncode, done.stdout) == (2, "")
    assert "chatglm-slim chat" in done.stderr
