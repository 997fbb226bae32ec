"""A person's own documents, asked: files become chunks, chunks an index, and passages answers that can be checked.

``KnowledgeBase`` is the door. Behind it: ``scanning`` walks folders, ``loaders`` and ``reading`` take text out of
files, ``splitting`` cuts it, ``index`` keeps it, ``finding`` ranks it; ``chains`` answers from what was found.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chatglm_slim_llm.lazily import lazily

if TYPE_CHECKING:
    from chatglm_slim_llm.retrieval.knowledge_base import KnowledgeBase
    from chatglm_slim_llm.retrieval.passages import Passage

__all__ = ["KnowledgeBase", "Passage"]

_HOMES = {"KnowledgeBase": "knowledge_base", "Passage": "passages"}
__getattr__, __dir__ = lazily(__name__, _HOMES)
