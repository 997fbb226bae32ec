"""``chatglm-slim plugins`` and ``--plugins``: lists, switches, trials, and what goes wrong, as a person sees them."""

from __future__ import annotations

import json
import os
import sys

import pytest

from chatglm_slim_llm.cli import main
from chatglm_slim_llm.errors import RetrievalError
from tests.installed import install

TOOLS = """
def make(city: str = "x"):
    return city
"""
RETRIEVERS = """
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever

class Wiki(BaseRetriever):
    fails: bool = False
    def _get_relevant_documents(self, query, *, run_manager):
        print("looking")
        if self.fails:
            raise SystemExit("no network")
        return [Document(f"{query} is a town.", metadata={"source": "wiki/towns.md", "score": 0.9})]

def strange():
    return "no retriever"
"""
SLOW = """
import time

class Slow(Wiki):
    def _get_relevant_documents(self, query, *, run_manager):
        time.sleep(600)

def late():
    time.sleep(600)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A home, a working folder and an installed package of others."""
    for name in [name for name in os.environ if name.startswith("CHATGLM_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("CHATGLM_SLIM_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CHATGLM_SLIM_PLUGINS", "")  # set back after a test that chooses a file
    install(tmp_path / "site", "acme", "chatglm_slim.tools", {"weather": "acme_tools:make"}, "acme_tools", TOOLS)
    (tmp_path / "site" / "wiki.py").write_text(RETRIEVERS)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    yield here
    for module in ("acme_tools", "wiki"):
        sys.modules.pop(module, None)


@pytest.fixture
def run(capsys):
    def run(*words: str) -> tuple[int, str, str]:
        try:
            status = main(words)
        except SystemExit as ended:  # wrong usage
            status = int(ended.code or 0)
        return status, *capsys.readouterr()

    return run


def test_a_plugin_is_listed_shown_enabled_tried_and_disabled(folder, run):
    assert "tools.weather" in next(line for line in run("plugins", "list")[1].splitlines() if " new " in line)
    assert "nobody has enabled it" in run("plugins", "show", "weather")[1]
    status, said, _ = run("plugins", "enable", "weather")
    file = folder.parent / "home" / "config" / "plugins.toml"
    assert (status, said) == (0, f"tools.weather (package acme) is on. Written to {file}.\n")
    assert run("plugins", "doctor", "weather")[:2] == (0, "ok      tools.weather\n")
    assert "acme_tools" not in sys.modules
    assert json.loads(run("plugins", "disable", "weather", "--json")[1])["state"] == "off"
    assert run("plugins", "list", "tools", "--json")[0] == 0


def test_trust_is_given_to_a_folder_by_command(folder, run):
    (folder / "plugins.toml").write_text('[tools.w]\ntarget = "acme_tools:make"\n')
    assert json.loads(run("plugins", "show", "w", "--json")[1])["state"] == "untrusted"
    assert run("plugins", "trust") == (0, "plugins.toml is trusted until it changes.\n", "")
    assert json.loads(run("plugins", "show", "w", "--json")[1])["state"] == "on"


def test_the_doctor_says_what_is_wrong_and_its_status_tells(folder, run, tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('[tools.weather.options]\ncitty = "x"\n[tools.gone]\n[tool.x]\n')
    status, said, _ = run("--plugins", str(file), "plugins", "doctor", "weather", "gone")
    assert status == 1
    weather, gone, problem = said.splitlines()
    assert "did you mean city?" in weather
    assert "no installed package offers it" in gone
    assert "did you mean tools?" in problem


@pytest.mark.long
def test_the_doctor_misses_the_command_of_an_mcp_server(folder, run, tmp_path):
    file = tmp_path / "mine.toml"
    table = '[tools.{}]\ntarget = "chatglm_slim_llm.mcp.client:tools"\n[tools.{}.options]\ncommand = "{}"\n'
    commands = {"x": "/nope/cmd", "y": "no-such-program", "z": sys.executable}
    file.write_text("".join(table.format(name, name, command) for name, command in commands.items()))
    status, said, _ = run("--plugins", str(file), "plugins", "doctor", "x", "y", "z")
    assert status == 1
    lost, unknown, there = said.splitlines()
    assert "the command /nope/cmd of the MCP server is not there" in lost
    assert "the command no-such-program of the MCP server is not there" in unknown
    assert there == "ok      tools.z"


@pytest.mark.skipif(sys.platform == "win32", reason="a script needs no end to its name here")
def test_the_doctor_finds_the_command_of_an_mcp_server_where_it_would_be_started(folder, run, tmp_path, monkeypatch):
    for place in (folder, folder / "bin"):
        place.mkdir(exist_ok=True)
        (place / "server").write_text("#!/bin/sh\n")
        (place / "server").chmod(0o755)
    options = {
        "beside": 'command = "./server"',
        "below": 'command = "bin/server"',
        "in-cwd": 'command = "./server"\ncwd = "bin"',
        "not-there": 'command = "./server"\ncwd = ".."',
        "of-our-path": 'command = "sh"\nenv = { PATH = "/opt/x:${PATH}" }',
        "of-its-path": 'command = "server"\nenv = { PATH = "${HERE}/bin" }',
        "unset": 'command = "sh"\nenv = { TOKEN = "${NOT_SET}" }',
    }
    monkeypatch.setenv("HERE", str(folder))
    monkeypatch.delenv("NOT_SET", raising=False)
    table = '[tools.{0}]\ntarget = "chatglm_slim_llm.mcp.client:tools"\n[tools.{0}.options]\n{1}\n'
    file = tmp_path / "mine.toml"
    file.write_text("".join(table.format(name, lines) for name, lines in options.items()))
    status, said, _ = run("--plugins", str(file), "plugins", "doctor", *options)
    told = {line.split("tools.", 1)[1].split()[0]: line for line in said.splitlines()}
    wrong = {name for name in options if not told[name].startswith("ok ")}
    assert (status, wrong) == (1, {"not-there", "unset"})
    assert "the command ./server of the MCP server is not there" in told["not-there"]
    assert "env.TOKEN wants the variable NOT_SET" in told["unset"]


def test_secrets_in_options_are_not_shown(folder, run, tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(
        '[tools.weather.options]\napi_key = "s1"\nurl = "https://me:s2@host/x"\ncity = "Wien"\n'
        'args = ["--token", "s4", "https://host/y?api_key=s5&a=b", "hf_s6s6s6s6s6"]\n'
        '[tools.weather.options.env]\nANYTHING = "s3"\n'
    )
    for words in (["show", "weather"], ["show", "weather", "--json"], ["list", "--json"]):
        said = run("--plugins", str(file), "plugins", *words)[1]
        assert "Wien" in said
        assert "https://…@host/x" in said
        assert "a=b" in said
        assert not any(secret in said for secret in ("s1", "s2", "s3", "s4", "s5", "s6"))


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["show", "wether"], 1, "there is no plugin wether; did you mean weather?"),
        (["show", "zzzzzz"], 1, "plugins list shows what there is"),
        (["list", "tool"], 2, "there is no group 'tool'"),
        (["enable", "weather", "--package", "gone"], 1, "there is no plugin weather"),
        (["trust", "gone.toml"], 2, "gone.toml cannot be trusted"),
    ],
)
def test_mistakes_are_one_sentence(folder, run, words, status, said):
    found, out, err = run("plugins", *words)
    assert (found, out) == (status, "")
    assert said in err
    assert len(err.splitlines()) == 1


def test_a_file_that_is_asked_for_has_to_be_there(folder, run):
    status, _, err = run("--plugins", "gone.toml", "plugins", "list")
    assert status == 2
    assert "--plugins: gone.toml is not a file; give the path of a plugins.toml" in err


def test_options_that_json_does_not_have_are_shown(folder, run, tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text("[tools.weather.options]\nday = 2026-01-02\nmost = inf\nmax_tokens = 5\npassages = 3\n")
    options = {"day": "2026-01-02", "most": "inf", "max_tokens": 5, "passages": 3}
    listed = json.loads(run("--plugins", str(file), "plugins", "list", "tools", "--json")[1])["plugins"]
    assert listed[0]["options"] == options
    assert json.dumps(options) in run("plugins", "show", "weather")[1]


def test_names_of_strangers_do_not_move_the_cursor(folder, run, tmp_path):
    info = tmp_path / "site" / "acme-1.0.dist-info"
    (info / "entry_points.txt").write_text("[chatglm_slim.tools]\n\x1b[2Jred = acme_tools:make\n")
    for words in (
        ["list"],
        ["show", "\x1b[2Jred"],
        ["enable", "\x1b[2Jred"],
        ["doctor", "\x1b[2Jred"],
        ["disable", "tools.\x1b[2Jred"],
    ):
        status, out, err = run("plugins", *words)
        assert (status, err, "[2Jred" in out, "\x1b" in out) == (0, "", True, False)


def test_of_two_packages_that_offer_a_name_the_user_says_which(folder, run, tmp_path):
    install(tmp_path / "site", "zeta", "chatglm_slim.tools", {"weather": "zeta_tools:make"}, "zeta_tools", TOOLS)
    status, _, err = run("plugins", "enable", "weather")
    said = "is offered by several packages; say whose, such as --package acme (there are: acme, zeta)"
    assert (status, err) == (2, f"error: tools.weather {said}\n")
    assert run("plugins", "enable", "weather", "--package", "Zeta")[1].startswith("tools.weather (package zeta) is on.")


def test_safe_start_leaves_plugins_of_others_out(folder, run):
    run("plugins", "enable", "weather")
    listed = json.loads(run("--no-plugins", "plugins", "list", "tools", "--json")[1])["plugins"]
    assert {spec["name"]: spec["state"] for spec in listed}["weather"] == "new"


def test_a_retriever_of_a_plugin_is_searched_instead_of_a_knowledge_base(folder, run, tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(
        '[retrievers.towns]\ntarget = "wiki:Wiki"\n[retrievers.odd]\ntarget = "wiki:strange"\n'
        '[retrievers.bad]\ntarget = "wiki:Wiki"\noptions = { fails = true }\n'
    )
    status, out, err = run("--plugins", str(file), "search", "Wien", "--retriever", "towns", "--json")
    assert (status, err) == (0, "looking\n")
    found = json.loads(out)
    [passage] = found["passages"]
    assert (passage["text"], passage["source"], passage["score"]) == ("Wien is a town.", "wiki/towns.md", 0.9)
    for name, said in [
        ("odd", r"plugin retrievers.odd (file"),
        ("bad", "failed: it wanted to end the program (SystemExit: no network)"),
        ("gone", "no plugin 'gone' in retrievers; there are: towns, odd, bad"),
    ]:
        status, out, err = run("search", "Wien", "--retriever", name)
        assert (status, out) == (1, "")
        assert said in err
    assert "--mode is for knowledge bases" in run("search", "Wien", "--retriever", "towns", "--mode", "vector")[2]


def test_a_retriever_that_hangs_is_given_up_and_named(folder, tmp_path, monkeypatch):
    from chatglm_slim_llm.retrieval.plugged import PluggedFinder

    (tmp_path / "slow.py").write_text(f"{RETRIEVERS}\n{SLOW}")
    file = tmp_path / "mine.toml"
    file.write_text('[retrievers.late]\ntarget = "slow.py:late"\n[retrievers.slow]\ntarget = "slow.py:Slow"\n')
    monkeypatch.setenv("CHATGLM_SLIM_PLUGINS", str(file))
    with pytest.raises(RetrievalError, match=r"retrievers\.late \(file .*\) is not ready after 0\.2 s; repair it"):
        PluggedFinder("late", seconds=0.2)
    slow = PluggedFinder("slow", seconds=5)
    slow._seconds = 0.2
    with pytest.raises(RetrievalError, match=r"retrievers\.slow \(file .*\) has found nothing after 0\.2 s"):
        slow.search("Wien")
