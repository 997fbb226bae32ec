"""A knowledge base brought up to date with its files: only what changed is read, and every step can be the last.

A file's old chunks are found until its new ones are, all at once, in one transaction. So a process that is killed
loses at most the batch it was at, some hundred chunks, whose files the next sync reads again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from filelock import FileLock, Timeout

from chatglm_slim_llm.errors import KnowledgeBaseBusyError, StorageError
from chatglm_slim_llm.retrieval.embedders import Embedder, Fingerprint
from chatglm_slim_llm.retrieval.index import Index
from chatglm_slim_llm.retrieval.parallel import ParallelEmbedder, cores
from chatglm_slim_llm.retrieval.preparing import prepare, vectors_of
from chatglm_slim_llm.retrieval.reading import ReaderPool, ReadFile, ReadLimits, UnreadFile
from chatglm_slim_llm.retrieval.rows import Document, FileState, IndexedChunk
from chatglm_slim_llm.retrieval.scanning import FoundFile, ScanLimits, SkippedFile, display_name, scan

Stop = Callable[[], bool]

_CHUNKS_AT_ONCE = 128
"""Embedded in one call, and written in one transaction of a long document; a stop waits for so many."""
_RACE_NS = 2_000_000_000
"""A file written so shortly before it was read may have been written again in the same tick of its clock."""


@dataclass(frozen=True)
class Progress:
    """How far a sync has come."""

    stage: str
    """``looking``, ``embedding`` (chunks again, by another embedder) or ``indexing``."""
    done: int = 0
    """Files, or chunks while ``embedding``."""
    total: int = 0
    done_bytes: int = 0
    total_bytes: int = 0
    chunks: int = 0
    """Chunks written so far."""
    elapsed_s: float = 0.0
    current: Path | None = None
    """The file that was written last."""

    @property
    def bytes_per_s(self) -> float:
        """How fast files are indexed."""
        return self.done_bytes / self.elapsed_s if self.elapsed_s > 0 else 0.0

    @property
    def remaining_s(self) -> float | None:
        """Seconds left at the pace so far; ``None`` before there is one."""
        done, total = (self.done_bytes, self.total_bytes) if self.total_bytes else (self.done, self.total)
        return self.elapsed_s * (total - done) / done if done else None


@dataclass
class SyncReport:
    """What a sync did."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    removed: int = 0
    chunks: int = 0
    """Chunks written."""
    skipped: list[SkippedFile] = field(default_factory=list)
    """Files and folders that were left out now or at an earlier sync, with the reason."""
    missing_roots: list[Path] = field(default_factory=list)
    """Folders that are not there now, or empty; what was in them is kept."""
    was_stopped: bool = False
    elapsed_s: float = 0.0
    seconds: dict[str, float] = field(default_factory=dict)
    """By stage: looking, reading (waiting for it), embedding, writing."""

    @property
    def has_changes(self) -> bool:
        """Whether something else is found than before."""
        return bool(self.added or self.changed or self.removed)


class _StoppedError(Exception):
    """In the middle of a long document, of which nothing is found then."""


