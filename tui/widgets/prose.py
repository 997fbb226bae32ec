"""Plain text, cut into lines as Chinese and English are cut; never markup."""

from __future__ import annotations

from itertools import pairwise

from textual.app import RenderResult
from textual.content import Content
from textual.geometry import Size
from textual.widget import Widget

from tui.wrapping import break_offsets


class Prose(Widget):
    """A few paragraphs; as high as they need."""

    DEFAULT_CSS = "Prose { height: auto; }"

    def __init__(self, text: str = "", *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._text = text
        self._cut: tuple[int, list[str]] | None = None  # the lines, and the width that they were cut to

    @property
    def text(self) -> str:
        """What is shown."""
        return self._text

    def update(self, text: str) -> None:
        """Show another text."""
        self._text, self._cut = text, None
        self.refresh(layout=True)

    def get_content_width(self, container: Size, viewport: Size) -> int:
        return container.width

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return len(self._lines(width))

    def render(self) -> RenderResult:
        return Content("\n".join(self._lines(self.content_size.width)))

    def _lines(self, width: int) -> list[str]:
        if self._cut is not None and self._cut[0] == width:
            return self._cut[1]
        lines: list[str] = []
        for line in self._text.split("\n"):
            cuts = [0, *break_offsets(line, max(width, 1)), len(line)]
            lines += [line[start:end].rstrip() for start, end in pairwise(cuts)]
        self._cut = width, lines
        return lines
