"""``chatglm-slim doctor``: what is installed, what this machine can run, and what is wrong."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from chatglm_slim_llm.config import DEFAULT_HUB_ID

if TYPE_CHECKING:
    from chatglm_slim_llm.cli.diagnosis import Diagnosis


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``doctor`` to the command line."""
    parser = commands.add_parser(
        "doctor",
        help="show versions, the machine and the checkpoints, and say what is wrong",
        description="Show versions, the machine, the folders and the checkpoints, and say what is wrong and what to do "
        "about it. Nothing is sent anywhere, and no secret is shown, so the output can be put into a bug report.",
    )
    parser.add_argument("--model", help=f"look at this checkpoint too: a folder, or a hub id such as {DEFAULT_HUB_ID}")
    parser.add_argument("--json", action="store_true", help="print everything as one JSON object")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the diagnosis; the status is 1 if there is a problem."""
    from chatglm_slim_llm.cli.diagnosis import diagnose

    diagnosis = diagnose(args.model)
    if args.json:
        print(json.dumps(diagnosis, ensure_ascii=False, indent=2))
    else:
        print(as_text(diagnosis))
    return 1 if diagnosis["problems"] else 0


def as_text(diagnosis: Diagnosis) -> str:
    """The sections as tables for people, the problems last, where they are read."""
    tables = {title: rows for title, rows in diagnosis.items() if isinstance(rows, dict) and rows}
    width = max(len(name) for rows in tables.values() for name in rows)
    lines: list[str] = []
    for title, rows in tables.items():
        lines += [title, *(f"  {name:{width}}  {value}" for name, value in rows.items()), ""]
    for problem in diagnosis["problems"]:
        lines += [f"PROBLEM  {problem['found']}", f"     DO  {problem['do']}"]
    return "\n".join(lines if diagnosis["problems"] else [*lines, "No problem found."])
