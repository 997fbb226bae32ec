"""`chatglm-tui` as it is installed, in a real terminal, with the demo model that ships."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from real_terminal import ESCAPE, terminal

from chatglm_slim_llm import __version__
from chatglm_slim_llm.storage import ConversationStore

linux_only = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads CPU time from /proc")


def run(*arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).parent / "chatglm-tui"
    return subprocess.run(
        [program, *arguments], capture_output=True, text=True, env={"CHATGLM_SLIM_HOME": str(home)}, check=False
    )


def test_a_question_is_answered_and_is_there_again_after_a_restart(tmp_path):
    with terminal(tmp_path) as screen:
        screen.until(lambda text: "Ask anything" in text)
        screen.send("你好")
        screen.until(lambda text: "│ 你好" in text)
        screen.send("\r")
        screen.until(lambda text: "tokens/s" in text)
        screen.quit()
        assert screen.process.exitstatus == 0
    with ConversationStore.open(tmp_path / "data" / "history.db") as store:
        question, answer = store.messages(store.conversations()[0].id)
    assert question.content == "你好"
    assert answer.finish_reason == "stop"
    first_words = answer.content.split()[0][:8]
    assert first_words
    with terminal(tmp_path) as screen:
        screen.until(lambda text: first_words in text and "❯ 你好" in text)
        screen.quit()


def test_a_killed_terminal_keeps_the_prompt_and_what_was_answered(tmp_path):
    with terminal(tmp_path) as screen:
        screen.until(lambda text: "Ask anything" in text)
        screen.send("Who are you?\r")
        screen.until(lambda text: "writing…" in text or "tokens/s" in text)
        screen.process.kill(signal.SIGKILL)
    with ConversationStore.open(tmp_path / "data" / "history.db") as store:
        question, answer = store.messages(store.conversations()[0].id)
    assert question.content == "Who are you?"
    with terminal(tmp_path) as screen:
        screen.until(lambda text: "❯ Who are you?" in text and (answer.finish_reason or "interrupted" in text))
        screen.quit()


@linux_only
def test_the_first_paint_takes_little_cpu_time(tmp_path):
    with terminal(tmp_path) as screen:
        screen.until(lambda text: "Ask anything" in text and "Quit" in text)
        assert screen.cpu_s() < 0.8
        screen.quit()


def test_typing_works_while_the_model_loads(tmp_path):
    with terminal(tmp_path) as screen:
        screen.until(lambda text: "Ask anything" in text)
        screen.send("first\r")  # starts the loading
        for letter in "typed meanwhile":
            screen.send(letter)
        screen.until(lambda text: "│ typed meanwhile" in text, timeout_s=20)
        screen.until(lambda text: "tokens/s" in text)
        screen.quit()


def test_quitting_in_the_middle_of_loading_or_answering_is_quick(tmp_path):
    with terminal(tmp_path) as screen:
        screen.until(lambda text: "Ask anything" in text)
        screen.send("Tell me about ChatGLM\r")
        screen.until(lambda text: "❯ Tell me" in text)
        assert screen.quit() < 5  # about one second on an idle machine
        assert screen.process.exitstatus == 0


def test_a_model_that_is_not_there_is_one_sentence_in_the_conversation(tmp_path):
    with terminal(tmp_path, "--model", str(tmp_path / "nowhere")) as screen:
        screen.until(lambda text: "Ask anything" in text)
        screen.send("hi\r")
        text = screen.until(lambda text: "✗ there is no checkpoint folder" in text and "no model" in text)
        assert "Traceback" not in text
        screen.send(ESCAPE)
        screen.quit()


def test_wrong_options_are_one_sentence_and_a_status(tmp_path):
    ended = run("--quantization", "int5", home=tmp_path)
    assert ended.returncode == 1
    assert ended.stderr == "chatglm-tui: quantization 'int5' is not a level; choose one of fp16, int8, int4\n"


def test_a_damaged_history_is_one_sentence_and_a_status(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "history.db").write_text("not a database " * 100)
    ended = run(home=tmp_path)
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert "move it away" in ended.stderr


def test_version_and_help_need_no_terminal(tmp_path):
    assert run("--version", home=tmp_path).stdout == f"chatglm-tui {__version__}\n"
    assert "--quantization" in run("--help", home=tmp_path).stdout


@pytest.mark.parametrize("module", ["tui.app", "chatglm_slim_llm.storage", "chatglm_slim_llm.config"])
def test_nothing_heavy_is_imported_before_the_first_paint(module):
    code = f"import sys, {module}\nprint([n for n in ('torch', 'transformers', 'langchain_core') if n in sys.modules])"
    imported = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert imported.stdout == "[]\n"