class Sync:
    """One run over some roots of an index, alone among all processes."""

    def __init__(
        self,
        index: Index,
        embedder: Embedder | None,
        fingerprint: Fingerprint | None,
        *,
        progress: Callable[[Progress], None] | None = None,
        stop: Stop | None = None,
        read_limits: ReadLimits | None = None,
        scan_limits: ScanLimits | None = None,
        loadable: Sequence[str] = (),
    ) -> None:
        self._index = index
        self._embedder = embedder
        self._fingerprint = fingerprint
        self._tell = progress or (lambda _: None)
        self._stop = stop or (lambda: False)
        self._read_limits = read_limits or ReadLimits()
        self._scan_limits = scan_limits or ScanLimits()
        self._loadable = frozenset(loadable)
        self._began_at = 0.0
        self._progress = Progress("looking")
        self._indexing_since = 0.0
        self._report = SyncReport(seconds=dict.fromkeys(("looking", "reading", "embedding", "writing"), 0.0))

    def run(self, roots: Sequence[Path]) -> SyncReport:
        """Bring what is under these roots up to date.

        Raises:
            KnowledgeBaseBusyError: another process is at it.
        """
        started = time.monotonic()
        self._began_at = time.time()
        with only_one(self._index.path), ParallelEmbedder(self._embedder) as embedder:
            self._index.remove_incoming()
            self._renew_vectors(embedder)
            files = self._look(roots)
            self._index_files(files, embedder)
            self._index.remove_incoming()
            self._index.set_settings({"synced_at": time.time()})
        self._report.was_stopped = self._stop()
        self._report.elapsed_s = time.monotonic() - started
        return self._report

    # Vectors of another embedder

    def _renew_vectors(self, embedder: Embedder | None) -> None:
        known = self._index.fingerprint()
        if self._fingerprint is None or embedder is None:
            return
        if known is None or not known.is_same(self._fingerprint):
            self._index.begin_vectors(self._fingerprint)
        started = time.monotonic()
        done, total = 0, self._index.count_without_vectors()
        while not self._stop() and (rows := self._index.without_vectors(_CHUNKS_AT_ONCE)):
            with self._timed("embedding"):
                vectors = vectors_of([(heading, text) for _, heading, text in rows], embedder)
            with self._timed("writing"):
                self._index.put_vectors({row[0]: each for row, each in zip(rows, vectors, strict=True)})
            done += len(rows)
            self._tell(Progress("embedding", done, total, chunks=done, elapsed_s=time.monotonic() - started))

    # What is there

    def _look(self, roots: Sequence[Path]) -> list[tuple[FoundFile, Document | None]]:
        """The files that have to be read, with what is known of them; what has gone is removed on the way."""
        self._tell(Progress("looking"))
        with self._timed("looking"):
            known = {document.path: document for document in self._index.documents()}
            devices = self._index.devices()
            there = [root for root in roots if _is_there(root, devices.get(root))]
            self._report.missing_roots = [root for root in roots if root not in there]
            deleted = {root for root in self._report.missing_roots if _was_deleted(root)}
            own = str(self._index.path)
            to_read: list[tuple[FoundFile, Document | None]] = []
            seen: set[Path] = set()
            for found in scan(there, limits=self._scan_limits, ignore=_own_files(own), loadable=self._loadable):
                if self._stop():
                    return []
                if isinstance(found, SkippedFile):
                    self._report.skipped.append(found)
                    continue
                seen.add(found.path)
                document = known.get(found.path)
                if document is None or not _is_as_it_was(found, document):
                    to_read.append((found, document))
                elif document.state == "skipped":
                    self._report.skipped.append(SkippedFile(found.path, document.reason or "cannot be read"))
                else:
                    self._report.unchanged += 1
            every = {*roots, *self._index.roots()}
            gone = [
                each
                for path, each in known.items()
                if path and path not in seen and (root_of(path, every) in there or path in deleted)
            ]
            self._index.remove_documents([document.id for document in gone])
            self._report.removed = sum(document.state == "ready" for document in gone)
        return to_read

    # Reading and writing

    def _index_files(self, files: list[tuple[FoundFile, Document | None]], embedder: Embedder | None) -> None:
        documents = {found.path: document for found, document in files}
        self._progress = Progress("indexing", 0, len(files), 0, sum(found.size_bytes for found, _ in files))
        self._indexing_since = time.monotonic()
        self._tell(self._progress)
        for batch in self._batches(found for found, _ in files):
            try:
                self._write(batch, documents, embedder)
            except _StoppedError:
                return
            size_bytes = sum(each.file.size_bytes for each in batch)
            self._advance(files=len(batch), size_bytes=size_bytes, current=batch[-1].file.path)
            if self._stop():
                return

    def _advance(self, *, files: int = 0, size_bytes: int = 0, current: Path | None = None, chunks: int = 0) -> None:
        """Tell how far it has come; ``chunks`` are of a file that is not done."""
        self._progress = replace(
            self._progress,
            done=self._progress.done + files,
            done_bytes=self._progress.done_bytes + size_bytes,
            chunks=self._report.chunks + chunks,
            elapsed_s=time.monotonic() - self._indexing_since,
            current=current or self._progress.current,
        )
        self._tell(self._progress)

    def _batches(self, files: Iterable[FoundFile]) -> Iterator[list[ReadFile | UnreadFile]]:
        """Files as they are read, as many together as are worth one call of the embedder."""
        held: list[ReadFile | UnreadFile] = []
        chunks = 0
        with ReaderPool(cores(), self._read_limits) as readers:
            results = iter(readers.read(files, self._stop))
            while True:
                with self._timed("reading"):
                    result = next(results, None)
                if result is None:
                    break
                held.append(result)
                chunks += len(result.chunks) if isinstance(result, ReadFile) else 0
                if chunks >= _CHUNKS_AT_ONCE or len(held) >= _CHUNKS_AT_ONCE:
                    yield held
                    held, chunks = [], 0
        if held:
            yield held

    def _write(
        self,
        batch: Sequence[ReadFile | UnreadFile],
        documents: dict[Path, Document | None],
        embedder: Embedder | None,
    ) -> None:
        readable = [each for each in batch if isinstance(each, ReadFile) and not self._is_same(each, documents)]
        short = [each for each in readable if len(each.chunks) <= _CHUNKS_AT_ONCE]
        with self._timed("embedding"):
            prepared = iter(prepare([chunk for each in short for chunk in each.chunks], embedder))
        for read in short:
            self._put(read, [[next(prepared) for _ in read.chunks]], documents)
        for read in readable:
            if len(read.chunks) > _CHUNKS_AT_ONCE:
                self._put(read, self._prepared_blocks(read, embedder), documents)
        for each in batch:
            if isinstance(each, UnreadFile):
                self._skip(each)

    def _prepared_blocks(self, read: ReadFile, embedder: Embedder | None) -> Iterator[list[IndexedChunk]]:
        for start in range(0, len(read.chunks), _CHUNKS_AT_ONCE):
            if self._stop():
                raise _StoppedError
            with self._timed("embedding"):
                block = prepare(read.chunks[start : start + _CHUNKS_AT_ONCE], embedder)
            yield block
            self._advance(chunks=start + len(block))

    def _put(
        self, read: ReadFile, blocks: Iterable[Sequence[IndexedChunk]], documents: dict[Path, Document | None]
    ) -> None:
        before = self._report.seconds["embedding"]
        started = time.monotonic()
        self._index.put_document(self._state(read.file, read.digest), display_name(read.file.path), blocks)
        embedding = self._report.seconds["embedding"] - before  # a long document's blocks are prepared on the way
        self._report.seconds["writing"] += time.monotonic() - started - embedding
        self._report.chunks += len(read.chunks)
        old = documents[read.file.path]
        if old is not None and old.state == "ready":
            self._report.changed += 1
        else:
            self._report.added += 1

    def _is_same(self, read: ReadFile, documents: dict[Path, Document | None]) -> bool:
        """A file that was written again as it was costs no embedding."""
        old = documents[read.file.path]
        if old is None or old.state != "ready" or old.digest != read.digest:
            return False
        self._index.touch(old.id, self._state(read.file, read.digest))
        self._report.unchanged += 1
        return True

    def _skip(self, unread: UnreadFile) -> None:
        self._index.skip(self._state(unread.file, None), display_name(unread.file.path), unread.reason)
        self._report.skipped.append(SkippedFile(unread.file.path, unread.reason))

    def _state(self, file: FoundFile, digest: str | None) -> FileState:
        return FileState(file.path, digest, file.size_bytes, file.mtime_ns, self._began_at)

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        """Add the time of a block to a stage."""
        started = time.monotonic()
        try:
            yield
        finally:
            self._report.seconds[stage] += time.monotonic() - started


