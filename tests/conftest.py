"""What tests of every kind share."""

from __future__ import annotations

import gc
import os
import signal
from collections import Counter
from collections.abc import Iterator
from functools import cache
from importlib.metadata import version

import pytest

_SUITES = ("test_langchain_standard", "test_langchain_embeddings")

# A million objects of torch, transformers and pytest stay to the end. Python would look through them for garbage
# every few tests, which took a fifth of the time.
gc.set_threshold(20_000, 20, 100)

# Threads of torch that wait keep their cores busy, which here are those that other tests need.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# What runs in the background of a script ignores Ctrl-C, and so would every program that a test starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """What is there before the first test is no garbage."""
    gc.freeze()


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Small models are faster so, beside whatever else runs."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def without_kernels(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Torch does everything, as where there was no compiler."""
    from chatglm_slim_llm.kernels import library

    monkeypatch.setenv("CHATGLM_SLIM_KERNELS", "torch")
    library.cache_clear()
    assert library() is None
    yield
    gc.collect()  # a model that an error holds would meet other tests
    library.cache_clear()


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The models whose checkpoints were loaded meanwhile."""
    import chatglm_slim_llm.checkpoint as checkpoint

    models: list[str] = []
    load = checkpoint.load
    monkeypatch.setattr(
        checkpoint, "load", lambda options, **how: (models.append(options.model), load(options, **how))[1]
    )
    return models


@pytest.fixture(scope="module")
def one_encoder() -> Iterator[None]:
    """Knowledge bases share the default embedder, of which the model takes a second to read."""
    from chatglm_slim_llm.retrieval import embedders

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embedders, "universal_sentence_encoder", cache(embedders.universal_sentence_encoder))
        yield


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Count LangChain's standard tests. With `-n`, the process that reports reads no conftest further down."""
    counts: Counter[tuple[str, str]] = Counter()
    for outcome in ("passed", "failed", "skipped", "error", "xfailed", "xpassed"):
        for report in terminalreporter.getreports(outcome):
            name = report.nodeid.partition("::")[0].rpartition("/")[2].removesuffix(".py")
            if name in _SUITES and (outcome != "passed" or report.when == "call"):
                counts[name, outcome] += 1
    for suite in _SUITES:
        parts = [f"{count} {outcome}" for (name, outcome), count in sorted(counts.items()) if name == suite]
        if parts:
            versions = f"langchain-core {version('langchain-core')}, langchain-tests {version('langchain-tests')}"
            terminalreporter.write_line(f"{suite}: {', '.join(parts)} ({versions})")
