"""The text goes to an editor and comes back."""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from pathlib import Path

import pytest

from tui.widgets.prompt_editor import EditorProblem, edit, editor_command


def script(folder: Path, code: str) -> list[str]:
    path = folder / "editor.py"
    path.write_text(f"import os, pathlib, sys\npath = pathlib.Path(sys.argv[-1])\n{code}\n")
    return [sys.executable, str(path)]


def test_the_settings_come_before_visual_and_visual_before_editor():
    environ = {"VISUAL": "code --wait", "EDITOR": "vi"}
    assert editor_command("'my editor' -n", environ) == ["my editor", "-n"]
    assert editor_command("", environ) == ["code", "--wait"]
    assert editor_command("", {"VISUAL": "", "EDITOR": "vi"}) == ["vi"]


@pytest.mark.parametrize(
    ("wanted", "words"), [("", "No editor is set"), ("   ", "No editor is set"), ("'vi", "cannot be read")]
)
def test_what_cannot_be_run_is_said(wanted, words):
    with pytest.raises(EditorProblem, match=words):
        editor_command(wanted, {})


def test_one_line_end_at_the_end_is_the_editors(tmp_path):
    command = script(tmp_path, "path.write_text(path.read_text() + '，你好\\n\\n', encoding='utf-8')")
    assert edit("第一行\nsecond", command) == "第一行\nsecond，你好\n"


def test_the_file_is_for_its_owner_alone_and_gone_afterwards(tmp_path):
    seen = tmp_path / "seen"
    command = script(tmp_path, f"pathlib.Path({str(seen)!r}).write_text(f'{{path}} {{os.stat(path.parent).st_mode}}')")
    assert edit("x", command) == "x"
    path, mode = seen.read_text().split()
    assert not Path(path).parent.exists()
    assert os.name == "nt" or stat.S_IMODE(int(mode)) == 0o700


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("sys.exit(3)", "ended with status 3"),
        ("path.unlink()", "No such file"),
        ("path.unlink(); path.mkdir()", "directory"),
    ],
)
def test_an_editor_that_fails_is_one_sentence(tmp_path, code, words):
    with pytest.raises(EditorProblem, match=words):
        edit("x", script(tmp_path, code))


def test_an_editor_that_is_not_there_is_one_sentence():
    with pytest.raises(EditorProblem, match="nowhere/editor failed: No such file"):
        edit("x", ["/nowhere/editor"])


def test_a_command_with_a_zero_byte_is_one_sentence():
    with pytest.raises(EditorProblem, match="failed: embedded null byte"):
        edit("x", ["v\0i"])


def test_a_text_that_finds_no_place_on_disk_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(EditorProblem, match="failed: No such file"):
        edit("x", ["true"])


def test_bytes_that_are_no_text_and_halves_of_characters_do_no_harm(tmp_path):
    assert edit("\ud83dx", script(tmp_path, "path.write_bytes(path.read_bytes() + b'\\xff')")) == "?x�"
