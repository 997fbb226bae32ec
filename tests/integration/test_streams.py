"""64 async streams at once, half of them cancelled at random moments: nothing is lost, mixed, late or left behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from benchmarks.streams import measure
from chatglm_slim_llm import ChatGLMSlim
from chatglm_slim_llm.engine import Delta, Engine, Request, Statistics
from tests.unit.workers import wait_until, workers

TINY = str(Path(__file__).parents[1] / "data" / "reference" / "tiny_v11")


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.long
@pytest.mark.parametrize("level", ["fp16", "int8"])
def test_streams_in_company_say_what_they_say_alone_and_end_when_they_are_cancelled(level: str) -> None:
    figures = measure(TINY, level, streams=64, rounds=1, pause_s=0.01)
    assert figures["cancelled"] > 10
    assert figures["wrong_texts"] == 0
    assert figures["late_steps_p99"] <= 2
    assert figures["sequences_left"] == 0
    wait_until(lambda: not workers())


async def test_others_get_their_turn_between_tokens_that_are_there_already(monkeypatch: pytest.MonkeyPatch) -> None:
    llm = ChatGLMSlim(model=TINY, device="cpu")
    await llm.ainvoke("你好", max_tokens=1)
    read, turns = 0, []

    async def at_once(self: Engine, request: Request) -> AsyncGenerator[Delta]:
        nonlocal read
        for _ in range(100):
            read += 1
            yield Delta("Round")
        yield Delta("", "length", Statistics(1, 100, 0.0, 0.0, 0))

    async def look() -> None:
        while True:
            turns.append(read)
            await asyncio.sleep(0)

    monkeypatch.setattr(Engine, "astream", at_once)
    looking = asyncio.create_task(look())
    assert (await llm.ainvoke("你好")).content == "Round" * 100
    looking.cancel()
    assert set(range(1, 101)) <= set(turns)


@pytest.mark.slow
def test_memory_stays_flat_over_a_thousand_turns() -> None:
    llm = ChatGLMSlim(model=TINY, device="cpu", quantization="int8", max_tokens=12)
    sizes = []
    for turn in range(1000):
        llm.invoke(f"你好 {turn}")
        if turn in (199, 999):
            sizes.append(int(Path("/proc/self/statm").read_text().split()[1]) * 4096)
    assert sizes[1] - sizes[0] < 2_000_000
