"""LangChain's own test suites for chat models, on the bundled demo checkpoint and the real engine.

Nothing is mocked and no test is overridden; only what the model cannot take (images, sound, PDF) is declared.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests

from chatglm_slim_llm import ChatGLMSlim
from tests.langchain_tables import tables_put_back

pytestmark = [
    pytest.mark.filterwarnings("ignore:The function `load` is in beta"),
    pytest.mark.filterwarnings("ignore:Benchmark fixture was not used"),  # the suite's own way without a recording
]

OTHER_MODEL = str(Path(__file__).parents[1] / "data" / "reference" / "tiny_v11")


class Declared:
    """What is true of every ChatGLMSlim."""

    @pytest.fixture(autouse=True)
    def registered(self) -> Iterator[None]:
        with tables_put_back():
            ChatGLMSlim.register()
            yield

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatGLMSlim

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": "demo", "device": "cpu", "temperature": 0}

    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
        variables = {
            "CHATGLM_SLIM_MODEL": OTHER_MODEL,
            "CHATGLM_SLIM_QUANTIZATION": "int8",
            "CHATGLM_SLIM_DEVICE": "cpu",
        }
        return variables, {}, {"model": OTHER_MODEL, "quantization": "int8", "device": "cpu"}

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def supports_anthropic_inputs(self) -> bool:
        return True

    @property
    def supports_model_override(self) -> bool:
        return True

    @property
    def model_override_value(self) -> str:
        return OTHER_MODEL

    @property
    def enable_vcr_tests(self) -> bool:
        return True  # there is no network to record, so the test runs for real


class TestUnit(Declared, ChatModelUnitTests):
    pass


@pytest.mark.usefixtures("one_thread")
class TestIntegration(Declared, ChatModelIntegrationTests):
    pass
