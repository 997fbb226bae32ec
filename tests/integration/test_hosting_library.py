"""Knowledge bases and files, worked on in a process of the library's own."""

from __future__ import annotations

import os
import signal

import pytest

from chatglm_slim_llm.errors import (
    ConfigError,
    GenerationError,
    KnowledgeBaseBusyError,
    PluginNotFoundError,
    RetrievalError,
)
from chatglm_slim_llm.hosting.library import Library


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CHATGLM_SLIM_HOME", str(home))
        yield home


@pytest.fixture(scope="module")
def library(home):
    library = Library()
    yield library
    library.close()


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "文件"
    folder.mkdir()
    for number in range(5):
        (folder / f"{number}.md").write_text(f"# Room {number}\n\nThe key of room {number} is under the mat.\n")
    (folder / "picture.png").write_bytes(b"\x89PNG")
    return folder


def nothing(what, done, total):
    pass


def test_listing_starts_no_process(home):
    library = Library()
    assert library.names() == []
    assert library._child is None


def test_a_knowledge_base_from_its_making_to_its_end(library, folder):
    library.create("notes", "none")
    assert library.names() == ["notes"]
    empty = library.facts("notes")
    assert (empty.name, empty.passages, empty.files, empty.embedder, empty.folders) == ("notes", 0, 0, "none", ())
    assert empty.size_bytes > 0

    seen = []
    report = library.add("notes", [folder], lambda *progress: seen.append(progress))
    assert (report.added, report.removed, report.was_stopped) == (5, 0, False)
    assert report.skipped == ((str(folder / "picture.png"), "an image"),)
    assert ("indexing", 5, 5) in seen
    full = library.facts("notes")
    assert (full.files, full.passages, full.folders) == (5, report.passages, (str(folder),))

    (folder / "1.md").unlink()
    (folder / "2.md").write_text("# Room 2\n\nThe key of room 2 is lost.\n")
    report = library.sync("notes", nothing)
    assert (report.changed, report.removed, report.unchanged) == (1, 1, 3)

    library.remove("notes")
    assert library.names() == []
    assert (folder / "2.md").exists()


def test_a_file_is_added_by_its_name_with_a_tilde(library, home, monkeypatch):
    monkeypatch.setenv("HOME", str(home))
    (home / "one.txt").write_text("The lamp is in the hall.")
    library.create("one", "none")
    assert library.add("one", ["~/one.txt"], nothing).added == 1


def test_what_cannot_be_done_is_one_clear_error(library, home):
    library.create("taken", "none")
    with pytest.raises(RetrievalError, match="already"):
        library.create("taken")
    with pytest.raises(PluginNotFoundError, match="nonsense"):
        library.create("new", "nonsense")
    for name in ("", "../up", "a/b", "x.db"):
        with pytest.raises(ConfigError):
            library.create(name)
    for work in (library.facts, library.remove, lambda name: library.sync(name, nothing)):
        with pytest.raises(RetrievalError, match="gone"):
            work("nowhere")
    with pytest.raises(RetrievalError, match="does not exist"):
        library.add("taken", [home / "nowhere"], nothing)
    assert library.names() == ["one", "taken"]


def test_what_is_being_indexed_is_not_removed(library, home):
    from chatglm_slim_llm.retrieval.place import knowledge_base_path
    from chatglm_slim_llm.retrieval.sync import only_one

    library.create("busy", "none")
    with only_one(knowledge_base_path("busy")), pytest.raises(KnowledgeBaseBusyError, match="another process"):
        library.remove("busy")
    library.remove("busy")


def test_what_progress_raises_stops_it_and_what_was_indexed_stays(library, tmp_path):
    class StoppedError(Exception):
        pass

    def progress(what, done, total):
        if what == "indexing" and done:
            raise StoppedError

    for number in range(600):
        (tmp_path / f"{number}.txt").write_text(f"Sentence number {number} says something of its own. " * 40)
    library.create("stopped", "none")
    with pytest.raises(StoppedError):
        library.add("stopped", [tmp_path], progress)
    facts = library.facts("stopped")
    assert 0 < facts.files < 600
    report = library.sync("stopped", nothing)
    assert report.added == 600 - facts.files
    assert report.unchanged == facts.files


@pytest.mark.long
def test_a_process_that_dies_is_one_error_and_the_next_call_has_another(library, folder):
    library.create("dying", "none")
    pid = library._child.pid
    killed = []

    def progress(what, done, total):
        if not killed:
            killed.append(os.kill(pid, signal.SIGKILL))

    with pytest.raises(GenerationError, match="The library's process was ended by the system"):
        library.add("dying", [folder], progress)
    assert library.add("dying", [folder], nothing).added == 5


def test_a_file_is_read_for_a_message(library, folder):
    attachment = library.read_file(folder / "3.md")
    assert (attachment.name, attachment.path) == ("3.md", folder / "3.md")
    assert "room 3" in attachment.text
