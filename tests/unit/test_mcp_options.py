"""What is decided before an MCP server or client starts: addresses, options, names, and what is shown of secrets."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from chatglm_slim_llm.cli import main
from chatglm_slim_llm.cli.parser import build_parser
from chatglm_slim_llm.errors import ConfigError, RetrievalError
from chatglm_slim_llm.mcp.bases import Bases, uri_of
from chatglm_slim_llm.mcp.checking import checked
from chatglm_slim_llm.mcp.http import Address
from chatglm_slim_llm.mcp.options import ServerOptions, filled
from chatglm_slim_llm.plugins import plugin

GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "mcp.md"
TOKEN = "0123456789abcdef"


def block(language: str) -> str:
    found = re.search(rf"```{language}[^\n]*\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    assert found
    return found[1]


# --- serving


@pytest.mark.parametrize(
    ("text", "token", "host", "port"),
    [
        ("8765", "", "127.0.0.1", 8765),
        ("localhost:0", "", "localhost", 0),
        ("[::1]:80", "", "::1", 80),
        ("192.0.2.1:80", TOKEN, "192.0.2.1", 80),
    ],
)
def test_an_address_is_a_host_and_a_port(text, token, host, port):
    address = Address.parse(text, token)
    assert (address.host, address.port) == (host, port)


@pytest.mark.parametrize(
    ("text", "token", "sentence"),
    [
        ("localhost", "", "give HOST:PORT"),
        ("localhost:99999", "", "give HOST:PORT"),
        ("192.0.2.1:80", "", "others could read your documents at 192.0.2.1"),
        ("0.0.0.0:80", "", "others could read your documents"),
        ("example.org:80", "", "others could read your documents"),
        ("0.0.0.0:80", TOKEN, "--allow-host"),
        ("127.0.0.1:80", "short", "is no good token"),
        ("127.0.0.1:80", f"{TOKEN} and more", "is no good token"),
    ],
)
def test_an_address_that_is_wrong_or_open_to_others_is_refused(text, token, sentence):
    with pytest.raises(ConfigError, match=re.escape(sentence)) as caught:
        Address.parse(text, token)
    assert not token or token not in str(caught.value)


def test_hosts_are_those_of_this_machine_and_those_that_were_named():
    security = Address.parse("192.0.2.1:80", TOKEN, ["books.example"]).security()
    assert security.enable_dns_rebinding_protection
    assert {"127.0.0.1:*", "[::1]:*", "192.0.2.1:*", "books.example"} <= set(security.allowed_hosts)
    assert not any(host.startswith("*") for host in security.allowed_hosts)


def test_a_port_that_is_taken_is_said_in_a_sentence():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"127.0.0.1:{port} cannot be taken: .*; choose another port"):
            Address.parse(str(port)).listen()


def test_two_files_of_one_name_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="two knowledge bases have the same name"):
        Bases([str(tmp_path / "a" / "notes.db"), str(tmp_path / "b" / "notes.db")])


def test_a_knowledge_base_that_is_gone_says_how_to_fill_it(tmp_path):
    bases = Bases([str(tmp_path / "notes.db")])
    assert bases.names() == ["notes"]
    assert "is gone; fill it with: chatglm-slim index FOLDER --kb notes" in bases.summary("notes")["error"]
    with pytest.raises(RetrievalError, match="is gone"):
        bases.check(bases.chosen(None))


def test_addresses_of_resources_hold_any_name():
    assert uri_of("我的 notes", "a/b") == "kb://%E6%88%91%E7%9A%84%20notes/a%2Fb"


def test_whole_numbers_may_be_written_with_a_point_and_defaults_are_filled_in():
    schema = {"properties": {"k": {"type": "integer"}, "mode": {"type": "string", "default": "hybrid"}}, "required": []}
    assert checked({"k": 4.0}, schema) == {"k": 4, "mode": "hybrid"}
    with pytest.raises(ConfigError, match="k: True is not of type 'integer'"):
        checked({"k": True}, schema)


def test_without_the_packages_the_command_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "mcp", None)
    assert main(["mcp"]) == 1
    assert "pip install 'chatglm-slim-llm[mcp]'" in capsys.readouterr().err


def test_the_help_imports_nothing_of_the_protocol():
    code = "from chatglm_slim_llm.cli.parser import build_parser\nbuild_parser().format_help()\nimport sys\n"
    check = "print([name for name in ('mcp', 'pydantic', 'torch') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code + check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- using others


@pytest.mark.parametrize(
    ("options", "label"),
    [
        ({"command": "/usr/bin/uvx", "args": ("mcp-server-time",)}, "uvx mcp-server-time"),
        ({"command": "npx", "args": ("-y", "@scope/server", "/home/anna")}, "npx server"),
        ({"command": "python", "args": ("-m", "server", "--token", "geheim")}, "python server"),
        ({"command": "server", "args": ("--token", "geheim")}, "server"),
        ({"url": "https://anna:geheim@tracker.example:8443/mcp?key=geheim"}, "tracker.example:8443/mcp"),
    ],
)
def test_a_server_has_a_name_without_secrets(options, label):
    assert ServerOptions(**options).label == label
    assert "geheim" not in repr(ServerOptions(**options))


def test_secrets_are_hidden_wherever_a_server_repeats_them(monkeypatch):
    monkeypatch.setenv("MY_TOKEN", "geheim-4711")
    headers = filled({"Authorization": "Bearer ${MY_TOKEN}"}, "headers")
    assert headers == (("Authorization", "Bearer geheim-4711"),)
    options = ServerOptions(url="https://anna:secret@x.example/mcp?key=query-key", headers=headers)
    said = "geheim-4711 is no good, nor are Bearer geheim-4711, secret and query-key"
    assert options.hidden(said) == "*** is no good, nor are ***, *** and ***"


# --- the page that tells of it


def test_the_configuration_of_the_guide_is_a_command_of_ours():
    (server,) = json.loads(block("json"))["mcpServers"].values()
    assert server["command"] == "chatglm-slim"
    assert build_parser().parse_args(server["args"]).kb == ["notes"]


def test_the_tables_of_the_guide_are_options_of_the_plugin(tmp_path, monkeypatch):
    (tmp_path / "plugins.toml").write_text(block("toml"))
    monkeypatch.setenv("CHATGLM_SLIM_PLUGINS", str(tmp_path / "plugins.toml"))
    for name in ("time", "tracker"):
        assert callable(plugin("tools", name).function())
    (tmp_path / "plugins.toml").write_text(block("toml").replace("command", "comand"))
    with pytest.raises(ConfigError, match="did you mean command"):
        plugin("tools", "time").function()
