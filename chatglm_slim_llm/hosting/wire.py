"""What passes between a program and its child process: one JSON object a line, in ASCII, and nothing that runs.

A request is ``{"id": 3, "do": "stream", "with": {…}}``. Its answers are any number of ``{"id": 3, "say": …}``, then one
``{"id": 3, "end": …}`` or ``{"id": 3, "error": {…}}``. ``{"id": 3, "do": "stop"}`` ends a request that is under way.
Before other people's code is at work there comes ``{"doing": "…"}``, to be named if the child dies of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from chatglm_slim_llm import errors
from chatglm_slim_llm.errors import ChatGLMSlimError, GenerationError
from chatglm_slim_llm.hosting.assistant import Piece, Request, Turn
from chatglm_slim_llm.storage import Figures, Source, ToolUse

MAX_LINE_BYTES = 64 << 20
"""A longer line is no talk of ours."""

_SHORT_OF_MEMORY = ("memory", "bad_alloc", "failed to map segment")
Message = dict[str, Any]


def encode(message: Mapping[str, Any]) -> bytes:
    """A message as a line. ASCII: half surrogates, and terminals of any locale, come through it."""
    return json.dumps(message, separators=(",", ":")).encode("ascii") + b"\n"


def decode(line: bytes) -> Message:
    """A line as a message.

    Raises:
        ValueError: it is none.
    """
    message = json.loads(line)
    if not isinstance(message, dict):
        raise ValueError(f"a line holds {type(message).__name__} instead of an object")
    return message


def request_to_wire(request: Request) -> Message:
    """A request as JSON takes it."""
    return {
        "turns": [[turn.role, turn.text] for turn in request.turns],
        "system": request.system,
        "parameters": dict(request.parameters),
        "knowledge_base": request.knowledge_base,
        "tools": list(request.tools),
    }


def request_from_wire(given: Message) -> Request:
    """The request that was sent."""
    turns = [Turn(role, text) for role, text in given["turns"]]
    return Request(turns, given["system"], given["parameters"], given["knowledge_base"], tuple(given["tools"]))


def piece_to_wire(piece: Piece) -> str | Message:
    """A piece as JSON takes it: its text alone, where there is nothing else."""
    if piece == Piece(piece.text):
        return piece.text
    return asdict(piece)


def piece_from_wire(given: str | Message) -> Piece:
    """The piece that was sent."""
    if isinstance(given, str):
        return Piece(given)
    figures = None if given["figures"] is None else Figures(**given["figures"])
    sources = tuple(Source(**source) for source in given["sources"])
    tool = None if given["tool"] is None else ToolUse(**given["tool"])
    return Piece(
        given["text"], given["finish_reason"], figures, sources, given["dropped_rounds"], tool, given["notice"]
    )


def error_to_wire(error: BaseException, who: str = "The model") -> Message:
    """An error as JSON takes it: the kinds that it is of, its sentence, and its plain attributes."""
    if not isinstance(error, ChatGLMSlimError):
        return {"kinds": ["GenerationError"], "text": _foreign(error, who), "about": {}}
    return {
        "kinds": [kind.__name__ for kind in type(error).__mro__],
        "text": str(error),
        "about": {name: _plain(value) for name, value in vars(error).items()},
    }


def error_from_wire(given: Message) -> ChatGLMSlimError:
    """The error that was sent, of the nearest kind that is ours."""
    kind: type[ChatGLMSlimError] = GenerationError
    for name in given["kinds"]:
        found = getattr(errors, name, None)
        if isinstance(found, type) and issubclass(found, ChatGLMSlimError):
            kind = found
            break
    error = kind.__new__(kind, given["text"])
    error.args = (given["text"],)
    vars(error).update(given["about"])
    return error


def _foreign(error: BaseException, who: str) -> str:
    """An error that is not ours, in one sentence."""
    detail = (str(error).strip().splitlines() or [""])[0]
    is_memory = isinstance(error, MemoryError) or any(word in detail.lower() for word in _SHORT_OF_MEMORY)
    advice = "; choose a smaller level such as int4, or close other programs" if is_memory else ""
    return f"{who} failed with {type(error).__name__}" + (f": {detail}" if detail else "") + advice


def _plain(value: object) -> Any:
    if isinstance(value, str | int | float | bool | None):
        return value
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else str(value)
