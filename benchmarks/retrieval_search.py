"""A fresh process that searches a knowledge base: the first search, the next ones, its memory; prints JSON.

python -m benchmarks.retrieval_search BASE QUESTIONS.json hybrid|keyword|vector
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from chatglm_slim_llm.retrieval import KnowledgeBase


def measure(base: Path, questions: list[str], mode: str) -> dict[str, float]:
    """Times in seconds, memory in MB (10^6 bytes)."""
    started = time.perf_counter()
    with KnowledgeBase.open(base, embedder="use") as opened:
        opened.search("hello 你好", mode=mode)
        first_s = time.perf_counter() - started
        both = [_times(lambda question=question: opened.search(question, mode=mode)) for question in questions]
        embeddings = opened.embeddings
        assert embeddings is not None
        embedding = [_times(lambda question=question: embeddings.embed_query(question)) for question in questions[:50]]
    (p50, p95), (cpu_p50, cpu_p95) = np.percentile(both, [50, 95], axis=0).T.tolist()
    return {
        "first_s": first_s,
        "p50_s": p50,
        "p95_s": p95,
        "max_s": max(both)[0],
        "cpu_p50_s": cpu_p50,
        "cpu_p95_s": cpu_p95,
        "embedding_s": float(np.median(embedding, axis=0)[0]),
        "peak_mb": peak_mb(),
    }


def _times(act: Callable[[], object]) -> tuple[float, float]:
    """By the clock, and of the processor, which is what stays where others use the machine as well."""
    started, worked = time.perf_counter(), time.process_time()
    act()
    return time.perf_counter() - started, time.process_time() - worked


def peak_mb() -> float:
    """This process's largest resident set; ``ru_maxrss`` would count its parent's before the child became itself."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    return float("nan")


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text()), sys.argv[3])))
