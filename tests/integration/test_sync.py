"""A knowledge base follows its files: what changed is read, what did not is left alone, and nobody waits for a lock."""

from __future__ import annotations

import itertools
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
from langchain_core.embeddings import DeterministicFakeEmbedding

from chatglm_slim_llm.errors import ChatGLMSlimError, KnowledgeBaseBusyError, RetrievalError
from chatglm_slim_llm.retrieval import KnowledgeBase


class Counting(DeterministicFakeEmbedding):
    """Counts the texts it is given."""

    size: int = 8
    asked: list[str] = []

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.asked.extend(texts)
        return super().embed_documents(texts)


@pytest.fixture(autouse=True)
def one_reader(monkeypatch):
    """A file at a time: starting processes takes most of the time here."""
    monkeypatch.setattr("chatglm_slim_llm.retrieval.sync.cores", lambda: 1)


@pytest.fixture
def embedder():
    return Counting(asked=[])


@pytest.fixture
def base(tmp_path, embedder):
    with KnowledgeBase.open(tmp_path / "kb.db", embedder=embedder) as base:
        yield base


@pytest.fixture
def folder(tmp_path):
    """Three files, one of them further down."""
    return write(tmp_path / "files", {"a.md": "Text of a.", "b.txt": "Text of b.", "sub/c.md": "# Head\n\nText of c."})


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        long_ago = path.stat().st_mtime_ns - 10**11
        os.utime(path, ns=(long_ago, long_ago))  # outside the time in which a file may change without telling
    return folder


def found(base: KnowledgeBase) -> set[str]:
    passages = base.search("text", k=999, mode="keyword")
    assert len({passage.id for passage in passages}) == len(passages)
    return {passage.text for passage in passages}


def numbers(report) -> tuple[int, int, int, int]:
    return report.added, report.changed, report.unchanged, report.removed


# What changed


def test_files_are_found_with_their_place(base, folder):
    assert numbers(base.add(folder)) == (3, 0, 0, 0)
    [passage] = base.search("text of c", k=1)
    assert (passage.source, passage.heading, passage.first_line) == (str(folder / "sub" / "c.md"), "Head", 3)
    assert base.counts() == {"ready": 3, "skipped": 0, "chunks": 3}
    assert base.roots() == [folder]


def test_a_second_sync_reads_and_embeds_nothing(base, folder, embedder):
    base.add(folder)
    asked = len(embedder.asked)
    told = []
    report = base.sync(progress=told.append)
    assert numbers(report) == (0, 0, 3, 0)
    assert not report.has_changes
    assert [each.total for each in told if each.stage == "indexing"] == [0]
    assert len(embedder.asked) == asked


def test_only_what_changed_is_embedded(base, folder, embedder):
    base.add(folder)
    before = {passage.text: passage.id for passage in base.search("text", k=9)}
    embedder.asked.clear()
    write(folder, {"a.md": "Text of a is new.", "d.md": "Text of d."})
    (folder / "b.txt").unlink()
    assert numbers(base.sync()) == (1, 1, 1, 1)
    assert sorted(embedder.asked) == ["Text of a is new.", "Text of d."]
    assert found(base) == {"Text of a is new.", "Text of c.", "Text of d."}
    after = {passage.text: passage.id for passage in base.search("text", k=9)}
    assert after["Text of c."] == before["Text of c."]


def test_a_file_written_again_with_the_same_content_is_not_embedded_again(base, folder, embedder):
    base.add(folder)
    embedder.asked.clear()
    (folder / "a.md").write_text("Text of a.")
    assert numbers(base.sync()) == (0, 0, 3, 0)
    assert embedder.asked == []


def test_a_file_whose_size_and_time_are_as_they_were_but_were_written_just_now_is_read_again(base, folder):
    path = folder / "a.md"
    path.write_text("Text of x.")
    info = path.stat()
    base.add(folder)
    path.write_text("Text of y.")
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))
    assert numbers(base.sync()) == (0, 1, 2, 0)
    assert "Text of y." in found(base)


def test_a_slow_embedder_does_not_hide_a_change_in_the_tick_in_which_a_file_was_read(tmp_path, folder, monkeypatch):
    """What counts is when the file was read, not when its passages were written."""
    monkeypatch.setattr("chatglm_slim_llm.retrieval.sync._RACE_NS", 1_000_000_000)
    path = folder / "a.md"

    class Slow(Counting):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            if "Text of x." in texts:
                path.write_text("Text of y.")
                os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))
                time.sleep(1.1)
            return super().embed_documents(texts)

    with KnowledgeBase.open(tmp_path / "kb.db", embedder=Slow()) as base:
        base.search("x")
        path.write_text("Text of x.")
        info = path.stat()
        base.add(path)
        assert found(base) == {"Text of x."}
        base.sync()
        assert found(base) == {"Text of y."}


