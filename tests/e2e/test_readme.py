"""What both READMEs show, run: the Python blocks with the demo model, the commands' help, the make targets."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from chatglm_slim_llm.cli.parser import build_parser
from docs.run import run_all
from tui.arguments import parser as tui_parser

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "chatglm_slim_llm" / "demo"
READMES = ("README.md", "README.zh.md")


def blocks(language):
    for name in READMES:
        text = (ROOT / name).read_text(encoding="utf-8")
        for i, code in enumerate(re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)):
            yield f"{name} {language} {i}", code


EXAMPLES = dict(blocks("python"))


@pytest.fixture(scope="module")
def outcomes():
    programs = [code.replace("silver/chatglm-6b-slim", str(DEMO)) for code in EXAMPLES.values()]
    if not torch.cuda.is_available():
        programs = [code.replace(".cuda()", "") for code in programs]
    return dict(zip(EXAMPLES, run_all(programs), strict=True))


@pytest.mark.long
@pytest.mark.parametrize("example", EXAMPLES)
def test_the_python_examples_run(example, outcomes):
    assert outcomes[example].status == 0, outcomes[example].errors
    assert len(outcomes[example].output.strip()) > 5


def test_there_are_examples_in_both_languages():
    assert len(EXAMPLES) >= 5


@pytest.mark.parametrize("name", READMES)
def test_the_commands_of_the_table_exist(name, capsys):
    commands = re.findall(r"^\| `(chatglm-[a-z]+(?: [a-z]+)?)", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE)
    assert len(commands) >= 6
    for command in commands:
        program, *words = command.split()
        parser = {"chatglm-slim": build_parser, "chatglm-tui": tui_parser}[program]()
        with pytest.raises(SystemExit, match="0"):
            parser.parse_args([*words, "--help"])
        assert f"usage: {command}" in capsys.readouterr().out


@pytest.mark.parametrize("program", ["chatglm-slim", "chatglm-tui"])
def test_both_programs_are_installed(program):
    done = subprocess.run([Path(sys.executable).parent / program, "--help"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "usage" in done.stdout.lower()


def test_the_make_targets_of_the_documents_exist():
    makefile = (ROOT / "Makefile").read_text()
    for name in (*READMES, "CONTRIBUTING.md"):
        for target in re.findall(r"^\$ make ([a-z-]+)", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"{name}: make {target}"
