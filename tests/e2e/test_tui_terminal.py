"""`chatglm-tui` as it is installed, in a real terminal, with the demo model that ships."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from real_terminal import ALT_ENTER, ESCAPE, Terminal, are_gone, terminal

from chatglm_slim_llm import __version__
from chatglm_slim_llm.storage import ConversationStore, Message

linux_only = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads CPU time from /proc")
READY = "Ask anything"
DEMO = ("--model", "demo")


def run(*arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).parent / "chatglm-tui"
    environ = {"CHATGLM_SLIM_HOME": str(home), "PATH": os.environ["PATH"]}
    return subprocess.run([program, *arguments], capture_output=True, text=True, env=environ, check=False)


def kept(home: Path) -> list[Message]:
    """The messages of the newest conversation, as another program reads them."""
    with ConversationStore.open(home / "data" / "history.db") as store:
        return store.messages(store.conversations()[0].id)


def say(screen: Terminal, text: str) -> None:
    screen.until_shown(READY)
    screen.send(f"{text}\r")


# --- with the model


@pytest.mark.slow
def test_a_stuck_model_is_stopped_the_next_answers_and_all_is_there_after_a_restart(tmp_path):
    with terminal(tmp_path, *DEMO) as screen:
        screen.until_shown("ready")
        stuck = screen.children()
        assert stuck  # the model has a process of its own
        for pid in stuck:
            os.kill(pid, signal.SIGSTOP)
        say(screen, "你好")
        screen.until_shown("thinking…")
        screen.send(ESCAPE)
        screen.until_shown("■ stopped")
        say(screen, "Who are you?")
        screen.until_shown("tokens/s")
        processes = screen.children()
        assert processes
        screen.quit()
        assert screen.process.exitstatus == 0
        assert are_gone([*stuck, *processes])
    first, stopped, second, answer = kept(tmp_path)
    assert [first.content, stopped.content, second.content] == ["你好", "", "Who are you?"]
    assert [stopped.finish_reason, answer.finish_reason] == ["cancelled", "stop"]
    with terminal(tmp_path, *DEMO) as screen:
        screen.until_shown("你好", "■ stopped", "Who are you?", "tokens/s")
        screen.quit()


@pytest.mark.long
def test_a_killed_terminal_takes_its_model_along_and_keeps_every_word(tmp_path):
    with terminal(tmp_path, *DEMO) as screen:
        say(screen, "Who are you?")
        screen.until(lambda text: "writing…" in text or "tokens/s" in text)
        processes = screen.children()
        screen.kill()
        assert are_gone(processes)
    question, answer = kept(tmp_path)
    assert question.content == "Who are you?"
    with terminal(tmp_path, *DEMO) as screen:
        screen.until(lambda text: "Who are you?" in text and (answer.finish_reason or "interrupted" in text))
        screen.quit()


@pytest.mark.long
@pytest.mark.parametrize("asked", [signal.SIGHUP, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_a_closed_terminal_keeps_what_is_typed_and_ends_all_processes(tmp_path, asked):
    with terminal(tmp_path, *DEMO) as screen:
        screen.until_shown("ready")
        processes = screen.children()
        screen.send("half a thought")
        screen.until(lambda text: "half a thought" in text)
        os.kill(screen.process.pid, asked)
        assert are_gone([screen.process.pid, *processes])
    with ConversationStore.open(tmp_path / "data" / "history.db") as store:
        assert store.draft(None) == "half a thought"


@pytest.mark.slow
def test_a_model_that_dies_leaves_the_terminal_and_comes_back_when_it_is_asked(tmp_path):
    with terminal(tmp_path, *DEMO) as screen:
        say(screen, "first")
        screen.until_shown("tokens/s", "ready")
        for pid in screen.children():
            os.kill(pid, signal.SIGKILL)
        say(screen, "second")
        screen.until(lambda text: text.count("tokens/s") == 2 or "✗" in text)
        screen.send("\x15" + "third\r")
        screen.until_shown("third")
        screen.until(lambda text: "tokens/s" in text.partition("third")[2])
        screen.quit()


@pytest.mark.long
def test_quitting_in_the_middle_of_loading_is_quick_and_leaves_no_process(tmp_path):
    with terminal(tmp_path, *DEMO) as screen:
        say(screen, "Tell me about ChatGLM")
        screen.until(lambda text: screen.children())
        processes = screen.children()
        for pid in processes:
            os.kill(pid, signal.SIGSTOP)  # it would never be ready
        assert screen.quit() < 30  # about one second on an idle machine
        assert screen.process.exitstatus == 0
        assert are_gone(processes)


# --- the terminal itself


@pytest.mark.long
def test_typing_works_while_the_model_loads_and_what_is_typed_is_there_again(tmp_path):
    with terminal(tmp_path, *DEMO) as screen:
        screen.until_shown(READY)
        for letter in "typed meanwhile 中文":
            screen.send(letter)
        screen.until_shown("typed meanwhile 中文")
        screen.quit()
    with terminal(tmp_path, *DEMO) as screen:
        screen.until_shown("typed meanwhile 中文")
        screen.quit()


@pytest.mark.long
def test_a_window_made_tiny_and_large_again_shows_all_again(tmp_path):
    with terminal(tmp_path, *DEMO) as screen:
        screen.until_shown(READY)
        screen.send("some words")
        screen.until_shown("some words")
        screen.resize(20, 5)
        screen.until(lambda text: "some words" in text and len(text.splitlines()) == 5)
        screen.resize(1, 1)
        screen.resize(140, 40)
        screen.until(lambda text: "some words" in text and "ChatGLM" in text and "Quit" in text)
        screen.quit()
        assert screen.process.exitstatus == 0


@pytest.mark.long
def test_a_paste_of_a_megabyte_is_one_attachment_and_sends_nothing(tmp_path):
    with terminal(tmp_path, *DEMO) as screen:
        screen.until_shown(READY)
        screen.paste("一行 line \x1b[31mred\r" * 60_000)
        screen.until_shown("Pasted text 960 kB ×")
        screen.send("typed after it")
        screen.until_shown("typed after it")
        screen.quit()
    with ConversationStore.open(tmp_path / "data" / "history.db") as store:
        assert store.conversations() == []


@pytest.mark.long
def test_alt_and_enter_begin_a_line_and_the_editor_writes_the_rest(tmp_path):
    editor = tmp_path / "editor.sh"
    editor.write_text(
        '#!/bin/sh\nprintf "in the editor" > /dev/tty\nprintf "third\\n" >> "$1"\nread answer < /dev/tty\n'
    )
    editor.chmod(0o700)
    with terminal(tmp_path, *DEMO, environ={"EDITOR": str(editor)}) as screen:
        screen.until_shown(READY)
        screen.send(f"first{ALT_ENTER}second\n")
        screen.until_shown("first", "second")
        screen.send("\x07")
        screen.until_shown("in the editor")
        screen.send("\r")
        text = screen.until_shown("first", "second", "third", "ChatGLM")
        rows = [row.partition("││")[2].strip("│ ") for row in text.splitlines()]
        assert rows[rows.index("first") :][:3] == ["first", "second", "third"]
        screen.quit()


@pytest.mark.parametrize("key", ["\x03", "\x1c"])
def test_what_ends_programs_is_the_editors_own_while_it_is_there(tmp_path, key):
    editor = tmp_path / "editor.sh"
    editor.write_text(
        '#!/bin/sh\ntrap "printf caught > /dev/tty" INT QUIT\nprintf "in the editor" > /dev/tty\n'
        'read answer < /dev/tty || read answer < /dev/tty\nprintf "edited" > "$1"\n'
    )
    editor.chmod(0o700)
    with terminal(tmp_path, *DEMO, environ={"EDITOR": str(editor)}) as screen:
        screen.until_shown(READY)
        screen.send("\x07")
        screen.until_shown("in the editor")
        screen.send(key)
        screen.until_shown("caught")
        screen.send("\r")
        screen.until_shown("edited", "^N New")
        screen.send(" and typed on")
        screen.until_shown("edited and typed on")
        screen.quit()


@pytest.mark.long
@pytest.mark.parametrize(
    ("editor", "said"),
    [("false", "ended with status 1"), pytest.param("nosuch_editor", "No such file", marks=pytest.mark.slow)],
)
def test_an_editor_that_fails_gives_the_terminal_back(tmp_path, editor, said):
    with terminal(tmp_path, *DEMO, environ={"EDITOR": editor}) as screen:
        screen.until_shown(READY)
        screen.send("my question")
        screen.until_shown("my question")
        screen.send("\x07")
        screen.until_shown("ChatGLM", "my question", said)
        screen.send(" goes on")
        screen.until_shown("my question goes on")
        screen.quit()
        assert screen.process.exitstatus == 0


@linux_only
def test_the_first_paint_takes_little_cpu_time(tmp_path):
    with terminal(tmp_path, *DEMO) as screen:
        screen.until_shown(READY, "Quit")
        assert screen.cpu_s() < 2  # a third of it on an idle machine; torch alone would take more
        screen.quit()


# --- without a screen


def test_a_model_that_is_not_there_is_one_sentence_and_a_status(tmp_path):
    ended = run("--model", str(tmp_path / "nowhere"), home=tmp_path)
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
    assert "nowhere is no folder" in ended.stderr


def test_wrong_options_are_one_sentence_and_a_status(tmp_path):
    ended = run("--quantization", "int5", home=tmp_path)
    assert ended.returncode == 1
    assert "'int5'" in ended.stderr
    assert "'fp16', 'int8', 'int4'" in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_a_damaged_history_is_one_sentence_and_a_status(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "history.db").write_text("not a database " * 100)
    ended = run(home=tmp_path)
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert "move it away" in ended.stderr


@pytest.mark.long
def test_version_and_help_need_no_terminal(tmp_path):
    assert run("--version", home=tmp_path).stdout == f"chatglm-tui {__version__}\n"
    assert "--quantization" in run("--help", home=tmp_path).stdout


@pytest.mark.parametrize("module", ["tui.app", "chatglm_slim_llm.storage", "chatglm_slim_llm.config"])
def test_nothing_heavy_is_imported_before_the_first_paint(module):
    code = f"import sys, {module}\nprint([n for n in ('torch', 'transformers', 'langchain_core') if n in sys.modules])"
    imported = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert imported.stdout == "[]\n"
