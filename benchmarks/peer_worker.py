"""Measure one engine in this process; one JSON line for each prompt, a last one about the process.

    PYTHON peer_worker.py {llama.cpp,chatglm.cpp} MODEL --prompts 32 512 --new 32 --threads 2

It runs in the interpreter that has the engine, so it imports nothing of this project. Both engines are called
below their Python conveniences: token ids in, the largest logit out.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol


class Engine(Protocol):
    """What a measurement needs of an engine."""

    about: dict[str, object]

    def first(self, prompt_ids: list[int]) -> int:
        """Forget everything, read the prompt, return the next token."""

    def next(self, token_id: int) -> int:
        """Read one token more, return the next."""


class Llama:
    """llama.cpp through the C functions that llama-cpp-python carries."""

    def __init__(self, path: str, threads: int, positions: int) -> None:
        import llama_cpp
        import numpy as np

        self._lib, self._np = llama_cpp.llama_cpp, np
        self._quiet = self._lib.llama_log_callback(lambda level, text, data: None)
        self._lib.llama_log_set(self._quiet, ctypes.c_void_p(0))
        self._model = self._lib.llama_model_load_from_file(path.encode(), self._lib.llama_model_default_params())
        if not self._model:
            raise SystemExit(f"llama.cpp cannot load {path}")
        params = self._lib.llama_context_default_params()
        params.n_ctx, params.n_batch = positions, positions
        params.n_threads, params.n_threads_batch = threads, threads
        self._context = self._lib.llama_init_from_model(self._model, params)
        self._vocab = self._lib.llama_vocab_n_tokens(self._lib.llama_model_get_vocab(self._model))
        build = self._lib.llama_print_system_info().decode()
        self.about = {"version": f"llama-cpp-python {llama_cpp.__version__}", "build": build, "threads": threads}

    def first(self, prompt_ids: list[int]) -> int:
        self._lib.llama_memory_clear(self._lib.llama_get_memory(self._context), True)
        return self._read(prompt_ids)

    def next(self, token_id: int) -> int:
        return self._read([token_id])

    def _read(self, ids: list[int]) -> int:
        tokens = (self._lib.llama_token * len(ids))(*ids)
        status = self._lib.llama_decode(self._context, self._lib.llama_batch_get_one(tokens, len(ids)))
        if status:
            raise SystemExit(f"llama_decode returned {status}")
        logits = self._lib.llama_get_logits_ith(self._context, -1)
        return int(self._np.ctypeslib.as_array(logits, (self._vocab,)).argmax())


class ChatGLM:
    """chatglm.cpp through the model object of its Python binding."""

    def __init__(self, path: str, threads: int, positions: int) -> None:
        import chatglm_cpp

        self._pipeline = chatglm_cpp.Pipeline(path, max_length=positions)
        self._options = chatglm_cpp._C.GenerationConfig(max_length=positions, do_sample=False)
        self._ids: list[int] = []
        # It asks the machine and cannot be told: every core of up to four, half of more.
        cores = os.cpu_count() or 1
        used = cores if cores <= 4 else cores // 2
        self.about = {"version": f"chatglm-cpp {chatglm_cpp.__version__}", "build": "", "threads": used}

    def first(self, prompt_ids: list[int]) -> int:
        self._ids, self._prompt = list(prompt_ids), len(prompt_ids)
        return self._read(0)

    def next(self, token_id: int) -> int:
        self._ids.append(token_id)
        return self._read(len(self._ids) - 1)

    def _read(self, past: int) -> int:
        token: int = self._pipeline.model.generate_next_token(self._ids, None, self._options, past, self._prompt)
        return token


ENGINES: dict[str, Callable[[str, int, int], Engine]] = {"llama.cpp": Llama, "chatglm.cpp": ChatGLM}


def measure(engine: Engine, prompt: int, new: int, threads: int) -> dict[str, object]:
    """Time one prompt of ``prompt`` random ids and ``new`` tokens read one by one after it.

    The median step counts, as in `chatglm-slim bench`. Processor seconds of all threads stand beside the clock's:
    where they are well below clock times threads, something else ran too.
    """
    prompt_ids = random.Random(prompt).choices(range(100, 30000), k=prompt)
    first_s, first_cpu_s, token = _timed(lambda: engine.first(prompt_ids))
    steps = []
    for _ in range(new):
        *times, token = _timed(lambda token=token: engine.next(token))  # type: ignore[misc]
        steps.append(times)
    clocks, processors = zip(*steps, strict=True)
    share = (first_cpu_s + sum(processors)) / (first_s + sum(clocks)) / threads
    return {
        "prompt": prompt,
        "new": new,
        "ttft_s": round(first_s, 4),
        "prefill_tokens_per_s": round(prompt / first_s, 3),
        "decode_tokens_per_s": round(1 / statistics.median(clocks), 3),
        "prefill_cpu_s": round(first_cpu_s, 4),
        "step_cpu_s": round(statistics.median(processors), 4),
        "cpu_share": round(share, 3),
    }


def _timed(work: Callable[[], int]) -> tuple[float, float, int]:
    """Seconds by the clock, seconds of processors, what the work gave."""
    processor, clock = time.process_time(), time.perf_counter()
    token = work()
    return time.perf_counter() - clock, time.process_time() - processor, token


def memory_gb() -> dict[str, float]:
    """Peak resident set, and the part now resident that is no mapped file, in 10^9 bytes.

    From /proc, since ru_maxrss of a fresh process starts at the peak of the process that started it.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    fields = {key: value.split()[0] for key, _, value in (line.partition(":") for line in lines) if value.strip()}
    names = {"peak_memory_gb": "VmHWM", "anonymous_memory_gb": "RssAnon"}
    return {name: round(int(fields[field]) * 1024 / 1e9, 2) for name, field in names.items()}


def main() -> None:
    """Load, warm up, measure each prompt."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("engine", choices=ENGINES)
    parser.add_argument("model")
    parser.add_argument("--prompts", type=int, nargs="+", default=[32, 512])
    parser.add_argument("--new", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    start = time.perf_counter()
    engine = ENGINES[args.engine](args.model, args.threads, 2048)
    load_s = round(time.perf_counter() - start, 2)
    measure(engine, 8, 2, args.threads)  # pages the weights in
    for prompt in args.prompts:
        print(json.dumps(measure(engine, prompt, args.new, int(str(engine.about["threads"])))), flush=True)
    print(json.dumps({**engine.about, "load_s": load_s, **memory_gb()}), flush=True)


if __name__ == "__main__":
    main()
