"""Plugins: found without importing, chosen by plugins.toml, loaded one at a time, whatever they do."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import textwrap
import threading
import time
from asyncio import CancelledError
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from zipfile import ZipFile

import pytest

from chatglm_slim_llm.cli import main
from chatglm_slim_llm.errors import ConfigError, PluginLoadError, PluginNotFoundError
from chatglm_slim_llm.plugins import GROUPS, PluginSpec, catalogue, plugin, plugins, problems
from chatglm_slim_llm.plugins.editing import set_enabled
from chatglm_slim_llm.plugins.tables import file_in_use, shipped_file
from chatglm_slim_llm.plugins.trust import trust
from chatglm_slim_llm.plugins.trying import try_plugin

Install = Callable[..., str]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder and a home of its own; what the machine has does not matter."""
    monkeypatch.setenv("CHATGLM_SLIM_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("CHATGLM_SLIM_PLUGINS", raising=False)
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    return here


@pytest.fixture
def install(tmp_path, monkeypatch) -> Install:
    """Install a small package with tools into a folder that Python searches; returns its module."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))

    def install(
        name: str, entries: dict[str, str], source: str = "", *, group: str = "tools", metadata: str | None = None
    ) -> str:
        module = name.replace("-", "_").lower() + "_module"
        (site / f"{module}.py").write_text(textwrap.dedent(source))
        info = site / f"{name.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        told = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n" if metadata is None else metadata
        (info / "METADATA").write_text(told)
        lines = "".join(f"{entry} = {target.replace('MODULE', module)}\n" for entry, target in entries.items())
        (info / "entry_points.txt").write_text(f"[chatglm_slim.{group}]\n{lines}")
        monkeypatch.delitem(sys.modules, module, raising=False)
        return module

    return install


def user_file(folder: Path, text: str) -> Path:
    file = folder.parent / "home" / "config" / "plugins.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(textwrap.dedent(text))
    return file


def tools() -> list[PluginSpec]:
    """Tools that are not ours."""
    return [spec for spec in catalogue("tools") if spec.distribution != "chatglm-slim-llm"]


def states(group: str = "tools") -> dict[str, str]:
    return {spec.name: spec.state for spec in reversed(tools() if group == "tools" else catalogue(group))}


# --- what is on


def test_what_a_package_of_others_offers_is_listed_but_off_until_the_user_says_so(folder, install):
    module = install("acme", {"weather": "MODULE:make"}, "make = dict")
    assert states() == {"weather": "new"}
    assert "weather" not in plugins("tools")
    with pytest.raises(PluginNotFoundError, match=r"not on.*acme.*plugins enable tools\.weather"):
        plugin("tools", "weather")
    file = set_enabled(tools()[0], True)
    assert file == folder.parent / "home" / "config" / "plugins.toml"
    assert plugins("tools")["weather"].distribution == "acme"
    assert module not in sys.modules
    assert plugin("tools", "weather").make() == {}


def test_ours_are_on_without_a_word_and_off_when_the_file_says_so(folder):
    assert plugin("models", "chatglm-slim").target == "chatglm_slim_llm.llm:ChatGLMSlim"
    user_file(folder, "[models.chatglm-slim]\nenabled = false\n")
    with pytest.raises(PluginNotFoundError, match="switches it off"):
        plugin("models", "chatglm-slim")


def test_all_that_we_ship_can_be_loaded(folder):
    ours = [spec for group in GROUPS for spec in plugins(group).values()]
    assert {"txt", "md", "html", "pdf", "docx", "pptx", "xlsx", "csv", "epub"} <= {spec.name for spec in ours}
    for spec in ours:
        spec.load()


def test_tables_come_in_the_order_of_the_file_before_the_rest_by_name(folder, install):
    install("acme", dict.fromkeys(["a", "b", "c", "d"], "MODULE:make"))
    user_file(folder, "[tools.d]\n[tools.b]\n")
    assert [spec.name for spec in tools() if spec.state == "on"] == ["d", "b"]
    assert list(states()) == ["c", "a", "b", "d"]


def test_a_target_may_be_a_file_beside_the_table(folder):
    file = user_file(folder, '[commands.shout]\ntarget = "shout.py:shout"\n[commands.gone]\ntarget = "gone.py:f"\n')
    (file.parent / "shout.py").write_text("def shout(text, mark='!'):\n    return text.upper() + mark\n")
    assert plugin("commands", "shout").function()("hi") == "HI!"
    assert states("commands")["gone"] == "broken"


def test_a_package_that_takes_our_name_brings_nothing_in_and_hides_nothing(folder, install):
    install("chatglm.slim-LLM", {"calculator": "MODULE:f", "x": "MODULE:f"})
    assert plugins("tools").keys() == {"calculator", "clock", "documents"}
    assert plugin("tools", "calculator").target == "chatglm_slim_llm.shipped.arithmetic:calculator"
    [problem] = problems()
    assert "calls itself chatglm-slim-llm, but is not" in problem


@pytest.mark.parametrize(("version", "said"), [(1, ""), (2, "needs version 2")])
def test_a_plugin_may_lie_in_a_zip(folder, tmp_path, monkeypatch, version, said):
    with ZipFile(tmp_path / "site.zip", "w") as archive:
        archive.writestr("zipped-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: zipped\nVersion: 1\n")
        archive.writestr("zipped-1.dist-info/entry_points.txt", "[chatglm_slim.tools]\nz = zipped_module:f\n")
        archive.writestr("zipped_module.py", f"CHATGLM_SLIM_API = {version}\nf = dict\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site.zip"))
    user_file(folder, "[tools.z]\n")
    complaint = try_plugin(plugin("tools", "z")).complaint
    assert said in complaint if said else complaint == ""


# --- two packages with one name


def test_a_name_of_ours_stays_ours_until_the_user_chooses_another_package(folder, install):
    install("acme", {"pdf": "MODULE:load"}, "def load(path): return 'theirs'", group="loaders")
    assert plugin("loaders", "pdf").distribution == "chatglm-slim-llm"
    other = next(spec for spec in catalogue("loaders") if spec.distribution == "acme")
    assert (other.state, "--package acme" in other.reason) == ("new", True)
    set_enabled(other, True)
    assert plugin("loaders", "pdf").load()("x") == "theirs"


def test_a_package_that_is_named_but_not_there_is_broken(folder, install):
    install("acme", {"weather": "MODULE:make"})
    user_file(folder, '[tools.weather]\npackage = "gone"\n')
    found = tools()
    assert [(spec.distribution, spec.state) for spec in found] == [("gone", "broken"), ("acme", "new")]
    with pytest.raises(PluginLoadError, match="gone does not offer it"):
        plugin("tools", "weather")


def test_a_table_that_may_mean_two_packages_means_none_until_the_user_chooses(folder, install):
    install("aaa", {"weather": "MODULE:make"}, "make = list")
    user_file(folder, "[tools.weather]\n")
    assert plugin("tools", "weather").distribution == "aaa"
    install("Zeta_Tools", {"weather": "MODULE:make [more]"}, "make = dict")
    with pytest.raises(PluginLoadError, match=r"several packages offer it \(aaa, zeta-tools\); say whose"):
        plugin("tools", "weather")
    user_file(folder, '[tools.weather]\npackage = "zeta.Tools"\n')
    assert plugin("tools", "weather").make() == {}


def test_the_package_that_the_user_chooses_takes_the_place_of_a_target(folder, install):
    install("acme", {"weather": "MODULE:make"}, "make = dict")
    file = user_file(folder, '[tools.weather]\ntarget = "json:loads"  # for now\n[tools.weather.options]\nfp = 1\n')
    set_enabled(next(spec for spec in tools() if spec.distribution == "acme"), True)
    assert plugin("tools", "weather").make() == {"fp": 1}
    assert "json:loads" not in file.read_text()


@pytest.mark.parametrize("name", ["a b", "a;b", "a.b", "天气", "$(x)", "'", "-x", "a" * 300])
def test_any_name_can_be_switched_by_the_command_that_is_told(folder, install, name):
    install("acme", {name: "MODULE:make"}, "make = dict")
    told = tools()[0].reason.partition("chatglm-slim ")[2]
    assert main(shlex.split(told)) == 0
    assert plugin("tools", name).make() == {}


# --- which file


def test_the_first_file_there_is_holds(folder, monkeypatch):
    assert file_in_use() == shipped_file()
    own = user_file(folder, "")
    assert file_in_use() == own
    here = folder / "plugins.toml"
    here.write_text("")
    assert file_in_use() == here
    monkeypatch.setenv("CHATGLM_SLIM_PLUGINS", str(folder / "other.toml"))
    assert file_in_use() == folder / "other.toml"
    assert problems() == [
        f"{folder / 'other.toml'} cannot be read (No such file or directory); only what we ship is on"
    ]


def test_a_working_folder_brings_no_code_in_before_it_is_trusted_and_not_after_it_changed(folder):
    here = folder / "plugins.toml"
    here.write_text(
        '[tools.a]\ntarget = "os:system"\n[models.chatglm-slim.options]\nmodel = "x"\n[loaders.pdf]\nenabled = false\n'
    )
    assert states()["a"] == "untrusted"
    assert states("models")["chatglm-slim"] == "untrusted"
    assert states("loaders")["pdf"] == "off"  # less than there was is nobody's danger
    with pytest.raises(PluginNotFoundError, match="plugins trust"):
        plugin("tools", "a")
    with pytest.raises(ConfigError, match="plugins trust"):
        set_enabled(tools()[0], True)
    trust(here, here.read_bytes())
    assert states()["a"] == "on"
    here.write_text(here.read_text() + "\n")
    assert states()["a"] == "untrusted"


def test_a_copy_of_our_own_file_to_the_letter_stands_in_nobodys_way_and_any_other_does(folder):
    here = folder / "plugins.toml"
    here.write_bytes(shipped_file().read_bytes())
    own = user_file(folder, '[tools.a]\ntarget = "os:system"\n')
    assert file_in_use() == own
    assert states()["a"] == "on"
    here.write_bytes(shipped_file().read_bytes() + b"\n")
    assert file_in_use() == here
    assert "a" not in states()


def test_in_a_clone_of_the_program_the_users_own_file_holds(folder, monkeypatch):
    monkeypatch.chdir(shipped_file().parent)
    assert file_in_use() == shipped_file()
    assert set_enabled(plugin("tools", "clock"), False) == folder.parent / "home" / "config" / "plugins.toml"
    assert file_in_use() == folder.parent / "home" / "config" / "plugins.toml"
    assert "clock" not in plugins("tools")


def test_no_plugins_means_ours_as_we_ship_them(folder, install, monkeypatch):
    install("acme", {"weather": "MODULE:make"})
    user_file(folder, "[tools.weather]\n[models.chatglm-slim]\nenabled = false\n")
    monkeypatch.setenv("CHATGLM_SLIM_PLUGINS", "/dev/null")
    assert states() == {"weather": "new"}
    assert "chatglm-slim" in plugins("models")
    assert problems() == []


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_a_link_to_a_trusted_file_does_not_bring_in_the_code_that_lies_beside_the_link(folder):
    file = user_file(folder, '[commands.shout]\ntarget = "shout.py:shout"\n')
    (file.parent / "shout.py").write_text("def shout(call): return 'mine'\n")
    (folder / "plugins.toml").symlink_to(file)
    (folder / "shout.py").write_text("def shout(call): return 'of strangers'\n")
    assert plugin("commands", "shout").function()("x") == "mine"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names there")
def test_a_file_that_is_no_file_is_told_and_never_waited_for(folder, monkeypatch):
    os.mkfifo(folder / "pipe")
    for place, said in ((folder / "pipe", "it is no file"), (folder, "it is no file"), ("~no-such-user/x", "No such")):
        monkeypatch.setenv("CHATGLM_SLIM_PLUGINS", str(place))
        assert said in problems()[0]
        assert "chatglm-slim" in plugins("models")
    monkeypatch.setenv("CHATGLM_SLIM_PLUGINS", str(folder / "pipe"))
    with pytest.raises(ConfigError, match="cannot be written"):
        set_enabled(plugin("models", "chatglm-slim"), False)


def test_nothing_is_switched_where_nothing_is_kept(folder, monkeypatch):
    device = folder / "null"  # a real one could be replaced by whoever may
    device.write_text("")
    monkeypatch.setattr(os, "devnull", str(device))
    monkeypatch.setenv("CHATGLM_SLIM_PLUGINS", str(device))
    with pytest.raises(ConfigError, match="leave --no-plugins out"):
        set_enabled(plugin("models", "chatglm-slim"), False)
    assert device.read_text() == ""


@pytest.mark.skipif(sys.platform == "win32", reason="a working folder cannot be removed there")
def test_in_a_working_folder_that_is_gone_the_users_own_file_holds(folder):
    file = user_file(folder, "[tools.calculator]\nenabled = false\n")
    folder.rmdir()
    assert file_in_use() == file
    assert plugins("tools").keys() == {"clock", "documents"}


# --- what is wrong with a file


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[tool.a]\n", r"\[tool\] is no group of plugins; did you mean tools\?"),
        ("[tools.a]\nenabeld = false\n", r"\[tools\.a\] has no key enabeld; did you mean enabled\?"),
        ("[tools.a]\nenabled = 'no'\n", r"\[tools\.a\] enabled must be true or false, found 'no'"),
        ("[tools]\na = 3\n", r"\[tools\.a\] must be a table, found 3"),
        ("commands = 3\n", r"\[commands\] must be a table of plugins, found 3"),
    ],
)
def test_a_mistake_in_the_file_is_told_and_the_rest_holds(folder, text, said):
    user_file(folder, text + '[tools.b]\ntarget = "json:loads"\n')
    [problem] = problems()
    assert re.search(said, problem)
    assert states() in ({"b": "on"}, {"a": "broken", "b": "on"})
    assert "chatglm-slim" in plugins("models")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[tools.a\n", "is not valid TOML"),
        (f"a = {'[' * 5000}", "is not valid TOML"),
        (f"# {'a' * 1_000_000}", "it has 1,000,002 bytes, more than the 1,000,000 that are read"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_and_ours_hold(folder, text, said):
    user_file(folder, text)
    [problem] = problems()
    assert said in problem
    assert "chatglm-slim" in plugins("models")


def test_a_broken_package_does_not_hide_the_others_and_is_told(folder, install, tmp_path):
    install("acme", {"a": "MODULE:a"})
    install("nameless", {"n": "MODULE:a"}, metadata="")
    install("garbage", {}, metadata="")
    (tmp_path / "site" / "garbage-1.0.dist-info" / "entry_points.txt").write_bytes(b"[chatglm_slim.tools]\n\xff\xfe\nx")
    assert {spec.name: spec.distribution for spec in tools()} == {"a": "acme", "n": "unknown"}
    install("secretive", {"s": "MODULE:s"})
    (tmp_path / "site" / "secretive-1.0.dist-info" / "METADATA").write_bytes(b"Name: \xff\xfe\n")
    assert re.findall(r"(\w+)-1\.0\.dist-info", " ".join(sorted(problems()))) == ["garbage", "secretive"]


# --- what plugins do when they are loaded


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ("raise ValueError('no driver')", ValueError),
        ("import a_package_that_is_not_there", ModuleNotFoundError),
        ("raise SystemExit(3)", SystemExit),
        ("import asyncio; raise asyncio.CancelledError", CancelledError),
        ("", AttributeError),
    ],
)
def test_a_plugin_that_does_not_load_says_which_it_is_and_why(folder, install, source, cause):
    install("acme-broken", {"x": "MODULE:load"}, source)
    user_file(folder, "[tools.x]\n")
    with pytest.raises(PluginLoadError, match=rf"tools\.x \(package acme-broken\).*{cause.__name__}") as caught:
        plugin("tools", "x").load()
    assert (caught.value.name, type(caught.value.__cause__)) == ("x", cause)


@pytest.mark.parametrize("target", ["not a target!", "no_such_module:f", ":f", "json", "json:a b"])
def test_what_shows_without_importing_is_broken_in_the_list(folder, install, target):
    install("acme", {"x": target})
    user_file(folder, "[tools.x]\n")
    assert states() == {"x": "broken"}
    with pytest.raises(PluginLoadError, match=r"tools\.x \(package acme\)"):
        plugin("tools", "x")


def test_a_newer_interface_is_refused_before_the_import_can_fail_over_it(folder, install):
    source = "CHATGLM_SLIM_API = 2\nfrom chatglm_slim_llm.plugins import SomethingOfTomorrow\n"
    module = install("acme", {"x": "MODULE:f"}, source)
    user_file(folder, "[tools.x]\n")
    with pytest.raises(PluginLoadError, match=r"needs version 2 of the plugin interface, this is version 1"):
        plugin("tools", "x").load()
    assert module not in sys.modules


def test_what_a_plugin_prints_goes_to_stderr(folder, install, capsys):
    install("acme", {"x": "MODULE:f"}, "print('imported')\ndef f():\n    print('made')\n    return 1\n")
    user_file(folder, "[tools.x]\n")
    assert plugin("tools", "x").make() == 1
    assert capsys.readouterr() == ("", "imported\nmade\n")


def test_a_plugin_that_prints_and_never_comes_back_leaves_stdout_to_the_others(folder, install, capsys):
    source = "import threading, time\ndef f(go):\n    print('aside', flush=True)\n    go.set()\n    time.sleep(60)\n"
    install("acme", {"x": "MODULE:f"}, source)
    user_file(folder, "[tools.x]\n")
    go = threading.Event()
    threading.Thread(target=plugin("tools", "x").make, kwargs={"go": go}, daemon=True).start()
    assert go.wait(10)
    print("answer")  # noqa: T201
    assert capsys.readouterr() == ("answer\n", "aside\n")


def test_a_plugin_that_cannot_be_made_says_which_it_is_and_why(folder, install):
    install("acme", {"x": "MODULE:f", "y": "MODULE:g"}, "def f(): raise SystemExit(4)\ng = 3\n")
    user_file(folder, "[tools.x]\n[tools.y]\n")
    with pytest.raises(PluginLoadError, match=r"tools\.x.*cannot be started.*SystemExit: 4"):
        plugin("tools", "x").make()
    with pytest.raises(PluginLoadError, match=r"tools\.y.*is int at .*it must be a LangChain BaseTool"):
        plugin("tools", "y").function()


def test_an_option_that_a_plugin_refuses_itself_is_told_with_its_place(folder):
    file = user_file(folder, "[tools.documents.options]\npassages = 99\n")
    with pytest.raises(
        ConfigError, match=r"plugin tools\.documents \(package chatglm-slim-llm\): passages is 99"
    ) as told:
        plugin("tools", "documents").make()
    assert told.value.source == str(file)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("citty = 'Wien'", r"\[tools\.x\.options\] citty is not one of its options; did you mean city\?"),
        ("colour = 1", r"colour is not one of its options; it takes city, unit, days"),
        ("unit = 'kelvin'", r"unit: input should be 'celsius' or 'fahrenheit', found 'kelvin'"),
        ("days = 'many'", r"days: input should be a valid integer"),
    ],
)
def test_options_are_checked_against_what_the_plugin_takes(folder, install, options, said):
    source = """
        from typing import Literal
        def make(city: str = "北京", *, unit: Literal["celsius", "fahrenheit"] = "celsius", days: int = 1):
            return city, unit, days
    """
    install("acme", {"x": "MODULE:make"}, source)
    user_file(folder, f"[tools.x.options]\n{options}\n")
    with pytest.raises(ConfigError, match=said):
        plugin("tools", "x").function()
    user_file(folder, '[tools.x.options]\ncity = "上海"\nunit = "fahrenheit"\n')
    assert plugin("tools", "x").make() == ("上海", "fahrenheit", 1)


def test_options_of_langchain_classes_are_their_fields(folder):
    user_file(folder, "[models.chatglm-slim.options]\ntemperatur = 0.5\n")
    with pytest.raises(ConfigError, match="did you mean temperature"):
        plugin("models", "chatglm-slim").function()
    user_file(folder, "[models.chatglm-slim.options]\ntemperature = 0.25\n")
    assert plugin("models", "chatglm-slim").make().temperature == 0.25


def test_options_come_as_the_type_that_the_plugin_says(folder, install):
    source = """
        from datetime import date
        from pathlib import Path
        def make(place: Path, days: int, since: date, **more: int):
            return place, days, since, more
    """
    install("acme", {"x": "MODULE:make"}, source)
    options = 'place = "a/b"\ndays = "7"\nsince = 2026-01-02\nother = [1]'
    user_file(folder, f"[tools.x.options]\n{options}\n")
    given = (Path("a/b"), 7, date(2026, 1, 2), {"other": [1]})
    assert plugin("tools", "x").make() == given


@pytest.mark.parametrize(
    ("target", "option", "said"),
    [
        ("part", "days = 'many'", "days: input should be a valid integer"),
        ("made", "days = 'many'", "days: input should be a valid integer"),
        ("part", "token = 'secret'", r"token: input should be a valid integer.*found '\(hidden\)'"),
        ("part", "odd = 3", ""),
    ],
)
def test_options_of_whatever_can_be_called_are_checked_and_secrets_not_quoted(folder, install, target, option, said):
    source = """
        from functools import partial
        def make(place, days: int = 1, token: int = 1, odd: "NotThere" = None):
            return days
        part = partial(make, "here")
        class Made:
            days: str = ""
            def __call__(self, days: int = 1):
                return days
        made = Made()
    """
    install("acme", {"x": f"MODULE:{target}"}, source)
    user_file(folder, f"[tools.x.options]\n{option}\n")
    if said:
        with pytest.raises(ConfigError, match=said):
            plugin("tools", "x").make()
    else:
        assert plugin("tools", "x").make() == 1


def test_a_trial_ends_what_the_plugin_has_started(folder, install, tmp_path):
    source = f"""
        import subprocess, sys
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        open({str(tmp_path / "pid")!r}, "w").write(str(child.pid))
        f = dict
    """
    install("acme", {"x": "MODULE:f"}, source)
    user_file(folder, "[tools.x]\n")
    assert try_plugin(plugin("tools", "x"), seconds=10).complaint == ""
    if sys.platform == "linux":
        stat = Path("/proc", (tmp_path / "pid").read_text(), "stat")
        while stat.exists() and stat.read_text().split()[2] != "Z":  # it dies in its own time, or the test does
            time.sleep(0.01)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import time; time.sleep(60)", "is not loaded after"),
        ("import os; os._exit(3)", r"ended the process that loaded it \(exit status 3\)"),
        ("print('{\"complaint\": \"\"}'); raise RuntimeError('late')", "RuntimeError: late"),
    ],
)
def test_a_trial_outlives_whatever_a_plugin_does(folder, install, source, said):
    install("acme", {"x": "MODULE:f"}, source)
    user_file(folder, "[tools.x]\n")
    trial = try_plugin(plugin("tools", "x"), seconds=2)
    assert re.search(rf"tools\.x \(package acme\).*{said}", trial.complaint)


def test_a_trial_of_a_good_plugin_finds_nothing(folder, install):
    install("acme", {"x": "MODULE:f"}, "print('hello')\nf = dict\n")
    user_file(folder, "[tools.x]\n")
    trial = try_plugin(plugin("tools", "x"))
    assert (trial.complaint, trial.printed) == ("", "hello")


# --- writing the file


def test_switching_keeps_comments_and_order(folder, install):
    install("acme", {"weather": "MODULE:make"})
    text = """\
        # mine
        [tools.zeta]  # last
        target = "json:loads"   # odd spacing

        [models.chatglm-slim.options]
        temperature = 0.5
        """
    file = user_file(folder, text)
    set_enabled(next(spec for spec in catalogue("tools") if spec.name == "weather"), True)
    set_enabled(plugin("tools", "zeta"), False)
    written = file.read_text()
    for line in ("# mine", "[tools.zeta]  # last", 'target = "json:loads"   # odd spacing', "temperature = 0.5"):
        assert line in written.splitlines()
    assert states() == {"weather": "on", "zeta": "off"}
    assert plugin("models", "chatglm-slim").options == {"temperature": 0.5}
    assert [path.name for path in file.parent.iterdir()] == ["plugins.toml"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[tools.a\n", "not valid TOML"),
        ("[tools.a]\nx = 1\nx = 2\n", "not valid TOML"),
        ("[[models.chatglm-slim]]\n", r"has a \[models\.chatglm-slim\] that is no table"),
    ],
)
def test_a_broken_file_is_not_written(folder, text, said):
    file = user_file(folder, text)
    with pytest.raises(ConfigError, match=said):
        set_enabled(PluginSpec("models", "chatglm-slim", "", "chatglm-slim-llm"), False)
    assert file.read_text() == text


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("\ufeff# x\n[tools.a]  # y\n", "\ufeff# x\n[tools.a]  # y\nenabled = false\n"),
        ("# x\r\n[tools.b]\r\n", "# x\r\n[tools.b]\r\n\r\n[tools.a]\r\nenabled = false\r\n"),
        ("tools.a.enabled = true # x\n", "tools.a.enabled = false # x\n"),
        ("tools = {b = {}, a = {enabled = true}}", "tools = {b = {}, a = {enabled = false}}"),
        ("[ tools . 'a' ]\nenabled  =  true\n# x", "[ tools . 'a' ]\nenabled  =  false\n# x"),
    ],
)
def test_whatever_way_a_table_is_written_only_what_is_said_changes(folder, before, after):
    file = user_file(folder, "")
    file.write_bytes(before.encode())
    set_enabled(PluginSpec("tools", "a", "json:loads"), False)
    assert file.read_bytes().decode() == after


def test_processes_that_switch_at_the_same_time_all_have_their_way(folder):
    code = (
        "import sys; from chatglm_slim_llm.plugins import PluginSpec;"
        "from chatglm_slim_llm.plugins.editing import set_enabled;"
        "[set_enabled(PluginSpec('tools', f'{sys.argv[1]}{n}', 'json:loads'), False) for n in range(10)]"
    )
    file = user_file(folder, "")
    processes = [subprocess.Popen([sys.executable, "-c", code, letter]) for letter in "ab"]
    assert [process.wait(60) for process in processes] == [0, 0]
    assert file.read_text().count("enabled = false") == 20


# --- the promise of listing


def test_two_hundred_plugins_half_of_them_broken_are_listed_without_importing_one(folder, install, tmp_path):
    for number in range(100):
        install(f"acme-{number:03}", {f"p{number:03}": "MODULE:make"}, f"open({str(tmp_path / 'imported')!r}, 'w')")
        install(f"zeta-{number:03}", {f"q{number:03}": f"no_such_module_{number}:make"})
    keys = "".join(f"[tools.{letter}{number:03}]\n" for letter in "pq" for number in range(100))
    user_file(folder, keys)
    code = (
        "import sys; from chatglm_slim_llm.cli import main; status = main(['plugins', 'list', '--json']);"
        "heavy = {'torch', 'transformers', 'langchain_core', 'textual', 'numpy'} & sys.modules.keys();"
        "sys.exit(f'{status} {heavy}' if status or heavy else 0)"
    )
    path = {"PYTHONPATH": str(tmp_path / "site")}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ, **path}
    )
    listed = [spec["state"] for spec in json.loads(done.stdout)["plugins"] if spec["name"][1:].isdecimal()]
    assert (listed.count("on"), listed.count("broken")) == (100, 100)
    assert not (tmp_path / "imported").exists()


def test_two_plugins_of_one_file_can_be_imported_at_once(tmp_path, monkeypatch):
    begun, may_end = threading.Event(), threading.Event()
    monkeypatch.setattr(threading, "of_the_test", (begun, may_end), raising=False)
    (tmp_path / "two.py").write_text(
        "import threading\nbegun, may_end = threading.of_the_test\nbegun.set()\nmay_end.wait(60)\nmake = dict\n"
    )
    (tmp_path / "plugins.toml").write_text("[tools.a]\ntarget = 'two.py:make'\n[tools.b]\ntarget = 'two.py:make'\n")
    monkeypatch.setenv("CHATGLM_SLIM_PLUGINS", str(tmp_path / "plugins.toml"))
    with ThreadPoolExecutor() as threads:
        first = threads.submit(plugin("tools", "a").load)
        assert begun.wait(60)
        second = threads.submit(plugin("tools", "b").load)
        with pytest.raises(TimeoutError):
            second.result(timeout=0.1)
        may_end.set()
        assert first.result() is dict
        assert second.result() is dict