def test_a_renamed_file_has_its_new_name(base, folder):
    base.add(folder)
    (folder / "a.md").rename(folder / "z.md")
    assert numbers(base.sync()) == (1, 0, 2, 1)
    assert {Path(passage.source).name for passage in base.search("text", k=9)} == {"b.txt", "c.md", "z.md"}


def test_a_folder_that_went_takes_its_files_along(base, folder):
    base.add(folder)
    (folder / "sub" / "c.md").unlink()
    (folder / "sub").rmdir()
    assert numbers(base.sync()) == (0, 0, 2, 1)
    assert found(base) == {"Text of a.", "Text of b."}


def test_a_file_that_breaks_is_said_with_its_reason_and_comes_back_when_it_is_well(base, folder):
    base.add(folder)
    (folder / "a.md").write_bytes(bytes(range(256)) * 10)
    report = base.sync()
    assert [(each.path.name, "binary" in each.reason) for each in report.skipped] == [("a.md", True)]
    assert found(base) == {"Text of b.", "Text of c."}
    os.utime(folder / "a.md", (1, 1))
    assert base.sync().skipped == report.skipped
    told = []
    assert base.sync(progress=told.append).skipped == report.skipped
    assert [each.total for each in told if each.stage == "indexing"] == [0]
    write(folder, {"a.md": "Text of a."})
    assert numbers(base.sync()) == (1, 0, 2, 0)
    assert base.counts() == {"ready": 3, "skipped": 0, "chunks": 3}


def test_a_file_that_became_empty_too_large_or_hidden_is_not_found_any_more(base, folder):
    base.add(folder)
    (folder / "a.md").write_text("")
    with (folder / "b.txt").open("ab") as file:
        file.truncate(100 << 20)
    (folder / "sub").rename(folder / ".sub")
    report = base.sync()
    assert report.removed == 3
    assert sorted(each.path.name for each in report.skipped) == [".sub", "a.md", "b.txt"]
    assert found(base) == set()


def test_the_base_in_its_own_folder_is_passed_over(folder, embedder):
    with KnowledgeBase.open(folder / "own.db", embedder=embedder) as base:
        assert base.add(folder).skipped == []
        report = base.sync()
        assert (numbers(report), report.skipped) == ((0, 0, 3, 0), [])


# Roots


def test_a_root_that_is_not_there_keeps_its_documents_until_it_is_back(base, folder, tmp_path):
    other = write(tmp_path / "other", {"o.md": "Text of o."})
    base.add([folder, other])
    folder.rename(tmp_path / "away")
    report = base.sync()
    assert (numbers(report), report.missing_roots) == ((0, 0, 1, 0), [folder])
    assert found(base) == {"Text of a.", "Text of b.", "Text of c.", "Text of o."}
    (tmp_path / "away" / "a.md").unlink()
    (tmp_path / "away").rename(folder)
    assert numbers(base.sync()) == (0, 0, 3, 1)


def test_the_empty_folder_of_a_drive_that_is_not_mounted_keeps_its_documents_and_an_emptied_one_does_not(base, folder):
    base.add(folder)
    before = found(base)
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    with base._index._database.transaction() as db:  # as if it had been on another file system
        db.execute("update roots set device = device + 1")
    assert base.sync().missing_roots == [folder]
    assert found(base) == before
    with base._index._database.transaction() as db:
        db.execute("update roots set device = device - 1")
    assert base.sync().removed == len(before)
    assert not found(base)


def test_a_file_that_was_added_by_name_and_deleted_is_not_found_any_more(base, folder):
    base.add([folder / "a.md", folder / "b.txt"])
    (folder / "a.md").unlink()
    report = base.sync()
    assert (report.removed, report.missing_roots) == (1, [folder / "a.md"])
    assert len(found(base)) == 1


def test_a_root_that_is_not_there_keeps_its_documents_even_within_another(base, folder, tmp_path):
    base.add([folder, folder / "sub"])
    (folder / "sub").rename(tmp_path / "away")
    report = base.sync()
    assert (numbers(report), report.missing_roots) == ((0, 0, 2, 0), [folder / "sub"])
    assert "Text of c." in found(base)


