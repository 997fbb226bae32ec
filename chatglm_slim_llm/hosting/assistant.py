"""What a terminal asks of a model, wherever that runs."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from chatglm_slim_llm.plugins import Turn as Turn  # a command is given the same
from chatglm_slim_llm.storage import Figures, FinishReason, Source
from chatglm_slim_llm.storage import ToolUse as ToolUse  # with a request and its pieces, for who asks

Progress = Callable[[str, int, int], None]
"""Called with what is being done, the bytes that are done, and all bytes (0 where unknown)."""


@dataclass(frozen=True)
class Request:
    """A question with all that the answer depends on."""

    turns: Sequence[Turn]
    """Rounds that were answered, then the question."""
    system: str = ""
    parameters: Mapping[str, object] = field(default_factory=dict)
    """Fields of ``GenerationOptions`` by name; those that are missing keep their defaults."""
    knowledge_base: str = ""
    """Answer from the passages of this knowledge base, always with temperature 0; empty for none. The model reads the
    passages and the question; the rounds before only tell what a follow-up is about."""
    tools: tuple[str, ...] = ()
    """Names of the tool plugins that the model may use on the way to its answer; none with a knowledge base."""


@dataclass(frozen=True)
class Piece:
    """A piece of a reply; the last one says why it ended."""

    text: str = ""
    finish_reason: FinishReason | None = None
    figures: Figures | None = None
    sources: tuple[Source, ...] = ()
    """What the reply rests on; on the last piece."""
    dropped_rounds: int = 0
    """How many of the oldest rounds did not fit before the model; on the last piece."""
    tool: ToolUse | None = None
    """A step of a tool's use: it is asked about, it runs, it has ended. The text is empty then."""
    notice: str = ""
    """What the answer goes on without, such as a plugin that failed: which one and why. The text is empty then."""


@dataclass(frozen=True)
class ContextUse:
    """How much of the context a request would fill."""

    tokens: int
    limit: int
    """Tokens that prompt and reply may fill together."""
    dropped_rounds: int = 0
    """How many of the oldest rounds would not fit."""
    question_tokens: int = 0
    """Tokens of the last turn by itself: of what is being typed."""


@dataclass(frozen=True)
class ModelFacts:
    """The model that is loaded."""

    name: str
    quantization: str
    """The level that the weights really have, which may not be the one asked for."""
    device: str
    context: int
    """Tokens that prompt and reply may fill together."""
    memory_before_bytes: int = 0
    """What the model's process held before loading."""
    memory_bytes: int = 0
    """What it holds now."""


class Assistant(Protocol):
    """What the terminal needs of a model. Every method may take long and runs outside the screen's thread."""

    def is_available(self) -> bool:
        """Whether the weights are on this machine."""
        ...

    def is_loaded(self) -> bool:
        """Whether the next reply starts at once; never waits. False again if the model's process has ended."""
        ...

    def load(self, progress: Progress) -> ModelFacts:
        """Make the model ready, downloading its weights if they are missing; what ``progress`` raises cancels it."""
        ...

    def count(self, request: Request) -> ContextUse:
        """How much of the context this would fill; the model is loaded."""
        ...

    def stream(self, request: Request) -> Generator[Piece]:
        """Answer the last turn; closing the generator stops the work."""
        ...

    def permit(self, use_id: str, allowed: bool) -> None:
        """Whether a tool that ``asked`` may be used; the stream waits for it. Of a use that does not ask, nothing."""
        ...

    def close(self) -> None:
        """Let go of the model and all its memory; ``load`` brings it back."""
        ...
