"""A person's knowledge bases, worked on in the library's child process: LangChain, embedders and readers are here."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chatglm_slim_llm.errors import ConfigError, RetrievalError
from chatglm_slim_llm.hosting.extras import extra_packages
from chatglm_slim_llm.retrieval.place import knowledge_base_path

if TYPE_CHECKING:
    from chatglm_slim_llm.hosting.wire import Message
    from chatglm_slim_llm.hosting.work import Job
    from chatglm_slim_llm.retrieval.index import Index
    from chatglm_slim_llm.retrieval.knowledge_base import KnowledgeBase
    from chatglm_slim_llm.retrieval.sync import Progress, SyncReport


class Shelves:
    """What the library's process does, by name."""

    def do(self, what: str, given: Message, job: Job) -> Any:
        """Do one piece of work."""
        work: dict[str, Callable[[Message, Job], Any]] = {
            "facts": _facts,
            "create": _create,
            "add": _add,
            "sync": _sync,
            "remove": _remove,
        }
        with extra_packages():
            return work[what](given, job)


def _facts(given: Message, job: Job) -> Message:
    with _index(given["name"]) as index:
        counts, made_by = index.counts(), index.fingerprint()
        chosen = index.setting("choice")
        return {
            "name": given["name"],
            "passages": counts["chunks"],
            "files": counts["ready"],
            "embedder": made_by.name if made_by else chosen or "",
            "size_bytes": sum(each.stat().st_size for each in _files(index.path) if each.exists()),
            "folders": [os.fspath(root) for root in index.roots()],
        }


def _create(given: Message, job: Job) -> None:
    from chatglm_slim_llm.plugins import plugin
    from chatglm_slim_llm.retrieval.embedders import GROUP
    from chatglm_slim_llm.retrieval.embedding import NO_EMBEDDER
    from chatglm_slim_llm.retrieval.index import Index
    from chatglm_slim_llm.retrieval.sync import only_one

    name, embedder = given["name"], given["embedder"]
    if os.sep in name or name.endswith(".db"):
        raise ConfigError(f"{name!r} is no name; give letters, digits, spaces, '.', '_' and '-'", key="name")
    path = knowledge_base_path(name)
    if embedder not in (None, NO_EMBEDDER):
        plugin(GROUP, embedder.partition(":")[0])
    with only_one(path):
        if path.exists():
            raise RetrievalError(f"there is a knowledge base {name} already; choose another name")
        with closing(Index(path)) as index:
            index.set_settings({} if embedder is None else {"choice": embedder})


def _add(given: Message, job: Job) -> Message:
    with _base(given["name"]) as base:
        return _report(base.add(given["paths"], progress=_teller(job), stop=job.stop.is_set))


def _sync(given: Message, job: Job) -> Message:
    with _base(given["name"]) as base:
        return _report(base.sync(progress=_teller(job), stop=job.stop.is_set))


def _remove(given: Message, job: Job) -> None:
    from chatglm_slim_llm.retrieval.sync import lock_path, only_one

    path = _existing(given["name"])
    with only_one(path):  # not under the hands of a process that indexes
        for each in _files(path):
            each.unlink(missing_ok=True)
        with suppress(PermissionError):  # Windows keeps a file that is open
            Path(lock_path(path)).unlink(missing_ok=True)


@contextmanager
def _base(name: str) -> Iterator[KnowledgeBase]:
    from chatglm_slim_llm.retrieval.knowledge_base import KnowledgeBase

    with KnowledgeBase.open(_existing(name)) as base:
        yield base


@contextmanager
def _index(name: str) -> Iterator[Index]:
    from chatglm_slim_llm.retrieval.index import Index

    with closing(Index(_existing(name))) as index:
        yield index


def _existing(name: str) -> Path:
    path = knowledge_base_path(name)
    if not path.exists():
        raise RetrievalError(f"the knowledge base {name} is gone; create it again, or choose another")
    return path


def _files(path: Path) -> list[Path]:
    return [Path(f"{path}{suffix}") for suffix in ("", "-wal", "-shm")]


def _teller(job: Job) -> Callable[[Progress], None]:
    def tell(progress: Progress) -> None:
        if not job.stop.is_set():  # it stops by itself, between files
            job.progress(progress.stage, progress.done, progress.total)

    return tell


def _report(report: SyncReport) -> Message:
    from chatglm_slim_llm.retrieval.scanning import matters_less

    return {
        "added": report.added,
        "changed": report.changed,
        "unchanged": report.unchanged,
        "removed": report.removed,
        "passages": report.chunks,
        "skipped": [[os.fspath(each.path), each.reason] for each in sorted(report.skipped, key=matters_less)],
        "missing": [os.fspath(root) for root in report.missing_roots],
        "was_stopped": report.was_stopped,
    }
