"""How long ``chatglm-slim plugins list`` takes with 200 plugins of others, half of them broken.

    python -m benchmarks.plugins [--plugins 200] [--runs 9]

Each plugin is a package of its own. Beside the whole command stands a Python that does nothing, started alternately.
The exit status is 1 if the median is over its limit, or if anything of a plugin was imported.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.peers import machine

LIMIT_S = 0.3


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, and give the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plugins", type=int, default=200)
    parser.add_argument("--runs", type=int, default=9)
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        site, trace = Path(folder) / "site", Path(folder) / "imported"
        _install(site, args.plugins, trace)
        environ = {**os.environ, "PYTHONPATH": str(site), "CHATGLM_SLIM_HOME": folder, "CHATGLM_SLIM_PLUGINS": ""}
        environ.pop("PYTHONDONTWRITEBYTECODE", None)
        words = [sys.executable, "-m", "chatglm_slim_llm", "plugins", "list"]
        times = {"plugins list": [0.0], "python -c pass": [0.0]}
        for _ in range(args.runs + 1):  # the first fills caches
            times["plugins list"].append(_seconds(words, environ, folder))
            times["python -c pass"].append(_seconds([sys.executable, "-c", "pass"], environ, folder))
        was_imported = trace.exists()
    medians = {name: statistics.median(values[2:]) for name, values in times.items()}
    print(machine())
    print(f"{args.plugins} plugins, median of {args.runs}")
    for name, seconds in medians.items():
        print(f"{name:16} {seconds:.3f} s")
    print(f"limit            {LIMIT_S:.3f} s; imported: {'something' if was_imported else 'nothing'} of theirs")
    return int(was_imported or medians["plugins list"] > LIMIT_S)


def _install(site: Path, count: int, trace: Path) -> None:
    for number in range(count):
        module = f"plugin_{number:03}"
        target = f"{module}:make" if number % 2 else f"no_such_module_{number}:make"
        (info := site / f"{module}-1.0.dist-info").mkdir(parents=True)
        (site / f"{module}.py").write_text(f"open({str(trace)!r}, 'w')\n")
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[chatglm_slim.tools]\n{module} = {target}\n")
    keys = [f"[tools.plugin_{number:03}]\n" for number in range(count)]
    (config := site.parent / "config").mkdir()
    (config / "plugins.toml").write_text("".join(keys))


def _seconds(words: Sequence[str], environ: Mapping[str, str], folder: str) -> float:
    started = time.perf_counter()
    subprocess.run(words, env=environ, cwd=folder, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


if __name__ == "__main__":
    sys.exit(main())
