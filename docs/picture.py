"""A screen of the terminal as a picture, every character in its own cell.

Textual's own export sets all text in one font, in which Chinese is not twice as wide as English. Here wide characters,
and only they, are of a second font, and each stands where its cells begin.
"""

from __future__ import annotations

import io
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from itertools import chain, groupby
from typing import Any

from PIL import Image
from rich.cells import cell_len
from rich.color import Color, blend_rgb
from rich.color_triplet import ColorTriplet
from rich.segment import Segment
from rich.style import Style
from textual.app import App

NARROW, WIDE = "DejaVu Sans Mono", "Noto Sans Mono CJK SC"
"""The fonts; Debian has them in ``fonts-dejavu-core`` and ``fonts-noto-cjk``."""
_CELL = (10.0, 20.0)
_BASELINE = 15.4
_NARROW_PX = _CELL[0] / 0.60205  # an advance of DejaVu Sans Mono
_WIDE_PX = 18.8
_MARGIN = 14
_ZOOM = 1.25
_COLOURS = 128
_FOREGROUND, _BACKGROUND = ColorTriplet(221, 228, 238), ColorTriplet(17, 21, 27)


class MissingToolError(RuntimeError):
    """A program or a font that pictures need is not installed."""


def check_tools() -> None:
    """See that pictures can be made here.

    Raises:
        MissingToolError: they cannot; the message says what to install.
    """
    if not shutil.which("rsvg-convert"):
        raise MissingToolError("rsvg-convert is missing; install librsvg2-bin")
    for family, package in ((NARROW, "fonts-dejavu-core"), (WIDE, "fonts-noto-cjk")):
        known = subprocess.run(["fc-list", family, "family"], capture_output=True, text=True, check=True).stdout
        if family not in known:
            raise MissingToolError(f"the font {family} is missing; install {package}")


def svg(app: App[Any]) -> str:
    """What an app shows now."""
    update: Any = app.screen._compositor.render_update(full=True, screen_stack=app._background_screens)
    width, height = app.size
    shapes = [shape for y, strips in enumerate(update.strips) for shape in _line(chain(*strips), y)]
    size = (width * _CELL[0] + 2 * _MARGIN, height * _CELL[1] + 2 * _MARGIN)
    ground = _colours(Style(bgcolor=app.screen.styles.background.rich_color))[1]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size[0]:g} {size[1]:g}">'
        f'<rect width="100%" height="100%" fill="{ground}"/>'
        f'<g transform="translate({_MARGIN} {_MARGIN})" xml:space="preserve">{"".join(shapes)}</g></svg>'
    )


def png(drawing: str) -> bytes:
    """A drawing of ``svg`` as a small PNG."""
    width = float(drawing.partition('viewBox="0 0 ')[2].split()[0])
    command = ["rsvg-convert", "--width", f"{width * _ZOOM:.0f}"]
    done = subprocess.run(command, input=drawing.encode(), capture_output=True, check=True)
    meant = [ColorTriplet(*bytes.fromhex(colour)) for colour in dict.fromkeys(re.findall('fill="#(.{6})"', drawing))]
    return _small(Image.open(io.BytesIO(done.stdout)).convert("RGB"), meant)


def _small(image: Image.Image, meant: Sequence[tuple[int, int, int]]) -> bytes:
    """A PNG with the colours that are meant, and of those between them the ones that the image has most of."""
    counted: Any = image.getcolors(image.width * image.height)
    common = [colour for _, colour in sorted(counted, reverse=True)]
    palette = Image.new("P", (1, 1))
    palette.putpalette([part for colour in list(dict.fromkeys([*meant, *common]))[:_COLOURS] for part in colour])
    written = io.BytesIO()
    image.quantize(palette=palette, dither=Image.Dither.NONE).save(written, "PNG", optimize=True)
    return written.getvalue()


def _line(strip: Iterable[Segment], y: int) -> Iterator[str]:
    x = 0
    texts = []
    for text, style, _ in Segment.filter_control(strip):
        ink, ground = _colours(style or Style())
        width = cell_len(text)
        yield _rectangle(x, y, width, ground)
        texts += list(_texts(text, x, y, ink, style or Style()))
        x += width
    yield from texts


def _rectangle(x: int, y: int, width: int, colour: str) -> str:
    left, top = x * _CELL[0], y * _CELL[1]
    return (
        f'<rect x="{left:g}" y="{top:g}" width="{width * _CELL[0]:g}" height="{_CELL[1]:g}" fill="{colour}"'
        ' shape-rendering="crispEdges"/>'
    )


def _texts(text: str, x: int, y: int, ink: str, style: Style) -> Iterator[str]:
    """The runs of a text: letters of one cell together, wide ones each alone."""
    for is_wide, run in groupby(text, lambda character: cell_len(character) != 1):
        for piece in run if is_wide else ("".join(run),):
            if piece.strip():
                yield _text(piece, x, y, ink, style, is_wide=is_wide)
            x += cell_len(piece)


def _text(text: str, x: int, y: int, ink: str, style: Style, *, is_wide: bool) -> str:
    family, size = (WIDE, _WIDE_PX) if is_wide else (NARROW, _NARROW_PX)
    left = x * _CELL[0] + (2 * _CELL[0] - _WIDE_PX) / 2 * is_wide
    look = ' font-weight="bold"' * bool(style.bold) + ' font-style="italic"' * bool(style.italic)
    lines = [name for name, there in (("underline", style.underline), ("line-through", style.strike)) if there]
    look += f' text-decoration="{" ".join(lines)}"' if lines else ""
    return (
        f'<text x="{left:g}" y="{y * _CELL[1] + _BASELINE:g}" font-family="{family}" font-size="{size:.4g}"'
        f' fill="{ink}"{look}>{escape(text)}</text>'
    )


def _colours(style: Style) -> tuple[str, str]:
    """Ink and ground, as they are written in a drawing."""
    ink, ground = _triplet(style.color, _FOREGROUND), _triplet(style.bgcolor, _BACKGROUND)
    if style.reverse:
        ink, ground = ground, ink
    if style.dim:
        ink = blend_rgb(ink, ground, 0.4)
    return ink.hex, ground.hex


def _triplet(colour: Color | None, default: ColorTriplet) -> ColorTriplet:
    return default if colour is None or colour.is_default else colour.get_truecolor()
