"""``chatglm-slim slim`` and ``quantize`` as a user runs them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

REFERENCE = Path(__file__).parent.parent / "data" / "reference"


def run(*args: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "chatglm_slim_llm", *map(str, args)]
    return subprocess.run(command, capture_output=True, encoding="utf-8", timeout=60)


def folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def test_slim_writes_a_checkpoint_and_says_so(tmp_path):
    result = run("slim", REFERENCE / "tiny_v10_full", tmp_path / "slim")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith(f"Wrote {tmp_path / 'slim'} from {REFERENCE / 'tiny_v10_full'}: ")
    assert json.loads((tmp_path / "slim" / "config.json").read_text())["vocab_size"] == 1216


def test_quantize_writes_the_level_that_was_asked_for(tmp_path):
    source, target = REFERENCE / "tiny_v11", tmp_path / "small"
    result = run("quantize", source, target, "--level", "int4", "--json")
    assert result.returncode == 0
    said = json.loads(result.stdout)
    assert (said["source"], said["target"], said["level"]) == (str(source), str(target), "int4")
    assert (said["source_bytes"], said["target_bytes"]) == (folder_bytes(source), folder_bytes(target))
    assert json.loads((target / "config.json").read_text())["quantization_bit"] == 4


def test_a_failed_conversion_leaves_nothing(tmp_path):
    result = run("slim", REFERENCE / "tiny_v11", tmp_path / "slim")
    assert result.returncode == 1
    assert "already slim" in result.stderr
    assert list(tmp_path.iterdir()) == []
