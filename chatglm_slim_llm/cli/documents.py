"""What the commands about documents share: a knowledge base by its name, and passages as text and as JSON."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from textwrap import indent
from typing import TYPE_CHECKING, Any

from chatglm_slim_llm.errors import RetrievalError
from chatglm_slim_llm.hosting.extras import extra_packages

if TYPE_CHECKING:
    from chatglm_slim_llm.retrieval import KnowledgeBase, Passage
    from chatglm_slim_llm.retrieval.embedders import Fingerprint
    from chatglm_slim_llm.retrieval.plugged import PluggedFinder

DEFAULT_NAME = "default"

# Text of strangers must not move the cursor, set a window's title or turn the direction of writing.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def add_kb_option(parser: argparse._ActionsContainer) -> None:
    """Add ``--kb`` to a command that has a knowledge base of its own if none is named."""
    parser.add_argument(
        "--kb", default=DEFAULT_NAME, metavar="NAME", help="the knowledge base: a name or a file (default: %(default)s)"
    )


def add_finder_options(parser: argparse.ArgumentParser) -> None:
    """Add what is searched: a knowledge base, or a retriever of a plugin."""
    which = parser.add_mutually_exclusive_group()
    add_kb_option(which)
    which.add_argument("--retriever", metavar="NAME", help="a retriever of a plugin instead of a knowledge base")


@contextmanager
def opened_finder(args: argparse.Namespace) -> Iterator[KnowledgeBase | PluggedFinder]:
    """What ``add_finder_options`` chose, ready to be searched.

    Raises:
        RetrievalError: the knowledge base is not there, or empty.
        PluginError: the retriever is not there, or cannot be used.
    """
    if args.retriever is None:
        with opened_filled(args.kb) as kb:
            yield kb
    else:
        from chatglm_slim_llm.retrieval.plugged import PluggedFinder

        yield PluggedFinder(args.retriever)


@contextmanager
def opened(name: str | os.PathLike[str], *, embedder: str | None = None) -> Iterator[KnowledgeBase]:
    """A knowledge base that is or is not there yet; what it warns of is said in a line.

    Raises:
        MissingExtraError: the packages for documents are not installed.
    """
    with extra_packages():
        from chatglm_slim_llm.retrieval import KnowledgeBase

        make = KnowledgeBase.open
    with warnings.catch_warnings(), make(name, embedder=embedder) as kb:
        warnings.showwarning = _note
        yield kb


@contextmanager
def opened_filled(name: str, *, embedder: str | None = None) -> Iterator[KnowledgeBase]:
    """A knowledge base that has something to find.

    Raises:
        RetrievalError: it is not there, or it is empty.
    """
    with opened(name, embedder=embedder) as kb:
        check_exists(name, kb)
        if not kb.counts()["chunks"]:
            raise RetrievalError(f"the knowledge base {printable(name)} is empty; {_fill(name)}")
        yield kb


def check_exists(name: str, kb: KnowledgeBase) -> None:
    """Raise if there is no file yet.

    Raises:
        RetrievalError: there is none.
    """
    if kb.path.exists():
        return
    from chatglm_slim_llm.retrieval.place import knowledge_base_names

    names = ", ".join(map(printable, knowledge_base_names()))
    known = f" (there are: {names})" if names else ""
    raise RetrievalError(f"there is no knowledge base {printable(name)}{known}; {_fill(name)}")


def vectors_made_by(kb: KnowledgeBase) -> Fingerprint | None:
    """The embedder of a knowledge base's vectors; ``None`` if it has none."""
    from chatglm_slim_llm.retrieval.index import Index

    with closing(Index(kb.path)) as index:
        return index.fingerprint()


def _fill(name: str) -> str:
    return f"fill it with: chatglm-slim index FOLDER --kb {shlex.quote(name)}"


def _note(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
    print(f"note: {message}", file=sys.stderr)


def printable(text: str) -> str:
    """The text on its lines, without what only a terminal would understand."""
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n"))


def where(passage: Passage) -> str:
    """Such as ``/home/anna/notes/rooms.md, lines 3–5``."""
    from chatglm_slim_llm.retrieval.scanning import display_name

    source = display_name(passage.source) if passage.source else "a text without a file"
    return ", ".join(filter(None, (source, passage.location)))


def passage_text(label: str, passage: Passage) -> str:
    """A passage for people: where it is, and its text indented below."""
    heading = " ".join(printable(passage.heading).split())
    first = f"{label} {where(passage)}" + (f" · {heading}" if heading else "")
    return f"{first}\n{indent(printable(passage.text).strip(), '    ')}"


def passage_json(passage: Passage) -> dict[str, Any]:
    """A passage for programs."""
    return {
        "id": passage.id,
        "score": round(passage.score, 4),
        **place_json(passage),
        "text": passage.text,
    }


def place_json(passage: Passage) -> dict[str, Any]:
    """Where a passage is, for programs."""
    names: Sequence[str] = ("source", "page", "first_line", "last_line", "heading")
    return {name: getattr(passage, name) for name in names}
