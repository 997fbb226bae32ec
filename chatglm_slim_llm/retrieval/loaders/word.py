"""Word (.docx): paragraphs, lists and tables in order, footnotes where they are referred to, under their headings.

`python-docx` opens the package and knows the styles; its own `text` leaves out tracked insertions, content controls,
text boxes and notes, so the text is taken from the XML here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chatglm_slim_llm.retrieval.loaders.archive import check_office
from chatglm_slim_llm.retrieval.loaders.boundary import extra_packages, loader
from chatglm_slim_llm.retrieval.loaders.joining import flow
from chatglm_slim_llm.retrieval.loaders.outline import Block, sections
from chatglm_slim_llm.retrieval.passages import Section

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_MATH = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"  # repeats what stands beside it
_BREAKS = {f"{_W}br": "\n", f"{_W}cr": "\n", f"{_W}tab": " ", f"{_W}noBreakHyphen": "-"}
_TEXT = (f"{_W}t", f"{_MATH}t")
_NOT_THERE = (_FALLBACK, f"{_W}del", f"{_W}moveFrom", f"{_W}pPr")
_NOTES = {f"{_W}footnoteReference": "footnotes", f"{_W}endnoteReference": "endnotes"}
_WRAPPERS = (f"{_W}sdtContent", f"{_W}customXml", f"{_W}ins", f"{_W}moveTo", f"{_W}smartTag")
_HEADING = re.compile(r"(?:heading|标题)\s*([1-9])$", re.IGNORECASE)
_MOST_ANCESTORS = 10


@dataclass(frozen=True)
class _Style:
    name: str
    level: int | None


@dataclass(frozen=True)
class _Document:
    styles: dict[str, _Style]
    notes: dict[tuple[str, str], str]


@loader("Word file")
def load(path: Path) -> Iterator[Section]:
    """The document's text by heading."""
    with extra_packages():
        from docx import Document
    check_office(path, "Word file")
    with path.open("rb") as file:
        document = Document(file)
    context = _Document(_styles(document.styles), _notes(document.part))
    yield from sections(_blocks(document.element.body, context))


def _styles(styles: Any) -> dict[str, _Style]:
    return {style.style_id: _Style((style.name or "").lower(), _level_of(style)) for style in styles}


def _level_of(style: Any) -> int | None:
    for _ in range(_MOST_ANCESTORS):  # a hostile style may be based on itself
        name = style.name or ""
        if match := _HEADING.match(name):
            return int(match[1])
        if name.lower() == "title":
            return 0
        if (level := _outline_level(style.element)) is not None:
            return level
        if (style := getattr(style, "base_style", None)) is None:
            return None
    return None


def _outline_level(element: Any) -> int | None:
    found = element.find(f"{_W}pPr/{_W}outlineLvl")
    value = found.get(f"{_W}val", "9") if found is not None else "9"
    return int(value) + 1 if value in "012345678" else None  # 9 is the text's own


def _notes(part: Any) -> dict[tuple[str, str], str]:
    from docx.oxml import parse_xml

    notes: dict[tuple[str, str], str] = {}
    for relation in part.rels.values():
        kind = relation.reltype.rpartition("/")[2]
        if kind in _NOTES.values() and not relation.is_external:
            for note in parse_xml(relation.target_part.blob):
                notes[kind, note.get(f"{_W}id", "")] = flow(_text(note, {}))
    return notes


def _blocks(parent: Any, document: _Document) -> Iterator[Block]:
    for element in _children(parent):
        if element.tag == f"{_W}p":
            yield from _paragraph(element, document)
        elif element.tag == f"{_W}tbl":
            yield from _table(element, document)


def _children(parent: Any) -> Iterator[Any]:
    """Children as they are shown: those in content controls and tracked insertions are as good as others."""
    for child in parent:
        if child.tag == f"{_W}sdt":
            content = child.find(f"{_W}sdtContent")
            yield from _children(content) if content is not None else ()
        elif child.tag in _WRAPPERS:
            yield from _children(child)
        else:
            yield child


def _paragraph(element: Any, document: _Document) -> Iterator[Block]:
    text = "\n".join(" ".join(line.split()) for line in _text(element, document.notes).split("\n")).strip()
    named = element.find(f"{_W}pPr/{_W}pStyle")
    style = document.styles.get(named.get(f"{_W}val", "") if named is not None else "", _Style("", None))
    if not text or style.name.startswith("toc "):  # a table of contents repeats every heading
        return
    level = _outline_level(element)
    level = style.level if level is None else level
    is_item = level is None and _is_item(element, style)
    yield Block("- " * is_item + text, level, tight=is_item)


def _is_item(element: Any, style: _Style) -> bool:
    number = element.find(f"{_W}pPr/{_W}numPr/{_W}numId")
    return number.get(f"{_W}val") != "0" if number is not None else style.name.startswith("list ")


def _table(table: Any, document: _Document) -> Iterator[Block]:
    for row in _children(table):
        if row.tag == f"{_W}tr":
            cells = [cell for cell in _children(row) if cell.tag == f"{_W}tc" and not _is_merged(cell)]
            texts = [flow(_text(cell, document.notes)) for cell in cells]
            if any(texts):
                yield Block(" | ".join(texts), tight=True)


def _is_merged(cell: Any) -> bool:
    merge = cell.find(f"{_W}tcPr/{_W}vMerge")
    return merge is not None and merge.get(f"{_W}val", "continue") == "continue"


def _text(element: Any, notes: dict[tuple[str, str], str]) -> str:
    """All text inside, a line for each paragraph; notes in brackets where they are referred to."""
    from lxml import etree

    parts: list[str] = []
    walk = etree.iterwalk(element, events=("start",))
    for _, node in walk:
        if node.tag in _TEXT:
            parts.append(node.text or "")
        elif node.tag in _NOT_THERE:
            walk.skip_subtree()
        elif node.tag == f"{_W}p":
            parts.append("\n")
        elif kind := _NOTES.get(node.tag):
            note = notes.get((kind, node.get(f"{_W}id", "")))
            parts.append(f" [{note}]" if note else "")
        else:
            parts.append(_BREAKS.get(node.tag, ""))
    return "".join(parts)
