"""The boundary: exit statuses, one sentence on stderr, and nothing heavy before it is needed."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from chatglm_slim_llm import __version__
from chatglm_slim_llm.cli import main
from chatglm_slim_llm.storage import ConversationStore

TINY = Path(__file__).parent.parent / "data" / "reference" / "tiny_v11"


def run(*args: str, **options) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "chatglm_slim_llm", *args]
    return subprocess.run(
        command, capture_output=True, encoding="utf-8", timeout=60, stdin=subprocess.DEVNULL, **options
    )


@pytest.mark.parametrize("command", [[], ["chat"], ["slim"], ["quantize"], ["pull"], ["doctor"]])
def test_help_is_shown_without_importing_anything_heavy(command):
    code = (
        "import sys\n"
        "from chatglm_slim_llm.cli import main\n"
        "try:\n"
        f"    main({[*command, '--help']!r})\n"
        "except SystemExit as done:\n"
        "    assert done.code == 0\n"
        "heavy = {'torch', 'transformers', 'langchain_core', 'huggingface_hub', 'numpy'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", timeout=30)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("usage: chatglm-slim")


def test_version_is_the_packages():
    result = run("--version")
    assert (result.returncode, result.stdout) == (0, f"chatglm-slim {__version__}\n")


@pytest.mark.parametrize(
    "args",
    [[], ["sing"], ["slim", "only-one"], ["quantize", "a", "b"], ["quantize", "a", "b", "--level", "int3"], ["chat"],
     ["chat", " "], ["chat", "hi", "--temperature", "hot"], ["chat", "hi", "--quantization", "int3"]],
)  # fmt: skip
def test_wrong_usage_is_status_2(args):
    result = run(*args)
    assert (result.returncode, result.stdout) == (2, "")
    assert "error: " in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    "args",
    [["slim", "/no/such", "b"], ["quantize", "/no/such", "b", "--level", "int4"],
     ["chat", "hi", "--model", "/no/such"]],
)  # fmt: skip
def test_an_error_is_one_sentence_and_status_1(args):
    result = run(*args)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1


def test_a_wrong_variable_is_an_error_of_the_environment_not_of_usage():
    result = run("chat", "hi", env=os.environ | {"CHATGLM_SLIM_DEVICE": "abacus"})
    assert result.returncode == 1
    assert result.stderr.startswith("error: CHATGLM_SLIM_DEVICE: device 'abacus' is unknown")


def test_main_returns_the_status(capsys):
    assert main(["slim", "/no/such", "b"]) == 1
    assert capsys.readouterr().err.startswith("error: there is no checkpoint folder '/no/such'")


@pytest.mark.parametrize("args", [["completion", "bash"], ["--help"], ["chat", "--help"], ["--version"]])
def test_a_reader_that_goes_away_ends_the_command_quietly(args):
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "chatglm_slim_llm", *args]
    with os.fdopen(writing, "w") as gone:
        result = subprocess.run(command, stdout=gone, stderr=subprocess.PIPE, encoding="utf-8", timeout=60)
    assert (result.returncode, result.stderr) == (141, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.slow
def test_output_that_cannot_be_written_is_an_error():
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "chatglm_slim_llm", "doctor"]
        result = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, encoding="utf-8", timeout=60)
    assert result.returncode == 1
    assert "No space left on device" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.long
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize(
    "args",
    [["kb", "list", "--json"], ["history", "list", "--json"], ["chat", "你好"], ["chat", "--json", "你好"], ["--help"],
     ["chat", "--help"], ["kb", "list", "--help"], ["--version"]],
)  # fmt: skip
def test_a_full_disk_is_one_line_and_status_1(args, tmp_path):
    env = os.environ | {"CHATGLM_SLIM_HOME": str(tmp_path)}
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "chatglm_slim_llm", *args]
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, encoding="utf-8", timeout=60, env=env)
    assert ended.returncode == 1
    lines = [line for line in ended.stderr.splitlines() if "demo model" not in line]
    assert len(lines) == 1, ended.stderr
    assert "the output cannot be written (No space left on device); make room, or write it elsewhere" in lines[0]


@pytest.mark.skipif(os.name != "posix", reason="a shell closes files so")
@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_what_a_shell_closed_goes_nowhere_and_breaks_nothing(closed, tmp_path):
    command = f"exec {shlex.quote(sys.executable)} -m chatglm_slim_llm history list {closed}"
    env = os.environ | {"CHATGLM_SLIM_HOME": str(tmp_path)}
    with ConversationStore.open(tmp_path / "data" / "history.db") as store:
        store.create("今天的天气")
    ended = subprocess.run(["sh", "-c", command], capture_output=True, encoding="utf-8", timeout=60, env=env)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ("今天的天气" in ended.stdout) == (">&-" not in closed.split())
    with ConversationStore.open(tmp_path / "data" / "history.db") as store:
        assert [each.title for each in store.conversations()] == ["今天的天气"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("arg", ["--help", "--version"])
def test_so_it_is_where_the_terminal_only_says_what_it_can_do(arg):
    command = [sys.executable, "-c", "from tui.arguments import parser; parser().parse_args()", arg]
    env = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, encoding="utf-8", timeout=60, env=env)
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
    assert "the output cannot be written (No space left on device); make room, or write it elsewhere" in ended.stderr
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as gone:
        ended = subprocess.run(command, stdout=gone, stderr=subprocess.PIPE, encoding="utf-8", timeout=60, env=env)
    assert (ended.returncode, ended.stderr) == (141, "")


def test_what_is_written_past_python_goes_to_stderr_and_ours_to_stdout():
    code = (
        "import os, sys; from chatglm_slim_llm.cli import main; sys.argv[1:] = ['plugins', 'list', 'tools']\n"
        "main(); os.write(1, b'of a C library '); sys.stdout.flush(); os.system('echo of a program'); print('ours')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "tools.calculator" in done.stdout
    assert done.stdout.endswith("\nours\n")
    assert done.stderr == "of a C library of a program\n"
