"""LangChain's standard tests on ChatHuggingFace over a local pipeline; run by `standard`.

What it cannot do is not declared away: a skipped test would count as one that has not passed all the same.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_huggingface import ChatHuggingFace
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests

from benchmarks.langchain_peers.contenders import huggingface

_MODEL: Any = huggingface(Path(os.environ["PEER_CHECKPOINT"]), many=0).make(temperature=0, max_tokens=64)


class Declared:
    """What is true of every ChatHuggingFace over a pipeline."""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatHuggingFace

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"llm": _MODEL.llm, "tokenizer": _MODEL.tokenizer}

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def supports_anthropic_inputs(self) -> bool:
        return True

    @property
    def enable_vcr_tests(self) -> bool:
        return True


class TestUnit(Declared, ChatModelUnitTests):
    pass


class TestIntegration(Declared, ChatModelIntegrationTests):
    pass
