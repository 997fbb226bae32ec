"""One engine in this process; does what the lines of its standard input say, and answers each with a line of JSON.

    PYTHON peer_worker.py {ours,llama.cpp,chatglm.cpp} MODEL --threads 2

    {"prompt": 512}   forget everything and read so many random tokens
    {"steps": 4}      read so many tokens more, one by one
    {"read": 1}       read all weights so often and do nothing with them (ours only)

The first answer, when the engine is ready, is about the engine; the last one, after the end of the input, about the
process. What the engine prints itself goes to standard error. This runs in the interpreter that has the engine, so it
imports nothing of this project unless that is the engine. All are called below their conveniences: token ids in, the
largest logit out.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    from chatglm_slim_llm.config import Quantization


class Engine(Protocol):
    """What a measurement needs of an engine."""

    about: dict[str, object]

    def first(self, prompt_ids: list[int]) -> int:
        """Forget everything, read the prompt, return the next token."""

    def next(self, token_id: int) -> int:
        """Read one token more, return the next."""


class Ours:
    """This package, with random weights; the model is a level and a number of layers: `int4:28`."""

    def __init__(self, path: str, threads: int, positions: int) -> None:
        del positions  # contexts grow
        import torch

        from chatglm_slim_llm.cli import measuring
        from chatglm_slim_llm.kernels import instruction_set
        from chatglm_slim_llm.network import forward_for

        torch.set_num_threads(threads)
        level, _, layers = path.partition(":")
        model, _ = measuring.load_shape("6b", cast("Quantization", level), int(layers))
        self._bandwidth = partial(measuring.bandwidth, measuring.layers_of(model))
        self._forward = forward_for(model)
        self._prefill = lambda ids: measuring.exhaust(self._forward.prefill(ids))
        self._end: list[Any] = [model.config.gmask_token_id, model.config.bos_token_id]
        # As in use: the allocator of a program's first thread gives memory back and takes it again.
        self._thread = ThreadPoolExecutor(1)
        self.about = {"version": _commit(), "build": instruction_set(), "threads": threads}

    def first(self, prompt_ids: list[int]) -> int:
        return self._thread.submit(self._read_prompt, prompt_ids[:-2] + self._end).result()

    def next(self, token_id: int) -> int:
        return self._thread.submit(self._read, token_id).result()

    def read(self, times: int) -> list[float]:
        """Bytes a second."""
        return [self._thread.submit(self._bandwidth).result() for _ in range(times)]

    def _read_prompt(self, ids: list[int]) -> int:
        self._context: Any = None  # before the next one takes memory
        self._context, scores = self._prefill(ids)
        return int(scores.numpy().argmax())

    def _read(self, token_id: int) -> int:
        return int(self._forward.step([self._context], [[token_id]])[0][-1].numpy().argmax())


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    done = subprocess.run(command, cwd=Path(__file__).parent, stdout=subprocess.PIPE, text=True, check=False)
    return done.stdout.strip()


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


ENGINES: dict[str, Callable[[str, int, int], Engine]] = {"ours": Ours, "llama.cpp": Llama, "chatglm.cpp": ChatGLM}


class Session:
    """An engine and the token that it has just made."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._token = 0

    def answer(self, request: dict[str, int]) -> dict[str, object]:
        """Do what a request says.

        Processor seconds of all threads stand beside the clock's: where they are well below clock times threads,
        something else ran too.
        """
        if "prompt" in request:
            ids = random.Random(request["prompt"]).choices(range(100, 30000), k=request["prompt"])
            clock_s, processor_s = self._timed(lambda: self._engine.first(ids))
            return {"clock_s": round(clock_s, 5), "processor_s": round(processor_s, 4)}
        if "read" in request:
            assert isinstance(self._engine, Ours)
            return {"gb_s": [round(rate / 1e9, 1) for rate in self._engine.read(request["read"])]}
        times = [self._timed(lambda: self._engine.next(self._token)) for _ in range(request["steps"])]
        clocks, processors = zip(*times, strict=True)
        return {"clocks_s": [round(clock_s, 5) for clock_s in clocks], "processor_s": round(sum(processors), 4)}

    def _timed(self, work: Callable[[], int]) -> tuple[float, float]:
        """Seconds by the clock and seconds of processors."""
        processor, clock = time.process_time(), time.perf_counter()
        self._token = work()
        return time.perf_counter() - clock, time.process_time() - processor


def memory_gb() -> dict[str, float]:
    """Peak resident set, and the part now resident that is no mapped file, in 10^9 bytes.

    From /proc, since ru_maxrss of a fresh process starts at the peak of the process that started it.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    fields = {key: value.split()[0] for key, _, value in (line.partition(":") for line in lines) if value.strip()}
    names = {"peak_memory_gb": "VmHWM", "anonymous_memory_gb": "RssAnon"}
    return {name: round(int(fields[field]) * 1024 / 1e9, 2) for name, field in names.items()}


def main() -> None:
    """Load, warm up, serve."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("engine", choices=ENGINES)
    parser.add_argument("model")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--positions", type=int, default=2048, help="the most tokens of a prompt and its answer")
    args = parser.parse_args()
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    start = time.perf_counter()
    engine = ENGINES[args.engine](args.model, args.threads, args.positions)
    load_s = round(time.perf_counter() - start, 2)
    session = Session(engine)
    session.answer({"prompt": 8})  # pages the weights in
    session.answer({"steps": 2})
    with suppress(BrokenPipeError):  # who asked has gone
        print(json.dumps({**engine.about, "load_s": load_s}), file=answers)
        for line in sys.stdin:
            print(json.dumps(session.answer(json.loads(line))), file=answers)
        print(json.dumps(memory_gb()), file=answers)


if __name__ == "__main__":
    main()
