"""Tools that ask whether they may be used: in which order, and what was allowed for a whole chat."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from chatglm_slim_llm.hosting.assistant import ToolUse

Answer = Literal["once", "chat", "refuse"]


class Asking:
    """The questions of one reply at a time; what is allowed for a chat holds until the program ends.

    Args:
        permit: hands an answer to the model.
        show: shows the question that is to be answered now; ``None`` where there is none.
    """

    def __init__(self, permit: Callable[[str, bool], object], show: Callable[[ToolUse | None], object]) -> None:
        self._permit, self._show = permit, show
        self._waiting: dict[str, ToolUse] = {}
        self._conversation_id = 0
        self._allowed: set[tuple[int, str]] = set()

    @property
    def asked(self) -> ToolUse | None:
        """The use that waits for an answer."""
        return next(iter(self._waiting.values()), None)

    def follow(self, conversation_id: int, use: ToolUse) -> None:
        """A tool asks, or has gone on."""
        before = self.asked
        self._conversation_id = conversation_id
        if use.state != "asked":
            self._waiting.pop(use.id, None)
        elif (conversation_id, use.name) in self._allowed:
            self._permit(use.id, True)
        else:
            self._waiting[use.id] = use
        self._show_next(before)

    def answer(self, answer: Answer) -> None:
        """Answer the question that is shown; nothing happens where there is none."""
        if (use := self.asked) is None:
            return
        del self._waiting[use.id]
        self._permit(use.id, answer != "refuse")
        if answer == "chat":
            self._allowed.add((self._conversation_id, use.name))
            for other in [each for each in self._waiting.values() if each.name == use.name]:
                del self._waiting[other.id]
                self._permit(other.id, True)
        self._show_next(use)

    def end(self) -> None:
        """The reply is over, or to be stopped: nobody waits for an answer any more."""
        before = self.asked
        self._waiting.clear()
        self._show_next(before)

    def _show_next(self, before: ToolUse | None) -> None:
        if self.asked is not before:
            self._show(self.asked)
