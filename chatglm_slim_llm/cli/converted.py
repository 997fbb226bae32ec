"""What ``slim`` and ``quantize`` share: a source, a target, a progress line, a result."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

from chatglm_slim_llm.cli.progress import ProgressLine, time_text
from chatglm_slim_llm.hosting.amounts import size_text


def add_paths(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that every conversion has."""
    parser.add_argument("source", metavar="SRC", help="a checkpoint folder, or a hub id that was pulled")
    parser.add_argument("target", metavar="DST", type=Path, help="the folder to write; it must not hold anything yet")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")


def convert(args: argparse.Namespace, source: Path, write: Callable[..., object], *, level: str | None = None) -> int:
    """Let ``write(source, target, progress=...)`` do the work, then say what was written and how long it took."""
    started_s = time.monotonic()
    with ProgressLine() as progress:
        write(source, args.target, progress=progress)
    elapsed_s = time.monotonic() - started_s
    source_bytes, target_bytes = _folder_bytes(source), _folder_bytes(args.target)
    if args.json:
        result = {"source": str(source), "target": str(args.target), "level": level} | {
            "source_bytes": source_bytes,
            "target_bytes": target_bytes,
            "elapsed_s": round(elapsed_s, 3),
        }
        print(json.dumps(result, ensure_ascii=False))
    else:
        sizes = f"{size_text(source_bytes)} -> {size_text(target_bytes)}"
        print(f"Wrote {args.target} from {source}: {sizes}, {time_text(elapsed_s)}.")
    return 0


def _folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
