"""LangChain's own tests for embeddings, with the demo model."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_tests.integration_tests import EmbeddingsIntegrationTests
from langchain_tests.unit_tests import EmbeddingsUnitTests

from chatglm_slim_llm import ChatGLMSlimEmbeddings

pytestmark = pytest.mark.usefixtures("one_thread")


class TestUnit(EmbeddingsUnitTests):
    @property
    def embeddings_class(self) -> type[ChatGLMSlimEmbeddings]:
        return ChatGLMSlimEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return {"model": "demo"}

    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
        environ = {"CHATGLM_SLIM_MODEL": "owner/name", "CHATGLM_SLIM_QUANTIZATION": "int8"}
        return environ, {}, {"model": "owner/name", "quantization": "int8"}


class TestIntegration(EmbeddingsIntegrationTests):
    @property
    def embeddings_class(self) -> type[ChatGLMSlimEmbeddings]:
        return ChatGLMSlimEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return {"model": "demo", "device": "cpu"}
