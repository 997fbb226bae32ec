"""Tables: Excel (.xlsx), comma- and tab-separated text.

A row becomes one line that can be understood alone: "header: value; header: value" under a header, else its values.
"""

from __future__ import annotations

import csv
import datetime
import io
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

from chatglm_slim_llm.errors import UnreadableFileError
from chatglm_slim_llm.retrieval.loaders.archive import check_office
from chatglm_slim_llm.retrieval.loaders.boundary import extra_packages, loader
from chatglm_slim_llm.retrieval.loaders.outline import pieces
from chatglm_slim_llm.retrieval.loaders.text import read_text
from chatglm_slim_llm.retrieval.passages import Section

MAX_COLUMNS = 1_000
MAX_CELLS = 20_000_000
"""Over the whole workbook; a small file can declare thousands of millions of empty ones."""

_MOST_ROWS = 200
_MOST_CHARACTERS = 20_000
_EXCEL_ROWS = 1 << 20
_DELIMITERS = ",;\t|"
_ROWS_TO_JUDGE = 50
_LONGEST_HEADER = 60

_Row = tuple[int, list[str]]  # the line on which it begins, and its values


@loader("Excel file")
def load_xlsx(path: Path) -> Iterator[Section]:
    """The sheets' rows with the values that Excel computed last; the page is the sheet's number."""
    with extra_packages():
        from openpyxl import load_workbook
    check_office(path, "Excel file", streamed="xl/worksheets/")
    budget = iter(range(MAX_CELLS))
    with path.open("rb") as file:
        with warnings.catch_warnings(action="ignore"):  # of styles and validations, which matter to no reader
            workbook = load_workbook(file, read_only=True, data_only=True)
        for number, sheet in enumerate(workbook.worksheets, start=1):
            for _, text in _grouped(_xlsx_rows(sheet, budget, path)):
                yield Section(text, heading=sheet.title, page=number)


@loader("table")
def load_csv(path: Path) -> Iterator[Section]:
    """The rows with their lines; text that no rule for quotes can take apart is given as it stands."""
    text = read_text(path)
    delimiter = "\t" if path.suffix.lower() == ".tsv" else _delimiter(text)
    try:
        groups = list(_grouped(_csv_rows(text, delimiter)))
    except csv.Error:
        groups = list(pieces(text))
    for line, rows in groups:
        yield Section(rows, first_line=line)


def _xlsx_rows(sheet: Any, budget: Iterator[int], path: Path) -> Iterator[_Row]:
    sheet.reset_dimensions()  # what the file says of its size is often wrong
    for line, values in enumerate(sheet.iter_rows(max_row=_EXCEL_ROWS, values_only=True), start=1):
        if next(islice(budget, len(values), None), None) is None:
            raise UnreadableFileError(f"holds more than {MAX_CELLS:,} cells", path=path)
        yield line, [_as_text(value) for value in values[:MAX_COLUMNS]]


def _as_text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return f"{value:.0f}"
    if isinstance(value, datetime.datetime) and value.time() == datetime.time():
        return value.date().isoformat()
    return " ".join(str(value).split())


def _csv_rows(text: str, delimiter: str) -> Iterator[_Row]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    line = 1
    for values in reader:
        yield line, [" ".join(value.split()) for value in values[:MAX_COLUMNS]]
        line = reader.line_num + 1


def _delimiter(text: str) -> str:
    """The one that cuts the first rows most often into equally many values, more than one."""

    def agreement(delimiter: str) -> int:
        rows = _csv_rows(text[: 1 << 16], delimiter)
        try:
            widths = Counter(len(values) for _, values in islice(rows, _ROWS_TO_JUDGE))
        except csv.Error:
            return 0
        return max((count for width, count in widths.items() if width > 1), default=0)

    return max(_DELIMITERS, key=agreement)


def _grouped(rows: Iterable[_Row]) -> Iterator[tuple[int, str]]:
    """Consecutive rows, as lines of one text, with the line of the first."""
    first_line, size = 0, 0
    lines: list[str] = []
    for line, text in _lines(rows):
        if lines and (line != first_line + len(lines) or len(lines) == _MOST_ROWS or size > _MOST_CHARACTERS):
            yield first_line, "\n".join(lines)
            lines, size = [], 0
        first_line = first_line if lines else line
        lines.append(text)
        size += len(text)
    if lines:
        yield first_line, "\n".join(lines)


def _lines(rows: Iterable[_Row]) -> Iterator[tuple[int, str]]:
    filled = ((line, values) for line, values in rows if any(values))
    start = list(islice(filled, 2))
    header: Sequence[str] = ()
    if len(start) == 2 and _looks_like_header(start[0][1], start[1][1]):
        header = start.pop(0)[1]
    for line, values in chain(start, filled):
        if header:
            names = chain(header, iter(lambda: "", None))
            pairs = zip(names, values, strict=False)
            yield line, "; ".join(f"{name}: {value}" if name else value for name, value in pairs if value)
        else:
            yield line, " | ".join(value for value in values if value)


def _looks_like_header(first: list[str], second: list[str]) -> bool:
    names = [name for name in first if name]
    return (
        len(names) > 1
        and len(names) >= 0.6 * len([value for value in second if value])
        and len(set(names)) == len(names)
        and all(len(name) <= _LONGEST_HEADER and not _is_number(name) for name in names)
    )


def _is_number(text: str) -> bool:
    return any(character.isdigit() for character in text) and not any(character.isalpha() for character in text)
