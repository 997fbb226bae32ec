"""Whoever stops waiting for a batch stops all of its replies: an error in one, a closed iterator, Ctrl-C."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from chatglm_slim_llm import ChatGLMSlim, ChatGLMSlimLLM
from chatglm_slim_llm.errors import GenerationError
from tests.programs import LIGHT
from tests.unit.workers import wait_until

TINY = str(Path(__file__).parents[1] / "data" / "reference" / "tiny_v11")
ENDLESS: dict[str, Any] = {"temperature": 50.0, "top_k": 0, "top_p": 1.0, "seed": 4}
EOS = 866


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module", params=[ChatGLMSlim, ChatGLMSlimLLM])
def llm(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Every step takes 30 ms longer, and none ends a reply: it takes a minute."""

    def slow_down(_module: Any, _args: Any, scores: Tensor) -> None:
        time.sleep(0.03)
        scores[..., EOS] = float("-inf")

    llm = request.param(model=TINY, device="cpu")
    hook = llm._load().loaded.model.lm_head.register_forward_hook(slow_down)
    yield llm
    hook.remove()


def want_quiet(llm: Any) -> None:
    wait_until(lambda: not llm._load().engine._scheduler._live, limit_s=10)


def test_an_input_that_fails_ends_the_others(llm: Any) -> None:
    started = time.monotonic()
    with pytest.raises(GenerationError, match="empty"):
        llm.batch(["tell", "", "tell", "tell"], **ENDLESS)
    assert time.monotonic() - started < 20
    want_quiet(llm)


def test_closing_the_iterator_ends_what_is_not_ready(llm: Any) -> None:
    results = llm.batch_as_completed(["", *["tell"] * 5], return_exceptions=True, **ENDLESS)
    number, error = next(results)
    assert (number, type(error).__name__) == (0, "MessageError")
    results.close()
    want_quiet(llm)


async def test_an_input_that_fails_ends_the_others_of_an_async_batch(llm: Any) -> None:
    with pytest.raises(GenerationError, match="empty"):
        await llm.abatch(["tell", "", "tell"], **ENDLESS)
    await asyncio.to_thread(want_quiet, llm)


async def test_leaving_an_async_iterator_ends_what_is_not_ready(llm: Any) -> None:
    results = llm.abatch_as_completed(["", *["tell"] * 5], return_exceptions=True, **ENDLESS)
    assert (await anext(results))[0] == 0
    await results.aclose()
    await asyncio.to_thread(want_quiet, llm)


async def test_exceptions_can_be_results(llm: Any) -> None:
    inputs = ["hello", "", "hello"]
    for results in (
        llm.batch(inputs, return_exceptions=True, max_tokens=2),
        await llm.abatch(inputs, return_exceptions=True, max_tokens=2),
    ):
        assert [isinstance(result, GenerationError) for result in results] == [False, True, False]
    assert llm.batch([]) == await llm.abatch([]) == []


BATCH = f"""
import time
from chatglm_slim_llm import ChatGLMSlim
llm = ChatGLMSlim(model={TINY!r}, device="cpu", **{ENDLESS!r})
def slow_down(_module, _args, scores):
    time.sleep(0.01)
    scores[..., {EOS}] = float("-inf")  # no reply ends by itself
llm._load().loaded.model.lm_head.register_forward_hook(slow_down)
print("begun", flush=True)
try:
    llm.batch(["tell"] * 40)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@pytest.mark.long
@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGINT to send to one process")
def test_ctrl_c_ends_a_batch_at_once() -> None:
    process = subprocess.Popen([sys.executable, "-c", LIGHT + BATCH], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    started = time.monotonic()
    assert process.communicate(timeout=40)[0] == "interrupted\n"
    assert time.monotonic() - started < 20
    assert process.returncode == 0
