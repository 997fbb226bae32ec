"""Where a JSON text stands: in a string, in a number, and which names the objects around it have by now.

The grammar knows what may follow; that the same name may not come twice is beyond a grammar.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace


@dataclass
class Outline:
    """Follows a text piece by piece."""

    is_inside: bool = False
    """In a string."""
    is_escaped: bool = False
    is_in_number: bool = False
    inside: bytes = b""
    """What stands after the opening quote."""
    repeats: bool = False
    """Some object has a name twice."""
    _names: list[frozenset[bytes] | None] = field(default_factory=list)  # of each object around; None: a list
    _expects_name: bool = False

    def copy(self) -> Outline:
        """One that goes its own way."""
        return replace(self, _names=[*self._names])

    def after(self, tokens: Iterable[bytes]) -> Outline:
        """Where the text would stand after these pieces."""
        later = self.copy()
        for token in tokens:
            later.push(token)
        return later

    def push(self, token: bytes) -> None:
        """Take the next piece of the text."""
        for byte in token:
            if self.is_inside:
                self._push_inside(byte)
            else:
                self._push_outside(byte)

    def text(self) -> str | None:
        """The string so far; None in the middle of a character."""
        try:
            return str(json.loads(b'"%b"' % self.inside))
        except ValueError:
            return None

    @property
    def is_name(self) -> bool:
        """In the name of a property, of an object that has others."""
        return self.is_inside and self._expects_name and bool(self._names[-1])

    @property
    def would_repeat(self) -> bool:
        """Whether the string is a name that its object has already."""
        return self.is_name and self.inside in (self._names[-1] or ())

    def has_name(self, text: str) -> bool:
        """Whether the string is to be a name and ``text`` is taken."""
        return self.is_name and json.dumps(text, ensure_ascii=False)[1:-1].encode() in (self._names[-1] or ())

    def _push_inside(self, byte: int) -> None:
        if byte == 0x22 and not self.is_escaped:
            self._end_string()
            return
        self.inside += bytes([byte])
        self.is_escaped = byte == 0x5C and not self.is_escaped

    def _end_string(self) -> None:
        self.repeats = self.repeats or self.would_repeat
        if self._expects_name:
            self._names[-1] = (self._names[-1] or frozenset()) | {self.inside}
        self.is_inside = self._expects_name = False

    def _push_outside(self, byte: int) -> None:
        self.is_in_number = byte in b"-.0123456789"
        if byte == 0x22:
            self.is_inside, self.inside = True, b""
        elif byte in b"{[":
            self._names.append(frozenset() if byte == 0x7B else None)
            self._expects_name = byte == 0x7B
        elif byte in b"}]":
            self._names.pop()
            self._expects_name = False
        elif byte == 0x2C:
            self._expects_name = bool(self._names) and self._names[-1] is not None
