"""What the door to the model does not load: each promise in an interpreter of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = "('torch', 'transformers', 'langchain_core', 'langchain', 'numpy', 'sentencepiece', 'multiprocessing.spawn')"


@pytest.mark.parametrize(
    "statement",
    [
        "import chatglm_slim_llm.hosting.client, chatglm_slim_llm.hosting.local, chatglm_slim_llm.hosting.child",
        "import chatglm_slim_llm.hosting.library; chatglm_slim_llm.hosting.library.Library().names()",
        "import tui.worker",
        "from chatglm_slim_llm.hosting.client import ProcessAssistant as P\n"
        "from chatglm_slim_llm.config import LoadOptions\n"
        "P(LoadOptions(model='somebody/something')).is_available()",
        "from pathlib import Path; from chatglm_slim_llm.hosting.files import read_attachment\n"
        "read_attachment(Path('text.txt'))",
    ],
)
def test_neither_torch_nor_langchain_is_loaded(statement, tmp_path):
    (tmp_path / "text.txt").write_text("a text")
    code = f"{statement}\nimport sys\nprint([name for name in {HEAVY} if name in sys.modules])"
    environ = {
        "PATH": "",
        "HF_HOME": str(tmp_path),
        "CHATGLM_SLIM_HOME": str(tmp_path),
        "PYTHONPATH": ":".join(filter(None, sys.path)),
    }
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environ, cwd=tmp_path, check=False
    )
    assert loaded.stdout.strip() == "[]", loaded.stdout + loaded.stderr
