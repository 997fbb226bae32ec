"""The history file needs neither LangChain nor torch, and LangChain's way to it no torch."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("chatglm_slim_llm.storage", "('torch', 'transformers', 'langchain', 'langchain_core', 'langgraph')"),
        ("chatglm_slim_llm.history", "('torch', 'transformers', 'langgraph')"),
        ("chatglm_slim_llm.checkpointer", "('torch', 'transformers')"),
    ],
)
def test_what_an_import_does_not_load(module, absent):
    code = f"import {module}\nimport sys\nprint([name for name in {absent} if name in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"


def test_the_history_file_is_the_terminals_own_unless_told_otherwise(tmp_path, monkeypatch):
    from chatglm_slim_llm.storage import ConversationStore, history_path, store_at

    monkeypatch.setenv("CHATGLM_SLIM_HOME", str(tmp_path))
    assert store_at(None).path == history_path() == tmp_path / "data" / "history.db"
    assert store_at(str(tmp_path / "a.db")).path == tmp_path / "a.db"
    store = ConversationStore.at(tmp_path / "b.db")
    assert store_at(store) is store
