"""A person's own documents, asked: files become chunks, chunks an index, and passages answers that can be checked.

``KnowledgeBase`` is the door. Behind it: ``scanning`` walks folders, ``loaders`` and ``reading`` take text out of
files, ``splitting`` cuts it, ``index`` keeps it, ``finding`` ranks it; ``chains`` answers from what was found.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chatglm_slim_llm.retrieval.knowledge_base import KnowledgeBase
    from chatglm_slim_llm.retrieval.passages import Passage

__all__ = ["KnowledgeBase", "Passage"]

_HOMES = {"KnowledgeBase": "knowledge_base", "Passage": "passages"}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for: the processes that read files need none of LangChain."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
