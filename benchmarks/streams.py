"""Many async streams of one chat model at once, some of them cancelled: latency, stalls, leaks, lost or mixed tokens.

    python -m benchmarks.streams [--model demo] [--level int8] [--streams 64] [--rounds 3] [--out FILE]

Every stream has a question, a seed and, for every other one, a moment at which its task is cancelled. Told are
- how many steps of the model still counted a reply in after its task was cancelled, and how long that took,
- the longest time for which the event loop did nothing else, and that of an idle loop in another process meanwhile,
  which only the machine can hold up,
- streams whose text is not what the same question and seed give alone,
- what is left afterwards: threads, and sequences in the scheduler.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import random
import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chatglm_slim_llm import ChatGLMSlim

QUESTIONS = ("你好", "你是谁？", "Who are you?", "What can you do?", "讲个笑话", "thank you", "怎么退出？", "1+1=?")
_TICK_S = 0.001


@dataclass
class Log:
    """What the model did: the time at which each step began, and the prompts whose replies it counted in."""

    steps: list[tuple[float, float, frozenset[tuple[int, ...]]]] = field(default_factory=list)
    prompts: dict[int, tuple[int, ...]] = field(default_factory=dict)  # id of a context -> its prompt


@contextmanager
def watched(llm: ChatGLMSlim, pause_s: float) -> Iterator[Log]:
    """Look over the model's shoulder, and let each step take longer by a pause."""
    forward: Any = llm._load().engine._scheduler._forward
    log, prefill, step = Log(), forward.prefill, forward.step

    def watched_prefill(prompt_ids: Sequence[int], *, exact: bool = False) -> Any:
        context, scores = yield from prefill(prompt_ids, exact=exact)
        log.prompts[id(context)] = tuple(prompt_ids)
        return context, scores

    def watched_step(contexts: Sequence[Any], new_ids: Sequence[Sequence[int]]) -> Any:
        began = time.perf_counter()
        scores = step(contexts, new_ids)
        time.sleep(pause_s)
        log.steps.append((began, time.perf_counter(), frozenset(log.prompts[id(context)] for context in contexts)))
        return scores

    forward.prefill, forward.step = watched_prefill, watched_step
    try:
        yield log
    finally:
        del forward.prefill, forward.step


async def _tick(stalls: list[float]) -> None:
    """Wake every millisecond for ever, and note how late."""
    while True:
        before = time.perf_counter()
        await asyncio.sleep(_TICK_S)
        stalls.append(time.perf_counter() - before - _TICK_S)


def _idle_loop(is_over: Any, answers: Any) -> None:
    async def run() -> None:
        stalls: list[float] = []
        ticker = asyncio.create_task(_tick(stalls))
        while not is_over.is_set():
            await asyncio.sleep(0.01)
        ticker.cancel()
        answers.put(max(stalls))

    asyncio.run(run())


@dataclass(frozen=True)
class Cancelled:
    """One cancelled stream."""

    at_s: float
    prompt: tuple[int, ...]


