"""Concurrent requests and speculation, on random weights of the 6B model's shape.

    python -m benchmarks.serving [--layers N] [--level int4] [--rounds 3] [--out FILE]

One request against eight at once, and answers that copy a span of their prompt with speculation against without. What
random weights would say is noise, so here each token is chosen beforehand and the model's scores only cost their time:
in a copying answer that is what a model says which quotes its passage. Runs alternate; medians count.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

from torch import Tensor

from chatglm_slim_llm.cli.measuring import load_shape
from chatglm_slim_llm.engine.scheduler import Scheduler
from chatglm_slim_llm.engine.speculation import Tally
from chatglm_slim_llm.model import forward_for

PROMPT, SPAN, REPLY = 512, 64, 80
"""Tokens of the prompt, of the span that is copied, and of the whole answer around it."""


def prompt_ids(model: object, length: int, seed: int) -> list[int]:
    """Random words that never repeat, and the prompt's end."""
    config = model.config  # type: ignore[attr-defined]
    words = random.Random(seed).sample(range(10, config.gmask_token_id - 10), length - 2)
    return [*words, config.gmask_token_id, config.bos_token_id]


def saying(ids: Sequence[int]) -> Callable[[Tensor], int]:
    """A ``pick`` that says these ids, whatever the scores are."""
    rest = iter(ids)
    return lambda scores: next(rest)


def decode_rate(scheduler: Scheduler[object], prompts: Sequence[list[int]], new: int) -> float:
    """Tokens a second of all requests together, from the moment when all have read their prompts."""
    ready = threading.Barrier(len(prompts) + 1)

    def read(prompt: list[int], seed: int) -> None:
        reply = random.Random(seed).sample(range(10, 100_000), new)
        for number, _ in enumerate(scheduler.tokens(prompt, saying(reply), max_new_tokens=new)):
            if number == 0:
                ready.wait()

    threads = [threading.Thread(target=read, args=(prompt, seed)) for seed, prompt in enumerate(prompts)]
    for thread in threads:
        thread.start()
    ready.wait()
    started = time.perf_counter()
    for thread in threads:
        thread.join()
    return len(prompts) * (new - 1) / (time.perf_counter() - started)


def reply_rate(scheduler: Scheduler[object], prompt: list[int], reply: Sequence[int]) -> tuple[float, Tally]:
    """Tokens a second after the first, and what became of the drafts."""
    tally = Tally()
    tokens = scheduler.tokens(prompt, saying(reply), max_new_tokens=len(reply), tally=tally)
    next(tokens)
    started = time.perf_counter()
    count = sum(1 for _ in tokens)
    return count / (time.perf_counter() - started), tally


def measure(layers: int | None, level: str, rounds: int) -> dict[str, object]:
    """All figures."""
    model, _ = load_shape("6b", level, layers)  # type: ignore[arg-type]
    forward, eos = forward_for(model), model.config.eos_token_id
    plain, guessing = (Scheduler(forward, eos, speculate=speculate) for speculate in (False, True))
    prompts = [prompt_ids(model, 32, seed) for seed in range(8)]
    quoting = prompt_ids(model, PROMPT, 99)
    rng = random.Random(1)
    novel = rng.sample(range(100_000, 110_000), REPLY)
    copied = [*novel[:4], *quoting[100 : 100 + SPAN], *novel[4 : REPLY - SPAN]]
    teasing = [rng.choice(quoting[:40]) for _ in range(REPLY)]  # pairs of known words that go on otherwise
    rates: dict[str, list[float]] = {}
    tallies: dict[str, Tally] = {}
    for _ in range(rounds):
        rates.setdefault("one request", []).append(decode_rate(plain, prompts[:1], 24))
        rates.setdefault("eight requests", []).append(decode_rate(plain, prompts, 24))
        for kind, reply in (("copying", copied), ("teasing", teasing)):
            for name, scheduler in (("without", plain), ("with", guessing)):
                rate, tally = reply_rate(scheduler, quoting, reply)
                rates.setdefault(f"{kind} {name}", []).append(rate)
                tallies[f"{kind} {name}"] = tally
    middle = {name: statistics.median(values) for name, values in rates.items()}
    return {
        "level": level,
        "layers": model.config.num_layers,
        "tokens_per_s": middle,
        "eight_against_one": ratio(rates["eight requests"], rates["one request"]),
        "copying_speedup": ratio(rates["copying with"], rates["copying without"]),
        "teasing_speedup": ratio(rates["teasing with"], rates["teasing without"]),
        "drafts": {name: vars(tally) for name, tally in tallies.items() if tally.drafted},
    }


def ratio(rates: Sequence[float], others: Sequence[float]) -> float:
    """The median of the ratios within a round: the speed of memory changes from one minute to the next."""
    return statistics.median(rate / other for rate, other in zip(rates, others, strict=True))


def main() -> None:
    """Parse arguments, measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int)
    parser.add_argument("--level", default="int4", choices=("fp16", "int8", "int4"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    figures = {"date": date.today().isoformat(), "machine": platform.processor() or platform.machine()}
    figures |= measure(args.layers, args.level, args.rounds)
    text = json.dumps(figures, indent=2)
    print(text)
    if args.out:
        args.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
