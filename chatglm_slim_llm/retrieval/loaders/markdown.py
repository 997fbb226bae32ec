"""Markdown: a section for each heading, its text as written.

Only what decides where headings are is understood: fenced code, front matter, ATX and setext headings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from chatglm_slim_llm.retrieval.loaders.boundary import loader
from chatglm_slim_llm.retrieval.loaders.outline import Block, sections
from chatglm_slim_llm.retrieval.loaders.text import read_text
from chatglm_slim_llm.retrieval.passages import Section

_ATX = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*))?$")
_CLOSING_HASHES = re.compile(r"(?:^|[ \t])#+[ \t]*$")
_SETEXT = re.compile(r" {0,3}(=+|-+)[ \t]*$")
_NO_PARAGRAPH = re.compile(r"\s*(?:[>|]|[-+*][ \t]|\d{1,9}[.)][ \t]|<|[-*_=][-*_= \t]*$)|(?: {4}|\t)")
_FENCE = re.compile(r"\s*(`{3,}(?=[^`]*$)|~{3,})")
_TITLE = re.compile(r"title:[ \t]*(.+)$")
_LONGEST_FRONT_MATTER = 200
_LONGEST_LINE = 1000
"""Characters; a longer one is no heading, and no pattern has to look at it."""


@loader("Markdown")
def load(path: Path) -> Iterator[Section]:
    """Sections by heading, each with the line on which its text begins."""
    lines = read_text(path).split("\n")
    yield from sections(_blocks(lines))


def _blocks(lines: list[str]) -> Iterator[Block]:
    body_start = 0
    title, after_front_matter = _front_matter(lines)
    if title:
        yield Block(title, level=0)
    for first, last, heading in _headings(lines, after_front_matter):
        yield from _body(lines, body_start, first)
        yield replace(heading, line=first + 1)
        body_start = last + 1
    yield from _body(lines, body_start, len(lines))


def _body(lines: list[str], start: int, end: int) -> Iterator[Block]:
    while start < end and not lines[start].strip():
        start += 1
    if start < end:
        yield Block("\n".join(lines[start:end]).rstrip(), line=start + 1)


def _front_matter(lines: list[str]) -> tuple[str, int]:
    """The title in the YAML before the text, and the index of the first line after it."""
    if lines[0].rstrip() != "---":
        return "", 0
    for index, line in enumerate(lines[1:_LONGEST_FRONT_MATTER], start=1):
        if line.rstrip() in ("---", "..."):
            titles = [match[1] for match in map(_TITLE.match, lines[1:index]) if match]
            return (titles[0].strip().strip("\"'") if titles else ""), index + 1
    return "", 0


def _headings(lines: list[str], start: int) -> Iterator[tuple[int, int, Block]]:
    """Each heading with the indexes of its first and last line."""
    fence = ""
    paragraph = start  # where the paragraph began that the line before belongs to
    for index in range(start, len(lines)):
        line = lines[index]
        if len(line) > _LONGEST_LINE:
            paragraph = index + 1
        elif opened := _FENCE.match(line):
            if not fence:
                fence = opened[1]
            elif opened[1].startswith(fence) and line.strip() == opened[1]:
                fence = ""
            paragraph = index + 1
        elif fence:
            paragraph = index + 1
        elif atx := _ATX.match(line):
            yield index, index, Block(_CLOSING_HASHES.sub("", atx[2] or "").strip(), level=len(atx[1]))
            paragraph = index + 1
        elif index > paragraph and (setext := _SETEXT.match(line)):
            text = " ".join(part.strip() for part in lines[paragraph:index])
            yield paragraph, index, Block(text, level=1 if setext[1][0] == "=" else 2)
            paragraph = index + 1
        elif not line.strip():
            paragraph = index + 1
        elif index == paragraph and _NO_PARAGRAPH.match(line):
            paragraph = len(lines)  # what follows a list's item belongs to it, up to a blank line
