"""LangChain's tables of providers and of classes that may be loaded, put back after a test that registers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

import pytest

from chatglm_slim_llm import registration

CHAT, EMBEDDINGS, LOAD = map(
    import_module, ("langchain.chat_models.base", "langchain.embeddings.base", "langchain_core.load.load")
)


@contextmanager
def tables_put_back() -> Iterator[None]:
    """The tables are copies inside, so nothing that is added stays."""
    with pytest.MonkeyPatch.context() as patch:
        for module, name in ((CHAT, "_BUILTIN_PROVIDERS"), (EMBEDDINGS, "_BUILTIN_PROVIDERS")):
            patch.setattr(module, name, dict(getattr(module, name)))
        patch.setattr(LOAD, "DEFAULT_NAMESPACES", list(LOAD.DEFAULT_NAMESPACES))
        for name in ("ALL_SERIALIZABLE_MAPPINGS", "_default_class_paths_cache"):
            patch.setattr(LOAD, name, dict(getattr(LOAD, name)))
        yield
        CHAT._get_chat_model_creator.cache_clear()
        EMBEDDINGS._get_embeddings_class_creator.cache_clear()
        registration._kept.clear()
