"""Tool calls out of a reply while it is written, and the words of a reply that calls nothing.

The engine's grammar makes sure that a call looks exactly like ``{"name": "find", "arguments": {"x": 1}}``, and that
several stand a line each. So reading needs no guesses, and the arguments can be passed on as they come.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from chatglm_slim_llm.engine.formats import CALL_START

_ARGUMENTS = ', "arguments": '
_END = "}\n"  # of a call that another follows


@dataclass(frozen=True)
class CallPiece:
    """What one token added to a call: its name first and alone, then its arguments bit by bit."""

    index: int
    """Which call of the reply, from 0."""
    name: str | None = None
    arguments: str = ""


class CallReader:
    """Takes the text of one reply piece by piece; gives words or pieces of calls."""

    def __init__(self) -> None:
        self._held = ""
        self._is_words: bool | None = None  # None: nobody can tell yet
        self._count = 0  # calls begun so far
        self._arguments: _Arguments | None = None  # of the last of them

    def push(self, text: str) -> Iterator[str | CallPiece]:
        """Take newly generated text."""
        self._held += text
        if self._is_words is None and not CALL_START.startswith(self._held):
            self._is_words = not self._held.startswith(CALL_START)
        if self._is_words:
            yield from self._flush()
        elif self._is_words is False:
            yield from self._read_calls()

    def finish(self) -> Iterator[str | CallPiece]:
        """The reply is over: give what was held back because it might have become a call."""
        if self._is_words is None:
            yield from self._flush()

    def _flush(self) -> Iterator[str]:
        if self._held:
            yield self._held
            self._held = ""

    def _read_calls(self) -> Iterator[CallPiece]:
        while self._held:
            if self._arguments is None or (self._arguments.is_over and self._held.startswith(_END)):
                end = self._held.find(_ARGUMENTS)
                if end < 0:
                    return
                head = self._held[:end].removeprefix(_END).removeprefix("{")
                self._held = self._held[end + len(_ARGUMENTS) :]
                self._arguments = _Arguments()
                self._count += 1
                yield CallPiece(self._count - 1, name=json.loads(f"{{{head}}}")["name"])
            elif self._arguments.is_over:  # waits for the line break after "}", or is the end
                return
            else:
                taken = self._arguments.take(self._held)
                self._held = self._held[len(taken) :]
                yield CallPiece(self._count - 1, arguments=taken)


class _Arguments:
    """Finds where a JSON object ends."""

    def __init__(self) -> None:
        self.is_over = False
        self._depth = 0
        self._in_string = self._is_escaped = False

    def take(self, text: str) -> str:
        """The part of ``text`` that belongs to the object."""
        for at, character in enumerate(text, 1):
            self._step(character)
            if self.is_over:
                return text[:at]
        return text

    def _step(self, character: str) -> None:
        if self._in_string:
            self._in_string = self._is_escaped or character != '"'
            self._is_escaped = character == "\\" and not self._is_escaped
        elif character == '"':
            self._in_string = True
        elif character in "{[":
            self._depth += 1
        elif character in "}]":
            self._depth -= 1
            self.is_over = self._depth == 0
