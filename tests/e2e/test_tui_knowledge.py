"""Knowledge bases made, filled, synced, switched on and deleted by keys, with the real library and real files."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from dialogs import VIEWS, showing

from chatglm_slim_llm.errors import MissingExtraError, RetrievalError
from chatglm_slim_llm.hosting.library import Library, LibraryFacts, LibraryReport, Progress
from tui.language import use
from tui.screens.knowledge import KnowledgeScreen
from tui.screens.new_knowledge import NewBase, NewKnowledge


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> Iterator[Library]:
    """One process for all tests: it takes seconds to start."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CHATGLM_SLIM_HOME", str(home))
        library = Library()
        library.create("河流", "none")
        yield library
        library.close()


@pytest.fixture
def rivers(tmp_path) -> Path:
    folder = tmp_path / "rivers"
    folder.mkdir()
    (folder / "长江.md").write_text("# 长江\n\n长江全长约6300公里，是亚洲第一长河。\n")
    (folder / "empty.txt").touch()
    return folder


@pytest.mark.long
async def test_a_base_is_made_filled_synced_and_deleted_by_keys(library, rivers):
    async with showing(KnowledgeScreen(library, "")) as shown:
        await shown.until(lambda: "0 passages" in shown.text)
        await shown.press("n")
        await shown.type("notes")
        await shown.press("tab", "left", "tab", "tab", "enter")
        await shown.until(lambda: "notes is there" in shown.words)
        await shown.until(lambda: shown.screen._marked == "notes")
        await shown.press("a")
        await shown.paste(str(rivers))
        await shown.press("enter")
        await shown.until(lambda: "1 passage · 1 file" in shown.words)
        assert "Done: 1 added, 1 skipped." in shown.words
        assert "empty.txt: " in shown.words
        (rivers / "黄河.md").write_text("黄河全长约5464公里。")
        await shown.press("s")
        await shown.until(lambda: "2 passages · 2 files" in shown.words)
        await shown.press("d", "y")
        await shown.until(lambda: "notes is deleted" in shown.words)
        await shown.until(lambda: library.names() == ["河流"] and "passage" in shown.text)
        assert (rivers / "长江.md").exists()
        await shown.press("escape")
        assert shown.results == [None]


async def test_space_switches_one_on_and_off_and_closing_returns_it(library):
    async with showing(KnowledgeScreen(library, "")) as shown:
        await shown.until(lambda: "Off for this chat." in shown.text)
        await shown.press("space")
        assert "● 河流" in shown.text
        assert "On for this chat." in shown.text
        await shown.press("escape")
        assert shown.results == ["河流"]
    async with showing(KnowledgeScreen(library, "河流")) as shown:
        await shown.until(lambda: "● 河流" in shown.text)
        await shown.press("enter", "escape")
        assert shown.results == [""]
    async with showing(KnowledgeScreen(library, "河流")) as shown:
        await shown.press("escape")
        assert shown.results == [None]


async def test_one_that_is_gone_is_switched_off(library):
    async with showing(KnowledgeScreen(library, "gone")) as shown:
        await shown.until(lambda: "河流" in shown.text)
        await shown.press("escape")
        assert shown.results == [""]


async def test_a_path_that_cannot_be_added_is_refused_and_a_damaged_base_hides_no_other(library, monkeypatch):
    from chatglm_slim_llm.retrieval.place import knowledge_base_path

    damaged = knowledge_base_path("damaged")
    damaged.write_bytes(b"no database" * 100)
    try:
        async with showing(KnowledgeScreen(library, "")) as shown:
            await shown.until(lambda: "cannot be read" in shown.text and "0 passages" in shown.text)
            await shown.press("home", "a")
            await shown.paste("/nowhere/[at]/all")
            await shown.press("enter")
            assert "/nowhere/[at]/all does not exist" in shown.words
            await shown.press("escape", "s")
            await shown.until(lambda: "-problem" in str(shown.screen.query_one("Said").classes))
            await shown.press("escape")
            assert shown.results == [None]
    finally:
        damaged.unlink()


