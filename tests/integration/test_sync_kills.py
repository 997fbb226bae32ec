"""A process that indexes is killed, at any point, and nothing is lost, doubled or left behind.

The child is forked, so a kill costs no start of Python. It is killed after a random time, or at a random call of the
code that writes, which also meets what takes no time at all.
"""

from __future__ import annotations

import hashlib
import os
import random
import signal
import sqlite3
import sys
import time
import uuid
import warnings
from pathlib import Path

import numpy as np
import pytest
from langchain_core.embeddings import Embeddings

from chatglm_slim_llm.retrieval import KnowledgeBase
from chatglm_slim_llm.retrieval.loaders.text import load
from chatglm_slim_llm.retrieval.splitting import split

pytestmark = pytest.mark.skipif(not hasattr(os, "fork") or not Path("/proc/self").exists(), reason="forks, reads /proc")

BLOCK = 6
"""Chunks in a transaction, so that a file of a few paragraphs takes several."""
SENTENCE = "Sentence number {} of version {} says something about {} that is long enough to stand alone. "


class Hashes(Embeddings):
    """A vector of its own for each text, at no cost."""

    def __init__(self, salt: str) -> None:
        self.salt = salt

    def embed_query(self, text: str) -> list[float]:
        digest = hashlib.sha256(f"{self.salt}\0{text}".encode()).digest()
        return (np.frombuffer(digest, np.uint8)[:16].astype(np.float64) - 127.5).tolist()

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.embed_query(text) for text in texts]


class Folder:
    """Files that change, and what each version of them is cut into."""

    def __init__(self, path: Path, rng: random.Random) -> None:
        self.path, self._rng, self._version = path, rng, 0
        self.versions: dict[str, set[tuple[str, ...]]] = {}
        path.mkdir()
        for number in range(12):
            self._write(path / f"{number}.txt")

    def change(self) -> None:
        """Some files come, some change, some go."""
        files = sorted(self.path.iterdir())
        for file in self._rng.sample(files, min(len(files), self._rng.randint(0, 4))):
            file.unlink() if self._rng.random() < 0.4 else self._write(file)
        for _ in range(self._rng.randint(0, 3)):
            self._write(self.path / f"{self._rng.randint(0, 30)}.txt")

    def texts(self) -> list[tuple[str, str]]:
        """Source and text of each passage that there has to be."""
        return sorted((str(file), chunk.text) for file in self.path.iterdir() for chunk in split(load(file)))

    def _write(self, file: Path) -> None:
        self._version += 1
        count = self._rng.choice([1, 2, 5, 40, 400])
        file.write_text("".join(SENTENCE.format(n, self._version, file.stem) for n in range(count)))
        self.versions.setdefault(str(file), set()).add(tuple(chunk.text for chunk in split(load(file))))


def sync(path: Path, salt: str = "") -> None:
    with KnowledgeBase.open(path, embedder=Hashes(salt)) as base:
        report = base.sync()
    assert not report.skipped


def killed(path: Path, salt: str, *, after_s: float | None = None, after_calls: int | None = None) -> bool:
    """Sync in a child and kill it; whether it was still at it."""
    ready, tell = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newer Pythons warn of a fork beside threads; none of ours is running
        child = os.fork()
    if child == 0:
        try:
            os.write(tell, b".")
            if after_calls is not None:
                _die_after(after_calls)
            sync(path, salt)
            os._exit(0)
        finally:
            os._exit(1)
    os.close(tell)
    os.read(ready, 1)
    os.close(ready)
    if after_s is not None:
        time.sleep(after_s)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def _die_after(calls: int) -> None:
    left = calls

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal left
        if "chatglm_slim_llm" in frame.f_code.co_filename:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(count)


def calls_of(path: Path) -> int:
    calls = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        calls += "chatglm_slim_llm" in frame.f_code.co_filename

    sys.setprofile(count)
    try:
        sync(path)
    finally:
        sys.setprofile(None)
    return calls


