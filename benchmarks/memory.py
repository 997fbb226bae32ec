"""Peak memory of loading a checkpoint and answering once, for each quantisation level.

    python -m benchmarks.memory FOLDER [--levels fp16 int8 int4] [--tokens 8] [--out FILE]

Each level runs in a process of its own; the figure is that process's largest resident set, with Python,
torch and everything else in it.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

LEVELS = ("fp16", "int8", "int4")


def measure(folder: str, level: str, tokens: int) -> dict[str, object]:
    """Load and answer in this process; return times in seconds and the peak in GB (10^9 bytes)."""
    from chatglm_slim_llm import ChatGLMSlim

    model = ChatGLMSlim(model=folder, quantization=level, max_tokens=tokens, temperature=0)
    start = time.perf_counter()
    model.load()
    loaded = time.perf_counter()
    reply = model.invoke("你好")
    answered = time.perf_counter()
    return {
        "level": level,
        "load_s": round(loaded - start, 1),
        "answer_s": round(answered - loaded, 1),
        "new_tokens": reply.usage_metadata["output_tokens"] if reply.usage_metadata else 0,
        "peak_memory_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9, 2),
    }


def in_child(folder: str, level: str, tokens: int) -> dict[str, object]:
    """Run `measure` in a fresh process, so that one level's peak does not hide another's."""
    command = [sys.executable, "-m", "benchmarks.memory", folder, "--levels", level, "--tokens", str(tokens), "--here"]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    result: dict[str, object] = json.loads(done.stdout)
    return result


def table(rows: list[dict[str, object]]) -> str:
    """The rows as a Markdown table."""
    head = "| level | peak memory (GB) | load (s) | first answer (s) | tokens |\n| --- | --- | --- | --- | --- |\n"
    keys = ("level", "peak_memory_gb", "load_s", "answer_s", "new_tokens")
    return head + "\n".join("| " + " | ".join(str(row[key]) for key in keys) + " |" for row in rows)


def main() -> None:
    """Parse arguments, measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", default="demo", help="a checkpoint's folder (default: the demo model)")
    parser.add_argument("--levels", nargs="+", choices=LEVELS, default=LEVELS)
    parser.add_argument("--tokens", type=int, default=8, help="new tokens of the answer")
    parser.add_argument("--out", type=Path, help="write the figures to this JSON file")
    parser.add_argument("--here", action="store_true", help="measure one level in this process, print JSON")
    args = parser.parse_args()
    if args.here:
        print(json.dumps(measure(args.folder, args.levels[0], args.tokens)))
        return
    rows = []
    for level in args.levels:
        rows.append(in_child(args.folder, level, args.tokens))
        print(f"{level}: {rows[-1]}", file=sys.stderr)
    print(table(rows))
    if args.out:
        machine = f"{platform.machine()} {platform.system()}, Python {platform.python_version()}"
        report = {"date": date.today().isoformat(), "machine": machine, "folder": Path(args.folder).name, "rows": rows}
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
