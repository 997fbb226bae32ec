"""A model that says what it hears. Any chat model of LangChain can stand in its place."""

import re
from collections.abc import Iterator
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

CHATGLM_SLIM_API = 1


class Parrot(BaseChatModel):
    """Repeats the last message, word by word."""

    times: int = 1

    @property
    def _llm_type(self) -> str:
        return "parrot"

    def _reply(self, messages: list[BaseMessage]) -> str:
        return " ".join([str(messages[-1].text)] * self.times)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=AIMessage(self._reply(messages)))])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        for word in re.split(r"(?= )", self._reply(messages)):  # a word brings the space before it along
            yield ChatGenerationChunk(message=AIMessageChunk(word))


def parrot(times: int = 1) -> BaseChatModel:
    """The model; ``times`` is an option that plugins.toml may set."""
    return Parrot(times=times)
