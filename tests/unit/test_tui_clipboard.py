"""Copying reaches the system's clipboard through a real program, and one that hangs or is missing is no trouble."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest
from textual.app import App

from tui import clipboard

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a stand-in for xclip, which is X11's")


@pytest.fixture
def xclip(tmp_path, monkeypatch):
    """Puts a program named xclip first in the path, and a display for it."""

    def install(script: str) -> None:
        program = tmp_path / "xclip"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        monkeypatch.setenv("DISPLAY", ":99")
        monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)

    return install


def test_the_text_arrives_whole(xclip, tmp_path):
    xclip(f"cat > {tmp_path}/copied")
    text = "老虎 [bold] 👩‍👩‍👧\n" * 5000
    assert clipboard.reaches_system(text)
    assert (tmp_path / "copied").read_text("utf-8") == text


def test_a_program_that_hangs_is_ended(xclip, tmp_path):
    xclip(f"echo $$ > {tmp_path}/pid; exec sleep 1000")
    assert not clipboard.reaches_system("text", wait_s=1.5)
    status = Path(f"/proc/{int((tmp_path / 'pid').read_text())}/stat")
    for _ in range(200):
        if not status.exists() or " Z " in status.read_text():
            return
        time.sleep(0.02)
    pytest.fail("it still runs")


def test_without_a_clipboard_it_says_so(monkeypatch, tmp_path):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not clipboard.reaches_system("text")


async def test_the_terminal_is_asked_and_a_missing_clipboard_is_told_once(monkeypatch, tmp_path):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    app: App[None] = App()
    async with app.run_test() as pilot:
        clipboard.copy(app, "half \ud83d of a pair")
        assert app.clipboard == "half ? of a pair"
        for _ in range(200):
            await pilot.pause(0.02)
            if app._notifications:
                break
        clipboard.copy(app, "again")
        await pilot.pause(0.5)
        assert [note.message for note in app._notifications] == [
            "No clipboard was found on this machine; the text is copied if your terminal allows it."
        ]
