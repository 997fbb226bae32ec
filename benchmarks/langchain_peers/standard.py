"""LangChain's standard tests of chat models, counted."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path

_ROOT = Path(__file__).parents[2]
TESTS = {
    "ours": _ROOT / "tests/conformance/test_langchain_standard.py",
    "huggingface": Path(__file__).with_name("standard_huggingface.py"),
}


def passed_standard_tests(peer: str, checkpoint: Path) -> str:
    """``12 of 60: 40 failed, 8 skipped``, from a run of pytest in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        options = ["-q", "-p", "no:cacheprovider", "-p", "no:randomly", "-W", "ignore", f"--junitxml={report}"]
        environment = os.environ | {"PEER_CHECKPOINT": str(checkpoint)}
        command = [sys.executable, "-m", "pytest", *options, str(TESTS[peer])]
        subprocess.run(command, cwd=_ROOT, env=environment, stdout=subprocess.DEVNULL, check=False)
        return count(report.read_text(encoding="utf-8"))


def count(report: str) -> str:
    """The passed ones of all tests of a JUnit report; one that is skipped has not passed."""
    cases = list(ElementTree.fromstring(report).iter("testcase"))
    skipped = sum(case.find("skipped") is not None for case in cases)
    failed = sum(any(case.find(name) is not None for name in ("failure", "error")) for case in cases)
    return f"{len(cases) - skipped - failed} of {len(cases)}: {failed} failed, {skipped} skipped"
