"""The knowledge bases that are served: looked up by name, opened when they are first asked, read and never written.

All methods block and may be called from any thread. Importing this brings neither LangChain nor numpy.
"""

from __future__ import annotations

import os
import shlex
import threading
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote

from chatglm_slim_llm.errors import ChatGLMSlimError, ConfigError, RetrievalError
from chatglm_slim_llm.hosting.extras import extra_packages
from chatglm_slim_llm.retrieval.place import knowledge_base_names, knowledge_base_path

if TYPE_CHECKING:
    from chatglm_slim_llm.retrieval import KnowledgeBase, Passage

MOST_FILES = 1000
"""Files that an overview lists by name."""


class Bases:
    """Knowledge bases by the names under which they are served.

    Args:
        only: names or files; none for all that have a name, also those that are made later.

    Raises:
        ConfigError: one is neither a name nor a file, or two would have the same name.
    """

    def __init__(self, only: Sequence[str] = ()) -> None:
        self._only = {_served_name(each): knowledge_base_path(each) for each in only}
        if len(self._only) < len(set(only)):
            raise ConfigError("two knowledge bases have the same name; rename one of the files", key="kb")
        self._lock = threading.Lock()
        self._opened: dict[Path, tuple[KnowledgeBase, tuple[int, int]]] = {}

    def names(self) -> list[str]:
        """What is served; reads a folder and nothing else."""
        return list(self._only) or knowledge_base_names()

    def chosen(self, name: str | None) -> str:
        """The name that was meant: a client's words are compared with the names and never become a path.

        Raises:
            RetrievalError: nothing of that name is served, or none was given and there are several.
        """
        names = self.names()
        if name in names:
            return name
        if not names:
            raise RetrievalError("there is no knowledge base yet; make one with: chatglm-slim index FOLDER --kb NAME")
        known = ", ".join(names)
        if name is None and len(names) == 1:
            return names[0]
        if name is None:
            raise RetrievalError(f"which knowledge base is meant? give knowledge_base, one of: {known}")
        close = get_close_matches(name, names, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise RetrievalError(f"there is no knowledge base {name[:100]!r}; {hint}there are: {known}")

    def path(self, name: str) -> Path:
        """The file of a knowledge base that is served."""
        return self._only.get(name) or knowledge_base_path(name)

    def search(self, name: str, query: str, k: int, mode: str) -> dict[str, Any]:
        """The passages that answer a question best, the best first."""
        base = self._filled(name)
        found = base.search(query, k, cast(Any, mode))
        least = base.least_score(cast(Any, mode))
        return {
            "knowledge_base": name,
            "is_likely_found": bool(found) and found[0].score >= least,
            "passages": [_as_json(name, passage) | {"score": round(passage.score, 4)} for passage in found],
        }

    def read(self, name: str, passage_id: str, before: int, after: int) -> dict[str, Any]:
        """A passage with those around it, in the order of the text.

        Raises:
            RetrievalError: it is gone, most likely because its file changed.
        """
        base = self._filled(name)
        from chatglm_slim_llm.retrieval import Passage

        if not (documents := base.get_by_ids([passage_id])):
            raise RetrievalError(
                f"{name} has no passage {passage_id[:100]!r}; its file may have changed, so search again"
            )
        found = Passage(passage_id, documents[0].page_content, 0.0, str(documents[0].metadata.get("source", "")))
        around = base.neighbours(found, before, after)
        return {"knowledge_base": name, "passages": [_as_json(name, passage) for passage in around]}

    def summary(self, name: str) -> dict[str, Any]:
        """How much is in it; a file that cannot be read is told in ``error``."""
        try:
            base = self._open(name)
            counts = base.counts()
        except ChatGLMSlimError as error:
            return {"name": name, "uri": uri_of(name), "files": 0, "passages": 0, "error": str(error)}
        return {"name": name, "uri": uri_of(name), "files": counts["ready"], "passages": counts["chunks"]}

    def overview(self, name: str) -> dict[str, Any]:
        """What is in it, file by file."""
        base = self._open(name)
        files = sorted(_shown(each.path) for each in base.documents() if each.path and each.state == "ready")
        return self.summary(name) | {"listed": files[:MOST_FILES], "not_listed": max(len(files) - MOST_FILES, 0)}

    def check(self, name: str) -> None:
        """Raise if there is nothing to find in it.

        Raises:
            RetrievalError: it is gone or empty.
        """
        self._filled(name)

    def close(self) -> None:
        """Let go of the files."""
        with self._lock:
            opened, self._opened = self._opened, {}
        for base, _ in opened.values():
            base.close()

    def _filled(self, name: str) -> KnowledgeBase:
        base = self._open(name)
        if not base.counts()["chunks"]:
            raise RetrievalError(f"the knowledge base {name} is empty; {_fill(name)}")
        return base

    def _open(self, name: str) -> KnowledgeBase:
        """It stays open: its embedder may take seconds to load. A file that was deleted or replaced is let go of."""
        with extra_packages():
            from chatglm_slim_llm.retrieval import KnowledgeBase
        path = self.path(name)
        with self._lock:
            base, mark = self._opened.get(path, (None, None))
            now = _mark(path)
            if base is not None and mark == now:
                return base
            if base is not None:
                del self._opened[path]
            if now is None:
                raise RetrievalError(f"the knowledge base {name} is gone; {_fill(name)}")
            with extra_packages():
                base = KnowledgeBase.open(path)
            self._opened[path] = (base, now)
            return base


def uri_of(name: str, passage_id: str = "") -> str:
    """The address of a knowledge base, or of a passage in it, as a resource."""
    return f"kb://{quote(name, safe='')}" + (f"/{quote(passage_id, safe='')}" if passage_id else "")


def _served_name(given: str) -> str:
    path = knowledge_base_path(given)
    return path.stem if path.suffix == ".db" else path.name


def _mark(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _fill(name: str) -> str:
    return f"fill it with: chatglm-slim index FOLDER --kb {shlex.quote(name)}"


def _as_json(name: str, passage: Passage) -> dict[str, Any]:
    return {
        "id": passage.id,
        "uri": uri_of(name, passage.id),
        **place_json(vars(passage)),
        "text": _clean(passage.text),
    }


def place_json(about: Mapping[str, Any]) -> dict[str, Any]:
    """Where a passage is: only what is known of it."""
    place = {
        "source": _shown(about["source"]) if about["source"] else "",
        "heading": _clean(about["heading"]),
        **{each: about[each] for each in ("page", "first_line", "last_line")},
    }
    return {key: value for key, value in place.items() if value not in (None, "")}


def _shown(path: str | os.PathLike[str]) -> str:
    from chatglm_slim_llm.retrieval.scanning import display_name

    return display_name(os.fspath(path))


def _clean(text: str) -> str:
    from chatglm_slim_llm.storage.text import storable

    return storable(text)
