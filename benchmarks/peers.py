"""ChatGLM-6B-Slim here beside llama.cpp and chatglm.cpp on this machine, with random weights of the same sizes.

    python -m benchmarks.peers --models FOLDER --llama-python PYTHON --chatglm-python PYTHON [--rounds 3] [--long]

Each engine runs in a process of its own. All of the same bits stay loaded and take turns of four tokens, each turn in
another order, so that what the memory of a shared machine gives at the moment falls on all alike; medians count, and
for ratios the median of the ratios within a turn. Before and after each turn a plain loop reads our weights, which
tells what memory gave. An engine whose interpreter is not given is left out. Model files (4 to 7 GB each) are written
to FOLDER once and used again; together the engines take up to 18 GB of memory.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import date
from pathlib import Path

from benchmarks.peer_models import chatglm_6b, llama_7b
from benchmarks.peer_process import Contender, Racer, Record, ours, peer

SPEEDS = ("prefill_tokens_per_s", "ttft_s", "decode_tokens_per_s")
STEPS_OF_TURN = 4
_PAUSE_S = 0.05
"""Before each request: until the threads of the engine before have stopped to spin."""


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
    reference = next((contender.name for contender in heat if contender.engine == "ours"), None)
    tries: dict[int, list[Tries]] = {prompt: [] for prompt in prompts}
    racers: dict[str, Racer] = {}
    with ExitStack() as stack:
        for contender in heat:
            racers[contender.name] = contender.start()
            stack.callback(racers[contender.name].close)
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
    answers: Tries = {name: [_ask(racer, prompt=prompt)] for name, racer in racers.items()}
    names = list(racers)
    for turn in range(new // STEPS_OF_TURN):
        first = turn % len(names)
        rates = _ask(racers[reference], read=1)["gb_s"] if reference else []
        for name in (*names[first:], *names[:first]):
            answers[name].append(_ask(racers[name], steps=STEPS_OF_TURN))
        if reference:
            answers[reference][-1]["gb_s"] = rates + _ask(racers[reference], read=1)["gb_s"]
    return answers


def _ask(racer: Racer, **request: int) -> Record:
    time.sleep(_PAUSE_S)
    return racer.ask(**request)


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
    """How many times as fast we are: medians over the prompts, over the turns, and over turns of like bandwidth.

    The last are indications, as what memory gives may change within a turn.
    """
    pairs = [(answers[theirs], answers[ours]) for answers in tries]
    prefill = [them[0]["clock_s"] / us[0]["clock_s"] for them, us in pairs]
    decode: list[float] = []
    alike: dict[int, list[float]] = {}
    for their_turns, our_turns in pairs:
        for them, us in zip(their_turns[1:], our_turns[1:], strict=True):
            decode.append(statistics.median(them["clocks_s"]) / statistics.median(us["clocks_s"]))
            alike.setdefault(int(statistics.mean(us["gb_s"]) // 10 * 10), []).append(decode[-1])
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
    """Everyone's medians as Markdown, and below it our ratios by what memory gave.

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
    sizes = (args.threads, positions_for(max(args.prompts), args.new))
    shape, llama = (make(args.layers or make().layers) for make in (chatglm_6b, llama_7b))
    everyone = [ours(args.ours, level, shape, *sizes) for level in dict.fromkeys(args.levels)]
    if args.llama_python:
        encodings = dict.fromkeys(args.llama_encodings)
        everyone += [peer("llama.cpp", args.llama_python, e, llama, args.models, *sizes) for e in encodings]
    if args.chatglm_python:
        encodings = dict.fromkeys(args.chatglm_encodings)
        everyone += [peer("chatglm.cpp", args.chatglm_python, e, shape, args.models, *sizes) for e in encodings]
    return everyone


def positions_for(prompt: int, new: int) -> int:
    """Room for a prompt and the tokens after it, in whole blocks of 256 as engines like it."""
    return -(-(prompt + new) // 256) * 256


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
    args = parser.parse_args(argv)
    if args.long:
        args.prompts.append(2000)
    if args.new % STEPS_OF_TURN:
        parser.error(f"--new is {args.new}; it must be a multiple of {STEPS_OF_TURN}, the tokens of a turn")
    if not (args.levels or args.llama_python or args.chatglm_python):
        parser.error("nobody takes part: give --levels, --llama-python or --chatglm-python")
    return args


def as_json(report: Record) -> str:
    """Indented, but for a line for each row: their single figures are many."""
    rows = [row for engine in report["engines"] for row in engine["rows"]]
    places = iter(range(len(rows)))
    engines = [engine | {"rows": [f"<{next(places)}>" for _ in engine["rows"]]} for engine in report["engines"]]
    text = json.dumps(report | {"engines": engines}, indent=2, ensure_ascii=False)
    for place, row in enumerate(rows):
        text = text.replace(f'"<{place}>"', json.dumps(row, ensure_ascii=False), 1)
    return text + "\n"


def main() -> None:
    """Race, print, save."""
    args = parse()
    everyone = contenders(args)
    load_before = os.getloadavg()[0]
    summaries = race(everyone, args.prompts, args.new, args.rounds, args.patience)
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
        args.out.write_text(as_json(report))


if __name__ == "__main__":
    main()