@contextmanager
def only_one(path: Path) -> Iterator[None]:
    """Hold what only one process may hold: the right to change which files a knowledge base holds.

    Raises:
        KnowledgeBaseBusyError: another process holds it.
        StorageError: the file's folder cannot be written.
    """
    lock = FileLock(lock_path(path), mode=0o600)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock.acquire(blocking=False)
    except Timeout as error:
        raise KnowledgeBaseBusyError(
            f"{path} is being indexed by another process; wait until it has ended, or stop it, and try again"
            " (searching works meanwhile)",
            path=path,
        ) from error
    except OSError as error:
        raise StorageError(f"{path} cannot be written ({error.strerror or error}); choose a folder that can") from error
    try:
        yield
    finally:
        lock.release()


def lock_path(path: Path) -> str:
    """The file beside a knowledge base by which processes take turns; the system frees it when its holder dies."""
    return f"{path}.lock"


def _is_there(root: Path, device: int | None) -> bool:
    """Whether a root is what it was; the empty folder of a drive that is not mounted is not."""
    try:
        if not root.is_dir():
            return root.exists()
        return next(root.iterdir(), None) is not None or root.stat().st_dev == device
    except OSError:  # the scan says why it cannot be looked into
        return True


def _was_deleted(root: Path) -> bool:
    """Whether a root that is not there was a file, taken from a folder in which there are others."""
    try:
        return not root.exists() and next(root.parent.iterdir(), None) is not None
    except OSError:
        return False


def _own_files(path: str) -> list[str]:
    return [path, f"{path}-wal", f"{path}-shm", lock_path(Path(path))]


def _is_as_it_was(found: FoundFile, document: Document) -> bool:
    if (found.size_bytes, found.mtime_ns) != (document.size_bytes, document.mtime_ns):
        return False
    return document.indexed_at * 1e9 - found.mtime_ns > _RACE_NS


def root_of(path: Path, roots: Container[Path]) -> Path | None:
    """The nearest one above: a folder within another may have been added by its name because the other skips it."""
    return next((each for each in (path, *path.parents) if each in roots), None)
