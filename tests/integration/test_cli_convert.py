"""``chatglm-slim slim`` and ``quantize``, one of them as a user runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from chatglm_slim_llm.cli import main

REFERENCE = Path(__file__).parent.parent / "data" / "reference"


def folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


@pytest.mark.long
def test_slim_writes_a_checkpoint_and_says_so(tmp_path):
    command = [sys.executable, "-m", "chatglm_slim_llm", "slim", REFERENCE / "tiny_v10_full", tmp_path / "slim"]
    result = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=60)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith(f"Wrote {tmp_path / 'slim'} from {REFERENCE / 'tiny_v10_full'}: ")
    assert json.loads((tmp_path / "slim" / "config.json").read_text())["vocab_size"] == 1216


def test_quantize_writes_the_level_that_was_asked_for(tmp_path, capsys):
    source, target = REFERENCE / "tiny_v11", tmp_path / "small"
    assert main(["quantize", str(source), str(target), "--level", "int4", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["source"], said["target"], said["level"]) == (str(source), str(target), "int4")
    assert (said["source_bytes"], said["target_bytes"]) == (folder_bytes(source), folder_bytes(target))
    assert json.loads((target / "config.json").read_text())["quantization_bit"] == 4


def test_a_failed_conversion_leaves_nothing(tmp_path, capsys):
    assert main(["slim", str(REFERENCE / "tiny_v11"), str(tmp_path / "slim")]) == 1
    assert "already slim" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
