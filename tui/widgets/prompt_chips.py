"""What will be sent with the prompt, as chips above it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.app import RenderResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.style import Style
from textual.widget import Widget

from chatglm_slim_llm.hosting.amounts import size_text
from chatglm_slim_llm.storage import Attachment
from tui.language import tr


@dataclass
class ChipRemoved(Message):
    """This attachment is not to be sent after all."""

    place: int


class Chips(Widget, can_focus=True):
    """Rows of names with sizes; ← and → choose, Delete or a click on × removes."""

    DEFAULT_CSS = """
    Chips { height: auto; display: none; pointer: pointer; }
    Chips.-filled { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "move(-1)", "Previous", show=False, id="attachments.left", tooltip="Attachment before"),
        Binding("right", "move(1)", "Next", show=False, id="attachments.right", tooltip="Attachment after"),
        Binding("delete,backspace,enter", "remove", "Remove", id="attachments.remove", tooltip="Do not send this file"),
        Binding("escape,down", "leave", "Back", id="attachments.leave", tooltip="Back to the text"),
    ]

    attachments: reactive[tuple[Attachment, ...]] = reactive((), layout=True)
    chosen: reactive[int] = reactive(0)

    def watch_attachments(self) -> None:
        self.set_class(bool(self.attachments), "-filled")
        self.chosen = min(self.chosen, max(len(self.attachments) - 1, 0))

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return len(self._rows(width))

    def render(self) -> RenderResult:
        width, height = self.content_size.width, max(self.content_size.height, 1)
        rows = self._rows(width)
        wanted = self.chosen if self.has_focus else len(self.attachments) - 1
        first = next(number for number, row in enumerate(rows) if not row or wanted in row)
        first = max(min(first, len(rows) - height), 0)
        chips = ([self._chip(place, width) for place in row] for row in rows[first : first + height])
        return Content("\n").join(Content(" ").join(row) for row in chips)

    def _rows(self, width: int) -> list[list[int]]:
        """Which attachments stand in which row."""
        rows: list[list[int]] = [[]]
        used = 0
        for place in range(len(self.attachments)):
            cells = self._chip(place, width).cell_length
            if used and used + 1 + cells > width:
                rows.append([])
                used = 0
            rows[-1].append(place)
            used += cells + bool(used)
        return rows

    def _chip(self, place: int, width: int) -> Content:
        attachment = self.attachments[place]
        end = f" {size_of(attachment)} × "
        name = Content(f" {one_line(attachment.name)}").truncate(max(width - len(end), 2), ellipsis=True)
        chip = Content.assemble(name, (end[:-3], "$foreground-muted"), end[-3:])
        is_chosen = self.has_focus and place == self.chosen
        chip = chip.stylize_before("$block-cursor-foreground on $block-cursor-background" if is_chosen else "on $boost")
        return chip.stylize(Style.from_meta({"chip": place}), len(chip) - 3)

    def on_click(self, event: events.Click) -> None:
        if (place := event.style.meta.get("chip")) is not None:
            self.post_message(ChipRemoved(place))

    def action_move(self, by: int) -> None:
        self.chosen = (self.chosen + by) % max(len(self.attachments), 1)

    def action_remove(self) -> None:
        self.post_message(ChipRemoved(self.chosen))

    def action_leave(self) -> None:
        self.screen.focus_next()


def one_line(name: str) -> str:
    """A file's name may hold anything."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in name).split()) or tr("no name")


def size_of(attachment: Attachment) -> str:
    """How much text it is, in bytes of UTF-8."""
    return size_text(len(attachment.text.encode("utf-8", "replace")))
