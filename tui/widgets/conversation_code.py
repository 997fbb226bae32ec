"""The blocks of code in a message, and copying them one after the other."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tui.language import tr
from tui.markdown import CodeBlock, Document

if TYPE_CHECKING:
    from textual.widget import Widget

    from tui.widgets.conversation_entry import Entry, EntryView

_MAY_HOLD_CODE = re.compile("```|~~~|^[^\\n]*(?: {4}|\t)", re.MULTILINE)


def blocks_of(entry: Entry, view: EntryView | None) -> list[CodeBlock]:
    """The blocks of a message, in order; they are those of the view where there is one."""
    if entry.role == "user" or not _MAY_HOLD_CODE.search(entry.text):
        return []
    document = view.document if view else None
    if document is None:
        document = Document()
        document.update(entry.text, growing=entry.growing)
    return document.code_blocks()


class CodeCopier:
    """Copies the blocks of a message, the next one each time."""

    def __init__(self, widget: Widget) -> None:
        self._widget = widget
        self._copied: tuple[int, int] = (-1, -1)  # a message, and which of its blocks

    def copy_next(self, message_id: int, blocks: list[CodeBlock]) -> None:
        """Copy the block after the one copied last."""
        copied, number = self._copied
        self.copy(message_id, blocks, (number + 1) % len(blocks) if copied == message_id else 0)

    def copy(self, message_id: int, blocks: list[CodeBlock], number: int) -> None:
        """Copy a block, and say so."""
        from tui.clipboard import copy

        self._copied = message_id, number
        copy(self._widget.app, blocks[number].source)
        if len(blocks) == 1:
            words = tr("The code is copied.")
        else:
            words = tr("Block {number} of {count} is copied.", number=number + 1, count=len(blocks))
        self._widget.notify(words, markup=False)
