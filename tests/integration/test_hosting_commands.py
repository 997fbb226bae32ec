"""Slash commands of plugins: what they give, and what comes of those that misbehave."""

from __future__ import annotations

import threading
import time

import pytest

from chatglm_slim_llm.errors import PluginError, PluginNotFoundError
from chatglm_slim_llm.hosting.commands import CommandRunner
from chatglm_slim_llm.plugins import Ask, CommandCall, Insert, Turn
from tests.integration.test_hosting_process import is_gone
from tests.plugin_folder import PluginFolder

SOURCES = {
    "hello": """
        def make(call, greeting="Hello"):
            print("noise")
            return f"{greeting} {call.text}, after {[turn.text for turn in call.turns]}"
    """,
    "ask": "from chatglm_slim_llm.plugins import Ask\ndef make(call): return Ask('Translate: ' + call.text)",
    "insert": "from chatglm_slim_llm.plugins import Insert\ndef make(call): return Insert(call.text.upper())",
    "raises": "def make(call): raise ValueError('no key')",
    "exits": "import sys\ndef make(call): sys.exit(3)",
    "dies": "import os\ndef make(call): os._exit(5)",
    "crashes": "import os, time\ndef make(call): os.kill(os.getpid(), 11), time.sleep(9)",
    "hangs": "import time\ndef make(call): time.sleep(60)",
    "hangs-early": "import time\ntime.sleep(60)",
    "starts": "import subprocess\ndef make(call): subprocess.run(['sleep', '60'])",
    "wrong": "def make(call): return {'a': 1}",
    "wrong-ask": "from chatglm_slim_llm.plugins import Ask\ndef make(call): return Ask(3)",
    "much": "def make(call): return 'x' * 2_000_000",
    "newer": "CHATGLM_SLIM_API = 99\nraise RuntimeError",
    "reads": "def make(call): return input('name? ')",
    "import-fails": "import a_package_that_is_not_there",
    "not-callable": "make = 'text'",
    "odd-text": "def make(call): return 'a\\ud800\\x00\\u2028b'",
    "heavy": "import sys\ndef make(call): return str([n for n in ('torch', 'langchain_core') if n in sys.modules])",
}


@pytest.fixture(scope="module")
def plugins(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        folder = PluginFolder(tmp_path_factory.mktemp("plugins"), patch)
        for name, source in SOURCES.items():
            folder.add("commands", name, source, "greeting = '你好'" if name == "hello" else "")
        yield folder


@pytest.fixture(scope="module")
def runner(plugins):
    runner = CommandRunner(seconds=15)
    yield runner
    runner.close()


def run(runner, name, text="a b", turns=()):
    return runner.run(name, CommandCall(text, tuple(turns)), is_cancelled=lambda: False)


def test_a_command_is_given_its_words_and_the_conversation_and_gives_a_text(runner):
    said = run(runner, "hello", "Anna", [Turn("human", "一"), Turn("ai", "二")])
    assert said == "你好 Anna, after ['一', '二']"


def test_what_is_to_be_asked_or_to_be_put_into_the_prompt_comes_as_such(runner):
    assert run(runner, "ask") == Ask("Translate: a b")
    assert run(runner, "insert") == Insert("A B")


def test_any_text_comes_through(runner):
    assert run(runner, "odd-text") == "a\ud800\x00\u2028b"


def test_commands_share_a_process_that_has_neither_torch_nor_langchain(runner):
    assert run(runner, "heavy") == "[]"
    before = runner._child.pid
    run(runner, "hello")
    assert runner._child.pid == before


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("raises", "failed: ValueError: no key"),
        ("exits", "failed: SystemExit: 3"),
        ("dies", "broke off: .*exit status 5"),
        ("crashes", "broke off: .*SIGSEGV"),
        ("wrong", "gave dict; it must give a text"),
        ("wrong-ask", "gave Ask of int"),
        ("much", "gave 2,000,000 characters"),
        ("newer", "needs version 99"),
        ("reads", "EOFError"),
        ("import-fails", "a_package_that_is_not_there"),
        ("not-callable", "is str"),
    ],
)
def test_a_command_that_fails_says_which_one_and_why_and_the_next_one_runs(runner, name, words):
    with pytest.raises(PluginError, match=words) as caught:
        run(runner, name)
    assert name in str(caught.value)
    assert "plugins.toml" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert run(runner, "insert") == Insert("A B")


@pytest.mark.parametrize("name", ["hangs", "hangs-early"])
def test_a_command_that_takes_too_long_is_ended(plugins, name):
    runner = CommandRunner(seconds=0.6)
    with pytest.raises(PluginError, match=rf"/{name} .* gave nothing in 0.6 s.*plugins disable commands.{name}"):
        run(runner, name)
    assert runner._child is None
    runner.close()


@pytest.mark.parametrize("name", ["hangs", "starts"])
def test_a_command_that_is_cancelled_is_ended_at_once_with_its_process(runner, name):
    run(runner, "hello")
    pid, cancelled = runner._child.pid, threading.Event()
    threading.Timer(0.1, cancelled.set).start()
    started = time.monotonic()
    with pytest.raises(PluginError, match=rf"/{name} .* was stopped"):
        runner.run(name, CommandCall(""), is_cancelled=cancelled.is_set)
    assert time.monotonic() - started < 4  # and not when the joining of threads is given up
    assert is_gone(pid)
    assert run(runner, "insert") == Insert("A B")


def test_closing_ends_the_process_and_a_command_in_it(plugins):
    runner = CommandRunner()
    run(runner, "hello")
    pid = runner._child.pid
    is_waiting = threading.Event()
    closing = threading.Thread(target=lambda: is_waiting.wait(20) and runner.close())
    closing.start()
    with pytest.raises(PluginError, match=r"/hangs .*was stopped"):
        runner.run("hangs", CommandCall(""), is_cancelled=is_waiting.set)  # which says nothing, so no
    closing.join()
    assert is_gone(pid)


def test_a_command_that_is_not_there_starts_no_process(plugins):
    runner = CommandRunner()
    with pytest.raises(PluginNotFoundError, match="did you mean 'hello'"):
        run(runner, "helo")
    assert runner._child is None
