"""The bar beside a conversation, painted again only where it looks different: text that grows moves it by little."""

from __future__ import annotations

from textual.scrollbar import ScrollBar, ScrollBarRender

_STEPS = len(ScrollBarRender.VERTICAL_BARS)


def move_bar(bar: ScrollBar, virtual_height: int, position: float) -> None:
    """Tell the bar what it stands for."""
    before = _thumb(bar, bar.window_virtual_size, bar.position)
    if _thumb(bar, virtual_height, position) != before:
        bar.window_virtual_size, bar.position = virtual_height, position
    else:
        bar.set_reactive(ScrollBar.window_virtual_size, virtual_height)
        bar.set_reactive(ScrollBar.position, position)


def _thumb(bar: ScrollBar, virtual_height: float, position: float) -> tuple[int, int]:
    """Where the thumb begins and how long it is, in the steps that can be painted."""
    height, window = bar.size.height, bar.window_size
    if not height or not window or virtual_height <= window:
        return -1, -1
    length = max(1.0, window * height / virtual_height)
    start = (height - length) * position / (virtual_height - window)
    return int(start * _STEPS), -int(-length * _STEPS // 1)
