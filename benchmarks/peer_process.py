"""An engine of the comparison, loaded in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from benchmarks.peer_models import Shape, write_chatglm, write_llama

Record = dict[str, Any]

_WORKER = Path(__file__).with_name("peer_worker.py")


class Racer(Protocol):
    """An engine that is loaded."""

    def ask(self, **request: int) -> Record:
        """Do what `peer_worker.py` describes; return its answer."""

    def leave(self) -> Record:
        """Let it end; return what it says of the engine and of itself."""

    def close(self) -> None:
        """End it, however it stands."""


@dataclass(frozen=True)
class Contender:
    """One engine at one level."""

    name: str
    engine: str
    bits: int
    shape: Shape
    start: Callable[[], Racer]


class Process:
    """A `peer_worker.py`.

    Raises:
        SystemExit: it ended before it was told to.
    """

    def __init__(self, python: str, engine: str, model: str, threads: int, positions: int) -> None:
        sizes = ["--threads", str(threads), "--positions", str(positions)]
        environ = os.environ | {"OMP_NUM_THREADS": str(threads)}
        if engine == "ours":
            environ["PYTHONPATH"] = str(_WORKER.parents[1])
        self._command = [python, str(_WORKER), engine, model, *sizes]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(self._command, stdin=pipe, stdout=pipe, text=True, env=environ)
        self._about = self._answer()

    def ask(self, **request: int) -> Record:
        """Send a request, wait for its answer."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # the answer, which does not come, tells
            print(json.dumps(request), file=self._process.stdin, flush=True)
        return self._answer()

    def leave(self) -> Record:
        """Close its input; it answers once more and ends."""
        self._close_input()
        return self._about | self._answer()

    def close(self) -> None:
        """Wait for its end a moment, then end it."""
        assert self._process.stdout is not None
        self._close_input()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def _close_input(self) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()

    def _answer(self) -> Record:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self.close()
            command, status = " ".join(self._command), self._process.returncode
            raise SystemExit(f"{command}\nended with status {status}; what it said is above, if anything")
        answer: Record = json.loads(line)
        return answer


def ours(python: str, level: str, shape: Shape, *sizes: int) -> Contender:
    """This package; ``sizes`` are threads and positions."""
    start = partial(Process, python, "ours", f"{level}:{shape.layers}", *sizes)
    return Contender(f"ours {level}", "ours", int(level.removeprefix("int")), shape, start)


def peer(engine: str, python: str, encoding: str, shape: Shape, folder: Path, *sizes: int) -> Contender:
    """Another engine; its model file is written before the first start. ``sizes`` are threads and positions."""
    model = folder / f"{engine}-{shape.layers}-{encoding}.{'gguf' if engine == 'llama.cpp' else 'bin'}"

    def start() -> Process:
        _ensure(model, shape, encoding, write_llama if engine == "llama.cpp" else write_chatglm)
        return Process(python, engine, str(model), *sizes)

    return Contender(f"{engine} {encoding}", engine, int(encoding[1]), shape, start)


def _ensure(path: Path, shape: Shape, encoding: str, write: Callable[[Path, Shape, str], None]) -> None:
    if path.exists():
        return
    print(f"writing {path}", file=sys.stderr)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".part")
    write(unfinished, shape, encoding)
    unfinished.replace(path)
