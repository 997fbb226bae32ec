"""What went well or wrong, said in the corner of the screen; other people's text is never markup."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from textual.widget import Widget

from chatglm_slim_llm.errors import StorageError
from tui.language import tr
from tui.reasons import told

Result = TypeVar("Result")


def tell(widget: Widget, text: str, *, title: str = "") -> None:
    """Say something that passes."""
    widget.notify(text, title=title, markup=False)


def complain(widget: Widget, reason: str, title: str) -> None:
    """Say what went wrong, long enough to be read."""
    widget.notify(told(reason), title=title, severity="error", timeout=15, markup=False)


def tried(widget: Widget, call: Callable[[], Result], *, is_quiet: bool = False) -> Result | None:
    """What a call on the history returns; ``None`` if the file fails, which is said unless it is tried all the time."""
    try:
        return call()
    except StorageError as error:
        if not is_quiet:
            complain(widget, str(error), tr("The history cannot be read"))
        return None
