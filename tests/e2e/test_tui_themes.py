"""A theme of the user's own is worn, follows its file, and a broken one leaves the last good colours."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from craft_app import Running, running
from textual.color import Color

from tui import themes

WORN = '[interface]\ntheme = "mine"\n'


def put(folder: Path, text: str) -> None:
    """Write a theme as an editor would; its time differs from the one before, whatever the clock's grain."""
    (folder / "themes").mkdir(exist_ok=True)
    path = folder / "themes" / "mine.toml"
    path.write_text(text, "utf-8")
    stamp = time.time_ns() + len(text) * 1_000_000
    os.utime(path, ns=(stamp, stamp))


def shows(it: Running, colour: str) -> bool:
    """Whether this is the background; Textual's way through Lab rounds a channel by one now and then."""
    there, wanted = it.app.screen.styles.background.rgb, Color.parse(colour).rgb
    return all(abs(one - other) <= 1 for one, other in zip(there, wanted, strict=True))


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(themes, "_POLL_S", 0.02)


async def test_a_saved_theme_is_shown_and_a_broken_one_is_told(tmp_path):
    put(tmp_path, 'background = "#102030"')
    async with running(tmp_path, WORN) as it:
        assert shows(it, "#102030")
        put(tmp_path, 'background = "#203040"\nprimary = "red"')
        await it.until(lambda: shows(it, "#203040"))
        put(tmp_path, 'background = "nothing of the kind"')
        await it.until(lambda: "background is 'nothing of the kind'" in it.told)
        assert shows(it, "#203040")
        put(tmp_path, 'background = "#304050"')
        await it.until(lambda: shows(it, "#304050"))
        (tmp_path / "themes" / "mine.toml").unlink()
        await it.pilot.pause(0.1)
        assert shows(it, "#304050")


async def test_saving_a_theme_again_and_again_leaves_nothing_behind(tmp_path):
    put(tmp_path, 'background = "#001000"')
    async with running(tmp_path, WORN) as it:
        rules, names = len(it.app.stylesheet.rules), len(it.app.available_themes)
        for number in range(1, 5):
            put(tmp_path, f'background = "#{number}01000"\n' + "#" * number)
            await it.until(lambda number=number: shows(it, f"#{number}01000"))
        assert len(it.app.stylesheet.rules) == rules
        assert len(it.app.available_themes) == names
        assert len([timer for timer in it.app._timers if timer.name == "themes"]) == 1


async def test_a_theme_that_is_not_there_is_told_and_the_usual_one_worn(tmp_path):
    async with running(tmp_path, WORN) as it:
        assert "There is no theme “mine”" in it.told
        put(tmp_path, 'background = "#102030"')
        await it.until(lambda: "mine" in it.app.available_themes)


async def test_the_name_of_a_theme_that_comes_with_the_program_is_refused(tmp_path):
    (tmp_path / "themes").mkdir()
    (tmp_path / "themes" / "nord.toml").write_text('background = "#102030"')
    async with running(tmp_path) as it:
        assert "a theme of this name comes with the program; rename the file" in it.told
        assert it.app.available_themes["nord"].background != "#102030"


@pytest.mark.parametrize("name", ["chatglm-dark", "chatglm-light", "chatglm-contrast", "nord"])
async def test_every_kind_of_theme_is_painted(tmp_path, name):
    async with running(tmp_path, f'[interface]\ntheme = "{name}"\n') as it:
        assert it.app.theme == name
        assert "Help" in it.lines()[-1]
