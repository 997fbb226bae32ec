"""What Textual paints of a screen, without rendering what is not seen.

For every update Textual's own compositor renders all widgets on the screen from top to bottom, and throws away what
lies outside the update or behind other widgets. Here a widget renders the lines that are missing, from the first to
the last; where there are none it is not asked. The result is the same, strip by strip.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import ClassVar, cast

from textual import events
from textual._compositor import Compositor
from textual.geometry import Region, Size
from textual.screen import Screen
from textual.strip import Strip
from textual.widget import Widget


class SparingCompositor(Compositor):
    """A compositor that asks widgets for the lines that it shows, and for no others."""

    def _render_chops(self, crop: Region, is_rendered_line: Callable[[int], bool]) -> Sequence[Mapping[int, Strip]]:
        cuts = self.cuts
        chops: list[dict[int, Strip | None]] = [dict.fromkeys(line_cuts[:-1]) for line_cuts in cuts]
        left, right = crop.column_span
        missing = {
            y: {cut for cut, end in pairwise(cuts[y]) if cut < right and end > left}
            for y in crop.line_range
            if is_rendered_line(y)
        }
        for widget, (region, clip) in self.visible_widgets.items():
            if not missing:
                break
            shown = region.intersection(clip)
            lines = _lacking(shown, missing)
            if not lines:
                continue
            first = lines[0]
            strips = widget.render_lines(
                Region(shown.x - region.x, first - region.y, shown.width, lines[-1] - first + 1)
            )
            for y in lines:
                if y - first < len(strips):
                    self._fill(chops[y], missing[y], strips[y - first], y, shown)
                if not missing[y]:
                    del missing[y]
        return cast("Sequence[Mapping[int, Strip]]", chops)

    def _fill(self, chops: dict[int, Strip | None], missing: set[int], strip: Strip, y: int, shown: Region) -> None:
        left, right = shown.column_span
        cuts = [cut for cut in self.cuts[y] if left <= cut <= right]
        for cut, chop in zip(cuts, strip.divide([cut - left for cut in cuts[1:]]), strict=False):
            if chops[cut] is None:
                chops[cut] = chop
                missing.discard(cut)


def _lacking(shown: Region, missing: Mapping[int, set[int]]) -> list[int]:
    """The lines of a region where something is not rendered yet."""
    left, right = shown.column_span
    inside = shown.line_range
    return [y for y, cuts in missing.items() if y in inside and any(left <= cut < right for cut in cuts)]


class SparingScreen(Screen[None]):
    """A screen that is laid out once for a new size, and painted as sparingly as can be."""

    OF_BREAKPOINTS: ClassVar[str] = ""
    """The widgets that the classes of ``HORIZONTAL_BREAKPOINTS`` are for: no others are given their styles again."""

    def __init__(self) -> None:
        super().__init__()
        self._compositor = SparingCompositor()
        self._laid_out = Size(0, 0)

    def on_resize(self, event: events.Resize) -> None:
        """The layout for a new size tells the screen its size again, which Textual would lay out and paint again."""
        if event.size == self._laid_out == self._compositor.size:
            event.prevent_default()
            return
        self._laid_out = event.size
        self._take_breakpoints(event.size.width)

    def _take_breakpoints(self, width: int) -> None:
        """Take the classes for a width before the layout; Textual does so after it, and for all widgets."""
        points = self.HORIZONTAL_BREAKPOINTS or []
        taken = self._get_breakpoint_classes(width, points)
        classes = {name: name in taken for _, name in points}
        if any(self.has_class(name) != is_taken for name, is_taken in classes.items()):
            self.update_classes(classes, update=False)
            self.app.stylesheet.update_nodes(self.query(self.OF_BREAKPOINTS))


def paint_at_once(widget: Widget, *regions: Region) -> None:
    """Refresh parts of a widget without the messages and the timer that Textual would send after it."""
    screen = widget.screen
    is_ready = screen.is_current and widget in screen._compositor.visible_widgets
    if not is_ready or widget._layout_required or screen._layout_required:
        widget.refresh(*regions)
        return
    widget._set_dirty(*regions)
    screen._dirty_widgets.add(widget)
    screen._on_timer_update()
