"""PDF: a section for each page, the lines of its paragraphs joined. There is no OCR here."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from chatglm_slim_llm.errors import UnreadableFileError
from chatglm_slim_llm.retrieval.loaders.boundary import extra_packages, loader
from chatglm_slim_llm.retrieval.loaders.joining import unbroken
from chatglm_slim_llm.retrieval.passages import Section

_PDFIUM = threading.Lock()  # the library must not be entered twice at the same time


@loader("PDF")
def load(path: Path) -> Iterator[Section]:
    """The pages that have text, one after the other; no more than one is in memory."""
    with extra_packages():
        import pypdfium2
    # An open file, as the library takes no path whose bytes are not UTF-8.
    with path.open("rb") as file, _opened(pypdfium2, file, path) as document:
        empty = True
        damaged: Exception | None = None
        for index in range(len(document)):
            try:
                text = _text(document, index)
            except pypdfium2.PdfiumError as error:
                damaged = error
                continue
            if text:
                empty = False
                yield Section(text, page=index + 1)
    if empty and damaged is not None:
        raise damaged
    if empty:
        raise UnreadableFileError("has no text layer; it needs OCR", path=path)


@contextmanager
def _opened(pypdfium2: Any, file: BinaryIO, path: Path) -> Iterator[Any]:
    try:
        with _PDFIUM:
            document = pypdfium2.PdfDocument(file)
    except pypdfium2.PdfiumError as error:
        if error.err_code == pypdfium2.raw.FPDF_ERR_PASSWORD:
            raise UnreadableFileError("protected by a password", path=path) from error
        raise
    try:
        yield document
    finally:
        with _PDFIUM:
            document.close()


def _text(document: Any, index: int) -> str:
    with _PDFIUM, closing(document[index]) as page, closing(page.get_textpage()) as text_page:
        text: str = text_page.get_text_range()
    return unbroken(text.replace("\r\n", "\n").replace("\r", "\n"))
