"""The help and the last line: the keys as they are, of the place that has the keyboard first."""

from __future__ import annotations

import pytest
from craft_app import running
from textual.widgets import Static

from tui.commands import COMMANDS
from tui.screens.help import Help, sections
from tui.widgets.footer import Footer, Item, fitting


def item(name: str, width: int = 8) -> Item:
    return Item(name, "x", "x", "y" * (width - 2), "")


def test_the_line_keeps_what_is_needed_most():
    items = [item("a.one"), item("chat.new"), item("app.help"), item("app.quit"), item("b.two")]
    assert [i.id for i in fitting(items, 100)] == ["a.one", "chat.new", "app.help", "app.quit", "b.two"]
    assert [i.id for i in fitting(items, 38)] == ["a.one", "chat.new", "app.help", "app.quit"]
    assert [i.id for i in fitting(items, 18)] == ["app.help", "app.quit"]
    assert fitting(items, 3) == []


async def test_help_begins_with_what_has_the_keyboard(tmp_path):
    async with running(tmp_path) as it:
        below = it.app.screen
        found = sections(below)
        titles = [section.title for section in found]
        assert titles[0] == "Prompt"
        assert found[0].rows[0] == ("Enter", "Send what is typed")
        assert titles.index("Editing text") > titles.index("Commands"), "what every text has comes last"
        assert titles.index("Chat") < titles.index("App") < titles.index("Commands")
        commands = next(section for section in found if section.title == "Commands")
        assert [row[0].split()[0] for row in commands.rows] == [f"/{command.name}" for command in COMMANDS]
        await it.press("f1")
        assert isinstance(it.app.screen, Help)
        assert "Keys and commands" in it.lines()[0] + it.lines()[1]


async def test_help_shows_the_keys_that_the_user_chose(tmp_path):
    async with running(tmp_path, '[keys]\n"app.quit" = "f10"\n') as it:
        rows = [row for section in sections(it.app.screen) for row in section.rows]
        assert ("F10", "Quit; everything is saved") in rows
        assert "F10 Quit" in it.lines()[-1]


@pytest.mark.long
async def test_help_is_searched_scrolled_and_closed_by_the_keyboard(tmp_path):
    async with running(tmp_path, size=(80, 24)) as it:
        await it.press("f1")
        await it.press(*"trash")
        shown = str(it.app.screen.query_one("#keys", Static).region.height)
        assert int(shown) < 10
        assert "/delete" in it.seen
        await it.press("ctrl+u", *"zzzz")
        assert "Nothing here is called that." in it.seen
        await it.press("ctrl+u")
        scroll = it.app.screen.query_one("VerticalScroll")
        await it.press("down", "pagedown")
        assert scroll.scroll_offset.y > 5
        await it.press("up", "pageup")
        assert scroll.scroll_offset.y == 0
        await it.press("enter")
        assert not isinstance(it.app.screen, Help)
        await it.press("f1", "f1")
        assert not isinstance(it.app.screen, Help)


async def test_a_click_in_the_last_line_presses_the_key(tmp_path):
    async with running(tmp_path) as it:
        line = it.lines()[-1]
        await it.pilot.hover(Footer, offset=(line.index("Help"), 0))
        assert str(it.app.screen.query_one(Footer).tooltip).startswith("Keys and commands")
        await it.pilot.click(Footer, offset=(line.index("Help"), 0))
        await it.until(lambda: isinstance(it.app.screen, Help))
        await it.press("escape")
        await it.pilot.click(Footer, offset=(99, 0))
        assert not isinstance(it.app.screen, Help)


@pytest.mark.parametrize(
    ("size", "language", "expected"),
    [((20, 5), "zh", "退出"), ((20, 5), "en", "Quit"), ((80, 24), "zh", "退出"), ((160, 40), "en", "Quit")],
)
async def test_line_and_help_fit_any_size_in_both_languages(tmp_path, size, language, expected):
    async with running(tmp_path, f'[interface]\nlanguage = "{language}"\n', size=size) as it:
        assert expected in it.lines()[-1]
        await it.press("f1")
        assert it.lines()[0].strip() or it.lines()[1].strip()
        await it.press("escape")
