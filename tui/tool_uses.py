"""A tool's use in words: one line among the messages, and all of it where it is looked at."""

from __future__ import annotations

import json
from collections.abc import Mapping

from chatglm_slim_llm.hosting.assistant import ToolUse
from tui.language import tr
from tui.wrapping import visible

_MARKS = {"asked": "?", "running": "…", "done": "✓", "refused": "–", "failed": "✗", "stopped": "■"}
_LONGEST = 200
"""Characters of a value that a line may need; the rest is cut before it is looked at."""


def mark(use: ToolUse) -> str:
    """How far it is, as a sign."""
    return _MARKS[_state(use)]


def state_text(use: ToolUse) -> str:
    """How far it is, in words."""
    words = {
        "asked": tr("asks to be used"),
        "running": tr("runs"),
        "done": tr("done"),
        "refused": tr("refused"),
        "failed": tr("failed"),
        "stopped": tr("stopped"),
    }
    return words[_state(use)]


def is_failed(use: ToolUse) -> bool:
    """Whether it went wrong by itself."""
    return _state(use) == "failed"


def _state(use: ToolUse) -> str:
    """What failed has a reason; where there is none, the reply was stopped before the tool had ended."""
    return "stopped" if use.state == "failed" and not use.result else use.state


def call_line(use: ToolUse) -> str:
    """The name and the arguments, on one line."""
    arguments = " ".join(_on_one_line(f"{name}={_short(value)}") for name, value in use.arguments.items())
    return f"{_on_one_line(use.name)} {arguments}".rstrip()


def result_line(use: ToolUse) -> str:
    """The beginning of what it gave; how far it is, where it gave nothing."""
    if use.state == "refused":  # the result is what the model is told of it, in its own language
        return state_text(use)
    return _on_one_line(use.result[:_LONGEST]) or ("" if use.state == "done" else state_text(use))


def in_full(arguments: Mapping[str, object]) -> str:
    """Each argument with all of its value. Lines after the first are set in, so that none looks like an argument."""
    if not arguments:
        return tr("without arguments")
    return "\n".join(f"{_on_one_line(name)}: {_set_in(value)}" for name, value in arguments.items())


def _set_in(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2, default=str)
    first, *rest = visible(text).split("\n")
    return "\n".join(["\n    " + first if rest else first, *(f"    {line}" for line in rest)])


def _short(value: object) -> str:
    if isinstance(value, str):
        return json.dumps(value[:_LONGEST], ensure_ascii=False)
    return json.dumps(value, ensure_ascii=False, default=str)[:_LONGEST]


def _on_one_line(text: str) -> str:
    return " ".join(visible(text).split())
