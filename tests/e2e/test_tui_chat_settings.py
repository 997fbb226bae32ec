"""A chat's own settings: generated from the options, checked while they are typed."""

from __future__ import annotations

from dataclasses import fields

import pytest
from dialogs import VIEWS, showing
from textual.widgets import Input, Select, TextArea

from chatglm_slim_llm.config import GenerationOptions
from chatglm_slim_llm.storage import ChatSettings
from tui.language import use
from tui.language.zh_model import WORDS
from tui.parameters import PARAMETERS, as_typed, parse
from tui.screens.chat_settings import ChatSettingsScreen


def settings_screen(settings: ChatSettings | None = None, *names: str) -> ChatSettingsScreen:
    return ChatSettingsScreen(settings or ChatSettings(), GenerationOptions(top_p=0.5), names)


async def test_every_field_of_the_options_has_a_place_its_default_and_its_help():
    async with showing(settings_screen(), size=(120, 60)) as shown:
        assert [each.name for each in PARAMETERS] == [field.name for field in fields(GenerationOptions)]
        for name in ("Temperature", "Top p", "Top k", "Repetition penalty", "Max tokens", "Stop strings", "Seed"):
            assert name in shown.text
        assert shown.screen.query_one("#top_p", Input).placeholder == "0.5"
        assert "0 means greedy" in shown.words


async def test_only_what_differs_from_the_defaults_is_kept():
    before = ChatSettings("Be terse.", {"temperature": 0.2}, "")
    async with showing(settings_screen(before)) as shown:
        screen = shown.screen
        assert screen.query_one("#temperature", Input).value == "0.2"
        screen.query_one("#top_p", Input).value = "0.5"
        screen.query_one("#top_k", Input).value = "7"
        screen.query_one("#seed", Input).value = "42"
        screen.query_one("#stop", TextArea).text = "问：\n\\n\\n\n"
        await shown.press("ctrl+s")
        expected = {"temperature": 0.2, "top_k": 7, "stop": ["问：", "\n\n"], "seed": 42}
        assert shown.results == [ChatSettings("Be terse.", expected, "")]


@pytest.mark.parametrize(
    ("name", "typed", "said"),
    [
        ("temperature", "-1", "it must be a number of 0 or more"),
        ("temperature", "hot", "'hot' is not a number"),
        ("top_p", "1.5", "it must be a number above 0 and up to 1"),
        ("max_tokens", "1.5", "'1.5' is not a whole number"),
    ],
)
async def test_a_value_that_cannot_be_used_is_refused_beside_its_field(name, typed, said):
    async with showing(settings_screen(), size=(120, 60)) as shown:
        shown.screen.query_one(f"#{name}", Input).value = typed
        await shown.until(lambda: said in shown.words)
        await shown.press("ctrl+s")
        assert not shown.results
        assert shown.screen.query_one(f"#{name}").has_focus
        shown.screen.query_one(f"#{name}", Input).value = ""
        await shown.until(lambda: said not in shown.words)
        await shown.press("ctrl+s")
        assert shown.results == [ChatSettings()]


async def test_the_system_prompt_is_typed_and_tab_leads_on():
    async with showing(settings_screen()) as shown:
        await shown.type("Hi[b]")
        await shown.press("enter", "x", "tab")
        assert shown.screen.query_one(Select).has_focus
        await shown.press("ctrl+s")
        assert shown.results == [ChatSettings("Hi[b]\nx")]


async def test_a_knowledge_base_is_chosen_from_the_list_and_one_that_is_gone_stays_chosen():
    async with showing(settings_screen(ChatSettings(knowledge_base="gone"), "notes", "[x]")) as shown:
        assert "gone" in shown.text
        shown.screen.query_one(Select).focus()
        await shown.press("enter", "home", "down", "down", "enter", "ctrl+s")
        assert shown.results == [ChatSettings(knowledge_base="[x]")]


@pytest.mark.long
async def test_reset_empties_everything_and_escape_changes_nothing():
    before = ChatSettings("Be terse.", {"seed": 1, "stop": ["x"]}, "notes")
    async with showing(settings_screen(before, "notes")) as shown:
        await shown.pilot.click("#reset")
        await shown.press("ctrl+s")
        assert shown.results == [ChatSettings()]
    async with showing(settings_screen(before, "notes")) as shown:
        await shown.press("x", "escape")
        assert shown.results == [None]


@pytest.mark.long
@pytest.mark.parametrize(("size", "language"), VIEWS)
async def test_the_settings_are_of_use_in_every_size_and_language(size, language):
    use(language)
    try:
        async with showing(settings_screen(), size=size) as shown:
            assert {"en": "System prompt", "zh": "系统提示词"}[language] in shown.text
            if size != (20, 5):
                assert {"en": "Save", "zh": "保存"}[language] in shown.text
            await shown.press(*["tab"] * 12, "escape")
            assert shown.results == [None]
    finally:
        use("en")


def test_every_parameter_is_explained_in_chinese():
    assert [each.name for each in PARAMETERS if not {each.label, each.help} <= set(WORDS)] == []


@pytest.mark.parametrize("value", [["a", "\n", "\\n", "\t\\"], 0.95, 7])
def test_a_value_survives_being_typed(value):
    name = {list: "stop", float: "temperature", int: "top_k"}[type(value)]
    parameter = next(each for each in PARAMETERS if each.name == name)
    assert parse(parameter, as_typed(value)) == value
