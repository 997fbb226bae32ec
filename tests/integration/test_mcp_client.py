"""Tools of MCP servers as a plugin, against a real server of the official package."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from langchain_core.messages import ToolMessage
from langchain_core.utils.function_calling import convert_to_openai_tool

from chatglm_slim_llm.errors import ConfigError, PluginError
from chatglm_slim_llm.mcp.client import tools
from chatglm_slim_llm.plugins import plugin

SERVER = Path(__file__).with_name("little_mcp_server.py")
SECRET = "geheim-4711"


@pytest.fixture(scope="module")
def little():
    """The server's tools by name; the same options mean the same process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MY_TOKEN", SECRET)
        made = tools(command=sys.executable, args=[str(SERVER)], env={"TOKEN": "${MY_TOKEN}"})
        return {tool.name: tool for tool in made}


def call(tool, **arguments) -> ToolMessage:
    """As an agent calls it."""
    return tool.invoke({"type": "tool_call", "id": "1", "name": tool.name, "args": arguments})


def until(happened) -> None:
    deadline_s = time.monotonic() + 20
    while not happened():
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def test_tools_come_with_schema_description_and_what_the_server_says_of_them(little):
    assert list(little) == ["add", "variable", "fail", "die", "process", "hum", "wait"]
    assert little["add"].metadata["readOnlyHint"] is True
    assert not (little["variable"].metadata or {}).get("readOnlyHint")
    described = convert_to_openai_tool(little["add"])["function"]
    assert described["description"] == "Add two numbers."
    assert described["parameters"]["required"] == ["a", "b"]


def test_a_call_gives_a_tool_message(little):
    message = call(little["add"], a=2, b=3)
    assert (message.text, message.status, message.artifact) == ("5", "success", {"structured_content": {"result": 5}})


async def test_many_calls_at_once_from_any_loop(little):
    results = await asyncio.gather(*(little["add"].ainvoke({"a": each, "b": each}) for each in range(20)))
    assert [result[0]["text"] for result in results] == [str(2 * each) for each in range(20)]


def test_a_server_sees_what_was_given_to_it_and_not_our_environment(little, monkeypatch):
    monkeypatch.setenv("OTHER", "x")
    assert call(little["variable"], name="TOKEN").text == SECRET
    assert call(little["variable"], name="OTHER").text == "(not set)"


def test_a_tool_that_fails_is_a_failed_message(little):
    message = call(little["fail"])
    assert (message.status, "the shelf is empty" in message.text) == ("error", True)


def test_what_langchain_has_no_place_for_is_a_line_of_text(little):
    assert call(little["hum"]).text == "hm(a sound, audio/wav, is left out)"


def test_a_server_that_dies_is_said_without_secrets_and_started_again(little):
    before = call(little["process"]).text
    message = call(little["die"])
    assert message.status == "error"
    label = f"{Path(sys.executable).name} little_mcp_server.py"
    assert message.text == f"the MCP server {label} ended: cannot go on with ***"
    assert call(little["process"]).text != before


@pytest.mark.slow
def test_a_server_that_was_killed_between_two_calls_is_started_again(little):
    before = call(little["process"]).text
    os.kill(int(before), signal.SIGKILL)
    assert call(little["process"]).text != before


async def test_a_call_that_is_given_up_is_called_off_at_the_server(little, tmp_path):
    waiting = asyncio.ensure_future(little["wait"].ainvoke({"mark": str(tmp_path)}))
    await asyncio.to_thread(until, (tmp_path / "began").exists)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await asyncio.to_thread(until, (tmp_path / "called off").exists)
    assert (await little["add"].ainvoke({"a": 1, "b": 1}))[0]["text"] == "2"


# --- what cannot be used


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({}, "a command or a url"),
        ({"command": "x", "url": "http://localhost"}, "a command or a url"),
        ({"command": "x", "headers": {"A": "b"}}, "headers is for a server with a url"),
        ({"url": "ftp://localhost"}, "no http:// or https:// address"),
        ({"command": "x", "env": {"TOKEN": "${CHATGLM_SLIM_NOT_SET}"}}, "env.TOKEN wants the variable"),
        ({"command": "x", "cwd": "/no/such/folder"}, "is no folder"),
        ({"command": "x", "timeout_s": 0}, "seconds above 0"),
    ],
)
def test_options_that_cannot_be_used_are_said_before_anything_starts(options, sentence):
    with pytest.raises(ConfigError, match=sentence):
        tools(**options)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"command": "no-such-program-here"}, "no-such-program-here cannot be used: No such file or directory"),
        ({"command": sys.executable, "args": ["-c", "import nothing_here"]}, "No module named 'nothing_here'"),
        ({"url": "http://127.0.0.1:9/mcp?key=4711"}, "127.0.0.1:9/mcp cannot be used: it cannot be reached"),
    ],
)
def test_a_server_that_does_not_start_is_one_sentence_with_its_cause(options, sentence):
    with pytest.raises(PluginError) as caught:
        tools(**options)
    assert sentence in str(caught.value)
    assert "4711" not in str(caught.value)


