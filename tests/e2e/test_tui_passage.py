"""The passages that an answer rests on, with real files and a real opener."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from dialogs import VIEWS, showing

from chatglm_slim_llm.storage import Source
from tui.language import use
from tui.opening import file_of, may_open, open_file, state_of
from tui.screens.passage import PassageScreen, place_text

RIVER = "长江全长约6300公里，\n是亚洲第一长河。"


def source(path: object, text: str = RIVER, number: int = 1, **where: object) -> Source:
    return Source(number, f"id{number}", str(path), text, **where)  # type: ignore[arg-type]


@pytest.fixture
def opener(tmp_path, monkeypatch) -> Path:
    """Stands where ``xdg-open`` does; writes down what it was asked to open."""
    opened, script = tmp_path / "opened", tmp_path / "bin/xdg-open"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\nprintf "%s" "$1" > "{opened}.new" && mv "{opened}.new" "{opened}"\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr("sys.platform", "linux")
    return opened


async def test_a_passage_is_shown_as_it_was_quoted_with_its_place(tmp_path):
    path = tmp_path / "rivers.md"
    path.write_text(f"# 地理\n\n{RIVER}\n")
    quoted = source(path, f"{RIVER}\n[bold]not markup[/] \x1b[31m", heading="地理 › 河流", first_line=3, last_line=4)
    async with showing(PassageScreen([quoted], 1)) as shown:
        for words in ("Source [1]", "rivers.md", "lines 3–4", "地理 › 河流", "[bold]not markup[/] ␛[31m"):
            assert words in shown.text
        assert "other sources" not in shown.text
        await shown.press("escape")
        assert shown.results == [None]


async def test_a_long_passage_scrolls_to_its_last_line(tmp_path):
    async with showing(PassageScreen([source(tmp_path / "gone.md", "line\n" * 80 + "LAST")], 1)) as shown:
        assert "LAST" not in shown.text
        await shown.press("end")
        await shown.until(lambda: "LAST" in shown.text)


async def test_arrows_go_round_the_sources(tmp_path):
    sources = [source(tmp_path / f"{n}.txt", f"words {n}", number=n) for n in (2, 5, 7)]
    async with showing(PassageScreen(sources, 5)) as shown:
        assert "words 5" in shown.text
        assert "[5]" in shown.text
        await shown.press("right")
        assert "words 7" in shown.text
        await shown.press("right")
        assert "words 2" in shown.text
        await shown.press("left")
        assert "3 of 3" in shown.text


async def test_c_copies_the_passage(tmp_path):
    async with showing(PassageScreen([source(tmp_path / "a.txt")], 1)) as shown:
        await shown.press("c")
        assert shown.app.copied == RIVER
        assert "Copied." in shown.text


async def test_o_opens_the_file_in_its_own_program(tmp_path, opener):
    path = tmp_path / "-a [b] $(x).txt"
    path.write_text(RIVER)
    async with showing(PassageScreen([source(path)], 1)) as shown:
        await shown.press("o")
        await shown.until(opener.exists)
        assert opener.read_text() == str(path)
        await shown.until(lambda: "opens in its own program" in shown.words)


async def test_what_is_gone_or_no_file_or_a_program_is_not_opened(tmp_path, opener):
    program = tmp_path / "run.desktop"
    program.touch()
    sources = [
        source(tmp_path / "gone.txt", number=1),
        source("https://example.org/a.txt", number=2),
        source(program, number=3),
        source("pasted text", number=4),
    ]
    async with showing(PassageScreen(sources, 1)) as shown:
        await shown.until(lambda: "The file is gone" in shown.words)
        for said in ("The file is gone", "did not come from a file", "is a program", "did not come from a file"):
            await shown.press("o")
            await shown.until(lambda said=said: said in shown.words)
            await shown.press("right")
        assert not opener.exists()


async def test_without_an_opener_that_is_said(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    path.write_text(RIVER)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.platform", "linux")
    async with showing(PassageScreen([source(path)], 1)) as shown:
        await shown.press("o")
        await shown.until(lambda: "cannot be opened here" in shown.words)


async def test_a_file_that_has_changed_since_is_said_to_have(tmp_path):
    path = tmp_path / "rivers.txt"
    path.write_text("都不一样了。")
    async with showing(PassageScreen([source(path)], 1)) as shown:
        await shown.until(lambda: "has changed since" in shown.words)


@pytest.mark.parametrize(("size", "language"), VIEWS)
async def test_a_passage_is_of_use_in_every_size_and_language(tmp_path, size, language):
    use(language)
    try:
        async with showing(PassageScreen([source(tmp_path / "gone.txt", RIVER * 50, page=3)], 1), size=size) as shown:
            assert "gone.txt" in shown.text
            if size != (20, 5):
                assert {"en": "page 3", "zh": "第 3 页"}[language] in shown.text
            await shown.press("down", "pagedown", "right", "end", "escape")
            assert shown.results == [None]
    finally:
        use("en")


def test_the_state_of_a_file_is_told_by_the_words_in_it(tmp_path):
    text, other, odd = tmp_path / "a.md", tmp_path / "a.pdf", tmp_path / "gbk.txt"
    text.write_text(f"x\n\n  长江全长约6300公里，\r\n\t是亚洲第一长河。{RIVER}")
    other.write_bytes(b"%PDF")
    odd.write_bytes("长江".encode("gbk"))
    assert state_of(source(text)) == "there"
    assert state_of(source(text, "长江全长…")) == "there"
    assert state_of(source(text, "黄河")) == "changed"
    assert state_of(source(other)) == "there"
    assert state_of(source(odd)) == "there"
    assert state_of(source(tmp_path)) == "gone"
    assert state_of(source("notes/relative.md")) == "elsewhere"
    assert file_of(source("file:///etc/passwd")) is None


@pytest.mark.parametrize("name", ["a.exe", "a.LNK", "a.desktop", "a.sh", "a.app"])
def test_what_an_opener_may_run_is_not_opened(name):
    assert not may_open(Path(name))
    assert may_open(Path(f"{name}.pdf"))


def test_opening_does_not_wait_for_the_program(tmp_path, opener):
    (tmp_path / "bin/xdg-open").write_text("#!/bin/sh\nsleep 30\n")
    open_file(tmp_path / "a.txt")


def test_places_are_called_what_they_are():
    where = [
        source("/a.pdf", page=3),
        source("/a.pptx", page=3),
        source("/a.xlsx", page=1),
        source("/a.epub", page=2),
        source("/a.md", first_line=3, last_line=3),
        source("/a.md", first_line=3, last_line=9),
        source("/a.docx"),
    ]
    said = ["page 3", "slide 3", "sheet 1", "chapter 2", "line 3", "lines 3–9", ""]
    assert [place_text(each) for each in where] == said
