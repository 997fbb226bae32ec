"""ChatGLM-6B-Slim here beside llama.cpp and chatglm.cpp on this machine, with random weights of the same sizes.

    python -m benchmarks.peers --models FOLDER --llama-python PYTHON --chatglm-python PYTHON [--repeats 3] [--long]

Each engine runs in a process of its own, in rounds (ours, llama.cpp, chatglm.cpp, ours, ...), so that whatever else
the machine does falls on all alike; medians over the rounds count. An engine whose interpreter is not given is left
out. The model files (4 to 7 GB each) are written to FOLDER once and used again.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks.peer_models import Shape, chatglm_6b, llama_7b, write_chatglm, write_llama

Record = dict[str, Any]

SPEEDS = ("prefill_tokens_per_s", "ttft_s", "decode_tokens_per_s")
_WORKER = Path(__file__).with_name("peer_worker.py")


@dataclass(frozen=True)
class Contender:
    """One engine at one level: how to run it once."""

    name: str
    engine: str
    bits: int
    shape: Shape
    run: Callable[[Sequence[int], int], list[Record]]
    """(prompts, new tokens) -> a record for each prompt, then one about the process."""


def ours(program: str, level: str, shape: Shape, threads: int) -> Contender:
    """`chatglm-slim bench`, one process for each prompt."""

    def run(prompts: Sequence[int], new: int) -> list[Record]:
        records = []
        for prompt in prompts:
            sizes = ["--layers", str(shape.layers), "--prompt", str(prompt), "--new", str(new)]
            command = [program, "bench", "--shape", "6b", "--level", level, *sizes, "--threads", str(threads), "--json"]
            records.append({"prompt": prompt, "new": new} | _records(command, threads)[-1])
        peak_gb = max(record["peak_memory_gb"] for record in records)
        about = {"version": _commit(), "build": records[-1].get("kernels", ""), "threads": threads}
        return [*records, {**about, "peak_memory_gb": peak_gb}]

    return Contender(f"ours {level}", "ours", int(level.removeprefix("int")), shape, run)


def _commit() -> str:
    done = subprocess.run(["git", "describe", "--always", "--dirty"], stdout=subprocess.PIPE, text=True, check=False)
    return done.stdout.strip()


def peer(engine: str, python: str, encoding: str, shape: Shape, folder: Path, threads: int) -> Contender:
    """A peer through `peer_worker.py`; its model file is written before the first run."""
    model = folder / f"{engine}-{shape.layers}-{encoding}.{'gguf' if engine == 'llama.cpp' else 'bin'}"

    def run(prompts: Sequence[int], new: int) -> list[Record]:
        _ensure(model, shape, encoding, write_llama if engine == "llama.cpp" else write_chatglm)
        sizes = ["--prompts", *map(str, prompts), "--new", str(new), "--threads", str(threads)]
        return _records([python, str(_WORKER), engine, str(model), *sizes], threads)

    return Contender(f"{engine} {encoding}", engine, int(encoding[1]), shape, run)


def _ensure(path: Path, shape: Shape, encoding: str, write: Callable[[Path, Shape, str], None]) -> None:
    if path.exists():
        return
    print(f"writing {path}", file=sys.stderr)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".part")
    write(unfinished, shape, encoding)
    unfinished.replace(path)


def _records(command: list[str], threads: int) -> list[Record]:
    environ = os.environ | {"OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environ)
    decoder, text, records = json.JSONDecoder(), done.stdout.lstrip(), []
    while text:
        record, end = decoder.raw_decode(text)
        records.append(record)
        text = text[end:].lstrip()
    return records


def race(
    contenders: Sequence[Contender], prompts: Sequence[int], new: int, repeats: int, patience_s: float = 0.0
) -> list[Record]:
    """Run everyone in turn ``repeats`` times; return one summary for each, in the same order.

    Each run waits up to ``patience_s`` for a machine that does nothing else.
    """
    runs: dict[str, list[list[Record]]] = {contender.name: [] for contender in contenders}
    for turn in range(repeats):
        for contender in contenders:
            print(f"round {turn + 1}/{repeats}: {contender.name}", file=sys.stderr)
            wait_for_quiet(patience_s)
            runs[contender.name].append(contender.run(prompts, new))
            print(f"  {runs[contender.name][-1][:-1]}", file=sys.stderr)
    return [summary(contender, runs[contender.name]) for contender in contenders]


def wait_for_quiet(patience_s: float, idle: float = 0.95) -> None:
    """Return once the processors were idle for two seconds in a row, or when patience ends.

    Engines whose threads spin for each other lose far more than the share of the processor that others take.
    """
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        before = _processor_ticks()
        time.sleep(2)
        idle_ticks, all_ticks = (after - start for after, start in zip(_processor_ticks(), before, strict=True))
        if idle_ticks >= idle * all_ticks:
            return


def _processor_ticks() -> tuple[int, int]:
    """Idle ticks and all ticks since the machine started."""
    ticks = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    return ticks[3], sum(ticks)


def summary(contender: Contender, runs: Sequence[Sequence[Record]]) -> Record:
    """Medians for each prompt, every single figure beside them, and what the last process said of itself."""
    rows = []
    for same_prompt in zip(*(run[:-1] for run in runs), strict=True):
        row: Record = {"prompt": same_prompt[0]["prompt"], "new": same_prompt[0]["new"]}
        row |= {key: _median(same_prompt, key) for key in (*SPEEDS, "cpu_share") if key in same_prompt[0]}
        rows.append(row | {"runs": list(same_prompt)})
    about = {key: value for key, value in runs[-1][-1].items() if key != "peak_memory_gb"}
    return {
        "name": contender.name,
        "engine": contender.engine,
        "bits": contender.bits,
        "layers": contender.shape.layers,
        "matrix_weights": contender.shape.matrix_weights(),
        "peak_memory_gb": max(run[-1]["peak_memory_gb"] for run in runs),
        **about,
        "rows": rows,
    }


def _median(records: Sequence[Record], key: str) -> float:
    return round(float(statistics.median(record[key] for record in records)), 3)


def table(summaries: Sequence[Record]) -> str:
    """Everyone's medians as Markdown.

    The ratios are ours over theirs at the same bits, above 1 where we are faster. A share of the processor well
    below 1 says that something else ran at the time.
    """
    columns = ["engine", "prompt", "prefill (tokens/s)", "first token (s)", "decode (tokens/s)"]
    columns += ["decode (10^9 weights/s)", "memory (GB)", "share of CPU", "ours/theirs: prefill", "decode"]
    lines = ["| " + " | ".join(columns) + " |", "| --- |" + " ---: |" * (len(columns) - 1)]
    for each in summaries:
        for row in each["rows"]:
            ratios = [_ratio(summaries, each, row, key) for key in ("prefill_tokens_per_s", "decode_tokens_per_s")]
            weights = row["decode_tokens_per_s"] * each["matrix_weights"] / 1e9
            figures = [f"{row[key]:.2f}" for key in SPEEDS]
            figures += [f"{weights:.1f}", f"{each['peak_memory_gb']:.1f}", str(row.get("cpu_share", ""))]
            lines.append("| " + " | ".join([each["name"], str(row["prompt"]), *figures, *ratios]) + " |")
    return "\n".join(lines)


def _ratio(summaries: Sequence[Record], theirs: Record, row: Record, key: str) -> str:
    if theirs["engine"] == "ours":
        return ""
    for each in summaries:
        if each["engine"] == "ours" and each["bits"] == theirs["bits"]:
            return next((f"{our[key] / row[key]:.2f}" for our in each["rows"] if our["prompt"] == row["prompt"]), "")
    return ""


def machine() -> Record:
    """What the figures depend on."""
    info = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    fields = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in info)}
    wanted = {"avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8"}
    return {
        "cpu": fields.get("model name", platform.processor()),
        "family": f"{fields.get('cpu family', '?')}/{fields.get('model', '?')}",
        "cores": os.cpu_count(),
        "instructions": sorted(wanted & set(fields.get("flags", "").split())),
        "memory_gb": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9, 1),
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
    }


def contenders(args: argparse.Namespace) -> list[Contender]:
    """Who takes part, from the command line."""
    everyone: list[Contender] = []
    if args.ours:
        shape = chatglm_6b(args.layers or chatglm_6b().layers)
        everyone += [ours(args.ours, level, shape, args.threads) for level in args.levels]
    if args.llama_python:
        shape = llama_7b(args.layers or llama_7b().layers)
        encodings = args.llama_encodings
        everyone += [peer("llama.cpp", args.llama_python, e, shape, args.models, args.threads) for e in encodings]
    if args.chatglm_python:
        shape = chatglm_6b(args.layers or chatglm_6b().layers)
        encodings = args.chatglm_encodings
        everyone += [peer("chatglm.cpp", args.chatglm_python, e, shape, args.models, args.threads) for e in encodings]
    return everyone


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, required=True, help="folder for the peers' model files")
    parser.add_argument("--llama-python", metavar="PYTHON", help="an interpreter that has llama_cpp")
    parser.add_argument("--chatglm-python", metavar="PYTHON", help="an interpreter that has chatglm_cpp")
    parser.add_argument("--ours", metavar="PROGRAM", help="chatglm-slim, to take part ourselves")
    parser.add_argument("--levels", nargs="*", choices=("int4", "int8"), default=["int4", "int8"], help="of ours")
    parser.add_argument("--llama-encodings", nargs="*", choices=("q4_0", "q8_0"), default=["q4_0"])
    parser.add_argument("--chatglm-encodings", nargs="*", choices=("q4_0", "q8_0"), default=["q4_0", "q8_0"])
    parser.add_argument("--prompts", type=int, nargs="+", default=[32, 512], help="tokens")
    parser.add_argument("--long", action="store_true", help="a prompt of 2,000 tokens too")
    parser.add_argument("--new", type=int, default=32, help="tokens to decode after each prompt")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3, help="rounds")
    parser.add_argument("--patience", type=float, default=0, help="seconds to wait for a quiet machine before a run")
    parser.add_argument("--layers", type=int, help="fewer layers, to try the script; such figures mean little")
    parser.add_argument("--note", default="", help="a word about the builds, kept in the file")
    parser.add_argument("--out", type=Path, help="write all figures to this JSON file")
    return parser.parse_args(argv)


def main() -> None:
    """Race, print, save."""
    args = parse()
    everyone = contenders(args)
    if not everyone:
        raise SystemExit("nobody takes part: give --ours, --llama-python or --chatglm-python")
    prompts = [*args.prompts, *([2000] if args.long else [])]
    load_before = os.getloadavg()[0]
    summaries = race(everyone, prompts, args.new, args.repeats, args.patience)
    print(table(summaries))
    report = {
        "date": date.today().isoformat(),
        "machine": machine() | {"load_before": load_before},
        "threads": args.threads,
        "rounds": args.repeats,
        "note": args.note,
        "engines": summaries,
    }
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
