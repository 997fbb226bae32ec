"""The palette finds commands, keys, themes and conversations, in the language in use."""

from __future__ import annotations

import tomllib

import pytest
from craft_app import Running, running
from textual.command import CommandList, CommandPalette

from tui.screens.help import Help


def offered(it: Running) -> list[str]:
    return [str(option.hit.text) for option in it.app.screen.query_one(CommandList).options if hasattr(option, "hit")]


async def typed(it: Running, text: str) -> None:
    await it.press("ctrl+p")
    await it.until(lambda: isinstance(it.app.screen, CommandPalette))
    await it.press(*text)


@pytest.mark.long
async def test_a_command_is_found_by_its_words_and_run(tmp_path):
    async with running(tmp_path) as it:
        await typed(it, "commands keys")
        await it.until(lambda: offered(it) == ["Keys and commands"])  # and none of what "c" alone would find
        while isinstance(it.app.screen, CommandPalette):  # Enter marks the first one where none is marked yet
            await it.press("enter")
        await it.until(lambda: isinstance(it.app.screen, Help))


async def test_every_command_is_offered_with_its_key(tmp_path):
    async with running(tmp_path, size=(100, 40)) as it:
        await typed(it, "")
        await it.until(lambda: len(offered(it)) > 40)
        assert "Begin a new conversation" in offered(it)
        assert "Theme: chatglm-contrast" in offered(it)
        assert "^N" in it.seen
        assert "/new" in it.seen
        line = next(line for line in it.lines() if "Copy the last answer" in line)
        assert "^Y" in line, "not the key that copies in the prompt"
        assert "Change theme" not in offered(it)


async def test_a_theme_is_chosen_and_kept(tmp_path):
    async with running(tmp_path) as it:
        await typed(it, "chatglm-light")
        await it.until(lambda: offered(it) == ["Theme: chatglm-light"])
        await it.press("enter")
        await it.until(lambda: it.app.theme == "chatglm-light")
        assert tomllib.loads(it.file.read_text()) == {"interface": {"theme": "chatglm-light"}}


async def test_a_conversation_is_found_by_two_characters_whatever_its_title_holds(tmp_path):
    titles = ("老虎怎么睡觉？[bold", "How does a lion sleep?")
    async with running(tmp_path, '[interface]\nlanguage = "zh"\n', titles=titles) as it:
        await typed(it, "老虎")
        await it.until(lambda: titles[0] in offered(it))
        await it.press("enter")
        await it.until(lambda: "老虎怎么睡觉？[bold" in it.seen and "an answer" in it.seen)


async def test_it_speaks_chinese_and_works_in_five_lines(tmp_path):
    async with running(tmp_path, '[interface]\nlanguage = "zh"\n', size=(20, 5)) as it:
        await typed(it, "帮助")
        await it.press("ctrl+u", *"主题")
        await it.until(lambda: any(text.startswith("主题：") for text in offered(it)))
        await it.press("escape", "escape")