def test_a_server_that_says_nothing_has_a_deadline():
    with pytest.raises(PluginError, match=r"was not ready in 0.5 s; give it more with timeout_s"):
        tools(command=sys.executable, args=["-c", "import sys; sys.stdin.read()"], timeout_s=0.5)


@pytest.mark.slow
def test_a_tool_that_takes_too_long_is_a_failed_message(tmp_path):
    (tool,) = tools(command=sys.executable, args=[str(SERVER)], include=["wait"], timeout_s=8)
    message = call(tool, mark=str(tmp_path))
    assert (message.status, "gave no answer in 8 s" in message.text) == ("error", True)
    until((tmp_path / "called off").exists)


@pytest.mark.slow
def test_tools_are_chosen_by_name():
    given = {"command": sys.executable, "args": [str(SERVER)]}
    assert [tool.name for tool in tools(**given, include=["add", "fail"], exclude=["fail"])] == ["add"]
    with pytest.raises(ConfigError, match="did you mean 'add'"):
        tools(**given, include=["ad"])


@pytest.mark.slow
def test_a_server_ends_with_the_program_also_one_that_does_not_want_to(tmp_path):
    stubborn = tmp_path / "stubborn.py"
    stubborn.write_text(
        f"import os, signal, sys\nsys.path.insert(0, {os.fspath(SERVER.parent)!r})\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nfrom little_mcp_server import server\n"
        "server.run()\nsignal.pause()\n"
    )
    code = (
        "import sys\nfrom chatglm_slim_llm.mcp.client import tools\n"
        f"made = [tools(command=sys.executable, args=[name]) for name in ({str(SERVER)!r}, {str(stubborn)!r})]\n"
        "print(*(each.invoke({})[0]['text'] for some in made for each in some if each.name == 'process'))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr == ""
    for pid in map(int, done.stdout.split()):
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.mark.slow
def test_a_server_ends_when_the_program_is_cut_off():
    code = (
        "import os, sys\nfrom chatglm_slim_llm.mcp.client import tools\n"
        f"made = tools(command=sys.executable, args=[{str(SERVER)!r}], include=['process'])\n"
        "print(made[0].invoke({})[0]['text'], flush=True)\nos._exit(0)\n"
    )
    pid = int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
    until(lambda: not is_running(pid))


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


# --- with the rest of the program


@pytest.mark.slow
def test_a_table_of_plugins_toml_is_all_it_takes_and_our_own_server_can_be_it(tmp_path, monkeypatch):
    (tmp_path / "plugins.toml").write_text(f"""
[tools.mine]
target = "chatglm_slim_llm.mcp.client:tools"
[tools.mine.options]
command = {sys.executable!r}
args = ["-m", "chatglm_slim_llm", "mcp", "--no-ask"]
env = {{ CHATGLM_SLIM_HOME = {str(tmp_path)!r} }}
include = ["search", "list_knowledge_bases"]
""")
    monkeypatch.setenv("CHATGLM_SLIM_PLUGINS", str(tmp_path / "plugins.toml"))
    made = {tool.name: tool for tool in plugin("tools", "mine").make()}
    assert list(made) == ["search", "list_knowledge_bases"]
    assert all(tool.metadata["readOnlyHint"] for tool in made.values())
    assert call(made["list_knowledge_bases"]).artifact == {"structured_content": {"knowledge_bases": []}}
    assert "there is no knowledge base yet" in call(made["search"], query="x").text


@pytest.mark.slow
def test_a_server_over_http_takes_the_headers_and_says_what_is_wrong(tmp_path, monkeypatch):
    monkeypatch.setenv("MY_TOKEN", "a-token-of-many-letters")
    env = os.environ | {"CHATGLM_SLIM_HOME": str(tmp_path), "CHATGLM_SLIM_MCP_TOKEN": "a-token-of-many-letters"}
    command = [sys.executable, "-m", "chatglm_slim_llm", "mcp", "--no-ask", "--http", "127.0.0.1:0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, env=env, text=True) as server:
        url = server.stderr.readline().split()[2].rstrip(";")
        with pytest.raises(PluginError, match="it answered 401 Unauthorized; check url and headers"):
            tools(url=url)
        made = {tool.name: tool for tool in tools(url=url, headers={"Authorization": "Bearer ${MY_TOKEN}"})}
        assert "there is no knowledge base yet" in call(made["search"], query="x").text
        server.send_signal(signal.SIGTERM)
        server.wait(30)
        lost = call(made["search"], query="x")
        assert (lost.status, "cannot be reached" in lost.text or "broke off" in lost.text) == ("error", True)
