"""Sections become chunks: pieces small enough to be found, read and quoted, cut where a reader would pause.

Whole paragraphs are packed first, then whole sentences, then what lies between commas, and only a text
without any pause is cut hard. Every non-space character ends up in exactly one chunk, in order, and the
time is linear in the text's length whatever it holds. Reading files and storing chunks are others' work.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from chatglm_slim_llm.retrieval.passages import Chunk, Section

Count = Callable[[str], int]
Span = tuple[int, int]


def estimate_tokens(text: str) -> int:
    """Tokens of ChatGLM-6B in a text, estimated without its vocabulary, rather too many than too few.

    A CJK character, a digit, a mark and a line break are one each, a run of other letters one for every
    six begun, a run of spaces one. Adding up parts never gives less than the whole.
    """
    if len(text) <= _SLICE:
        return len(_TOKEN.findall(text))
    return sum(len(_TOKEN.findall(text[i : i + _SLICE])) for i in range(0, len(text), _SLICE))


def sentences(text: str) -> list[str]:
    """The sentences of a text, Chinese or English; joined they are the text without the space around it.

    One of fewer than 8 characters goes with its neighbour: "是的。" says nothing alone.
    """
    text = text.strip()
    if not text:
        return []
    return [text[start:end] for start, end in _sentence_spans(text, 0, len(text))]


def split(sections: Iterable[Section], *, max_tokens: int = 256, count: Count = estimate_tokens) -> Iterator[Chunk]:
    """Cut each section into chunks of at most ``max_tokens``; no chunk reaches from one section into another.

    Args:
        sections: what a loader gives, in order.
        max_tokens: the limit of a chunk, at least 8.
        count: tokens of a text; parts should add up to no less than the whole.
    """
    if max_tokens < 8:
        raise ValueError(f"max_tokens is {max_tokens}; a chunk needs at least 8")
    for section in sections:
        yield from _split_section(section, max_tokens, count)


def _split_section(section: Section, max_tokens: int, count: Count) -> Iterator[Chunk]:
    text = section.text
    lines = _Lines(text, section.first_line)
    for start, end in _Packer(text, max_tokens, count).chunks():
        body = text[start:end]
        first = start + len(body) - len(body.lstrip())
        last = start + len(body.rstrip())
        begin = max(start, text.rfind("\n", start, first) + 1)  # the first line keeps its indentation
        yield Chunk(
            text=text[begin:last],
            heading=_short_heading(section.heading),
            page=section.page,
            first_line=lines.of(first),
            last_line=lines.of(last - 1),
            tokens=count(text[begin:last]),
        )


def _short_heading(heading: str) -> str:
    """A heading is repeated in every chunk below it, so one of a megabyte would multiply."""
    return heading if len(heading) <= _MAX_HEADING else heading[: _MAX_HEADING - 1].rstrip() + "…"


class _Lines:
    """Line numbers of rising positions, counted along the way."""

    def __init__(self, text: str, first_line: int | None) -> None:
        self._text, self._line, self._position = text, first_line, 0

    def of(self, position: int) -> int | None:
        if self._line is None:
            return None
        self._line += self._text.count("\n", self._position, position)
        self._position = position
        return self._line


@dataclass
class _Atom:
    """A stretch that stays whole, with its tokens."""

    start: int
    end: int
    tokens: int


@dataclass
class _Packer:
    """Greedy packing of one section's paragraphs; a paragraph is opened only if it must be."""

    text: str
    max_tokens: int
    count: Count
    current: list[_Atom] = field(default_factory=list)
    tokens: int = 0

    def __post_init__(self) -> None:
        self.tiny = self.max_tokens * 15 // 100
        """A chunk below this is not left alone."""
        self.room_for_more = self.max_tokens * 40 // 100
        """Below this, the beginning of a paragraph too long for one chunk is taken in."""

    def chunks(self) -> Iterator[Span]:
        """The chunks' spans; each holds something but space. One is held back: the last may need of it."""
        held: list[_Atom] = []
        for atoms in self._full_chunks():
            if held:
                yield _span(held)
            held = atoms
        tail = [atom for atom in self.current if self.text[atom.start : atom.end].strip()]
        if held and tail and sum(atom.tokens for atom in tail) < self.tiny:
            left, right = self._balance(held + tail)
            yield _span(left)
            tail = right
        elif held:
            yield _span(held)
        if tail:
            yield _span(tail)

    def _full_chunks(self) -> Iterator[list[_Atom]]:
        """Every chunk but the last, which stays in ``current``."""
        todo = [self._paragraphs()]
        while todo:
            piece = next(todo[-1], None)
            if piece is None:
                todo.pop()
                continue
            start, end = piece
            tokens = self._size(start, end)
            if self.tokens + tokens <= self.max_tokens or (not self.current and end - start == 1):
                self.current.append(_Atom(start, end, tokens))
                self.tokens += tokens
                continue
            is_long_paragraph = len(todo) == 1 and tokens > self.max_tokens
            if self.tokens >= (self.room_for_more if is_long_paragraph else max(self.tiny, 1)):
                yield from self._flush()
                todo.append(iter([piece]))  # tried again in an empty chunk
            else:
                todo.append(self._divide(start, end, self.max_tokens - self.tokens))

    def _flush(self) -> Iterator[list[_Atom]]:
        atoms, self.current, self.tokens = self.current, [], 0
        if self.text[atoms[0].start : atoms[-1].end].strip():
            yield atoms

    def _size(self, start: int, end: int) -> int:
        """Tokens of a span; one of very many characters is too long without being counted."""
        if end - start > _MAX_CHARACTERS_PER_TOKEN * self.max_tokens:
            return self.max_tokens + 1
        return self.count(self.text[start:end])

    def _paragraphs(self) -> Iterator[Span]:
        return _cut_after(_BLANK_LINES, self.text, 0, len(self.text))

    def _divide(self, start: int, end: int, room: int) -> Iterator[Span]:
        """The sentences of a paragraph, or else pieces of a sentence, the first of which fills ``room``."""
        parts = _sentence_spans(self.text, start, end)
        first = next(parts)
        if first[1] < end:
            yield first
            yield from parts
        else:
            yield from self._cut(start, end, room, self.max_tokens)

    def _cut(self, start: int, end: int, room: int, later_room: int) -> Iterator[Span]:
        """Pieces of a text without the end of a sentence, of ``room`` and then of ``later_room`` tokens."""
        while start < end:
            stop = self._reach(start, end, room)
            if stop < end:
                stop = _pause_before(self.text, start, stop)
            yield start, stop
            start, room = stop, later_room

    def _reach(self, start: int, end: int, room: int) -> int:
        """A position up to which nearly ``room`` tokens lie, never more unless it is one character."""
        widest = min(end - start, _MAX_CHARACTERS_PER_TOKEN * room)
        best = 0
        guess = min(widest, max(room, 1))
        for _ in range(6):
            tokens = self.count(self.text[start : start + guess])
            if tokens <= room:
                best = max(best, guess)
                if guess == widest or tokens * 10 >= room * 9:
                    break
            guess = min(widest, max(guess * room * 19 // (20 * max(tokens, 1)), best + 1))
        return start + max(best, 1)

    def _balance(self, atoms: list[_Atom]) -> tuple[list[_Atom], list[_Atom]]:
        """Two chunks of about the same size out of a full one and a tiny rest."""
        place = self._middle(atoms)
        if place is None:
            atoms = [finer for atom in atoms for finer in self._finer(atom)]
            place = self._middle(atoms)
        if place is None:
            place = len(atoms) - 1
        return atoms[:place], atoms[place:]

    def _middle(self, atoms: list[_Atom]) -> int | None:
        """Where to part them: the most even way in which both sides fit and neither is tiny."""
        total = sum(atom.tokens for atom in atoms)
        best: tuple[int, int] | None = None
        left = 0
        for index, atom in enumerate(atoms[:-1], 1):
            left += atom.tokens
            small, large = sorted((left, total - left))
            if large <= self.max_tokens and small >= self.tiny and (best is None or large - small < best[0]):
                best = large - small, index
        return best and best[1]

    def _finer(self, atom: _Atom) -> Iterator[_Atom]:
        quarter = max(self.max_tokens // 4, 1)
        for sentence in _sentence_spans(self.text, atom.start, atom.end):
            for start, end in self._cut(*sentence, quarter, quarter):
                yield _Atom(start, end, self.count(self.text[start:end]))


def _span(atoms: list[_Atom]) -> Span:
    return atoms[0].start, atoms[-1].end


def _cut_after(pattern: re.Pattern[str], text: str, start: int, end: int) -> Iterator[Span]:
    for match in pattern.finditer(text, start, end):
        if start < match.end() < end:
            yield start, match.end()
            start = match.end()
    yield start, end


def _sentence_spans(text: str, start: int, end: int) -> Iterator[Span]:
    """Sentences with the space behind them; a short one waits for the next, the last for none."""
    ready: Span | None = None
    for match in _MAYBE_END.finditer(text, start, end):
        stop = match.end()
        if stop - start >= _SHORT and stop < end and _begins_anew(text, start, match):
            if ready:
                yield ready
            ready = start, stop
            start = stop
    if ready and end - start < _SHORT:
        yield ready[0], end
        return
    if ready:
        yield ready
    yield start, end


def _begins_anew(text: str, start: int, match: re.Match[str]) -> bool:
    if match["line"]:
        return _is_item(text, match.end())
    return bool(match["sure"]) or _is_full_stop(text, start, match)


def _is_item(text: str, start: int) -> bool:
    """A line that begins here stands for itself: an item of a list, a row of a table, indented code."""
    return _ITEM.match(text, start) is not None


def _is_full_stop(text: str, start: int, match: re.Match[str]) -> bool:
    """Whether the dot, or the mark like it, ends a sentence that began at ``start``."""
    following = text[match.end()]
    if not match["space"]:
        # 你好!今天 goes on without a space, 3.14 and example.com are one word.
        return "\u2e80" <= following <= "\uffef" and not text[max(match.start() - 1, 0)].isdigit()
    if following.islower():
        return False
    if "\n" in match["space"] and _is_item(text, match.end()):
        return True
    return match["latin"] != "." or not _is_abbreviation(text, start, match.start())


def _is_abbreviation(text: str, start: int, stop: int) -> bool:
    """The word before a full stop: "Dr", "e.g", an initial, or the number of a list's item."""
    window = max(start, stop - _LONGEST_WORD)
    word = _LAST_WORD.search(text[window:stop])[0]  # type: ignore[index]  # it matches nothing if nothing else
    if word.isdigit():
        line = text.rfind("\n", window, stop) + 1
        is_first = (line > 0 or window == start) and not text[max(line, window) : stop - len(word)].strip()
        return is_first and len(word) <= 3
    return word.lower() in _ABBREVIATIONS or (len(word) == 1 and word.isupper()) or bool(_DOTTED.fullmatch(word))


def _pause_before(text: str, start: int, stop: int) -> int:
    """The best place to cut in the second half before ``stop``: a line's end, a comma, a space, a word's end."""
    middle = start + (stop - start) // 2
    window = text[middle:stop]
    for pattern in (_LINE_END, _CLAUSE_END, _SPACE_END):
        ends = [match.end() for match in pattern.finditer(window)]
        if ends:
            return middle + ends[-1]
    for place in range(stop, max(start, stop - _LONGEST_WORD), -1):
        if _may_part(text, place, inside_word=False):
            return place
    for place in range(stop, max(start, stop - _LONGEST_CLUSTER), -1):
        if _may_part(text, place, inside_word=True):
            return place
    return stop


def _may_part(text: str, place: int, *, inside_word: bool) -> bool:
    """Whether a cut before ``place`` leaves characters, and unless ``inside_word`` words, whole."""
    left, right = text[place - 1], text[place]
    if unicodedata.combining(right) or unicodedata.category(right) in ("Mn", "Me", "Mc", "Cf") or left == "\u200d":
        return False
    if "\ud800" <= left <= "\udbff" or "\U0001f3fb" <= right <= "\U0001f3ff":
        return False
    return inside_word or not (_is_word(left) and _is_word(right))


def _is_word(character: str) -> bool:
    return (character.isalnum() or character in "_'’") and not "\u2e80" <= character <= "\uffef"


_SLICE = 1 << 16
_MAX_HEADING = 300
_MAX_CHARACTERS_PER_TOKEN = 16
"""A chunk of more is not prose: rows of spaces, or one word of a thousand letters."""
_SHORT = 8
_LONGEST_WORD = 64
_LONGEST_CLUSTER = 32
_TOKEN = re.compile(r"[^\W\d_\u0250-\U0010ffff]{1,6}|[\u2e80-\U0010ffff]|[^\W\d_]{1,2}|\n|[^\S\n]{2,}|\S")
"""Letters beyond Latin come in pairs at best; of them ChatGLM's vocabulary holds few."""
_BLANK_LINES = re.compile(r"\n(?:[^\S\n]*\n)+")
_CLOSERS = "”’」』）》】〉\\])\"'"
_MAYBE_END = re.compile(
    rf"(?P<sure>[。！？；｡…][。！？；｡….!?]*[{_CLOSERS}]*\s*|\n(?:[^\S\n]*\n)+)"
    rf"|(?P<latin>[.!?]+)[{_CLOSERS}]*(?P<space>\s*)"
    r"|(?P<line>\n)"
)
"""Each alternative takes all it can of what it began with, so no character is looked at more than a few times."""
_ITEM = re.compile(
    r"[^\S\n]{2,}\S|\t|[^\S\n]*(?:[-*+]\s|[•·▪◦|#>]|\d{1,3}[.)、．](?!\d)"
    r"|[（(][\d一二三四五六七八九十]{1,3}[)）]|[一二三四五六七八九十]{1,3}、)"
)
_LINE_END = re.compile(r"\n\s*")
_CLAUSE_END = re.compile(rf"(?<![，、：,;:；])[，、：,;:；]++[{_CLOSERS}]*+(?:\s+|(?<=[，、：；{_CLOSERS}]))")
_SPACE_END = re.compile(r"\s+")
_LAST_WORD = re.compile(r"[^\s(\[“\"‘'\u2e80-\uffef]*\Z")
_DOTTED = re.compile(r"(?:\w\.)+\w")
_BEFORE_A_DOT = (
    "dr mr mrs ms prof rev gen sen rep gov capt col lt sgt st sr jr hon messrs vs etc eg ie cf al et approx dept est "
    "fig figs eq eqs sec ch no nos vol vols pp p ed eds inc ltd co corp bros ave blvd rd mt ft jan feb mar apr jun jul "
    "aug sep sept oct nov dec mon tue wed thu fri sat sun resp incl ca viz a.k.a ph.d u.s u.k e.g i.e"
)
_ABBREVIATIONS = frozenset(_BEFORE_A_DOT.split())
