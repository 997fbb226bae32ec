"""PowerPoint (.pptx): a section for each slide: its title as heading, the text of its shapes and tables, its notes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from chatglm_slim_llm.retrieval.loaders.archive import check_office
from chatglm_slim_llm.retrieval.loaders.boundary import extra_packages, loader
from chatglm_slim_llm.retrieval.loaders.joining import flow
from chatglm_slim_llm.retrieval.loaders.outline import Block, sections
from chatglm_slim_llm.retrieval.passages import Section


@loader("PowerPoint file")
def load(path: Path) -> Iterator[Section]:
    """The slides that have text, in the order of the talk."""
    with extra_packages():
        from pptx import Presentation
    check_office(path, "PowerPoint file")
    with path.open("rb") as file:
        presentation = Presentation(file)
    for number, slide in enumerate(presentation.slides, start=1):
        yield from sections(_blocks(slide), page=number)


def _blocks(slide: Any) -> Iterator[Block]:
    title = slide.shapes.title
    if title is not None and title.text_frame.text.strip():
        yield Block(title.text_frame.text, level=1)
    for shape in _flat(slide.shapes):
        if title is None or shape.shape_id != title.shape_id:
            yield from _shape(shape)
    if slide.has_notes_slide and (frame := slide.notes_slide.notes_text_frame) is not None:
        yield from _frame(frame)


def _flat(shapes: Any) -> Iterator[Any]:
    """The shapes, with a group's own in its place; the XML parser refuses depths that recursion could not take."""
    for shape in shapes:
        if hasattr(shape, "shapes"):
            yield from _flat(shape.shapes)
        else:
            yield shape


def _shape(shape: Any) -> Iterator[Block]:
    if shape.has_text_frame:
        yield from _frame(shape.text_frame)
    elif getattr(shape, "has_table", False):
        for row in shape.table.rows:
            cells = [flow(cell.text_frame.text) for cell in row.cells if not cell.is_spanned]
            if any(cells):
                yield Block(" | ".join(cells), tight=True)


def _frame(frame: Any) -> Iterator[Block]:
    lines = (" ".join(line.split()) for line in frame.text.replace("\v", "\n").split("\n"))
    if text := "\n".join(line for line in lines if line):
        yield Block(text)
