"""The comparison of LangChain chat models: its page shows its results, and its probes say no to what is bad."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel, GenericFakeChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import RunnableLambda

from benchmarks.langchain_peers import probes, watching
from benchmarks.langchain_peers.probes import Peer, ask
from benchmarks.langchain_peers.rows import ROWS, STANDARD
from benchmarks.langchain_peers.standard import count
from benchmarks.langchain_peers.table import BEGIN, END, generated, rewrite

ROOT = Path(__file__).parents[2]
RESULTS = json.loads((ROOT / "benchmarks/results/langchain_peers.json").read_text(encoding="utf-8"))
KEYS = [*(row.key for row in ROWS), STANDARD]
TEXT = "I do not know what to say about that, and I will not say it twice."


class Head:
    """Stands for the module that scores tokens."""

    def __init__(self) -> None:
        self.hooks: list[Callable[..., Any]] = []

    def register_forward_hook(self, hook: Callable[..., Any]) -> Any:
        self.hooks.append(hook)
        return self

    def remove(self) -> None:
        self.hooks.clear()

    def __call__(self) -> None:
        for hook in self.hooks:
            hook(self, (), None)


HEAD = Head()


class BadModel(BaseChatModel):
    """Says one thing, whatever it is asked for, and computes on in secret."""

    lasts_s: float = 0.0
    tokens: int = 32
    timeout: float | None = None

    @property
    def _llm_type(self) -> str:
        return "bad"

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> ChatResult:
        with suppress(OSError), socket.socket() as server:
            server.settimeout(0.1)
            server.connect(("127.0.0.1", 9))
        with suppress(Exception):  # hides what breaks inside
            for _ in range(self.tokens):
                HEAD()
        _burn(self.lasts_s)
        return ChatResult(generations=[ChatGeneration(message=AIMessage(TEXT))])

    def _stream(self, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        if self.lasts_s:  # goes on, whoever closes it
            worker = threading.Thread(target=_burn, args=(self.lasts_s,))
            worker.start()
            while worker.is_alive():
                yield ChatGenerationChunk(message=AIMessageChunk("a "))
                time.sleep(0.02)
        else:
            yield ChatGenerationChunk(message=AIMessageChunk(self._generate(*args, **kwargs).generations[0].text))

    async def _agenerate(self, messages: Any, *args: Any, **kwargs: Any) -> ChatResult:
        if self.lasts_s:  # in a thread that nobody stops
            await asyncio.to_thread(_burn, self.lasts_s)
        else:
            time.sleep(0.2)  # in the event loop
        return self._generate(messages)

    async def _astream(self, messages: Any, *args: Any, **kwargs: Any) -> AsyncIterator[ChatGenerationChunk]:
        time.sleep(0.2)
        yield ChatGenerationChunk(message=AIMessageChunk(TEXT))

    def batch(self, inputs: Any, config: Any = None, **kwargs: Any) -> Any:
        return [self.invoke(each, {"callbacks": (config or {}).get("callbacks")}) for each in inputs]

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        return RunnableLambda(lambda question: self.invoke(question))

    def with_structured_output(self, schema: Any, *, include_raw: bool = False, **kwargs: Any) -> Any:
        return RunnableLambda(lambda question: self.invoke(question))


def _burn(seconds: float) -> None:
    ends = time.perf_counter() + seconds
    while time.perf_counter() < ends:
        HEAD()
        time.sleep(0.005)


def make_bad(*, rambles: bool = False, max_tokens: int = 32, timeout: float | None = None, **_: Any) -> BaseChatModel:
    lasts_s = 0.9 if max_tokens == 1000 else 0.0
    return BadModel(lasts_s=lasts_s, tokens=max_tokens, timeout=timeout, custom_get_token_ids=lambda _: [0])


def copy_weights(folder: Path) -> Path:
    (folder / "weights").write_bytes(b"12345678")
    return folder / "weights"


BAD = Peer(make_bad, many=1000, context=100, head=lambda: HEAD, copy_weights=copy_weights, prompt_tokens=len)


@pytest.fixture(autouse=True)
def little_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "_LONG_S", 0.8)
    monkeypatch.setattr(probes, "_SETTLED_S", 0.05)
    monkeypatch.setattr(probes, "_WATCHED_S", 0.2)


# --- the probes ---


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.key)
def test_every_probe_says_no_to_a_model_that_does_what_it_likes(row: Any) -> None:
    peer = Peer(_elsewhere, 1000, 100, lambda: HEAD, copy_weights) if row.key == "no_network" else BAD
    verdict = ask(row.probe, peer)
    assert verdict.startswith("no: ")
    assert not verdict.startswith(("no: TypeError", "no: AttributeError", "no: NameError")), verdict


def _elsewhere(**_: Any) -> Any:
    with suppress(OSError):
        socket.getaddrinfo("models.invalid", 443)
    return BadModel()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.key)
def test_langchains_own_fake_passes_only_what_needs_no_model(row: Any) -> None:
    def make(**_: Any) -> BaseChatModel:
        messages = iter([AIMessage(TEXT)] * 99)
        return GenericFakeChatModel(messages=messages, custom_get_token_ids=lambda _: [0])

    verdict = ask(row.probe, Peer(make, 10, 100, lambda: HEAD, copy_weights, len))
    free = {"no_network", "no_server", "streams", "loop_runs_on", "keeps_max_concurrency"}
    assert verdict.startswith("no: ") or row.key in free, verdict


def test_an_error_on_the_way_to_a_verdict_is_a_no_of_one_line() -> None:
    def probe(_: Peer) -> str:
        raise KeyError("what\nelse")

    assert ask(probe, BAD) == "no: KeyError: 'what\\nelse'"


def test_connections_are_seen_and_made_all_the_same() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, watching.connections() as hosts:
        socket.create_connection(server.getsockname()).close()
    assert set(hosts) == {"127.0.0.1"}


async def test_the_longest_wait_of_a_loop_is_measured() -> None:
    async def hold_up() -> None:
        time.sleep(0.15)

    longest_s, all_s = await watching.longest_wait_s(hold_up)
    assert 0.15 <= longest_s <= all_s
    longest_s, _ = await watching.longest_wait_s(lambda: asyncio.sleep(0.15))
    assert longest_s < 0.1


def test_passes_are_counted_only_while_somebody_looks() -> None:
    passes: list[int] = []
    HEAD()
    with watching.hooked(HEAD, lambda: passes.append(1)):
        HEAD()
        HEAD()
    HEAD()
    assert len(passes) == 2


# --- results and page ---


def test_the_page_shows_the_results() -> None:
    page = (ROOT / "docs/comparison.md").read_text(encoding="utf-8")
    assert rewrite(page, RESULTS) == page


def test_every_kind_of_model_has_a_verdict_in_every_row_and_says_where_it_comes_from() -> None:
    for column in RESULTS["columns"].values():
        assert sorted(column["cells"]) == sorted(KEYS)
        assert column["versions"]
        for cell in column["cells"].values():
            word = cell["verdict"].partition(": ")[0]
            assert word in ("yes", "no", "open") or " of " in word
            assert (
                cell["from"].startswith("run")
                or ".py:" in cell["from"]
                or ".cpp:" in cell["from"]
                or (".md:" in cell["from"] or ".py: " in cell["from"])
            )


def test_all_our_own_verdicts_come_from_runs() -> None:
    assert {cell["from"] for cell in RESULTS["columns"]["ours"]["cells"].values()} == {"run"}


def test_sources_are_numbered_once_each() -> None:
    cells = {key: {"verdict": "no: a|b", "from": "package 1, x.py:3: says so"} for key in KEYS}
    text = generated({"columns": {"a": {"title": "A", "versions": "A 1", "date": "today", "cells": cells}}})
    assert text.count("**no**: a\\|b [1] |") == len(KEYS)
    assert text.endswith("\n1. package 1, x.py:3: says so")


def test_a_page_without_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="needs the lines"):
        rewrite(f"{BEGIN}\nno end", RESULTS)
    assert END not in "no end"


def test_skipped_tests_do_not_count_as_passed() -> None:
    cases = "<testcase/><testcase><skipped/></testcase><testcase><failure/></testcase><testcase><error/></testcase>"
    assert count(f"<testsuites><testsuite>{cases}</testsuite></testsuites>") == "1 of 4: 2 failed, 1 skipped"
