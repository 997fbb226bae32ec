"""JSON read piece by piece: a file of gigabytes never lies in memory whole, and a hostile one is found out early."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from typing import BinaryIO, NoReturn

_FIRST_READ_BYTES = 1 << 16
_SPACE = " \t\r\n"
_ENDS = frozenset(",:]}" + _SPACE)
_MAX_VALUE_CHARS = 64 << 20
_MAX_BYTES = 4 << 30


class MalformedError(ValueError):
    """What is wrong with a file, said so that it can follow the file's name."""


class JsonStream:
    """One JSON text in UTF-8 or UTF-16, whose outer list or object is walked while it is read.

    Args:
        file: read from where it stands, never to more than ``max_bytes``.
        max_value_chars: how long one value inside the outer list or object may be.
        max_bytes: how long the whole text may be; what is packed may be far longer than its file.

    Every method raises ``MalformedError`` where the text is not JSON, or larger than that.
    """

    def __init__(self, file: BinaryIO, *, max_value_chars: int = _MAX_VALUE_CHARS, max_bytes: int = _MAX_BYTES) -> None:
        self._file = file
        self._max_value_chars = max_value_chars
        self._left_bytes = max_bytes
        head = file.read(4)
        self._bytes = codecs.getincrementaldecoder(json.detect_encoding(head))()
        self._json = json.JSONDecoder(parse_constant=_refuse_constant)
        self._text, self._at, self._is_at_end = "", 0, False
        self._decode(head)

    def peek(self) -> str:
        """The next character that is no space; empty at the end of the text."""
        while True:
            while self._at < len(self._text):
                if self._text[self._at] not in _SPACE:
                    return self._text[self._at]
                self._at += 1
            if not self._grow():
                return ""

    def items(self) -> Iterator[object]:
        """The values of the list that begins here."""
        for _ in self._parts("[", "]"):
            yield self.value()

    def members(self) -> Iterator[str]:
        """The keys of the object that begins here; after each the caller takes its ``value()`` or its ``items()``."""
        for _ in self._parts("{", "}"):
            key = self.value()
            if not isinstance(key, str):
                raise MalformedError("is not JSON: the key of an object is no text")
            self._take(":")
            yield key

    def value(self) -> object:
        """The whole value that begins here."""
        self.peek()
        while True:
            try:
                value, end = self._json.raw_decode(self._text, self._at)
            except RecursionError:
                raise MalformedError("is nested too deeply") from None
            except ValueError as error:
                if isinstance(error, MalformedError):
                    raise
                if not self._grow():
                    raise MalformedError(f"is not JSON, or was cut off ({error})") from None
                continue
            # A number may go on in what has not been read yet.
            if self._text[end : end + 1] in _ENDS or not self._grow():
                self._at = end
                return value

    def end(self) -> None:
        """Make sure that nothing follows."""
        if self.peek():
            raise MalformedError("holds something after the end of its JSON")

    def _parts(self, first: str, last: str) -> Iterator[None]:
        self._take(first)
        if self.peek() == last:
            self._take(last)
            return
        while True:
            yield
            if self.peek() == last:
                self._take(last)
                return
            self._take(",")

    def _take(self, wanted: str) -> None:
        found = self.peek()
        if found != wanted:
            raise MalformedError(f"is not JSON, or was cut off ({wanted!r} was expected and not {found!r})")
        self._at += 1

    def _grow(self) -> bool:
        """Read on, as much again as waits already, so that a long value is not looked at too often."""
        if self._is_at_end:
            return False
        waiting = len(self._text) - self._at
        if waiting > self._max_value_chars:
            raise MalformedError(
                f"is not JSON, or holds one entry of more than {self._max_value_chars >> 20} million characters"
            )
        self._text, self._at = self._text[self._at :], 0
        read = self._file.read(max(_FIRST_READ_BYTES, waiting))
        self._left_bytes -= len(read)
        if self._left_bytes < 0:
            raise MalformedError("is longer than any history that people have; it may be made to fill the memory")
        self._decode(read)
        return True

    def _decode(self, read: bytes) -> None:
        self._is_at_end = not read
        try:
            self._text += self._bytes.decode(read, final=self._is_at_end)
        except UnicodeDecodeError as error:
            raise MalformedError(f"is not JSON: it is not text ({error.reason})") from None


def _refuse_constant(name: str) -> NoReturn:
    raise MalformedError(f"is not JSON ({name} is no number)")
