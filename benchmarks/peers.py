"""ChatGLM-6B-Slim here beside llama.cpp and chatglm.cpp on this machine, with random weights of the same sizes.

    python -m benchmarks.peers --models FOLDER --llama-python PYTHON --chatglm-python PYTHON [--rounds 3] [--long]

Each engine runs in a process of its own. All of the same bits stay loaded and take turns of a few tokens, so that what
the memory of a shared machine gives at the moment falls on all alike; medians count, and for ratios the median of the
ratios within a turn. What a plain loop reads from memory stands beside each turn. An engine whose interpreter is not
given is left out. Model files (4 to 7 GB each) are written to FOLDER once and used again; together the engines take up
to 18 GB of memory.
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
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from benchmarks.peer_models import Shape, chatglm_6b, llama_7b, write_chatglm, write_llama

Record = dict[str, Any]

SPEEDS = ("prefill_tokens_per_s", "ttft_s", "decode_tokens_per_s")
_WORKER = Path(__file__).with_name("peer_worker.py")
_STEPS_OF_TURN = 4
_PAUSE_S = 0.05
"""Between turns: until the threads of the one before have stopped to spin."""


class Racer(Protocol):
    """An engine that is loaded."""

    def ask(self, **request: int) -> Record:
        """Do what `peer_worker.py` describes; return its answer."""

    def leave(self) -> Record:
        """End the process; return what it says of the engine and of itself."""


@dataclass(frozen=True)
class Contender:
    """One engine at one level."""

    name: str
    engine: str
    bits: int
    shape: Shape
    start: Callable[[], Racer]


class Process:
    """A `peer_worker.py`."""

    def __init__(self, python: str, engine: str, model: str, threads: int) -> None:
        command = [python, str(_WORKER), engine, model, "--threads", str(threads)]
        environ = os.environ | {"OMP_NUM_THREADS": str(threads)}
        if engine == "ours":
            environ["PYTHONPATH"] = str(_WORKER.parents[1])
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ)
        self._about = self._answer()

    def ask(self, **request: int) -> Record:
        """Send a request, wait for its answer."""
        assert self._process.stdin is not None
        print(json.dumps(request), file=self._process.stdin, flush=True)
        return self._answer()

    def leave(self) -> Record:
        """Close its input; it answers once more and ends."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        about = self._about | self._answer()
        self._process.wait()
        return about

    def _answer(self) -> Record:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):  # an engine may print something of its own
                answer: Record = json.loads(line)
                return answer
        raise SystemExit(f"{self._process.args!r} ended with status {self._process.wait()}")


def ours(python: str, level: str, shape: Shape, threads: int) -> Contender:
    """This package."""
    model = f"{level}:{shape.layers}"
    start = partial(Process, python, "ours", model, threads)
    return Contender(f"ours {level}", "ours", int(level.removeprefix("int")), shape, start)


def peer(engine: str, python: str, encoding: str, shape: Shape, folder: Path, threads: int) -> Contender:
    """Another engine; its model file is written before the first start."""
    model = folder / f"{engine}-{shape.layers}-{encoding}.{'gguf' if engine == 'llama.cpp' else 'bin'}"

    def start() -> Process:
        _ensure(model, shape, encoding, write_llama if engine == "llama.cpp" else write_chatglm)
        return Process(python, engine, str(model), threads)

    return Contender(f"{engine} {encoding}", engine, int(encoding[1]), shape, start)


def _ensure(path: Path, shape: Shape, encoding: str, write: Callable[[Path, Shape, str], None]) -> None:
    if path.exists():
        return
    print(f"writing {path}", file=sys.stderr)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".part")
    write(unfinished, shape, encoding)
    unfinished.replace(path)


def race(
    contenders: Sequence[Contender], prompts: Sequence[int], new: int, rounds: int, patience_s: float = 0.0
) -> list[Record]:
    """Run those of the same bits against each other; return one summary for each contender, in the same order.

    Before each prompt of a round it waits up to ``patience_s`` for a machine that does nothing else.
    """
    summaries: dict[str, Record] = {}
    for bits in dict.fromkeys(contender.bits for contender in contenders):
        heat = [contender for contender in contenders if contender.bits == bits]
        summaries |= _run_heat(heat, prompts, new, rounds, patience_s)
    return [summaries[contender.name] for contender in contenders]


