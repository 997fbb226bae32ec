"""Plugins as the terminal shows them."""

from __future__ import annotations

from chatglm_slim_llm.plugins import PluginSpec
from tests.plugin_folder import PluginFolder
from tui.commands import COMMANDS
from tui.plugin_list import PluginList, about, conflict, read
from tui.plugin_models import find_plugin_models


def command(name: str, description: str = "", state: str = "on") -> PluginSpec:
    return PluginSpec("commands", name, "acme:run", "acme", description=description, state=state)  # type: ignore[arg-type]


def test_commands_of_plugins_come_after_ours_and_never_in_their_place():
    plugins = PluginList([command("shout", "Louder"), command("copy"), command("a b"), command("off", state="new")])
    added = plugins.commands[len(COMMANDS) :]
    assert plugins.commands[: len(COMMANDS)] == COMMANDS
    assert [(each.name, each.action, each.about) for each in added] == [("shout", "", "Louder (acme)")]


def test_why_a_command_cannot_be_given_is_said():
    assert "/COPY is a command of this program" in conflict(command("COPY"))
    assert "cannot be typed" in conflict(command("a b"))
    assert conflict(command("shout")) == ""


def test_what_a_plugin_says_is_one_line_that_steers_nothing():
    assert about(command("x", "a\nb\x1b[31m")) == "a b␛[31m (acme)"


def test_models_that_cannot_be_chosen_come_last_with_their_reason():
    specs = [
        PluginSpec("models", "late", "acme:Late", "acme", state="new", reason="nobody has enabled it"),
        PluginSpec("models", "echo", "acme:Echo", "acme"),
        PluginSpec("models", "chatglm-slim", "ours", "chatglm-slim-llm"),
    ]
    found = find_plugin_models(lambda: PluginList(specs))
    assert [(each.model, each.reason) for each in found] == [
        ("plugin:echo", ""),
        ("plugin:late", "nobody has enabled it"),
    ]


def test_reading_says_what_is_on_and_what_is_wrong_and_imports_nothing(tmp_path, monkeypatch):
    plugins = PluginFolder(tmp_path, monkeypatch)
    plugins.add("tools", "dice", "raise SystemExit('imported')")
    plugins.file.write_text(plugins.file.read_text() + '[tols.x]\ntarget = "a:b"\n')
    found = read()
    assert "dice" in [spec.name for spec in found.on("tools")]
    assert any("tols" in problem for problem in found.problems)


def test_only_what_somebody_wants_and_does_not_get_is_complained_of(tmp_path):
    file = tmp_path / "plugins.toml"
    specs = [
        PluginSpec("loaders", "org", "x:y", file=file, state="broken", reason="there is no module x"),
        PluginSpec("loaders", "bad", "x:y", file=file, state="broken", reason=f"its table in {file} has no key a"),
        PluginSpec("tools", "other", "x:y", "acme", state="broken", reason="there is no module x"),
        PluginSpec("tools", "late", "x:y", "acme", state="new", reason="nobody has enabled it"),
        command("copy"),
    ]
    told = PluginList(specs, [f"{file}: [loaders.bad] has no key a"]).complaints
    assert told == [
        f"{file}: [loaders.bad] has no key a",
        "loaders.org: there is no module x",
        "/copy is a command of this program, which goes first",
    ]
