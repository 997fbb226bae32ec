"""The settings screen: what is changed there holds at once, is saved, and says where it came from."""

from __future__ import annotations

import tomllib

import pytest
from craft_app import Running, running
from textual.events import Key
from textual.widgets import Input, Select, Static, Switch

from tui.screens.key_edit import KeyEdit
from tui.screens.settings import SettingsScreen
from tui.widgets.setting_row import SettingRow

GROUPS = ["interface", "load", "sampling", "program", "keys"]


async def opened(it: Running, group: str = "interface") -> SettingsScreen:
    await it.press("f2")
    screen = it.app.screen
    assert isinstance(screen, SettingsScreen)
    for _ in range(GROUPS.index(group)):
        await it.press("ctrl+pagedown")
    await it.until(lambda: screen._group == group and (group == "keys" or screen.query(SettingRow)))
    await it.pilot.pause()
    return screen


async def mark(it: Running, screen: SettingsScreen, action: str) -> None:
    """Go to the row of an action among the keys."""
    await it.press("tab")
    listed = screen.query_one("OptionList")
    listed.highlighted = listed.get_option_index(action)


async def change_key(it: Running, screen: SettingsScreen, action: str) -> None:
    """Open the dialog for the keys of an action."""
    await mark(it, screen, action)
    await it.press("enter")
    await it.until(lambda: isinstance(it.app.screen, KeyEdit))


def row(screen: SettingsScreen, key: str) -> SettingRow:
    return next(row for row in screen.query(SettingRow) if row.key == key)


def origin(screen: SettingsScreen, key: str) -> str:
    return str(row(screen, key).query_one(".setting--origin", Static).content)


@pytest.mark.long
async def test_a_theme_is_worn_at_once_and_saved_with_the_comments_kept(tmp_path):
    async with running(tmp_path, "# mine\n[interface]\nanimation = false # calm\n") as it:
        screen = await opened(it)
        assert origin(screen, "interface.theme") == "default"
        row(screen, "interface.theme").query_one(Select).value = "chatglm-light"
        await it.until(lambda: it.app.theme == "chatglm-light")
        assert it.file.read_text() == '# mine\n[interface]\nanimation = false # calm\ntheme = "chatglm-light"\n'
        assert origin(screen, "interface.theme") == "from the file"


@pytest.mark.long
async def test_the_language_changes_where_it_is_chosen(tmp_path):
    async with running(tmp_path, '[interface]\nlanguage = "en"\n') as it:
        assert "Help" in it.lines()[-1]
        await it.press("ctrl+n")
        await it.until(lambda: it.lines()[0].rstrip().endswith("ready"))
        screen = await opened(it)
        row(screen, "interface.language").query_one(Select).value = "zh"
        await it.until(lambda: it.app.loaded.settings.interface.language == "zh")
        await it.until(lambda: "无障碍" in it.seen and "Accessible" not in it.seen)
        await it.until(lambda: it.app.focused is row(screen, "interface.language").query_one(Select))
        await it.press("escape")
        await it.until(lambda: "在下方输入" in it.seen and "Type below" not in it.seen)
        assert it.lines()[0].rstrip().endswith("就绪")
        assert "搜索" in it.seen
        await it.press("f2")
        assert "设置" in it.seen


@pytest.mark.parametrize("keys", [("f2", "f2"), ("f2", "escape"), ("f2", "ctrl+pagedown", "f2", "f2", "ctrl+pagedown")])
async def test_keys_in_one_burst_open_and_close_the_settings(keys, tmp_path):
    async with running(tmp_path) as it:
        for _ in range(3):
            for key in keys:
                it.app.post_message(Key(key, None))
            await it.pilot.pause(0.3)
            while isinstance(it.app.screen, SettingsScreen):
                await it.press("escape")
        assert it.app.screen is it.app._chat
        assert it.app._exception is None


@pytest.mark.long
async def test_the_arrows_go_from_the_tabs_into_the_settings_and_back(tmp_path):
    async with running(tmp_path) as it:
        screen = await opened(it)
        tabs = it.app.focused
        await it.press("down")
        assert it.app.focused is row(screen, "interface.language").query_one(Select)
        await it.press("up")
        assert it.app.focused not in (tabs, None)  # a list opens by the arrows
        await it.press("escape", "tab", "tab", "tab", "down")
        assert it.app.focused is row(screen, "interface.animation").query_one(Switch)
        await it.press("up")
        assert it.app.focused is row(screen, "interface.accessible").query_one(Switch)


@pytest.mark.long
async def test_a_switch_by_the_keyboard_alone(tmp_path):
    async with running(tmp_path) as it:
        screen = await opened(it)
        switch = row(screen, "interface.accessible").query_one(Switch)
        while it.app.focused is not switch:
            await it.press("tab")
        await it.press("enter")
        await it.until(lambda: it.app.has_class("-accessible"))
        assert it.app.animation_level == "none"
        assert tomllib.loads(it.file.read_text()) == {"interface": {"accessible": True}}
        await it.press("ctrl+r")
        await it.until(lambda: not it.app.has_class("-accessible"))
        assert tomllib.loads(it.file.read_text()) == {"interface": {}}
        assert switch.value is False


