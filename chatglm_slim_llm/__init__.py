"""ChatGLM-6B-Slim on your own machine: a LangChain chat model and what it runs on.

Public names are resolved on first use, so importing the package loads neither torch nor transformers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chatglm_slim_llm.lazily import lazily

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
    "ChatGLMSlim": "llm",
    "ChatGLMSlimEmbeddings": "embeddings",
    "ChatGLMSlimError": "errors",
    "ChatGLMSlimLLM": "completion",
    "ConversationCheckpointer": "checkpointer",
    "ConversationHistory": "history",
    "ConversationStore": "storage",
}
__getattr__, __dir__ = lazily(__name__, _HOMES)
