"""Counts LangChain's standard tests, and says so at the end of the run."""

from __future__ import annotations

from collections import Counter
from importlib.metadata import version

import pytest

_SUITES = ("test_langchain_standard", "test_langchain_embeddings")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
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
