"""The part of commands.md that is made: what each command says of itself with ``--help``.

    python -m docs.commands_page

A test compares the page with the programs; argparse's own words are those of Python 3.11.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from chatglm_slim_llm.cli.parser import build_parser
from chatglm_slim_llm.writing import write_whole
from docs.terminal_page import filled
from tui.arguments import parser as tui_parser

PAGE = Path(__file__).with_name("commands.md")
_WIDTH = 80


def made() -> dict[str, str]:
    """The made part by its name."""
    return {"commands": "".join(f"\n{part}" for part in _parts())}


def _parts() -> Iterator[str]:
    for program in (tui_parser(), build_parser()):
        for parser in commands(program):
            yield f"{'#' * (2 + parser.prog.count(' '))} {parser.prog}\n\n```text\n{shown(parser)}```\n"


def commands(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """A parser and those of its commands, in the order of its help."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from commands(command)


def shown(parser: argparse.ArgumentParser) -> str:
    """The help of a command, as wide as the page has room for, whatever terminal this is."""
    plain: Any = parser.formatter_class
    parser.formatter_class = partial(plain, width=_WIDTH)
    try:
        return parser.format_help()
    finally:
        parser.formatter_class = plain


def main() -> None:
    """Bring the page up to date."""
    page = filled(PAGE.read_text(encoding="utf-8"), made())
    write_whole(PAGE, page)


if __name__ == "__main__":
    main()