def test_roots_within_each_other_count_each_file_once(base, folder):
    assert numbers(base.add([folder, folder / "sub", folder / "a.md"])) == (3, 0, 0, 0)
    assert numbers(base.sync()) == (0, 0, 3, 0)
    assert base.remove(folder) == 1
    assert found(base) == {"Text of a.", "Text of c."}
    assert base.roots() == [folder / "a.md", folder / "sub"]
    assert base.remove([folder / "sub", folder / "a.md"]) == 2
    assert (found(base), base.documents(), base.roots()) == (set(), [], [])
    assert all((folder / name).exists() for name in ("a.md", "b.txt", "sub/c.md"))


def test_adding_a_folder_keeps_what_was_added_from_within_it_by_name(base, folder):
    hidden = write(folder / ".hidden", {"h.md": "Text of h."})
    base.add(hidden)
    base.add(folder)
    expected = {"Text of a.", "Text of b.", "Text of c.", "Text of h."}
    assert found(base) == expected
    assert numbers(base.sync()) == (0, 0, 4, 0)
    assert found(base) == expected


def test_what_cannot_be_added_or_removed_is_said_and_changes_nothing(base, folder):
    for path in (folder / "none", "x" * 300, "a\0b"):
        with pytest.raises(RetrievalError, match="does not exist"):
            base.add([folder, path])
    assert not base.path.exists()
    base.add(folder)
    with pytest.raises(RetrievalError, match="was not added"):
        base.remove(folder / "a.md")
    assert len(found(base)) == 3


def test_texts_stay_when_files_come_and_go(base, folder):
    base.add_texts(["Text of nobody."])
    base.add(folder)
    base.sync()
    base.remove(folder)
    assert found(base) == {"Text of nobody."}
    base.add(folder)
    base.delete()
    assert found(base) == {"Text of a.", "Text of b.", "Text of c."}


# Stopping, progress, failing


def test_a_sync_that_is_stopped_goes_on_from_there(base, tmp_path, embedder, monkeypatch):
    monkeypatch.setattr("chatglm_slim_llm.retrieval.sync._CHUNKS_AT_ONCE", 4)
    files = write(tmp_path / "files", {f"{n}.md": f"Text of {n}." for n in range(40)})
    seen = []
    report = base.add(files, progress=seen.append, stop=lambda: len(found(base)) >= 8)
    assert report.was_stopped
    assert 8 <= len(found(base)) < 40
    embedded = len(embedder.asked)
    second = base.sync()
    assert not second.was_stopped
    assert report.added + second.added == 40
    assert len(embedder.asked) == embedded + second.added
    assert found(base) == {f"Text of {n}." for n in range(40)}


def test_a_sync_that_is_stopped_at_once_changes_nothing(base, folder):
    base.add(folder)
    (folder / "a.md").unlink()
    report = base.sync(stop=lambda: True)
    assert (numbers(report), report.was_stopped) == ((0, 0, 0, 0), True)
    assert len(found(base)) == 3


def test_progress_counts_up_to_all_there_is(base, folder):
    seen = []
    base.add(folder, progress=seen.append)
    assert seen[0].stage == "looking"
    last = seen[-1]
    size = sum(path.stat().st_size for path in folder.rglob("*.*"))
    assert (last.stage, last.done, last.total, last.done_bytes, last.total_bytes) == ("indexing", 3, 3, size, size)
    assert last.remaining_s == 0
    assert all(first.done <= second.done for first, second in itertools.pairwise(seen[1:]))


def test_an_embedder_that_fails_leaves_no_process_and_no_lock(base, folder, tmp_path):
    class Failing(Counting):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            if "Text of b." in texts:
                raise OSError("the network is down")
            return super().embed_documents(texts)

    before = children_of(os.getpid())  # of earlier tests, and of the runner itself
    with KnowledgeBase.open(base.path, embedder=Failing()) as other, pytest.raises(OSError, match="network"):
        other.add(folder)
    assert children_of(os.getpid()) <= before
    assert numbers(base.sync())[0] == 3
    assert len(found(base)) == 3


def test_a_long_document_is_found_as_it_was_until_all_of_it_is_new(base, tmp_path, monkeypatch):
    monkeypatch.setattr("chatglm_slim_llm.retrieval.sync._CHUNKS_AT_ONCE", 3)
    paragraphs = "\n\n".join(f"Text {n} is a paragraph of words. " * 30 for n in range(20))
    files = write(tmp_path / "files", {"long.md": paragraphs})
    base.add(files)
    old = found(base)
    assert len(old) > 9
    counts = []

    class Looking(Counting):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            counts.append(found(base))
            return super().embed_documents(texts)

    write(files, {"long.md": paragraphs.replace("words", "new words")})
    with KnowledgeBase.open(base.path, embedder=Looking()) as other:
        assert other.sync().changed == 1
    assert len(counts) > 3
    assert all(each == old for each in counts[1:])  # the first call makes the fingerprint
    assert all("new words" in text for text in found(base))


