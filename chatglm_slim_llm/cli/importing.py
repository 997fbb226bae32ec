"""Files of conversations into the history, and what is said about it."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from chatglm_slim_llm.cli import ERROR
from chatglm_slim_llm.cli.documents import printable
from chatglm_slim_llm.errors import StorageError
from chatglm_slim_llm.storage import ConversationStore
from chatglm_slim_llm.storage.exchange import ImportReport, import_file


def import_files(store: ConversationStore, paths: Sequence[Path], *, as_json: bool) -> int:
    """Add what is in each file and say what became of it; the status is 0 only if all could be read."""
    reports: list[dict[str, Any]] = []
    status = 0
    for path in paths:
        try:
            report = import_file(store, path)
        except StorageError as error:
            status = ERROR
            reports.append({"file": str(path), "error": str(error)})
            if not as_json:
                print(f"error: {printable(str(error))}", file=sys.stderr)
            continue
        status = ERROR if report.problems else status
        reports.append({"file": str(path), **asdict(report)})
        if not as_json:
            _print(path, report)
    if as_json:
        print(json.dumps({"files": reports}, ensure_ascii=False))
    return status


def _print(path: Path, report: ImportReport) -> None:
    text = f"{path}: {_counted(report.conversations, 'conversation')} with {_counted(report.messages, 'message')} added"
    print(f"{text}, {report.skipped:,} there already" if report.skipped else text)
    for problem in report.problems:
        print(f"not added: {printable(problem)}", file=sys.stderr)


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
