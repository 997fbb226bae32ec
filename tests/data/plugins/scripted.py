"""A model that does what the question says: a JSON list of rounds, each a list of calls; then it repeats the results.

Without calls it says what it was given.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult


class Scripted(BaseChatModel):
    temperature: float = 0.5
    max_tokens: int | None = None

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        return self.bind(tools=[tool.name for tool in tools])

    def _stream(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, tools: Any = (), **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        asked = max(place for place, message in enumerate(messages) if message.type == "human")
        question = messages[asked].text
        rounds = json.loads(question) if question.startswith("[") and tools else []
        done = sum(message.type == "ai" for message in messages[asked:])
        if done < len(rounds):
            for number, (name, arguments) in enumerate(rounds[done]):
                given = arguments if isinstance(arguments, str) else json.dumps(arguments)
                call = {"name": name, "args": given, "id": f"{done}.{number}", "index": number}
                yield _chunk(tool_call_chunks=[call])
            return
        results = [f"{message.status}: {message.text}" for message in messages if message.type == "tool"]
        for text in results or [f"{len(messages)} messages, {self.temperature}, {self.max_tokens}, {stop}, {tools}"]:
            yield _chunk(f"<{text}>")
        usage = {"input_tokens": 11, "output_tokens": 7, "total_tokens": 18}
        yield _chunk(usage_metadata=usage, response_metadata={"finish_reason": "stop"})

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> ChatResult:
        text = "".join(str(chunk.text) for chunk in self._stream(messages, stop, run_manager, **kwargs))
        return ChatResult(generations=[ChatGeneration(message=AIMessage(text))])


def _chunk(text: str = "", **more: Any) -> ChatGenerationChunk:
    return ChatGenerationChunk(message=AIMessageChunk(text, **more))


make = Scripted