def test_another_embedder_makes_all_vectors_anew_once(base, folder):
    base.add(folder)
    other = Counting(size=6, asked=[])
    with KnowledgeBase.open(base.path, embedder=other) as second:
        report = second.sync()
        assert (numbers(report), {"Text of a.", "Text of b."} <= set(other.asked)) == ((0, 0, 3, 0), True)
        assert len(second.search("text of a", k=9, mode="vector")) == 3
        asked = len(other.asked)
        second.sync()
        assert len(other.asked) == asked
    db = sqlite3.connect(base.path)
    assert {len(row[0]) for row in db.execute("select vector from vectors")} == {4 * 6}
    db.close()


# Two at once

HOLDER = """
import sys
from pathlib import Path
from langchain_core.embeddings import DeterministicFakeEmbedding
from chatglm_slim_llm.retrieval import KnowledgeBase

class Waiting(DeterministicFakeEmbedding):
    def embed_documents(self, texts):
        if "Text of a." in texts:
            print("holds", flush=True)
            sys.stdin.readline()
        return super().embed_documents(texts)

KnowledgeBase.open(sys.argv[1], embedder=Waiting(size=8)).add(sys.argv[2])
print("done", flush=True)
"""


@pytest.fixture
def holder(base, folder):
    """A process that is amid a sync until it gets a line."""
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(HOLDER), str(base.path), str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert child.stdout.readline() == b"holds\n"
    yield child
    child.kill()
    child.communicate()


@pytest.mark.long
def test_the_second_of_two_processes_is_told_and_may_search_and_add_texts(base, folder, holder):
    for act in (base.sync, lambda: base.add(folder), lambda: base.remove(folder)):
        with pytest.raises(KnowledgeBaseBusyError, match="being indexed by another process; wait") as caught:
            act()
        assert caught.value.path == base.path
    assert base.search("text") == []
    base.add_texts(["Text of the second."])
    assert found(base) == {"Text of the second."}
    out, _ = holder.communicate(b"\n", timeout=20)
    assert out == b"done\n"
    assert found(base) == {"Text of a.", "Text of b.", "Text of c.", "Text of the second."}
    assert numbers(base.sync()) == (0, 0, 3, 0)


@pytest.mark.long
def test_a_process_that_was_killed_holds_nothing(base, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    base.sync()
    assert found(base) == {"Text of a.", "Text of b.", "Text of c."}


def test_a_second_thread_is_told_as_well(base, folder):
    held, go = threading.Event(), threading.Event()

    def progress(_) -> None:
        held.set()
        go.wait(10)

    thread = threading.Thread(target=base.add, args=(folder,), kwargs={"progress": progress})
    thread.start()
    held.wait(10)
    try:
        with pytest.raises(KnowledgeBaseBusyError):
            base.sync()
        assert base.search("text") == []
    finally:
        go.set()
        thread.join()
    assert len(found(base)) == 3


@pytest.mark.long
def test_threads_search_while_another_syncs(base, tmp_path):
    files = write(tmp_path / "files", {f"{n}.md": f"Text {n} stays." for n in range(20)})
    base.add(files)
    expected = base.search("text stays", k=20, filter=lambda metadata: "new" not in metadata["source"])
    failed: list[BaseException] = []
    done = threading.Event()

    def search() -> None:
        try:
            while not done.is_set():
                for mode in ("keyword", "vector", "hybrid"):
                    assert len(base.search("text stays", k=20, mode=mode)) == 20
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=search) for _ in range(2)]
    for thread in threads:
        thread.start()
    for turn in range(4):
        write(files, {f"new{turn}.md": "Text that is new."})
        base.sync()
    done.set()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
    assert len(expected) == 20


def test_a_place_where_no_base_can_be_is_one_clear_error(tmp_path, folder):
    (tmp_path / "file").write_text("in the way")
    with (
        KnowledgeBase.open(tmp_path / "file" / "kb.db", embedder=Counting()) as base,
        pytest.raises(ChatGLMSlimError, match="cannot be written"),
    ):
        base.add(folder)


def children_of(pid: int) -> set[int]:
    tasks = Path(f"/proc/{pid}/task")
    if not tasks.exists():
        return set()
    return {int(child) for task in tasks.iterdir() for child in (task / "children").read_text().split()}
