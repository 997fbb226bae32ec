"""What an answer needs of a model, whoever has made it."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool

from chatglm_slim_llm.errors import GenerationError
from chatglm_slim_llm.hosting.assistant import ContextUse, Request
from chatglm_slim_llm.storage import Figures, FinishReason

if TYPE_CHECKING:
    from chatglm_slim_llm.hosting.assistant import Turn


@dataclass(frozen=True)
class Said:
    """What the model said in one go."""

    message: AIMessage
    """With the calls of tools that it makes."""
    reason: FinishReason
    figures: Figures | None
    dropped_rounds: int = 0


class Model(Protocol):
    """A model that is loaded."""

    quantization: str
    device: str
    context: int
    """Tokens that prompt and reply may fill together."""

    def check(self, request: Request) -> None:
        """Refuse parameters that cannot be used.

        Raises:
            ConfigError: there is one.
        """
        ...

    def limit(self, request: Request) -> int:
        """Tokens that prompt and reply may fill together in this request."""
        ...

    def count(self, request: Request, tools: Sequence[BaseTool]) -> ContextUse:
        """What the request would fill."""
        ...

    def count_tokens(self, text: str) -> int:
        """Tokens of a text by itself."""
        ...

    def fitted(self, request: Request, tools: Sequence[BaseTool]) -> tuple[Request, int]:
        """The request without the rounds that nobody else leaves out, and how many these are."""
        ...

    def complaint(self, tool: BaseTool) -> str:
        """Why this model cannot use a tool; empty if it can."""
        ...

    def stream(
        self, messages: Sequence[BaseMessage], request: Request, tools: Sequence[BaseTool], *, may_call: bool = True
    ) -> Generator[str, None, Said]:
        """Answer in pieces, empty ones where it is silent; closing the generator stops it.

        Args:
            messages: all that the model is to read.
            request: has the parameters.
            tools: that it is told of.
            may_call: whether it may call them.
        """
        ...

    def for_documents(self, request: Request) -> Runnable[Any, Any]:
        """The model as a chain over documents uses it; what documents say is not a matter of chance."""
        ...

    def said(self, request: Request, message: AIMessage | None) -> Said | None:
        """What a message says of its end, if it is one's last."""
        ...


def messages_of(request: Request) -> list[BaseMessage]:
    """The request as LangChain's messages.

    Raises:
        GenerationError: there is no question.
    """
    if not request.turns:
        raise GenerationError("there is no question to answer")
    system: list[BaseMessage] = [SystemMessage(request.system)] if request.system.strip() else []
    return [*system, *map(message_of, request.turns)]


def message_of(turn: Turn) -> BaseMessage:
    """A turn as LangChain's message."""
    return HumanMessage(turn.text) if turn.role == "human" else AIMessage(turn.text)


def parameters_of(request: Request) -> dict[str, Any]:
    """The parameters as keywords of one call; a single stop text is one, not its letters."""
    call: dict[str, Any] = dict(request.parameters)
    if isinstance(call.get("stop"), str):
        call["stop"] = [call["stop"]]
    elif call.get("stop") is not None:
        call["stop"] = list(call["stop"])
    return call