class SlowLibrary:
    """Has one base, and works for as long as it is not stopped."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.said: list[str] = []
        self.may_end = threading.Event()

    def names(self) -> list[str]:
        if self.error is not None:
            raise self.error
        return ["notes"]

    def facts(self, name: str) -> LibraryFacts:
        return LibraryFacts(name, 1203, 45, "use", 12_000_000, ("/a/[b]", "/c", "/d", "/e"))

    def create(self, name: str, embedder: str | None = None) -> None:
        raise RetrievalError("there is [one] already")

    def add(self, name: str, paths: list[Path], progress: Progress) -> LibraryReport:
        return self.sync(name, progress)

    def sync(self, name: str, progress: Progress) -> LibraryReport:
        done = 0
        while not self.may_end.wait(0.1):
            progress("indexing", done, 45)
            done = min(done + 1, 45)
        return LibraryReport(0, 0, 45, 0, 0, (), ("/gone",), False)

    def remove(self, name: str) -> None:
        raise RetrievalError("it is busy")


async def test_a_sync_shows_how_far_it_is_and_is_stopped_by_escape_while_keys_still_work():
    async with showing(KnowledgeScreen(SlowLibrary(), "")) as shown:
        await shown.until(lambda: "1,203 passages · 45 files · 12.0 MB" in shown.words)
        assert "/a/[b] /c … 2 more" in shown.words
        await shown.press("s")
        await shown.until(lambda: "of 45 files" in shown.words)
        assert "Stop" in shown.text
        assert "Sync" not in shown.text
        await shown.press("s", "d")  # nothing else can be begun
        await shown.press("escape")
        await shown.until(lambda: "Stopped; what was read stays" in shown.words)
        assert not shown.results
        await shown.press("escape")
        assert shown.results == [None]


async def test_a_list_that_cannot_be_read_is_told_once():
    library, looks = SlowLibrary(), []

    def names() -> list[str]:
        looks.append(1)
        raise PermissionError("no way in")

    library.names = names
    async with showing(KnowledgeScreen(library, "")) as shown:
        await shown.until(lambda: "no way in" in shown.words)
        await shown.press("x")
        assert len(looks) == 1


async def test_a_folder_that_is_missing_at_a_sync_is_named():
    library = SlowLibrary()
    library.may_end.set()
    async with showing(KnowledgeScreen(library, "")) as shown:
        await shown.until(lambda: "1,203" in shown.text)
        await shown.press("s")
        await shown.until(lambda: "Done: nothing has changed. /gone is not there now" in shown.words)


async def test_errors_are_one_sentence_in_the_dialog():
    async with showing(KnowledgeScreen(SlowLibrary(), "")) as shown:
        await shown.until(lambda: "1,203" in shown.text)
        await shown.press("d", "y")
        await shown.until(lambda: "it is busy" in shown.words)
        await shown.press("n")
        await shown.type("x")
        await shown.press("enter")
        await shown.until(lambda: "there is [one] already" in shown.words)


@pytest.mark.parametrize(
    "error",
    [
        MissingExtraError("lxml is not installed; run: pip install 'chatglm-slim-llm[rag]'", extra="rag"),
        ModuleNotFoundError("No module named 'filelock'"),
    ],
)
async def test_packages_that_are_missing_are_named_with_the_command_that_installs_them(error):
    async with showing(KnowledgeScreen(SlowLibrary(error), "")) as shown:
        await shown.until(lambda: "pip install 'chatglm-slim-llm[rag]'" in shown.words)


@pytest.mark.parametrize("name", ["a/b", "", "..", "x.db", "NOTES", "a\\b"])
async def test_a_name_that_is_none_or_taken_is_refused(name):
    async with showing(NewKnowledge(["notes"])) as shown:
        await shown.paste(name)
        await shown.press("enter")
        assert "name" in shown.screen.query_one("Said").text
        assert not shown.results


async def test_a_name_and_an_embedder_are_returned():
    async with showing(NewKnowledge([])) as shown:
        await shown.paste("我的 笔记-1")
        await shown.press("enter")
        assert shown.results == [NewBase("我的 笔记-1", None)]
    async with showing(NewKnowledge([])) as shown:
        await shown.paste("x")
        await shown.press("tab", "left")
        assert "nothing by meaning" in shown.words
        await shown.press("tab", "tab", "enter")
        assert shown.results == [NewBase("x", "none")]


@pytest.mark.parametrize(("size", "language"), VIEWS)
async def test_the_knowledge_bases_are_of_use_in_every_size_and_language(size, language):
    use(language)
    try:
        async with showing(KnowledgeScreen(SlowLibrary(), "notes"), size=size) as shown:
            await shown.until(lambda: "notes" in shown.text)
            if size != (20, 5):
                await shown.until(lambda: {"en": "45 files", "zh": "45 个文件"}[language] in shown.text)
            await shown.press("s", "escape")
            await shown.until(lambda: shown.screen._stop is None)
            await shown.press("n", "escape", "a", "escape", "d", "escape", "escape")
            assert shown.results == [None]
    finally:
        use("en")


async def test_without_symbols_the_words_say_which_is_on():
    async with showing(KnowledgeScreen(SlowLibrary(), "notes"), classes="-accessible") as shown:
        await shown.until(lambda: "on for this chat" in shown.text)
        assert "Knowledge bases" in shown.text
        assert not any(line in shown.text for line in "─│╭╮╰╯▔▁")
