"""Regular expressions as JSON schemas use them, read so that every validator agrees with what is written.

Dialects differ: ``\\d`` is ten digits in ECMAScript and hundreds in Python. So a class of characters is two sets, what
is in it for certain and what may be; text is written from the first, and a negated class leaves out the second.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

Ranges = tuple[tuple[int, int], ...]
"""Code points, first and last of each range; sorted, apart."""

_LAST = 0x10FFFF
_MOST_REPEATS = 10_000


class PatternError(ValueError):
    """A pattern that is wrong or not supported; the message says why."""


@dataclass(frozen=True)
class Chars:
    """One character."""

    certain: Ranges
    possible: Ranges


@dataclass(frozen=True)
class Sequence:
    """One after the other; the empty text if there are none."""

    parts: tuple[Pattern, ...] = ()


@dataclass(frozen=True)
class Choice:
    """One of them."""

    options: tuple[Pattern, ...]


@dataclass(frozen=True)
class Repeat:
    """The same several times."""

    body: Pattern
    least: int
    most: int | None


@dataclass(frozen=True)
class Anchor:
    """The start (``^``) or the end (``$``) of the text."""

    sign: str


Pattern = Chars | Sequence | Choice | Repeat | Anchor


def union(*sets: Ranges) -> Ranges:
    """Code points of any of them."""
    merged: list[tuple[int, int]] = []
    for first, last in sorted(span for ranges in sets for span in ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return tuple(merged)


def complement(ranges: Ranges) -> Ranges:
    """All other code points."""
    edges = [-1, *(edge for span in ranges for edge in span), _LAST + 1]
    gaps = zip(edges[::2], edges[1::2], strict=True)
    return tuple((last + 1, first - 1) for last, first in gaps if last + 1 <= first - 1)


def intersection(one: Ranges, other: Ranges) -> Ranges:
    """Code points of both."""
    return complement(union(complement(one), complement(other)))


def _of(text: str) -> Ranges:
    return union(tuple((ord(c), ord(c)) for c in text))


_NON_ASCII: Ranges = ((0x80, _LAST),)
_DIGIT: Ranges = ((0x30, 0x39),)
_WORD: Ranges = union(_DIGIT, ((0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)))
_SPACE: Ranges = _of("\t\n\v\f\r ")
_EVERY_SPACE: Ranges = union(
    ((0x09, 0x0D), (0x1C, 0x20), (0x2000, 0x200A)), _of("\x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000\ufeff\u180e")
)
_LINE_ENDS: Ranges = _of("\n\r\x85\u2028\u2029\v\f\x1c\x1d\x1e")
USUAL: Ranges = union(_of("\t\n\r"), ((0x20, 0x7E), (0xA0, 0xD7FF), (0xE000, 0xFFFD), (0x10000, _LAST)))
"""What may stand for "any character": no half of a surrogate pair, and of the control characters the usual three."""
_CJK: Ranges = ((0x4E00, 0x9FFF),)

ANY = Chars(USUAL, ((0, _LAST),))
_DOT = Chars(intersection(USUAL, complement(_LINE_ENDS)), ((0, _LAST),))
_CLASSES = {
    "d": Chars(_DIGIT, union(_DIGIT, _NON_ASCII)),
    "w": Chars(_WORD, union(_WORD, _NON_ASCII)),
    "s": Chars(_SPACE, _EVERY_SPACE),
    "D": Chars(intersection(USUAL, union(intersection(complement(_DIGIT), ((0, 0x7E),)), _CJK)), complement(_DIGIT)),
    "W": Chars(intersection(USUAL, intersection(complement(_WORD), ((0, 0x7E),))), complement(_WORD)),
    "S": Chars(intersection(USUAL, complement(_EVERY_SPACE)), complement(_SPACE)),
}
_CONTROLS = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v", "0": "\0"}
_QUANTIFIER = re.compile(r"\{(\d+)(?:(,)(\d*))?\}")
_HEX = re.compile(r"x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|u\{([0-9a-fA-F]{1,6})\}")
_GROUP = re.compile(r"\?(?::|P?<[A-Za-z_]\w*>)")


def parse(source: str) -> Pattern:
    """What all of the text must be, for it to match anywhere in it as JSON schema wants.

    Raises:
        PatternError: the pattern is wrong, or uses what is not supported.
    """
    return Choice(tuple(_search(option) for option in _spread(_Parser(source).parse())))


def parse_whole(source: str) -> Pattern:
    """The same for a pattern without anchors that the whole text must match."""
    return _Parser(source).parse()


def _spread(node: Pattern) -> Iterable[list[Pattern]]:
    """Alternatives as lists of parts, with choices opened up where an anchor stands in them."""
    if isinstance(node, Choice):
        for option in node.options:
            yield from _spread(option)
    elif isinstance(node, Sequence):
        for index, part in enumerate(node.parts):
            if isinstance(part, Choice | Sequence) and _has_anchor(part):
                for inner in _spread(part):
                    yield from _spread(Sequence((*node.parts[:index], *inner, *node.parts[index + 1 :])))
                return
        yield list(node.parts)
    else:
        yield [node]


def _has_anchor(node: Pattern) -> bool:
    match node:
        case Anchor():
            return True
        case Sequence(parts) | Choice(parts):
            return any(map(_has_anchor, parts))
        case Repeat(body):
            return _has_anchor(body)
    return False


def _search(parts: list[Pattern]) -> Pattern:
    anything = Repeat(ANY, 0, None)
    start = end = False
    while parts and parts[0] == Anchor("^"):
        start, parts = True, parts[1:]
    while parts and parts[-1] == Anchor("$"):
        end, parts = True, parts[:-1]
    if any(map(_has_anchor, parts)):
        raise PatternError("'^' and '$' are supported at the start and at the end only")
    return Sequence((*([] if start else [anything]), *parts, *([] if end else [anything])))


class _Parser:
    def __init__(self, source: str) -> None:
        self._source, self._at = source, 0

    def parse(self) -> Pattern:
        node = self._choice()
        if self._at < len(self._source):
            raise PatternError("there is a ')' too many")
        return node

    def _peek(self) -> str:
        return self._source[self._at : self._at + 1]

    def _take(self) -> str:
        character = self._peek()
        if not character:
            raise PatternError("it ends too early")
        self._at += 1
        return character

    def _match(self, expression: re.Pattern[str]) -> re.Match[str] | None:
        if found := expression.match(self._source, self._at):
            self._at = found.end()
        return found

    def _choice(self) -> Pattern:
        options = [self._sequence()]
        while self._peek() == "|":
            self._at += 1
            options.append(self._sequence())
        return options[0] if len(options) == 1 else Choice(tuple(options))

    def _sequence(self) -> Pattern:
        parts: list[Pattern] = []
        while self._peek() not in ("", "|", ")"):
            parts.append(self._repeated(self._atom()))
        return parts[0] if len(parts) == 1 else Sequence(tuple(parts))

    def _repeated(self, body: Pattern) -> Pattern:
        bounds = self._bounds()
        if bounds is None:
            return body
        least, most = bounds
        if isinstance(body, Anchor) or max(least, most or 0) > _MOST_REPEATS or (most is not None and most < least):
            raise PatternError("it has a quantifier that makes no sense")
        if self._peek() == "?":  # lazy: the same texts
            self._at += 1
        if self._peek() in ("*", "+") or self._match(_QUANTIFIER):
            raise PatternError("two quantifiers in a row are not supported")
        return Repeat(body, least, most)

    def _bounds(self) -> tuple[int, int | None] | None:
        simple: dict[str, tuple[int, int | None]] = {"*": (0, None), "+": (1, None), "?": (0, 1)}
        if self._peek() in simple:
            return simple[self._take()]
        if found := self._match(_QUANTIFIER):
            least, comma, most = found.groups()
            return int(least), (int(most) if most else None) if comma else int(least)
        return None

    def _atom(self) -> Pattern:
        character = self._take()
        match character:
            case "(":
                return self._group()
            case "[":
                return self._brackets()
            case ".":
                return _DOT
            case "^" | "$":
                return Anchor(character)
            case "*" | "+" | "?":
                raise PatternError(f"nothing stands before {character!r}")
            case "\\":
                return self._escape()
        return _exactly(character)

    def _group(self) -> Pattern:
        if self._peek() == "?" and not self._match(_GROUP):
            raise PatternError(f"'({self._source[self._at : self._at + 2]}' is not supported")
        node = self._choice()
        if self._take() != ")":
            raise PatternError("a ')' is missing")
        return node

    def _escape(self, *, in_brackets: bool = False) -> Chars | Anchor:
        if found := self._match(_HEX):
            return _exactly(chr(int(next(filter(None, found.groups())), 16)))
        character = self._take()
        if character in _CLASSES:
            return _CLASSES[character]
        if character in _CONTROLS and not (character == "0" and self._peek().isdigit()):
            return _exactly(_CONTROLS[character])
        if in_brackets and character == "b":
            return _exactly("\b")
        if character in "AZ" and not in_brackets:
            return Anchor("^" if character == "A" else "$")
        if character.isalnum():
            raise PatternError(f"'\\{character}' is not supported")
        return _exactly(character)

    def _brackets(self) -> Pattern:
        negated = self._peek() == "^"
        self._at += negated
        items: list[Chars] = []
        while self._peek() != "]" or not items:
            if self._peek() == "]":
                raise PatternError("'[]' is empty")
            items.append(self._item())
        self._at += 1
        certain = union(*(item.certain for item in items))
        possible = union(*(item.possible for item in items))
        if negated:
            return Chars(intersection(USUAL, complement(possible)), complement(certain))
        return Chars(certain, possible)

    def _item(self) -> Chars:
        first = self._single()
        if self._peek() != "-" or self._source[self._at + 1 : self._at + 2] in ("]", ""):
            return first
        self._at += 1
        low, high = _code(first), _code(self._single())
        if low is None or high is None or low > high:
            raise PatternError("it has a range that makes no sense")
        return Chars(((low, high),), ((low, high),))

    def _single(self) -> Chars:
        character = self._take()
        if character == "[":
            raise PatternError("'[' inside '[]' must be written as '\\['")
        if character != "\\":
            return _exactly(character)
        escaped = self._escape(in_brackets=True)
        assert isinstance(escaped, Chars)
        return escaped


def _exactly(character: str) -> Chars:
    return Chars(_of(character), _of(character))


def _code(chars: Chars) -> int | None:
    is_one = len(chars.certain) == 1 and chars.certain[0][0] == chars.certain[0][1]
    return chars.certain[0][0] if is_one else None
