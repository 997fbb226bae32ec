"""Tools that the model wants to use, as a person at a shell sees and allows them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

from chatglm_slim_llm.cli.asking import asks_yes, can_ask
from chatglm_slim_llm.cli.documents import printable
from chatglm_slim_llm.hosting.assistant import Piece, ToolUse
from chatglm_slim_llm.plugins import plugin

_LONGEST = 200


def check_tools(names: list[str]) -> None:
    """Each is a tool of a plugin that is on.

    Raises:
        PluginError: one is not.
    """
    for name in names:
        plugin("tools", name)


class ToolDesk:
    """Says on stderr what tools do, and asks before one that writes or runs.

    Args:
        permit: told the use and whether it may go on.
        allows_all: nobody is asked.
    """

    def __init__(self, permit: Callable[[str, bool], object], *, allows_all: bool) -> None:
        self._permit, self._allows_all = permit, allows_all

    def see(self, piece: Piece) -> None:
        """Tell of a piece's notice and of its tool."""
        if piece.notice:
            print(f"({printable(piece.notice)})", file=sys.stderr)
        if piece.tool is not None:
            self._see_tool(piece.tool)

    def _see_tool(self, use: ToolUse) -> None:
        if use.state == "asked":
            self._permit(use.id, self._may(use))
        elif use.state in ("done", "failed"):
            print(f"({call_text(use)}: {_short(use.result)})", file=sys.stderr)

    def _may(self, use: ToolUse) -> bool:
        if self._allows_all:
            return True
        if not can_ask():
            print(f"({call_text(use)} was refused: nobody is there to allow it; add --allow-tools)", file=sys.stderr)
            return False
        return asks_yes(f"The model wants to use {call_text(use)}. Allow it? [y/N] ")


def call_text(use: ToolUse) -> str:
    """Such as ``take_note(text="buy tea")``: all of it, as it is what somebody allows."""
    arguments = ", ".join(
        f"{name}={json.dumps(value, ensure_ascii=False, default=str)}" for name, value in use.arguments.items()
    )
    return printable(f"{use.name}({arguments})")


def _short(text: str) -> str:
    line = " ".join(printable(text).split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"
