"""Text cut into the terms that searching knows, and a search's words as patterns.

FTS5's own tokenizers find no Chinese word of two characters. Here, scripts that are written without spaces are cut into
single characters and pairs; other words stay whole and are found by how they begin. Case, accents and the width of
letters make no difference.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

_UNSPACED = "\u0e00-\u0eff\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
_PIECE = re.compile(rf"([{_UNSPACED}]+)|[^\W_{_UNSPACED}]+")
_NOT_INSIDE_WORD = re.compile(rf"(?<![^\W_{_UNSPACED}])")
_LONGEST_TERM = 64
_LONGEST_QUERY = 10_000
_MOST_TERMS = 48
"""Of one search; more are left to the comparison with the text."""
_BEGINS = "…"
"""After one or two letters: a word of the text begins with them. As terms they are found sooner than by what so many
words begin with. No word holds this character."""


class _Folds(dict[int, str]):
    """Characters without case, accent and width, worked out when they are first seen."""

    def __missing__(self, code: int) -> str:
        bare = "".join(c for c in unicodedata.normalize("NFKD", chr(code).casefold()) if not "\u0300" <= c <= "\u036f")
        whole = unicodedata.normalize("NFC", bare)
        self[code] = folded = whole if len(whole) == 1 else chr(code)
        return folded


_FOLDS = _Folds()


@dataclass(frozen=True)
class Word:
    """One word of a search."""

    pattern: re.Pattern[str]
    """For folded text."""
    starts_word: bool
    """Whether it is found only where a word of the text begins."""
    loose: tuple[str, ...]
    """Terms of the index that it may be part of, for FTS5."""
    whole: tuple[str, ...]
    """The same, if the text has it as it is."""

    def spans(self, folded: str) -> Iterator[tuple[int, int]]:
        """Where it stands in a folded text."""
        for found in self.pattern.finditer(folded):
            if not self.starts_word or _NOT_INSIDE_WORD.match(folded, found.start()):
                yield found.span()


@dataclass(frozen=True)
class Search:
    """What someone searches for."""

    words: tuple[Word, ...]
    """All must be found."""
    match: str
    """For FTS5: what must be in the index; empty where the index knows none of it."""
    whole: str
    """For FTS5: the same with whole words only."""
    longest: str
    """The longest word as it was typed."""

    @property
    def may_begin_so(self) -> bool:
        """Whether the index may find words that only begin as they were typed."""
        return self.match != self.whole


def composed(text: str) -> str:
    """The text in the form that is folded character by character."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def fold(text: str) -> str:
    """The text without differences that searching ignores; of a ``composed`` text, each character at its place."""
    return text.lower() if text.isascii() else composed(text).translate(_FOLDS)


def terms(text: str) -> str:
    """All that a text can be found by: its distinct terms, separated by spaces."""
    found: set[str] = set()
    for piece in _PIECE.finditer(fold(text)):
        term = piece[0]
        if piece[1]:
            found.update(term)
            found.update(map("".join, pairwise(term)))
        else:
            found.update((term[:_LONGEST_TERM], term[0] + _BEGINS, term[:2] + _BEGINS))
    return " ".join(sorted(found))


def search_for(query: str) -> Search | None:
    """What ``query`` asks for: texts with all its words, in any order; ``None`` if there is no word."""
    words = fold(query[:_LONGEST_QUERY]).split()
    if not words:
        return None
    parts = tuple(map(_word, words))
    return Search(
        words=parts,
        match=" ".join([term for part in parts for term in part.loose][:_MOST_TERMS]),
        whole=" ".join([term for part in parts for term in part.whole][:_MOST_TERMS]),
        longest=max(query[:_LONGEST_QUERY].split(), key=len),
    )


def _word(word: str) -> Word:
    pieces = list(_PIECE.finditer(word))
    is_plain = "".join(piece[0] for piece in pieces) == word
    written = [re.escape(piece[0]) for piece in pieces] if is_plain else [re.escape(word)]
    loose: list[str] = []
    whole: list[str] = []
    for piece in pieces:
        loose += _quoted(piece[0], is_unspaced=bool(piece[1]), may_go_on=piece.end() == len(word))
        whole += _quoted(piece[0], is_unspaced=bool(piece[1]), may_go_on=False)
    return Word(
        pattern=re.compile(r"\s*".join(written)),  # as `GPT模型` is also written `GPT 模型`
        starts_word=bool(pieces) and pieces[0].start() == 0 and not pieces[0][1],
        loose=tuple(loose),
        whole=tuple(whole),
    )


def _quoted(piece: str, *, is_unspaced: bool, may_go_on: bool) -> list[str]:
    if is_unspaced:
        pairs = [piece[i : i + 2] for i in range(len(piece) - 1)] or [piece]
        return [f'"{pair}"' for pair in pairs]
    if not may_go_on:
        return [f'"{piece[:_LONGEST_TERM]}"']
    return [f'"{piece}{_BEGINS}"' if len(piece) <= 2 else f'"{piece[:_LONGEST_TERM]}"*']
