"""The plugin of Simon Willison's ``llm`` through its command line: the guide, the log, errors, what is imported."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from huggingface_hub import constants
from llm.cli import cli

from chatglm_slim_llm.llm_plugin.boundary import keep

ROOT = Path(__file__).parents[2]
TINY = ROOT / "tests" / "data" / "reference" / "tiny_v11"
COMMAND = Path(sys.executable).with_name("llm")
HELLO = "你好！我是随程序附带的演示小模型。"
PRICE = 'def find_price(item: str) -> str:\n    "Look up the price of an item."\n    return {"pear": "3 yuan"}[item]'

pytestmark = pytest.mark.usefixtures("one_thread")
Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name in [name for name in os.environ if name.startswith(("CHATGLM_", "LLM_", "HF_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("LLM_USER_PATH", str(tmp_path / "llm"))
    monkeypatch.setenv("CHATGLM_SLIM_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf" / "hub"))
    yield tmp_path
    keep.cache_clear()


@pytest.fixture
def run() -> Run:
    """One command in this process, which has torch already."""
    return lambda *args, **kwargs: CliRunner().invoke(cli, args, **kwargs)


# --- what the guide shows ---


def shown() -> list[tuple[str, str]]:
    """The commands of the guide's page that ``llm`` runs, each with what it prints."""
    page = (ROOT / "docs" / "guide" / "llm.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```console\n(.*?)```", page, re.DOTALL)
    sessions = [part for block in blocks for part in re.split(r"^\$ ", block, flags=re.MULTILINE) if part]
    read = [re.fullmatch(r"(.*?\n(?:> .*?\n)*)(.*)", session, re.DOTALL) for session in sessions]
    commands = [(match[1].replace("\n> ", "\n").strip(), match[2]) for match in read if match is not None]
    return [(command, output) for command, output in commands if re.match(r"(echo \w+ \| )?llm ", command)]


def without_digits(text: str) -> str:
    """A score's last digits are the processor's."""
    return re.sub(r"\d\.\d{6,}", "0.…", text).strip()


def test_the_guides_commands_print_what_it_says(run: Run) -> None:
    commands = shown()
    assert len(commands) >= 12
    for command, output in commands:
        piped, _, line = command.rpartition(" | ") if command.startswith("echo") else ("", "", command)
        result = run(*shlex.split(line)[1:], input=piped.removeprefix("echo "))
        assert without_digits(result.output) == without_digits(output), command
        assert result.exit_code == (1 if "Error" in output else 0)


# --- what llm shows of the plugin ---


def test_the_plugin_and_its_models_are_listed(run: Run) -> None:
    (plugin,) = [each for each in json.loads(run("plugins").output) if each["name"] == "chatglm-slim-llm"]
    assert plugin["version"] == version("chatglm-slim-llm")
    assert plugin["hooks"] == ["register_embedding_models", "register_models"]
    (model,) = json.loads(run("models", "list", "-q", "chatglm", "--json").output)
    assert model["model_id"] == "chatglm-slim"
    assert model["aliases"] == ["chatglm"]
    assert model["can_stream"]
    assert model["supports_schema"]
    assert model["supports_tools"]
    assert model["supports_async"]
    assert "ChatGLM-Slim: chatglm-slim (aliases: chatglm)" in run("models").output
    assert "ChatGLM-Slim: chatglm-slim-embed (aliases: chatglm-embed)" in run("embed-models").output
    options = run("models", "list", "-m", "chatglm", "--options").output
    assert "\n    seed: int\n      The same seed" in options
    assert "\n    model: str\n" in options


def test_the_log_has_prompt_reply_tool_calls_and_usage(run: Run) -> None:
    ask = ("-m", "chatglm", "-o", "temperature", "0")
    shown = run(*ask, "--async", "-s", "Be brief.", "-u", "hello")
    assert re.search(r"Token usage: \d+ input, 15 output", shown.stderr)
    assert run(*ask, "--functions", PRICE, "What is the price of pear?").stdout == "3 yuan\n"
    hello, asked, answered = json.loads(run("logs", "--json", "-n", "0").output)
    assert (hello["prompt"], hello["system"], hello["response"]) == ("hello", "Be brief.", shown.stdout.strip())
    assert (hello["model"], hello["resolved_model"], hello["output_tokens"]) == ("chatglm-slim", "demo", 15)
    assert hello["response_json"]["finish_reason"] == "stop"
    (call,), (result,) = asked["tool_calls"], answered["tool_results"]
    assert (call["name"], call["arguments"]) == ("find_price", {"item": "pear"})
    assert (result["tool_call_id"], result["output"]) == (call["tool_call_id"], "3 yuan")
    assert asked["input_tokens"] < answered["input_tokens"]


