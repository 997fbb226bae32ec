"""Plugins in the terminal: seen and switched in a dialog, models in the picker, commands behind the slash."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest
from craft_app import running
from dialogs import showing
from scripted_assistant import DONE
from test_tui_chat import Chat, chatting
from textual.command import CommandList, CommandPalette
from textual.widgets import OptionList

from chatglm_slim_llm.config import LoadOptions
from chatglm_slim_llm.errors import ConfigError
from chatglm_slim_llm.plugins import PluginSpec
from tests.plugin_folder import PluginFolder
from tui import arguments
from tui.app import main
from tui.language import use
from tui.plugin_list import PluginList, read
from tui.screens.chat_files import kinds_text
from tui.screens.confirm import Confirm
from tui.screens.knowledge import KnowledgeScreen
from tui.screens.models import ModelPicker
from tui.screens.new_knowledge import NewBase, NewKnowledge
from tui.screens.open_path import OpenPath
from tui.screens.plugins import PluginsScreen
from tui.widgets.conversation import Conversation
from tui.widgets.status import StatusLine

REASON = "it comes from the package foo and nobody has enabled it; to use it: chatglm-slim plugins enable models.late"
SPECS = [
    PluginSpec("models", "echo", "acme:Echo", "acme", description="Says [bold]what it hears"),
    PluginSpec("models", "late", "foo:Late", "foo", state="new", reason=REASON),
    PluginSpec("tools", "dice", "acme:dice", "acme", options={"sides": 6}, file=Path("/etc/plugins.toml")),
    PluginSpec("tools", "bad", "acme:bad", "acme", state="broken", reason="there is no module acme"),
    PluginSpec("commands", "copy", "acme:copy", "acme"),
    PluginSpec("loaders", "org", "acme:org", "acme"),
]
COMMANDS = {
    "shout": "def make(call):\n    return f'{call.text.upper()} [bold] {len(call.turns)}'",
    "ask": "from chatglm_slim_llm.plugins import Ask\ndef make(call):\n    return Ask('what is ' + call.text)",
    "put": "from chatglm_slim_llm.plugins import Insert\ndef make(call):\n    return Insert('seven')",
    "hang": "import time\ndef make(call):\n    time.sleep(600)",
    "fail": "def make(call):\n    raise ValueError('no [i]luck')",
}


@pytest.fixture
def folder(tmp_path, monkeypatch) -> PluginFolder:
    monkeypatch.setenv("CHATGLM_SLIM_HOME", str(tmp_path / "home"))
    return PluginFolder(tmp_path / "plugins", monkeypatch)


# --- the dialog


async def test_every_plugin_is_listed_by_its_kind_with_its_state_and_what_to_do():
    async with showing(
        PluginsScreen(lambda: PluginList(SPECS, ["plugins.toml: [x] is no group"])), size=(110, 40)
    ) as it:
        words = it.words
        for text in ("Models ● echo Says [bold]what it hears (acme)", "+ late new · foo", "✗ bad broken · acme"):
            assert text in words
        assert "plugins.toml: [x] is no group" in words
        await it.press("down")
        assert "nobody has enabled it; to use it" in it.words
        await it.press("down")
        assert "acme · acme:dice Options: sides = 6 Set in /etc/plugins.toml" in it.words
        await it.press("down", "down")
        assert "/copy is a command of this program, which goes first" in it.words
        await it.press("escape")
        assert it.results == [False]


@pytest.mark.parametrize(("size", "language", "classes"), [((80, 24), "zh", ""), ((20, 5), "en", "-accessible")])
async def test_the_dialog_is_of_use_in_every_size_and_language(size, language, classes):
    use(language)
    try:
        async with showing(PluginsScreen(lambda: PluginList(SPECS)), size=size, classes=classes) as it:
            await it.press("down")
            assert "late" in it.text
            assert ("还没有启用" in it.words.replace(" ", "")) == (language == "zh")
            await it.press("escape")
            assert it.results == [False]
    finally:
        use("en")


async def test_a_switch_is_written_and_said_and_what_is_new_is_asked_about_first():
    switched: list[tuple[str, bool]] = []

    def switch(spec: PluginSpec, enabled: bool) -> Path:
        switched.append((spec.key, enabled))
        return Path("/own/plugins.toml")

    async with showing(PluginsScreen(lambda: PluginList(SPECS), switch=switch), size=(110, 40)) as it:
        await it.press("space")
        await it.until(lambda: switched == [("models.echo", False)])
        await it.until(lambda: "Written to /own/plugins.toml. What is under way goes on with it" in it.words)
        await it.press("down", "enter")
        await it.until(lambda: isinstance(it.app.screen, Confirm))
        assert "late of the package foo" in it.words
        await it.press("n", "space")
        await it.until(lambda: isinstance(it.app.screen, Confirm))
        await it.press("y")
        await it.until(lambda: switched[1:] == [("models.late", True)])
        await it.until(lambda: "It can be chosen with Ctrl+T." in it.words)
        await it.press("escape")
        assert it.results == [True]


async def test_a_file_that_cannot_be_written_is_told():
    def switch(spec: PluginSpec, enabled: bool) -> Path:
        raise ConfigError("/x/plugins.toml cannot be written (Read-only file system)", key=spec.key)

    async with showing(PluginsScreen(lambda: PluginList(SPECS), switch=switch), size=(110, 40)) as it:
        await it.press("space")
        await it.until(lambda: "cannot be written (Read-only file system)" in it.words)
        await it.press("escape")
        assert it.results == [False]


async def test_a_command_that_is_switched_off_in_the_dialog_is_gone_from_the_prompt(tmp_path, folder):
    folder.add("commands", "shout", COMMANDS["shout"])
    async with chatting(tmp_path / "chat", plugins=read) as chat:
        await chat.until(lambda: "shout" in names(chat))
        await chat.send("/plugins")
        await chat.until(lambda: isinstance(chat.app.screen, PluginsScreen))
        options = chat.app.screen.query_one("#plugins", OptionList)
        await chat.until(lambda: options.option_count > 3)
        rows = [str(option.prompt) for option in options.options]
        options.highlighted = next(place for place, row in enumerate(rows) if "shout" in row)
        await chat.pilot.press("space")
        await chat.until(lambda: "enabled = false" in folder.file.read_text())
        await chat.pilot.press("escape")
        await chat.until(lambda: "shout" not in names(chat))
        assert tomllib.loads(folder.file.read_text())["commands"]["shout"]["enabled"] is False


def names(chat: Chat) -> list[str]:
    return [command.name for command in chat.app._chat.commands]


# --- models


async def test_models_of_plugins_are_in_the_picker_and_have_no_level(monkeypatch, tmp_path):
    monkeypatch.setenv("CHATGLM_SLIM_HOME", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("tui.screens.models.find_plugin_models", lambda: found(PluginList(SPECS)))
    async with showing(ModelPicker(LoadOptions(quantization="int8"), None), size=(110, 30)) as it:
        assert "Says [bold]what it hears (acme)" in it.text
        assert "nobody has enabled it" in it.text
        assert "Level" in it.text
        await it.press("down")
        assert "Level" not in it.text
        assert "Device" not in it.text
        await it.press("down")
        assert "Folder" in it.text, "what cannot be chosen is stepped over"
        await it.press("up", "enter")
        assert it.results == [LoadOptions(model="plugin:echo", quantization="int8")]
    async with showing(ModelPicker(LoadOptions(model="plugin:late"), None), size=(110, 30)) as it:
        assert "● late" in it.text
        await it.pilot.click("#load")
        await it.until(lambda: "enabled it; to use it" in it.words.split("Memory")[-1])
        assert not it.results


def found(plugins: PluginList):
    from tui.plugin_models import find_plugin_models

    return find_plugin_models(lambda: plugins)


async def test_the_status_line_names_a_model_of_a_plugin_without_a_level(tmp_path):
    async with chatting(tmp_path, options=LoadOptions(model="plugin:echo")) as chat:
        assert chat.find(StatusLine).model == "plugin:echo"


# --- files


async def test_the_kinds_of_files_that_plugins_read_are_named_where_a_file_is_asked_for(folder):
    folder.add("loaders", "org", "def make(path):\n    yield from ()")
    async with showing(OpenPath("Attach", yes="Attach", more=kinds_text), size=(110, 30)) as it:
        await it.until(lambda: "Reads text of any kind" in it.words)
        assert "pdf" in it.words
        assert "org (loaders_org.py)" in it.words


async def test_a_new_knowledge_base_can_find_by_the_embedder_of_a_plugin():
    spec = PluginSpec("embedders", "bge", "acme:bge", "acme", description="Finds [much]")
    ours = PluginSpec("embedders", "model", "ours:model", "chatglm-slim-llm")
    async with showing(NewKnowledge((), plugins=lambda: PluginList([spec, ours]))) as it:
        await it.until(lambda: "bge" in it.words)
        await it.type("notes")
        await it.press("tab", "left")
        assert "Finds [much] (acme)" in it.words
        assert "model" not in it.words
        await it.press("tab", "tab", "enter")
        assert it.results == [NewBase("notes", "bge")]


# --- commands


@pytest.mark.long
async def test_commands_of_plugins_are_completed_run_beside_the_screen_and_answer(tmp_path, folder):
    for name, source in COMMANDS.items():
        folder.add("commands", name, source)
    async with chatting(tmp_path / "chat", plugins=read) as chat:
        await chat.until(lambda: "shout" in names(chat))
        await chat.type("/sh")
        await chat.pilot.pause()
        assert "/shout TEXT" in "\n".join(chat.lines())
        await chat.pilot.press("ctrl+u")
        await chat.send("/shout hey [b]")
        await chat.until(lambda: "HEY [B] [bold] 0" in "\n".join(chat.lines()))
        assert "/shout hey [b]" in "\n".join(chat.lines())
        await chat.send("/put")
        await chat.until(lambda: chat.prompt == "seven")
        await chat.pilot.press("ctrl+u")
        await chat.send("/fail")
        await chat.until(lambda: "/fail" in note(chat) and "ValueError: no [i]luck" in note(chat))
        await chat.send("/ask that")
        await chat.until(lambda: chat.model.asked)
        chat.model.say("nothing", DONE)
        await chat.until(lambda: chat.is_done)
        assert chat.model.asked[0].turns[-1].text == "what is that"
        await chat.send("/shout x")
        await chat.until(lambda: chat.said[-1][1] == "X [bold] 2")
        assert [text for _, text, _ in chat.said] == ["HEY [B] [bold] 0", "", "what is that", "nothing", "X [bold] 2"]
        (conversation,) = chat.store.conversations()
        assert [message.content for message in chat.store.messages(conversation.id)] == ["what is that", "nothing"]
        await stops(chat)


async def stops(chat: Chat) -> None:
    await chat.send("/hang")
    await chat.until(lambda: note(chat).endswith("runs; Esc stops it"))
    await chat.send("/shout x")
    await chat.until(lambda: "Another command still runs" in chat.told)
    await chat.pilot.press("escape")
    await chat.until(lambda: note(chat).endswith("■ stopped"))


def note(chat: Chat) -> str:
    """The last entry, if it is a note."""
    last = chat.find(Conversation).entries[-1]
    return f"{last.command} {last.text}{last.note}"


async def test_answers_may_rest_on_a_retriever_of_a_plugin(tmp_path):
    spec = PluginSpec("retrievers", "wiki", "acme:Wiki", "acme")
    async with chatting(tmp_path / "chat", plugins=lambda: PluginList([spec])) as chat:
        await chat.until(lambda: chat.app._chat.plugins.retrievers)
        await chat.send("/kb plugin:wiki")
        await chat.until(lambda: "Answers use “plugin:wiki”" in "\n".join(chat.lines()))
        await chat.send("Where is Graz?")
        await chat.until(lambda: chat.model.asked)
        assert chat.model.asked[0].knowledge_base == "plugin:wiki"
        chat.model.say(DONE)
        await chat.until(lambda: chat.is_done)


async def test_a_retriever_is_switched_where_knowledge_bases_are_and_looking_switches_nothing(tmp_path):
    spec = PluginSpec("retrievers", "wiki", "acme:Wiki", "acme")
    async with chatting(tmp_path / "chat", plugins=lambda: PluginList([spec])) as chat:
        await chat.until(lambda: chat.app._chat.plugins.retrievers)
        await chat.send("/kb plugin:wiki")
        await chat.send("/kb")
        await chat.until(lambda: isinstance(chat.app.screen, KnowledgeScreen))
        bases = chat.app.screen.query_one("#bases", OptionList)
        await chat.until(lambda: "plugin:wiki   of a plugin" in str(bases.get_option_at_index(0).prompt))
        await chat.pilot.press("d")
        assert "switched on and off here, and no more" in "\n".join(chat.lines())
        await chat.pilot.press("escape")
        assert chat.app._chat._talk.settings.knowledge_base == "plugin:wiki"
        await chat.send("/kb")
        await chat.until(lambda: isinstance(chat.app.screen, KnowledgeScreen) and chat.app.screen._names)
        await chat.pilot.press("space", "escape")
        await chat.until(lambda: chat.app._chat._talk.settings.knowledge_base == "")


async def test_commands_of_plugins_are_in_the_palette_with_whose_they_are(tmp_path):
    spec = PluginSpec("commands", "shout", "acme:shout", "acme", description="Says it [louder]")
    async with running(tmp_path, plugins=lambda: PluginList([spec])) as it:
        await it.until(lambda: len(it.app._chat.commands) > 20 and it.app._chat.commands[-1].name == "shout")
        await it.press("ctrl+p")
        await it.until(lambda: isinstance(it.app.screen, CommandPalette))
        await it.press(*"louder")
        options = it.app.screen.query_one(CommandList)
        await it.until(
            lambda: [str(o.hit.text) for o in options.options if hasattr(o, "hit")] == ["Says it [louder] (acme)"]
        )


async def test_what_is_wrong_with_plugins_is_told_at_the_start_and_ours_go_first(tmp_path):
    plugins = PluginList(
        SPECS, ["plugins.toml is not valid TOML (line 1); only what we ship is on until it is repaired"]
    )
    async with running(tmp_path, plugins=lambda: plugins) as it:
        await it.until(lambda: "is not valid TOML" in it.told)
        assert "/copy is a command of this program, which goes first" in it.told


# --- the command line


def test_a_file_of_plugins_or_none_is_for_this_program_and_those_it_starts(tmp_path, monkeypatch):
    monkeypatch.setenv("CHATGLM_SLIM_PLUGINS", "before")
    (tmp_path / "p.toml").touch()
    for given, expected in (([], "before"), (["--plugins", str(tmp_path / "p.toml")], str(tmp_path / "p.toml"))):
        arguments.parser().parse_args(given)
        assert os.environ["CHATGLM_SLIM_PLUGINS"] == expected
    arguments.parser().parse_args(["--no-plugins"])
    assert os.environ["CHATGLM_SLIM_PLUGINS"] == os.devnull
    assert all(spec.distribution == "chatglm-slim-llm" for spec in read().specs if spec.state == "on")


def test_what_is_not_there_is_told_before_anything_is_painted(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("CHATGLM_SLIM_HOME", str(tmp_path))
    monkeypatch.setenv("CHATGLM_SLIM_PLUGINS", "")
    with pytest.raises(SystemExit, match="2"):
        main(["--plugins", str(tmp_path / "none.toml")])
    assert "none.toml is not a file" in capsys.readouterr().err
    assert main(["--no-plugins", "--model", "plugin:chatglm-slin"]) == 1
    assert "did you mean 'chatglm-slim'?" in capsys.readouterr().err
