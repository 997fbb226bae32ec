"""What is painted is what Textual's own compositor would paint, and nothing that is not seen is rendered for it."""

from __future__ import annotations

import random

from textual._compositor import Compositor
from textual.app import App
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.geometry import Region
from textual.screen import Screen
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import Static

from tui.compositing import SparingCompositor, SparingScreen, paint_at_once


class Lines(Widget):
    """A line of letters for each of its rows; it remembers which rows it was asked for."""

    DEFAULT_CSS = "Lines { height: 1fr; }"
    letter = "x"

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[range] = []

    def render_lines(self, crop: Region) -> list[Strip]:
        self.asked.append(crop.line_range)
        return super().render_lines(crop)

    def render(self) -> str:
        return self.letter * 500


class Layered(App[None]):
    """Widgets beside, behind and partly outside one another."""

    CSS = """
    Screen { layers: below above; }
    #over { layer: above; width: 20; height: 4; offset: 12 3; background: red; border: round blue; }
    #hidden { width: 10; }
    #long { height: 30; margin: 1 2; }
    """

    def get_default_screen(self) -> Screen[None]:
        screen: Screen[None] = Screen()
        screen._compositor = SparingCompositor()
        return screen

    def compose(self):
        self.lines = Lines()
        with Horizontal():
            with VerticalScroll(id="hidden"):
                yield Static("words " * 40, id="long")
            with Vertical():
                yield Static("中文 and a title")
                yield self.lines
        yield Static("over", id="over")


async def test_the_same_is_painted_as_by_textuals_own_compositor_wherever_the_update_is():
    rng = random.Random(1)
    async with Layered().run_test(size=(50, 16)) as pilot:
        compositor = pilot.app.screen._compositor
        for _ in range(200):
            x, y = rng.randrange(50), rng.randrange(16)
            crop = Region(x, y, rng.randint(1, 50 - x), rng.randint(1, 16 - y))
            lines = set(rng.sample(crop.line_range, rng.randint(1, crop.height)))
            ours = compositor._render_chops(crop, lines.__contains__)
            theirs = Compositor._render_chops(compositor, crop, lines.__contains__)
            for line in lines:
                ends = compositor.cuts[line][1:]
                seen = [cut for cut, end in zip(theirs[line], ends, strict=True) if cut < crop.right and end > crop.x]
                assert [list(ours[line][cut]) for cut in seen] == [list(theirs[line][cut]) for cut in seen]


async def test_a_widget_renders_the_lines_of_an_update_and_what_is_behind_another_none():
    async with Layered().run_test(size=(50, 16)) as pilot:
        lines, compositor = pilot.app.lines, pilot.app.screen._compositor
        top = lines.region.y
        lines.asked.clear()
        compositor._render_chops(Region(0, top + 3, 50, 2), lambda _y: True)
        assert lines.asked == [range(3, 5)]
        over = pilot.app.query_one("#over").region
        compositor._render_chops(Region(over.x, over.y, over.width, 1), lambda _y: True)
        assert lines.asked == [range(3, 5)]


async def test_what_is_painted_at_once_is_on_the_screen_without_a_wait():
    async with Layered().run_test(size=(50, 16)) as pilot:
        await pilot.pause(0.1)
        lines, shown = pilot.app.lines, []
        pilot.app._display = lambda _screen, update: shown.append(update)
        lines.letter = "y"
        paint_at_once(lines, Region(0, 8, 40, 1))
        [update] = shown
        text = update.render_segments(pilot.app.console)
        assert "y" * 30 in text
        assert "x" not in text
        await pilot.pause(0.1)
        assert len(shown) == 1


async def test_what_is_not_on_the_screen_yet_is_painted_when_it_is():
    async with Layered().run_test(size=(50, 16)) as pilot:
        lines = pilot.app.lines
        lines.display = False
        await pilot.pause()
        lines.letter = "y"
        paint_at_once(lines, Region(0, 8, 40, 1))
        lines.display = True
        await pilot.pause(0.1)
        strips = pilot.app.screen._compositor.render_strips()
        assert "y" * 30 in strips[lines.region.y + 8].text


class Broken(SparingScreen):
    """One widget that is there only where there is room for it."""

    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (60, "-wide")]
    OF_BREAKPOINTS = "#side"

    def __init__(self) -> None:
        super().__init__()
        self.layouts: list[tuple[int, int]] = []

    def compose(self):
        with Horizontal():
            yield Static("side", id="side")
            yield Static("words " * 40, id="words")

    def _screen_resized(self, size):
        self.layouts.append(tuple(size))
        super()._screen_resized(size)


async def test_a_new_size_is_laid_out_once_with_the_classes_of_its_width():
    class Sized(App[None]):
        CSS = "#side { width: 20; } #words { width: 1fr; } .-narrow #side { display: none; }"

        def get_default_screen(self) -> Screen[None]:
            return Broken()

    async with Sized().run_test(size=(80, 20)) as pilot:
        screen = pilot.app.screen
        side, words = screen.query_one("#side"), screen.query_one("#words")
        for width, is_narrow in ((50, True), (55, True), (90, False), (59, True), (60, False)):
            screen.layouts.clear()
            await pilot.resize_terminal(width, 20)
            await pilot.pause(0.1)
            assert (screen.has_class("-narrow"), screen.has_class("-wide")) == (is_narrow, not is_narrow)
            assert side.display is not is_narrow
            assert words.region.width == (width if is_narrow else width - 20)
            assert screen.layouts == [(width, 20)]
