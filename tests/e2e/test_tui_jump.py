"""Jump mode: a letter for each place, and no trouble where there is none."""

from __future__ import annotations

import pytest
from craft_app import running
from textual.app import App

from tui import jump
from tui.jump import Jump, letters


def test_letters_are_single_as_long_as_they_suffice():
    assert letters(3) == ["a", "s", "d"]
    assert sorted(letters(26)) == sorted("abcdefghijklmnopqrstuvwxyz")
    many = letters(100)
    assert len(set(many)) == 100
    assert {len(name) for name in many} == {2}


async def test_a_letter_takes_the_keyboard_to_its_place(tmp_path):
    async with running(tmp_path, size=(110, 30)) as it:
        was = it.app.focused
        await it.press("ctrl+l")
        screen = it.app.screen
        assert isinstance(screen, Jump)
        name, place = next((name, place) for name, place in screen._places.items() if place is not was)
        assert f" {name.upper()} " in it.lines()[place.region.y]
        await it.press(name)
        assert not isinstance(it.app.screen, Jump)
        assert it.app.focused is place


@pytest.mark.parametrize("key", ["escape", "1", "f5"])
async def test_anything_else_leaves_it(tmp_path, key):
    async with running(tmp_path) as it:
        was = it.app.focused
        await it.press("ctrl+l", key)
        assert not isinstance(it.app.screen, Jump)
        assert it.app.focused is was


async def test_a_click_goes_where_it_points_and_a_resize_leaves(tmp_path):
    async with running(tmp_path, size=(110, 30)) as it:
        await it.press("ctrl+l")
        place = next(iter(it.app.screen._places.values()))
        await it.pilot.click(offset=place.region.offset)
        await it.until(lambda: it.app.focused is place)
        await it.press("ctrl+l")
        await it.pilot.resize_terminal(60, 20)
        await it.until(lambda: not isinstance(it.app.screen, Jump))


async def test_where_there_is_nothing_to_jump_to_it_says_so():
    app: App[None] = App()
    async with app.run_test() as pilot:
        jump.start(app)
        await pilot.pause()
        assert [note.message for note in app._notifications] == ["There is nothing to jump to here."]
        assert len(app.screen_stack) == 1
