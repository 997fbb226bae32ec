"""The page of the terminal says what the program does, and each cell of its table has a place that it comes from."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from textual.app import App, ComposeResult
from textual.widgets import Static

from chatglm_slim_llm.cli.parser import build_parser
from docs import picture, screens
from docs.terminal_page import PAGE, SOURCES, filled, made, programs
from tui import settings, themes

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def page() -> str:
    return PAGE.read_text(encoding="utf-8")


def test_keys_and_table_are_up_to_date(page):
    assert filled(page, made()) == page, "run python -m docs.screens --page"


def test_a_page_without_a_place_for_a_part_is_told():
    with pytest.raises(ValueError, match="keys"):
        filled("no marks", {"keys": ""})


def test_every_program_has_a_cell_with_its_origin_for_every_feature():
    ours, *others = programs(SOURCES.read_text(encoding="utf-8"))
    assert len(others) == 6
    assert len(ours.cells) > 80
    for program in (ours, *others):
        assert list(program.cells) == list(ours.cells), program.name
        assert [name for name, cell in program.cells.items() if not (cell.has and cell.where)] == []


def test_the_versions_on_the_page_are_those_that_were_read(page):
    for program in programs(SOURCES.read_text(encoding="utf-8"))[1:]:
        assert program.name in page


def test_what_is_said_of_this_program_names_files_that_are_there():
    cells = programs(SOURCES.read_text(encoding="utf-8"))[0].cells.values()
    named = {name for cell in cells for name in re.findall(r"`([a-z_]+/[^`]*)`", cell.where)}
    assert len(named) > 30
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_the_example_of_settings_is_read_without_a_complaint(page, tmp_path):
    file = tmp_path / "settings.toml"
    file.write_text(_block(page, "[interface]"), encoding="utf-8")
    loaded = settings.load(file, {}, {})
    assert loaded.problems == ()
    assert loaded.settings.load.quantization == "int4"
    assert loaded.settings.keys["app.quit"] == "ctrl+q,f10"


def test_the_example_of_a_theme_is_one(page, tmp_path):
    file = tmp_path / "paper.toml"
    file.write_text(_block(page, "# themes/paper.toml"), encoding="utf-8")
    assert themes.read_theme(file).primary == "#7A3B00"


def test_the_commands_for_the_shell_have_the_options_that_they_are_shown_with(page):
    shown = re.findall(r"""chatglm-slim ((?:"[^"]*"|[^|)"\n])+)""", _console(page))
    assert len(shown) >= 9
    for command in shown:
        build_parser().parse_args(shlex.split(command))


def test_the_pictures_are_there_small_and_all_shown(page):
    shown = re.findall(r"!\[.+\]\(images/(.+)\)", page)
    files = {path.name: path.stat().st_size for path in PAGE.with_name("images").iterdir()}
    assert sorted(shown) == sorted(files)
    assert len(files) <= 13
    assert max(files.values()) <= 80_000


def test_the_links_of_the_page_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", page):
        assert (PAGE.parent / link).exists(), link
    headings = {
        re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in re.findall(r"^#+ (.+)", page, re.MULTILINE)
    }
    assert set(re.findall(r"\]\(#([^)]+)\)", page)) <= headings


class Screenful(App[None]):
    """A line with letters of one cell and of two."""

    CSS = "Screen { background: #102030; } Static { color: #ffeedd; }"

    def compose(self) -> ComposeResult:
        yield Static("ab排序c", markup=False)


async def test_each_character_of_a_picture_stands_where_its_cells_begin():
    app = Screenful()
    async with app.run_test(size=(12, 2)) as pilot:
        await pilot.pause()
        drawing = picture.svg(app)
    found = re.findall(r'<text x="([\d.]+)"[^>]*font-family="([^"]+)"[^>]*>([^<]+)</text>', drawing)
    assert [(round(float(x)) // 10, text) for x, _, text in found] == [(0, "ab"), (2, "排"), (4, "序"), (6, "c")]
    assert [family == picture.WIDE for _, family, _ in found] == [False, True, True, False]
    assert "#102030" in drawing
    assert "#ffeedd" in drawing


@pytest.mark.slow
async def test_the_pictures_can_be_taken_and_show_what_the_page_says_of_them():
    shown = {
        "variants": "2/2",
        "search-zh": "排",
        "passage": "31 March",
        "narrow": "28",
        "model": "int4",
        "tools": "calculator",
        "tool-asks": "notes.md",
        "plugins-zh": "org_reader",
        "help": "Copy",
    }
    with screens.history() as store:
        for shot in screens.SHOTS:
            assert shown.get(shot.name, "ChatGLM") in await screens.take(shot, store), shot.name


def test_a_missing_font_is_named(monkeypatch, tmp_path):
    for name, says in (("rsvg-convert", ""), ("fc-list", f"{picture.NARROW}\n")):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\nprintf '%s' '{says}'\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(picture.MissingToolError, match=r"Noto Sans Mono CJK SC is missing; install fonts-noto-cjk"):
        picture.check_tools()


def _block(page: str, beginning: str) -> str:
    return next(text for text in re.findall(r"```toml\n(.*?)```", page, re.DOTALL) if text.startswith(beginning))


def _console(page: str) -> str:
    return "\n".join(re.findall(r"```console\n(.*?)```", page, re.DOTALL))
