"""The original's post-processing of a reply, while it streams: what is shown is never taken back.

`process_response` strips the reply and gives Chinese text full-width punctuation, but leaves code and URLs alone.
Whether a comma changes can depend on the next character, or on a backtick that closes much later. So only
that much is shown which comes out the same whatever follows; the pieces joined equal `process_response` of the
whole reply. Each character is looked at a few times, however long the reply, the word or the code block is.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from contextlib import closing
from dataclasses import replace

from chatglm_slim_llm.engine.reply import Delta
from chatglm_slim_llm.network.text import BEGUN_URL, DATE_MARK, FULL_WIDTH, URL, is_chinese, punctuate

_PIECES = re.compile(r"`|\n|[^`\n]+")
_A_URL = "a://b"


def polish(deltas: Generator[Delta]) -> Generator[Delta]:
    """Post-process a stream; closing the result closes ``deltas``."""
    polisher = Polisher()
    with closing(deltas):
        for delta in deltas:
            text = polisher.push(delta.text)
            yield replace(delta, text=text if delta.finish_reason is None else text + polisher.flush())


class Polisher:
    """Takes raw text piece by piece, returns post-processed text piece by piece."""

    def __init__(self) -> None:
        self._words = _Words()
        self._line: _MaybeCode | None = None  # what follows a backtick in its line
        self._is_in_block = False
        self._num_backticks = 0  # just read, one after another
        self._blanks: list[str] = []  # white space that is shown only if something follows it
        self._is_empty = True

    def push(self, text: str) -> str:
        """Take newly generated text; return what is certain now."""
        return self._strip("".join(map(self._read, _PIECES.findall(text))))

    def flush(self) -> str:
        """The reply has ended: return what was held back."""
        return self._strip(self._end_line() + self._words.flush())

    def _read(self, piece: str) -> str:
        """Take a backtick, the end of a line, or what stands between them."""
        if self._is_in_block:
            self._is_in_block = not self._is_third_backtick(piece)
            return piece
        if self._line is not None and piece == "`":
            code, self._line, self._words = self._line.code, None, _Words()
            return code + piece
        if self._num_backticks and piece not in "`\n":
            self._line, self._num_backticks = _MaybeCode(), 0
        if self._line is not None and piece != "\n":
            return self._line.push(piece, self._words.push(piece))
        shown = self._end_line() + self._words.push(piece)
        self._is_in_block = not self._words.is_in_url and self._is_third_backtick(piece)  # a URL's are its own
        return shown

    def _is_third_backtick(self, piece: str) -> bool:
        """Count it; the third opens or closes a block."""
        self._num_backticks = (self._num_backticks + 1) % 3 if piece == "`" else 0
        return piece == "`" and not self._num_backticks

    def _end_line(self) -> str:
        """What stood after a backtick that nothing closed was words."""
        line, self._line = self._line, None
        return "" if line is None else line.words

    def _strip(self, text: str) -> str:
        shown = text.rstrip()
        if not shown:
            if not self._is_empty:
                self._blanks.append(text)
            return ""
        before = "" if self._is_empty else "".join(self._blanks)
        self._blanks = [text[len(shown) :]]
        if self._is_empty:
            self._is_empty, shown = False, shown.lstrip()
        return before + shown


class _MaybeCode:
    """What follows a backtick in its line: code if another one closes it, else words."""

    def __init__(self) -> None:
        self._code: list[str] = []  # both without what they begin with alike, which was shown
        self._words: list[str] = []
        self._differs = False

    @property
    def code(self) -> str:
        """What is not shown yet if it is code."""
        return "".join(self._code)

    @property
    def words(self) -> str:
        """What is certain and not shown yet if it is none."""
        return "".join(self._words)

    def push(self, code: str, words: str) -> str:
        """Take what comes next, and what of it is certain if it is words; return what is shown either way."""
        self._code.append(code)
        self._words.append(words)
        if self._differs:
            return ""
        code, words = self.code, self.words
        shown = _common_start(code, words)
        self._code, self._words = [code[len(shown) :]], [words[len(shown) :]]
        self._differs = len(shown) < min(len(code), len(words))
        return shown


def _common_start(first: str, second: str) -> str:
    if second.startswith(first):
        return first
    return first[: next((i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), len(second))]


class _Words:
    """Text without code. Of what it has read, it keeps some characters that are as good as all of it."""

    def __init__(self) -> None:
        self._before = ""  # for what is certain: a Chinese character, a URL, or how one begins
        self._open = ""  # the end, as it is: a date mark that has begun, or punctuation before an unknown character

    @property
    def is_in_url(self) -> bool:
        """Whether all that follows belongs to a URL, up to white space or Chinese."""
        return self._before == _A_URL

    def push(self, text: str) -> str:
        """Take what follows; return what is certain now."""
        *parts, last = URL.split(self._before + self._open + text)  # words, URL, words, URL, ..., words
        parts[::2] = map(punctuate, parts[::2])
        words = punctuate(last)
        num_certain = len(words) - _num_open(words)
        words, self._open = words[:num_certain], words[num_certain:]
        shown = "".join([*parts, words])[len(self._before) :]
        self._before = _A_URL if parts and not last else _gist(words)
        return shown

    def flush(self) -> str:
        """Nothing follows; return what was held back."""
        rest, self._open = self._open, ""
        return rest


def _num_open(words: str) -> int:
    """How many characters at the end can still change."""
    begun = next(n for n in reversed(range(len(DATE_MARK))) if words.endswith(DATE_MARK[:n]))
    return begun or words[-1:] in FULL_WIDTH  # one after Chinese has become full-width


def _gist(words: str) -> str:
    """What matters of these words for those that follow; it is shown as it is."""
    begun = BEGUN_URL.search(words)
    return f"a{begun[1]}" if begun else words[-1:] if is_chinese(words[-1:]) else ""
