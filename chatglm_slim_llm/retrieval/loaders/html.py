"""HTML: what a reader of the page sees, in reading order, under its headings.

The parser tells of tags as they come and builds no tree, so that neither depth nor size of the page costs memory.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from chatglm_slim_llm.errors import UnreadableFileError
from chatglm_slim_llm.retrieval.loaders.boundary import extra_packages, loader
from chatglm_slim_llm.retrieval.loaders.encoding import BinaryDataError, decode
from chatglm_slim_llm.retrieval.loaders.joining import flow
from chatglm_slim_llm.retrieval.loaders.outline import Block, sections
from chatglm_slim_llm.retrieval.passages import Section

_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_is_void = re.compile("area|base|br|col|embed|hr|img|input|link|meta|param|source|track|wbr").fullmatch
_is_unseen = re.compile(
    "script|style|nav|template|noscript|iframe|object|svg|canvas|audio|video|select|button|textarea"
).fullmatch
_is_block = re.compile(
    "address|article|aside|blockquote|body|caption|center|d[dlt]|details|dialog|div|fieldset|figcaption|figure|footer"
    "|form|header|hr|legend|li|main|ol|p|pre|section|summary|table|tbody|tfoot|thead|tr|ul"
).fullmatch
_CELLS = frozenset({"td", "th"})
_INVISIBLE = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_DECLARED = re.compile(
    rb"""<\?xml[^>]{0,100}encoding\s*=\s*["']([\w-]+)|<meta[^>]{0,200}charset\s*=\s*["']?([\w-]+)""", re.I
)
_DECLARED_WITHIN = 4096
_BROWSERS_READ = {"gb2312": "gb18030", "gbk": "gb18030", "iso8859-1": "cp1252", "ascii": "cp1252", "big5": "cp950"}
_SELF_CLOSED = re.compile(r"<([A-Za-z][\w:-]*)((?:\s[^<>]*)?)/>")
_HAS_H1 = re.compile(r"<h1[\s>]", re.IGNORECASE)
_PART = 1 << 16


@loader("HTML")
def load(path: Path) -> Iterator[Section]:
    """The page's text by heading; its title stands for a missing ``h1``."""
    yield from read_page(path.read_bytes(), path)


def read_page(data: bytes, path: Path, *, page: int | None = None) -> Iterator[Section]:
    """The same for a page that is inside another file.

    Raises:
        UnreadableFileError: it is binary.
    """
    try:
        text = _decode(data)
    except BinaryDataError as error:
        raise UnreadableFileError(str(error), path=path) from error
    yield from sections(_blocks(text), page=page)


def _decode(data: bytes) -> str:
    declared = _DECLARED.search(data[:_DECLARED_WITHIN])
    if declared is None or data.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return decode(data)
    try:
        name = codecs.lookup((declared[1] or declared[2]).decode("ascii")).name
        return data.decode(_BROWSERS_READ.get(name, name))
    except (LookupError, UnicodeError):
        return decode(data)  # a wrong declaration is as common as none


def _blocks(text: str) -> Iterator[Block]:
    with extra_packages():
        from lxml import etree

    text = text.replace("\0", "")
    if "<?xml" in text[:100] or "http://www.w3.org/1999/xhtml" in text[:_DECLARED_WITHIN]:
        text = _SELF_CLOSED.sub(_opened_and_closed, text)  # in HTML, <title/> would begin a title that never ends
    seen = _Page(title_counts=_HAS_H1.search(text) is None)
    parser = etree.HTMLParser(target=seen, encoding="utf-8", no_network=True, huge_tree=True, remove_comments=True)
    for start in range(0, len(text), _PART):
        parser.feed(text[start : start + _PART].encode("utf-8", "replace"))
        yield from seen.take()
    if text:
        parser.close()
    seen.finish()
    yield from seen.take()


def _opened_and_closed(tag: re.Match[str]) -> str:
    return tag[0] if _is_void(tag[1].lower()) else f"<{tag[1]}{tag[2]}></{tag[1]}>"


class _Page:
    """Hears tags and text from the parser, and keeps blocks until they are taken."""

    def __init__(self, *, title_counts: bool) -> None:
        self._title_counts = title_counts
        self._blocks: list[Block] = []
        self._text: list[str] = []
        self._level: int | None = None  # of the heading that the text belongs to
        self._unseen = 0  # open tags from the one on that hides them
        self._preformatted = 0
        self._row_has_cells = False
        self._begins_item = False

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        if self._unseen or _is_unseen(tag) or _is_hidden(attributes):
            if not _is_void(tag):
                self._unseen += 1
        elif tag == "br":
            self._text.append("\n" if self._preformatted else "\v")
        elif tag in _HEADINGS or tag == "title":
            self._end_block()
            self._level = _HEADINGS.get(tag, 0)
        elif tag in _CELLS:
            self._text.append(" | " if self._row_has_cells else "")
            self._row_has_cells = True
        elif _is_block(tag):
            self._begin(tag)

    def _begin(self, tag: str) -> None:
        if tag in ("tr", "table") or not self._row_has_cells:
            self._end_block()
        else:
            self._text.append(" ")
        if tag == "pre":
            self._preformatted += 1
        elif tag == "li":
            self._begins_item = True

    def end(self, tag: str) -> None:
        if self._unseen:
            if not _is_void(tag):
                self._unseen -= 1
        elif tag in _HEADINGS or tag in ("title", "tr", "table", "body"):
            self._end_block()
        elif _is_block(tag):
            if self._row_has_cells:
                self._text.append(" ")
            else:
                self._end_block()
            if tag == "pre":
                self._preformatted = max(0, self._preformatted - 1)

    def data(self, text: str) -> None:
        if not self._unseen:
            self._text.append(text)

    def comment(self, text: str) -> None:
        pass

    def close(self) -> None:
        pass

    def take(self) -> list[Block]:
        blocks, self._blocks = self._blocks, []
        return blocks

    def finish(self) -> None:
        self._end_block()

    def _end_block(self) -> None:
        text, level, is_row = "".join(self._text), self._level, self._row_has_cells
        self._text, self._level, self._row_has_cells = [], None, False
        if not self._preformatted:
            text = "\n".join(flow(line) for line in text.split("\v"))
        if not text.strip(" |\n\t") or (level == 0 and not self._title_counts):
            return
        is_item = self._begins_item and level is None
        self._begins_item = False
        self._blocks.append(Block("- " * is_item + text.strip("\n"), level, tight=is_item or is_row))


def _is_hidden(attributes: Mapping[str, str]) -> bool:
    if "hidden" in attributes or attributes.get("aria-hidden") == "true":
        return True
    return _INVISIBLE.search(attributes.get("style", "")) is not None
