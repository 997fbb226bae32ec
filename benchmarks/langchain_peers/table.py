"""The table of verdicts, as Markdown between two marks of a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.langchain_peers.rows import ROWS, STANDARD

BEGIN = "<!-- begin: python -m benchmarks.langchain_peers --table docs/comparison.md -->"
END = "<!-- end -->"


def rewrite(page: str, results: Mapping[str, Any]) -> str:
    """The page with its generated part made anew."""
    before, _, rest = page.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError(f"the page needs the lines {BEGIN!r} and {END!r}, in this order")
    return f"{before}{BEGIN}\n{generated(results)}\n{END}{after}"


def generated(results: Mapping[str, Any]) -> str:
    """The table, the versions, and where each cell that is no run comes from."""
    columns = results["columns"]
    sources: list[str] = []
    lines = ["| | " + " | ".join(column["title"] for column in columns.values()) + " |"]
    lines.append("| --- |" + " --- |" * len(columns))
    for key, title in [*((row.key, row.title) for row in ROWS), (STANDARD, "LangChain's standard tests passed")]:
        cells = [_cell(column["cells"][key], sources) for column in columns.values()]
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    about = [f"- {column['title']}: {column['versions']}; {column['date']}." for column in columns.values()]
    return "\n".join([*lines, "", *about, "", *sources])


def _cell(cell: Mapping[str, str], sources: list[str]) -> str:
    """The verdict; a number where it was read and not run, or was run on another model, or needs a word."""
    word, colon, seen = cell["verdict"].partition(": ")
    text = f"**{word}**{colon}{_escape(seen)}" if word in ("yes", "no") else _escape(cell["verdict"])
    source = "" if cell["from"] == "run" else cell["from"]
    said = ". ".join(part for part in (source, cell.get("note", "")) if part)
    if not said:
        return text
    line = next((i for i, known in enumerate(sources, 1) if known == f"{i}. {said}"), None)
    if line is None:
        line = len(sources) + 1
        sources.append(f"{line}. {said}")
    return f"{text} [{line}]"


def _escape(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