@pytest.mark.long
async def test_a_number_is_checked_while_it_is_typed_and_taken_when_it_is_left(tmp_path):
    async with running(tmp_path) as it:
        screen = await opened(it, "sampling")
        temperature = row(screen, "sampling.temperature")
        temperature.query_one(Input).focus()
        await it.press("ctrl+u", "-", "1")
        assert "it must be a number of 0 or more" in it.seen.replace("\n", " ")
        assert not it.file.exists()
        await it.press("ctrl+u", "0", ".", "5", "tab")
        await it.until(lambda: it.app.loaded.settings.sampling.temperature == 0.5)
        assert tomllib.loads(it.file.read_text()) == {"sampling": {"temperature": 0.5}}
        row(screen, "sampling.stop").query_one(Input).focus()
        await it.press(*'"a","b"', "enter")
        await it.until(lambda: it.app.loaded.settings.sampling.stop == ("a", "b"))
        row(screen, "sampling.top_k").query_one(Input).focus()
        await it.press("ctrl+u", "9", "escape")
        await it.until(lambda: it.app.loaded.settings.sampling.top_k == 9)
        assert not isinstance(it.app.screen, SettingsScreen)


@pytest.mark.long
async def test_what_the_environment_says_wins_and_that_is_told(tmp_path):
    async with running(tmp_path, environ={"CHATGLM_TUI_THEME": "nord"}) as it:
        assert it.app.theme == "nord"
        screen = await opened(it)
        assert origin(screen, "interface.theme") == "CHATGLM_TUI_THEME wins over the file"
        row(screen, "interface.theme").query_one(Select).value = "chatglm-light"
        await it.until(lambda: it.app.theme == "chatglm-light")
        assert "then CHATGLM_TUI_THEME wins over the file again" in it.told


@pytest.mark.long
async def test_a_broken_file_is_told_and_stays_as_it_is(tmp_path):
    async with running(tmp_path, "[interface\n") as it:
        assert "is not valid TOML" in it.told
        screen = await opened(it)
        row(screen, "interface.theme").query_one(Select).value = "nord"
        await it.until(lambda: it.app.theme == "nord")
        assert "repair it" in it.told
        assert it.file.read_text() == "[interface\n"


@pytest.mark.long
async def test_a_key_is_changed_told_about_and_given_back(tmp_path):
    async with running(tmp_path) as it:
        screen = await opened(it, "keys")
        assert "Ctrl+Q" in it.seen
        await change_key(it, screen, "app.jump")
        await it.press("ctrl+u", *"ctrl+n")
        assert "Ctrl+N is the key of both" in it.seen
        await it.press("enter")
        assert isinstance(it.app.screen, KeyEdit)
        assert not it.file.exists()
        await it.press("ctrl+u", *"jump")
        assert "“jump” of app.jump is not a key" in it.seen
        await it.press("enter")
        assert isinstance(it.app.screen, KeyEdit)
        await it.press("ctrl+u", *"f9", "enter")
        await it.until(lambda: it.app.loaded.settings.keys == {"app.jump": "f9"})
        assert tomllib.loads(it.file.read_text()) == {"keys": {"app.jump": "f9"}}
        await it.press("escape")
        await it.press("f9")
        assert type(it.app.screen).__name__ == "Jump"
        await it.press("escape")
        screen = await opened(it, "keys")
        await mark(it, screen, "app.jump")
        await it.press("ctrl+r")
        await it.until(lambda: not it.app.loaded.settings.keys)


@pytest.mark.long
async def test_the_keys_that_the_program_comes_with_collide_with_nothing(tmp_path):
    async with running(tmp_path, '[keys]\n"app.help" = "f1,f10"\n') as it:
        assert it.told == ""
        screen = await opened(it, "keys")
        await change_key(it, screen, "app.settings")
        assert "is the key of both" not in it.seen
        await it.press("enter")
        assert it.app.screen is screen


@pytest.mark.long
async def test_default_keys_that_something_else_has_by_now_are_told(tmp_path):
    async with running(tmp_path, '[keys]\n"app.quit" = "f10"\n"chat.new" = "ctrl+q"\n') as it:
        screen = await opened(it, "keys")
        await change_key(it, screen, "app.quit")
        it.app.screen.query_one("#default").press()
        await it.until(lambda: "Ctrl+Q is the key of both" in it.seen)
        await it.press("escape")
        await it.until(lambda: it.app.screen is screen)
        await it.press("ctrl+r")
        await it.until(lambda: "Ctrl+Q is the key of both" in it.told)


async def test_keys_of_the_file_that_collide_are_told_at_the_start(tmp_path):
    async with running(tmp_path, '[keys]\n"app.quit" = "ctrl+n"\n"app.jmp" = "f9"\n') as it:
        assert "Ctrl+N is the key of both" in it.told
        assert "nothing has the id “app.jmp”; did you mean “app.jump”?" in it.told


@pytest.mark.long
@pytest.mark.parametrize(("size", "language"), [((20, 5), "zh"), ((80, 24), "en"), ((160, 50), "zh")])
async def test_every_group_is_shown_in_any_size(tmp_path, size, language):
    async with running(tmp_path, f'[interface]\nlanguage = "{language}"\n', size=size) as it:
        screen = await opened(it)
        for group in GROUPS[1:]:
            await it.press("ctrl+pagedown")
            await it.until(lambda group=group: screen._group == group)
            assert all(len(line) <= size[0] for line in it.lines())
        await it.press("f2")
        assert not isinstance(it.app.screen, SettingsScreen)
