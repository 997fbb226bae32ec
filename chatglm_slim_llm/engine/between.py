"""Other work of the model than replies, done by the same thread: a piece at a time between the steps of the replies.

A thread of its own would be slower for both: two threads that multiply at once take the processor from each other in
the middle of a product, and each then waits for the parts that the other holds up.
"""

from __future__ import annotations

import threading
from collections.abc import Generator
from typing import Any, TypeVar

import torch
from torch import Tensor

from chatglm_slim_llm.engine.engine import Engine
from chatglm_slim_llm.engine.scheduler import Scheduler
from chatglm_slim_llm.engine.sequence import LiveSequence
from chatglm_slim_llm.errors import GenerationError

T = TypeVar("T")


def run_between(engine: Engine, work: Generator[None, None, T], cancel: threading.Event) -> T | None:
    """Do the work piece by piece while replies go on; None if it was cancelled.

    Args:
        engine: of the model that is worked with.
        work: yields after each fraction of a second, and returns its result.
        cancel: once set, the work ends after the piece that is being computed.

    Raises:
        GenerationError: the interpreter goes away.
        Exception: whatever ``work`` raises.
    """
    result: list[T] = []

    def as_a_prompt() -> Generator[None, None, tuple[Any, Tensor]]:
        result.append((yield from work))
        return None, torch.zeros(1)

    scheduler: Scheduler[Any] = engine._scheduler
    eos = engine.tokenizer.eos_token_id
    sequence: LiveSequence[Any] = LiveSequence(
        as_a_prompt(), lambda _: eos, None, None, eos_token_id=eos, max_new_tokens=1, cancel=cancel
    )
    try:
        scheduler._next_token(sequence)
    finally:
        sequence.is_closed = True
        scheduler._wake(sequence)
    if not result and not cancel.is_set():
        raise GenerationError("the work was broken off because the interpreter goes away")
    return result[0] if result else None
