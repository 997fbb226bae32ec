"""64 async streams at once, half of them cancelled at random moments: nothing is lost, mixed, late or left behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.streams import measure
from chatglm_slim_llm import ChatGLMSlim
from tests.unit.workers import wait_until, workers

TINY = str(Path(__file__).parents[1] / "data" / "reference" / "tiny_v11")


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("level", ["fp16", "int8"])
def test_streams_in_company_say_what_they_say_alone_and_end_when_they_are_cancelled(level: str) -> None:
    figures = measure(TINY, level, streams=64, rounds=1, pause_s=0.01)
    assert figures["cancelled"] > 10
    assert figures["wrong_texts"] == 0
    assert figures["late_steps_p99"] <= 2
    assert figures["sequences_left"] == 0
    wait_until(lambda: not workers())


@pytest.mark.slow
def test_memory_stays_flat_over_a_thousand_turns() -> None:
    llm = ChatGLMSlim(model=TINY, device="cpu", quantization="int8", max_tokens=12)
    sizes = []
    for turn in range(1000):
        llm.invoke(f"你好 {turn}")
        if turn in (199, 999):
            sizes.append(int(Path("/proc/self/statm").read_text().split()[1]) * 4096)
    assert sizes[1] - sizes[0] < 2_000_000
