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
        took = [_time(lambda question=question: opened.search(question, mode=mode)) for question in questions]
        embeddings = opened.embeddings
        assert embeddings is not None
        embedding = [_time(lambda question=question: embeddings.embed_query(question)) for question in questions[:50]]
    p50, p95 = (float(each) for each in np.percentile(took, [50, 95]))
    return {
        "first_s": first_s,
        "p50_s": p50,
        "p95_s": p95,
        "max_s": max(took),
        "embedding_s": float(np.median(embedding)),
        "peak_mb": peak_mb(),
    }


def _time(act: Callable[[], object]) -> float:
    started = time.perf_counter()
    act()
    return time.perf_counter() - started


def peak_mb() -> float:
    """This process's largest resident set; ``ru_maxrss`` would count its parent's before the child became itself."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    return float("nan")


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text()), sys.argv[3])))
