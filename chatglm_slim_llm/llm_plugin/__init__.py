"""ChatGLM-Slim in Simon Willison's ``llm``: the module that its entry-point group ``llm`` names.

``llm`` imports every plugin for every command, so importing this brings neither torch, transformers nor LangChain, and
whatever may be wrong with a checkpoint or an option is said when a model is used, never when models are listed.
"""

from __future__ import annotations

from typing import Protocol

import llm
from llm.models import EmbeddingModel

from chatglm_slim_llm.llm_plugin.checkpoints import checkpoints
from chatglm_slim_llm.llm_plugin.embedding import SlimEmbedding
from chatglm_slim_llm.llm_plugin.models import AsyncSlim, Slim

__all__ = ["register_embedding_models", "register_models"]

_NAME, _EMBEDDING_NAME = "chatglm-slim", "chatglm-slim-embed"


class _RegisterModel(Protocol):
    def __call__(self, model: llm.Model, async_model: llm.AsyncModel, aliases: tuple[str, ...] = ()) -> None: ...


class _RegisterEmbedding(Protocol):
    def __call__(self, model: EmbeddingModel, aliases: tuple[str, ...] = ()) -> None: ...


@llm.hookimpl
def register_models(register: _RegisterModel) -> None:
    """Register the user's default model and, by name, the checkpoints on this machine."""
    register(Slim(_NAME), AsyncSlim(_NAME), aliases=("chatglm",))
    for name, model in checkpoints().items():
        register(Slim(f"{_NAME}/{name}", model), AsyncSlim(f"{_NAME}/{name}", model))


@llm.hookimpl
def register_embedding_models(register: _RegisterEmbedding) -> None:
    """Register what makes vectors with the same checkpoints."""
    register(SlimEmbedding(_EMBEDDING_NAME), aliases=("chatglm-embed",))
    for name, model in checkpoints().items():
        register(SlimEmbedding(f"{_EMBEDDING_NAME}/{name}", model))
