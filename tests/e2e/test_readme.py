"""What both READMEs show, run: the Python blocks with the demo model, the commands' help, the make targets."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "chatglm_slim_llm" / "demo"
READMES = ("README.md", "README.zh.md")


def blocks(language):
    for name in READMES:
        text = (ROOT / name).read_text(encoding="utf-8")
        for i, code in enumerate(re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)):
            yield pytest.param(code, id=f"{name} {language} {i}")


@pytest.mark.parametrize("code", list(blocks("python")))
def test_the_python_examples_run(code, tmp_path):
    code = code.replace("silver/chatglm-6b-slim", str(DEMO))
    if not torch.cuda.is_available():
        code = code.replace(".cuda()", "")
    environ = os.environ | {"CHATGLM_SLIM_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1", "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, env=environ, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.strip()) > 5


def test_there_are_examples_in_both_languages():
    assert len(list(blocks("python"))) >= 5


@pytest.mark.parametrize("name", READMES)
def test_the_commands_of_the_table_exist(name):
    commands = re.findall(r"^\| `(chatglm-[a-z]+(?: [a-z]+)?)", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE)
    assert len(commands) >= 6
    for command in commands:
        program, *rest = command.split()
        done = subprocess.run([Path(sys.executable).parent / program, *rest, "--help"], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert "usage" in done.stdout.lower()


def test_the_make_targets_of_the_documents_exist():
    makefile = (ROOT / "Makefile").read_text()
    for name in (*READMES, "CONTRIBUTING.md"):
        for target in re.findall(r"^\$ make ([a-z-]+)", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"{name}: make {target}"
