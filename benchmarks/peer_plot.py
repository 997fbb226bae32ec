"""A picture of what `benchmarks.peers` measured.

python -m benchmarks.peer_plot benchmarks/results/peers.json [--out benchmarks/results/peers.svg]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from matplotlib import pyplot
from matplotlib.axes import Axes

_PANELS = {
    "decode_tokens_per_s": "Decode, tokens/s",
    "prefill_tokens_per_s": "Prefill, tokens/s",
    "ttft_s": "Time to first token, s (less is better)",
}
_COLOURS = {"ours": ("#0b6e4f", "#7fc8a9"), "llama.cpp": ("#3d5a98", "#a9b9dc"), "chatglm.cpp": ("#b5651d", "#e3b98a")}


def draw(report: dict[str, Any], out: Path) -> None:
    """One panel for each figure, one group of bars for each prompt."""
    pyplot.switch_backend("Agg")
    pyplot.rcParams["svg.hashsalt"] = "peers"  # the same figures give the same file
    figure, panels = pyplot.subplots(1, len(_PANELS), figsize=(13, 4.2), layout="constrained")
    for axes, (key, title) in zip(panels, _PANELS.items(), strict=True):
        _bars(axes, report["engines"], key)
        axes.set_title(title, fontsize=11)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    machine = report["machine"]
    figure.suptitle(f"{machine['cpu']}, {report['threads']} threads, random weights, {report['date']}", fontsize=10)
    figure.savefig(out, metadata={"Date": None} if out.suffix == ".svg" else None, dpi=150)


def _bars(axes: Axes, engines: list[dict[str, Any]], key: str) -> None:
    prompts = [row["prompt"] for row in engines[0]["rows"]]
    width = 0.8 / len(engines)
    for index, engine in enumerate(engines):
        places = [group + (index - (len(engines) - 1) / 2) * width for group in range(len(prompts))]
        colour = _COLOURS[engine["engine"]][engine["bits"] == 8]
        bars = axes.bar(places, [row[key] for row in engine["rows"]], width, label=engine["name"], color=colour)
        axes.bar_label(bars, fmt="%.3g", fontsize=8, padding=2)
    axes.set_xticks(range(len(prompts)), [f"prompt of {prompt}" for prompt in prompts])
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(y=0.12)


def main() -> None:
    """Parse arguments, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("report", type=Path, help="the JSON file of benchmarks.peers")
    parser.add_argument("--out", type=Path, help="the picture (default: beside the report, .svg)")
    args = parser.parse_args()
    draw(json.loads(args.report.read_text()), args.out or args.report.with_suffix(".svg"))


if __name__ == "__main__":
    main()