def _run_heat(
    heat: Sequence[Contender], prompts: Sequence[int], new: int, rounds: int, patience_s: float
) -> dict[str, Record]:
    racers = {contender.name: contender.start() for contender in heat}
    reference = next((contender.name for contender in heat if contender.engine == "ours"), None)
    tries: dict[int, list[Tries]] = {prompt: [] for prompt in prompts}
    for turn in range(rounds):
        for prompt in prompts:
            print(f"round {turn + 1}/{rounds}, prompt {prompt}: {', '.join(racers)}", file=sys.stderr)
            wait_for_quiet(patience_s)
            tries[prompt].append(_take_turns(racers, reference, prompt, new))
    about = {name: racer.leave() for name, racer in racers.items()}
    summaries = {}
    for contender in heat:
        rows = [row_of(contender.name, reference, prompt, new, tries[prompt]) for prompt in prompts]
        summaries[contender.name] = _summary(contender, about[contender.name], rows)
    return summaries


Tries = dict[str, list[Record]]
"""Of each racer, the answer about the prompt and those about its turns."""


def _take_turns(racers: dict[str, Racer], reference: str | None, prompt: int, new: int) -> Tries:
    answers: Tries = {name: [racer.ask(prompt=prompt)] for name, racer in racers.items()}
    for _ in range(-(-new // _STEPS_OF_TURN)):
        for name, racer in racers.items():
            time.sleep(_PAUSE_S)
            answers[name].append(racer.ask(steps=_STEPS_OF_TURN))
            if name == reference:
                answers[name][-1] |= racer.ask(read=1)
    return answers


def row_of(name: str, reference: str | None, prompt: int, new: int, tries: Sequence[Tries]) -> Record:
    """Medians for one prompt, the ratios of ``reference`` to them, and every single figure."""
    firsts = [answers[name][0]["clock_s"] for answers in tries]
    steps = [clock_s for answers in tries for turn in answers[name][1:] for clock_s in turn["clocks_s"]]
    processor_s = sum(answer["processor_s"] for answers in tries for answer in answers[name])
    first_s = statistics.median(firsts)
    row: Record = {
        "prompt": prompt,
        "new": new,
        "ttft_s": round(first_s, 3),
        "prefill_tokens_per_s": round(prompt / first_s, 3),
        "decode_tokens_per_s": round(1 / statistics.median(steps), 3),
        "processors": round(processor_s / (sum(firsts) + sum(steps)), 2),
    }
    if name == reference:
        rates = [rate for answers in tries for turn in answers[name][1:] for rate in turn["gb_s"]]
        row["bandwidth_gb_s"] = statistics.median(rates)
    elif reference is not None:
        row["ours_over_theirs"] = _ratios(name, reference, tries)
    return row | {"rounds": [answers[name] for answers in tries]}


def _ratios(theirs: str, ours: str, tries: Sequence[Tries]) -> Record:
    """How many times as fast we are; medians over the prompts and over the turns, and over those of like bandwidth."""
    pairs = [(answers[theirs], answers[ours]) for answers in tries]
    prefill = [slow[0]["clock_s"] / fast[0]["clock_s"] for slow, fast in pairs]
    decode: list[float] = []
    alike: dict[int, list[float]] = {}
    for slow_turns, fast_turns in pairs:
        for slow, fast in zip(slow_turns[1:], fast_turns[1:], strict=True):
            ratio = statistics.median(slow["clocks_s"]) / statistics.median(fast["clocks_s"])
            decode.append(ratio)
            alike.setdefault(int(statistics.median(fast["gb_s"]) // 10 * 10), []).append(ratio)
    return {
        "prefill": round(statistics.median(prefill), 2),
        "decode": round(statistics.median(decode), 2),
        "decode_by_bandwidth": {
            f"{low}-{low + 10} GB/s": {"decode": round(statistics.median(ratios), 2), "turns": len(ratios)}
            for low, ratios in sorted(alike.items())
        },
    }


def _summary(contender: Contender, about: Record, rows: list[Record]) -> Record:
    return {
        "name": contender.name,
        "engine": contender.engine,
        "bits": contender.bits,
        "layers": contender.shape.layers,
        "matrix_weights": contender.shape.matrix_weights(),
        **about,
        "rows": rows,
    }


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


def table(summaries: Sequence[Record]) -> str:
    """Everyone's medians as Markdown.

    The ratios are ours over theirs at the same bits, above 1 where we are faster. Fewer processors than threads say
    that something else ran at the time.
    """
    columns = ["engine", "prompt", "prefill (tokens/s)", "first token (s)", "decode (tokens/s)"]
    columns += ["decode (10^9 weights/s)", "memory (GB)", "processors", "ours/theirs: prefill", "decode"]
    lines = ["| " + " | ".join(columns) + " |", "| --- |" + " ---: |" * (len(columns) - 1)]
    for each in summaries:
        for row in each["rows"]:
            ratios = row.get("ours_over_theirs", {})
            weights = row["decode_tokens_per_s"] * each["matrix_weights"] / 1e9
            figures = [f"{row[key]:.2f}" for key in SPEEDS]
            figures += [f"{weights:.1f}", f"{each['peak_memory_gb']:.1f}", f"{row['processors']:.2f}"]
            figures += [f"{ratios[key]:.2f}" if ratios else "" for key in ("prefill", "decode")]
            lines.append("| " + " | ".join([each["name"], str(row["prompt"]), *figures]) + " |")
    return "\n".join(lines) + "\n\n" + "\n".join(_by_bandwidth(summaries))


def _by_bandwidth(summaries: Sequence[Record]) -> Iterator[str]:
    """The ratios of decoding, sorted by what memory gave."""
    for each in summaries:
        for row in each["rows"]:
            bins = row.get("ours_over_theirs", {}).get("decode_by_bandwidth", {})
            told = ", ".join(f"{rates}: {of['decode']:.2f} ({of['turns']})" for rates, of in bins.items())
            if told:
                yield f"ours/{each['name']}, prompt {row['prompt']}, at {told}"


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
    shape = chatglm_6b(args.layers or chatglm_6b().layers)
    everyone = [ours(args.ours, level, shape, args.threads) for level in args.levels]
    if args.llama_python:
        llama, encodings = llama_7b(args.layers or llama_7b().layers), args.llama_encodings
        everyone += [peer("llama.cpp", args.llama_python, e, llama, args.models, args.threads) for e in encodings]
    if args.chatglm_python:
        encodings = args.chatglm_encodings
        everyone += [peer("chatglm.cpp", args.chatglm_python, e, shape, args.models, args.threads) for e in encodings]
    return everyone


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, required=True, help="folder for the peers' model files")
    parser.add_argument("--llama-python", metavar="PYTHON", help="an interpreter that has llama_cpp")
    parser.add_argument("--chatglm-python", metavar="PYTHON", help="an interpreter that has chatglm_cpp")
    parser.add_argument("--ours", metavar="PYTHON", default=sys.executable, help="an interpreter that has this package")
    parser.add_argument("--levels", nargs="*", choices=("int4", "int8"), default=["int4", "int8"], help="of ours")
    parser.add_argument("--llama-encodings", nargs="*", choices=("q4_0", "q8_0"), default=["q4_0"])
    parser.add_argument("--chatglm-encodings", nargs="*", choices=("q4_0", "q8_0"), default=["q4_0", "q8_0"])
    parser.add_argument("--prompts", type=int, nargs="+", default=[32, 512], help="tokens")
    parser.add_argument("--long", action="store_true", help="a prompt of 2,000 tokens too")
    parser.add_argument("--new", type=int, default=64, help="tokens to decode after each prompt")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3, help="how often everyone reads each prompt")
    parser.add_argument("--patience", type=float, default=0, help="seconds to wait for a quiet machine")
    parser.add_argument("--layers", type=int, help="fewer layers, to try the script; such figures mean little")
    parser.add_argument("--note", default="", help="a word about the builds, kept in the file")
    parser.add_argument("--out", type=Path, help="write all figures to this JSON file")
    return parser.parse_args(argv)


def main() -> None:
    """Race, print, save."""
    args = parse()
    everyone = contenders(args)
    prompts = [*args.prompts, *([2000] if args.long else [])]
    load_before = os.getloadavg()[0]
    summaries = race(everyone, prompts, args.new, args.rounds, args.patience)
    print(table(summaries))
    report = {
        "date": date.today().isoformat(),
        "machine": machine() | {"load_before": load_before},
        "threads": args.threads,
        "rounds": args.rounds,
        "note": args.note,
        "engines": summaries,
    }
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