def assert_whole(path: Path, folder: Folder) -> None:
    """The file is sound, and each document that can be found is one version of its file from beginning to end."""
    db = sqlite3.connect(path)
    assert db.execute("pragma integrity_check").fetchall() == [("ok",)]
    assert db.execute("pragma foreign_key_check").fetchall() == []
    db.execute("insert into chunk_terms (chunk_terms) values ('integrity-check')")
    for table, key in (("chunk_terms", "rowid"), ("vectors", "chunk_id"), ("sentence_vectors", "chunk_id")):
        sql = f"select count(*) from {table} where {key} not in (select id from chunks)"
        assert db.execute(sql).fetchone()[0] == 0, f"{table} has rows of no chunk"
    assert db.execute("select count(*) from chunks where id not in (select rowid from chunk_terms)").fetchone()[0] == 0
    ready = db.execute("select id, source from documents where state = 'ready'").fetchall()
    assert len({source for _, source in ready}) == len(ready)
    for id_, source in ready:
        texts = db.execute("select text from chunks where document_id = ? order by id", (id_,)).fetchall()
        assert tuple(text for (text,) in texts) in folder.versions[source]
    db.close()


def assert_complete(path: Path, folder: Folder) -> None:
    """Every passage of every file is there once, with its own vector."""
    assert_whole(path, folder)
    db = sqlite3.connect(path)
    assert db.execute("select count(*) from documents where state <> 'ready'").fetchone()[0] == 0
    rows = db.execute(
        "select d.source, c.text, v.vector, s.vectors, c.key from chunks c join documents d on d.id = c.document_id"
        " left join vectors v on v.chunk_id = c.id left join sentence_vectors s on s.chunk_id = c.id"
    ).fetchall()
    db.close()
    assert sorted((source, text) for source, text, *_ in rows) == folder.texts()
    assert len({key for *_, key in rows}) == len(rows)
    own = Hashes("")
    for _, text, vector, sentences, _ in rows:
        expected = np.array(own.embed_query(text))
        np.testing.assert_allclose(np.frombuffer(vector, np.float32), expected / np.linalg.norm(expected), atol=1e-6)
        assert sentences is not None


def processes_with(mark: str) -> list[int]:
    """Processes that have this in their environment, but for this one."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                if mark.encode() in (folder / "environ").read_bytes():
                    found.append(int(folder.name))
            except OSError:
                continue
    return found


@pytest.mark.long
@pytest.mark.parametrize("kills", [12, pytest.param(1000, marks=[pytest.mark.slow, pytest.mark.timeout(3000)])])
def test_a_sync_may_be_killed_at_any_point(tmp_path, monkeypatch, kills):
    mark = uuid.uuid4().hex
    monkeypatch.setenv("KILL_TEST", mark)
    monkeypatch.setattr("chatglm_slim_llm.retrieval.sync._CHUNKS_AT_ONCE", BLOCK)
    rng = random.Random(int(os.environ.get("KILL_SEED", "5")))
    folder, path = Folder(tmp_path / "files", rng), tmp_path / "kb.db"
    with KnowledgeBase.open(path, embedder=Hashes("")) as base:
        base.add(folder.path)
    assert_complete(path, folder)
    folder.change()
    seconds, calls, tries, hits, left_open = 0.2, calls_of(path), 0, 0, 0
    while hits < kills:
        tries += 1
        assert tries < 4 * kills
        folder.change()
        salt = rng.choice(["", "", "", "other"])
        if rng.random() < 0.5:
            hits += killed(path, salt, after_s=rng.uniform(0, seconds))
        else:
            hits += killed(path, salt, after_calls=rng.randint(1, calls))
        assert_whole(path, folder)
        db = sqlite3.connect(path)
        left_open += db.execute("select count(*) > 0 from documents where state = 'incoming'").fetchone()[0]
        db.close()
        if tries % 4 == 0:
            started = time.monotonic()
            sync(path)
            seconds = 0.8 * seconds + 0.2 * (time.monotonic() - started)
            assert_complete(path, folder)
    sync(path)
    deadline = time.monotonic() + 10
    while processes_with(mark) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert processes_with(mark) == []
    with KnowledgeBase.open(tmp_path / "fresh.db", embedder=Hashes("")) as fresh:
        fresh.add(folder.path)
    assert passages(path) == passages(tmp_path / "fresh.db")
    print(f"{hits} kills amid a sync of {tries} tries, {left_open} left a half-written document")  # noqa: T201


def passages(path: Path) -> list[tuple[object, ...]]:
    db = sqlite3.connect(path)
    rows = db.execute(
        "select d.source, c.key, c.text, c.first_line, c.last_line, t.terms, v.vector, s.vectors from chunks c"
        " join documents d on d.id = c.document_id join chunk_terms t on t.rowid = c.id"
        " join vectors v on v.chunk_id = c.id join sentence_vectors s on s.chunk_id = c.id"
    ).fetchall()
    db.close()
    return sorted(rows)