def test_templates_and_fragments_reach_the_model(run: Run, home: Path) -> None:
    (home / "rules.txt").write_text("A guest called Bob, aged 7.")
    schema = ("--schema", "name, age int", "-o", "temperature", "0")
    run("-m", "chatglm", *schema, "-f", str(home / "rules.txt"), "", "--save", "guest")
    assert json.loads(run("-t", "guest").output) == {"name": "Bob", "age": 7}
    assert json.loads(run("-m", "chatglm", *schema, "-f", str(home / "rules.txt")).output) == {"name": "Bob", "age": 7}


def test_a_chat_remembers_and_ends_with_one_sentence_where_it_cannot_go_on(run: Run) -> None:
    chat = run("chat", "-m", "chatglm", "-o", "temperature", "0", input="你好\n谢谢\nexit\n")
    assert chat.exit_code == 0
    assert f"> 你好\n{HELLO}\n> 谢谢\n" in chat.output
    first, second = json.loads(run("logs", "--json", "-n", "0").output)
    assert second["input_tokens"] > first["input_tokens"] + 10
    failed = run("chat", "-m", "chatglm", "-o", "model", "nobody/nothing", input="hello\n")
    assert (failed.exit_code, failed.exception.__class__) == (1, SystemExit)
    assert failed.output.endswith("Error: " + NOT_HERE)


NOT_HERE = (
    "nobody/nothing is neither a folder here nor on this machine yet; "
    "download it with 'chatglm-slim pull nobody/nothing'\n"
)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["-m", "chatglm", "-o", "model", "nobody/nothing", "hi"], NOT_HERE),
        (["-m", "chatglm", "--async", "-o", "model", "nobody/nothing", "hi"], NOT_HERE),
        (["-m", "chatglm", ""], "the prompt is empty; write something to answer\n"),
        (
            ["-m", "chatglm", "-a", str(ROOT / "docs/images/chat.png"), "hi"],
            "This model does not support attachments\n",
        ),
    ],
    ids=["model", "async", "empty", "attachment"],
)
def test_an_error_is_one_sentence_and_a_status(run: Run, args: list[str], message: str) -> None:
    failed = run(*args)
    assert (failed.exit_code, failed.output) == (1, f"Error: {message}")


def test_embedding_without_a_checkpoint_is_an_error_too(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATGLM_SLIM_MODEL", "nobody/nothing")
    failed = run("embed", "-m", "chatglm-slim-embed", "-c", "hello")
    assert (failed.exit_code, failed.output) == (1, f"Error: {NOT_HERE}")


# --- in a process of its own ---


@pytest.mark.long
def test_listing_brings_neither_torch_nor_transformers_nor_langchain() -> None:
    code = (
        "import sys; from llm.cli import cli\n"
        "for args in (['models'], ['embed-models'], ['models', '--options'], ['--help']):\n"
        "    cli(args, standalone_mode=False)\n"
        "print([name for name in ('torch', 'transformers', 'langchain_core', 'langchain') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "ChatGLM-Slim: chatglm-slim (aliases: chatglm)" in done.stdout
    assert "ChatGLM-Slim: chatglm-slim-embed" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.slow
def test_the_installed_command_answers_streams_and_goes_on() -> None:
    def llm(*args: str) -> str:
        done = subprocess.run([COMMAND, *args], capture_output=True, stdin=subprocess.DEVNULL, encoding="utf-8")
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    greedy = ("-m", "chatglm-slim", "-o", "temperature", "0")
    assert llm(*greedy, "你好") == f"{HELLO}\n"
    assert llm("-c", "-o", "temperature", "0", "谢谢") == "不客气，很高兴能帮上忙。\n"
    assert llm(*greedy, "--async", "--no-stream", "你好") == f"{HELLO}\n"
    assert json.loads(llm(*greedy, "--schema", "name, age int", "A guest called Bob, aged 7.")) == {
        "name": "Bob",
        "age": 7,
    }
    assert llm(*greedy, "-T", "llm_version", "Which version of llm is this?").strip() == version("llm")
    assert llm(*greedy, "--functions", PRICE, "What is the price of pear?") == "3 yuan\n"
    assert len(json.loads(llm("embed", "-m", "chatglm-slim-embed", "-c", "hello"))) > 100
    assert [each["prompt"] for each in json.loads(llm("logs", "--json", "-n", "0"))][:2] == ["你好", "谢谢"]


@pytest.mark.slow
@pytest.mark.parametrize("extra", [[], ["--async"]], ids=["sync", "async"])
def test_ctrl_c_ends_an_endless_reply(extra: list[str]) -> None:
    endless = {"temperature": "1000", "top_k": "0", "top_p": "1", "seed": "1", "model": str(TINY)}
    options = [word for name, value in endless.items() for word in ("-o", name, value)]
    with subprocess.Popen(
        [COMMAND, "-m", "chatglm", *options, *extra, "hello"], stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as running:  # fmt: skip
        assert running.stdout is not None
        assert running.stdout.read(1)
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=20)
    assert running.returncode == 1
    assert err.decode().strip().endswith("Aborted!")
