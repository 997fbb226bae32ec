"""ChatGLM-6B-Slim on your own machine: a LangChain chat model and what it runs on.

Public names are resolved on first use, so importing the package loads neither torch nor transformers.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chatglm_slim_llm.checkpointer import ConversationCheckpointer
    from chatglm_slim_llm.completion import ChatGLMSlimLLM
    from chatglm_slim_llm.embeddings import ChatGLMSlimEmbeddings
    from chatglm_slim_llm.errors import ChatGLMSlimError
    from chatglm_slim_llm.history import ConversationHistory
    from chatglm_slim_llm.llm import ChatGLMSlim
    from chatglm_slim_llm.storage import ConversationStore

__all__ = [
    "ChatGLMSlim",
    "ChatGLMSlimEmbeddings",
    "ChatGLMSlimError",
    "ChatGLMSlimLLM",
    "ConversationCheckpointer",
    "ConversationHistory",
    "ConversationStore",
]
__version__ = "0.1.0"

_HOMES = {
    "ChatGLMSlim": "chatglm_slim_llm.llm",
    "ChatGLMSlimEmbeddings": "chatglm_slim_llm.embeddings",
    "ChatGLMSlimError": "chatglm_slim_llm.errors",
    "ChatGLMSlimLLM": "chatglm_slim_llm.completion",
    "ConversationCheckpointer": "chatglm_slim_llm.checkpointer",
    "ConversationHistory": "chatglm_slim_llm.history",
    "ConversationStore": "chatglm_slim_llm.storage",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
