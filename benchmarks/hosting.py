"""What a process of the model's own costs: its start, each piece of a reply, a count, a stop; and how it bears others.

Run it on a quiet machine: ``python -m benchmarks.hosting``. ``--busy N`` runs N endless loops beside it.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

from chatglm_slim_llm.config import LoadOptions
from chatglm_slim_llm.hosting.assistant import Assistant, Request, Turn
from chatglm_slim_llm.hosting.client import ProcessAssistant
from chatglm_slim_llm.hosting.local import LocalAssistant

QUESTION = Request([Turn("human", "介绍一下你自己")], parameters={"temperature": 0})
LONG = Request([Turn("human" if n % 2 == 0 else "ai", "x" * 2000) for n in range(5000)] + [Turn("human", "?")])


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a line for each way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--busy", type=int, default=0, metavar="N", help="endless loops beside it")
    parser.add_argument("--replies", type=int, default=50, metavar="N")
    args = parser.parse_args(arguments)
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(args.busy)]
    try:
        for kind in (ProcessAssistant, LocalAssistant):
            _measure(kind.__name__, kind(LoadOptions()), args.replies)
    finally:
        for other in others:
            other.kill()
            other.wait()


def _measure(name: str, assistant: Assistant, replies: int) -> None:
    load_s = _seconds(lambda: assistant.load(lambda *_: None))
    list(assistant.stream(QUESTION))
    pieces, rates, before = 0, [], time.process_time()
    for _ in range(replies):
        for piece in assistant.stream(QUESTION):
            pieces += 1
            if piece.figures and piece.figures.tokens_per_s:
                rates.append(piece.figures.tokens_per_s)
    cpu_us = 1e6 * (time.process_time() - before) / pieces
    stream = assistant.stream(QUESTION)
    next(stream)
    stop_s = _seconds(stream.close)
    small_s, long_s = (_seconds(lambda request=request: assistant.count(request)) for request in (QUESTION, LONG))
    close_s = _seconds(assistant.close)
    print(
        f"{name}: load {load_s:.1f} s, {statistics.median(rates):.0f} tokens/s,"
        f" {cpu_us:.0f} µs of this process a piece, count {1e3 * small_s:.1f} ms,"
        f" of 5,001 messages {1e3 * long_s:.1f} ms, stop {1e3 * stop_s:.0f} ms, close {1e3 * close_s:.0f} ms"
    )


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
