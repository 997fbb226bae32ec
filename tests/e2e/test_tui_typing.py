"""Keys that arrive faster than the terminal can handle them, in a real pseudo-terminal."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pexpect
import pyte

ROOT = Path(__file__).parents[2]
TINY = ROOT / "tests" / "data" / "reference" / "tiny_v11"


def start(tmp_path):
    environ = os.environ | {"CHATGLM_SLIM_HOME": str(tmp_path), "TERM": "xterm-256color", "PYTHONUTF8": "1"}
    command = Path(sys.executable).parent / "chatglm-tui"
    return pexpect.spawn(str(command), ["--model", str(TINY)], env=environ, dimensions=(24, 90), encoding="utf-8")


class Terminal:
    """What a person sees."""

    def __init__(self, child):
        self.child, self.screen = child, pyte.Screen(90, 24)
        self.stream = pyte.Stream(self.screen)

    def wait_for(self, text, timeout_s=60):
        deadline = time.monotonic() + timeout_s
        while text not in "\n".join(self.screen.display).replace(" ", ""):
            assert time.monotonic() < deadline, "\n".join(self.screen.display)
            try:
                self.stream.feed(self.child.read_nonblocking(65536, timeout=0.2))
            except pexpect.TIMEOUT:
                continue


def test_enter_sends_what_was_typed_just_before_it_in_the_same_burst(tmp_path):
    child = start(tmp_path)
    try:
        terminal = Terminal(child)
        terminal.wait_for("ready")
        child.send("a\nb\r")  # Ctrl+J between the letters, then Enter
        terminal.wait_for("❯a")
        terminal.wait_for("tokens/s")
        rows = [row.strip("│ ") for row in terminal.screen.display]
        shown = [row.rpartition("│")[2].strip() for row in rows]
        assert "❯ a" in shown
        assert shown[shown.index("❯ a") + 1] == "b"
    finally:
        child.close(force=True)


def test_without_a_terminal_it_says_so_at_once(tmp_path):
    command = Path(sys.executable).parent / "chatglm-tui"
    environ = os.environ | {"CHATGLM_SLIM_HOME": str(tmp_path)}
    done = subprocess.run([command], input="x", capture_output=True, text=True, env=environ, timeout=20)
    assert (done.returncode, done.stdout) == (2, "")
    assert "chatglm-slim chat" in done.stderr
