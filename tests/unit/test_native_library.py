"""Finding the compiled kernels, choosing among them, and doing without them."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from chatglm_slim_llm.kernels.library import instruction_set, shares_threads_with_torch
from tests.unit.native import available_sets, needs_library, threads

ASK = """
from chatglm_slim_llm.kernels import instruction_set, why_not
print(instruction_set(), why_not())
"""
CHAT = """
from chatglm_slim_llm import ChatGLMSlim
print(ChatGLMSlim(temperature=0, quantization="int8").invoke("你好").content)
"""


ASK_EACH = f"""
import os, sys
import torch  # once, as it takes most of the time; the kernels are looked for in each fork
for name in sys.argv[1:]:
    if not (child := os.fork()):
        os.environ["CHATGLM_SLIM_KERNELS"] = name
        exec({ASK!r})
        sys.stdout.flush()
        os._exit(0)
    os.waitpid(child, 0)
"""


def ask(script: str, *arguments: str, **variables: str) -> str:
    environ = os.environ | variables
    return subprocess.run(
        [sys.executable, "-c", script, *arguments], env=environ, capture_output=True, text=True, check=True
    ).stdout


@pytest.fixture(scope="module")
def told() -> dict[str, str]:
    """What processes say for each value of the variable."""
    names = [*available_sets(), "mmx", "torch"]
    if hasattr(os, "fork"):
        return dict(zip(names, ask(ASK_EACH, *names).splitlines(), strict=True))
    return {name: ask(ASK, CHATGLM_SLIM_KERNELS=name).rstrip("\n") for name in names}


@needs_library
@pytest.mark.parametrize("name", available_sets())
def test_the_environment_chooses_an_instruction_set(name, told):
    assert told[name] == f"{name} None"


@needs_library
def test_an_unknown_instruction_set_leaves_the_best_one(told):
    assert told["mmx"] == f"{available_sets()[0]} None"


def test_torch_does_the_work_where_it_is_told_to(told):
    assert told["torch"] == "torch CHATGLM_SLIM_KERNELS is torch"


@needs_library
def test_torch_and_the_kernels_share_their_threads():
    assert shares_threads_with_torch()
    before = torch.get_num_threads()
    with threads(before + 1):
        assert shares_threads_with_torch()
    assert torch.get_num_threads() == before


@needs_library
@pytest.mark.slow
def test_the_answer_without_the_library_is_the_answer_with_it():
    with_it = ask(CHAT)
    assert with_it.strip()
    assert ask(CHAT, CHATGLM_SLIM_KERNELS="torch") == with_it
    assert instruction_set() != "torch"