async def run_round(
    llm: ChatGLMSlim, streams: int, rng: random.Random, alone: dict[Any, str], pause_s: float
) -> dict[str, Any]:
    """All streams once."""
    options = {"temperature": 1.0, "top_p": 1.0, "max_tokens": 48}
    jobs = [(f"{rng.choice(QUESTIONS)} {number}", rng.randrange(4)) for number in range(streams)]
    texts: dict[int, list[str]] = {number: [] for number in range(streams)}
    cancelled: list[Cancelled] = []
    tokenizer = llm._tokenizer()

    async def read(number: int) -> None:
        question, seed = jobs[number]
        async for chunk in llm.astream(question, seed=seed, **options):
            texts[number].append(str(chunk.content))

    async def cancel(number: int, task: asyncio.Task[None]) -> None:
        wanted = rng.randrange(1, 24)
        while len(texts[number]) < wanted and not task.done():
            await asyncio.sleep(_TICK_S)
        if not task.done():
            task.cancel()
            cancelled.append(Cancelled(time.perf_counter(), tuple(tokenizer.encode(jobs[number][0]))))

    stalls: list[float] = []

    with watched(llm, pause_s) as log:
        ticker = asyncio.create_task(_tick(stalls))
        tasks = [asyncio.create_task(read(number)) for number in range(streams)]
        cancels = [asyncio.create_task(cancel(number, tasks[number])) for number in range(0, streams, 2)]
        await asyncio.gather(*tasks, *cancels, return_exceptions=True)
        ticker.cancel()
        await asyncio.sleep(0.3)
    wrong = 0
    for number, (question, seed) in enumerate(jobs):
        if (question, seed) not in alone:
            alone[question, seed] = str(llm.invoke(question, seed=seed, **options).content)
        said = "".join(texts[number])
        whole = not (tasks[number].cancelled() or tasks[number].exception())
        wrong += said != alone[question, seed] if whole else not alone[question, seed].startswith(said)
    return {"cancelled": cancelled, "log": log, "stall_s": max(stalls), "wrong": wrong}


def late_steps(log: Log, cancelled: Cancelled) -> tuple[int, float]:
    """Steps that began after the cancel and still counted the reply in, and the time until the last of them ended."""
    late = [
        (began, ended) for began, ended, prompts in log.steps if began > cancelled.at_s and cancelled.prompt in prompts
    ]
    return len(late), max((ended for _, ended in late), default=cancelled.at_s) - cancelled.at_s


def measure(model: str, level: str, streams: int, rounds: int, pause_s: float = 0.0) -> dict[str, Any]:
    """All figures; with a pause, a small model's steps take as long as a large one's."""
    llm = ChatGLMSlim(model=model, quantization=level, device="cpu")  # type: ignore[arg-type]
    rng, alone = random.Random(1), {}
    llm.invoke(QUESTIONS[0], max_tokens=2)  # what is made on first use is made now
    spawned = multiprocessing.get_context("spawn")
    is_over, answers = spawned.Event(), spawned.Queue()
    beside = spawned.Process(target=_idle_loop, args=(is_over, answers))
    beside.start()
    results = [asyncio.run(run_round(llm, streams, rng, alone, pause_s)) for _ in range(rounds)]
    is_over.set()
    idle_stall_s = answers.get()
    beside.join()
    late = [late_steps(result["log"], one) for result in results for one in result["cancelled"]]
    steps = [ended - began for result in results for began, ended, _ in result["log"].steps]
    running = llm._load()
    time.sleep(0.5)  # the last reader has just left
    return {
        "model": model,
        "level": level,
        "streams": streams * rounds,
        "cancelled": len(late),
        "steps": len(steps),
        "step_ms_median": round(statistics.median(steps) * 1000, 2),
        "late_steps_p99": _percentile([count for count, _ in late], 0.99),
        "late_ms_p99": round(_percentile([elapsed_s for _, elapsed_s in late], 0.99) * 1000, 2),
        "longest_stall_ms": round(max(result["stall_s"] for result in results) * 1000, 1),
        "longest_stall_of_an_idle_loop_ms": round(idle_stall_s * 1000, 1),
        "wrong_texts": sum(result["wrong"] for result in results),
        "threads_left": sum(thread.name.startswith("chatglm-slim") for thread in threading.enumerate()),
        "sequences_left": len(running.engine._scheduler._live),
    }


def _percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))] if values else 0.0


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="demo", help="demo or a checkpoint's folder")
    parser.add_argument("--level", default="int8", help="fp16, int8 or int4")
    parser.add_argument("--streams", type=int, default=64, help="at once")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, help="a JSON file to write the figures to")
    arguments = parser.parse_args()
    figures = measure(arguments.model, arguments.level, arguments.streams, arguments.rounds)
    print(json.dumps(figures, indent=1))
    if arguments.out:
        arguments.out.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
