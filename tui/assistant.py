"""The seam between the terminal and the model.

``LocalAssistant`` imports the model's package inside its methods, which run in the model's threads:
torch and LangChain take seconds, and the screen has been painted by then.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Protocol

from chatglm_slim_llm.config import LoadOptions
from chatglm_slim_llm.storage import FinishReason

Turn = tuple[Literal["human", "ai"], str]
Progress = Callable[[str, int, int], None]  # (what, done_bytes, total_bytes)


@dataclass(frozen=True)
class Piece:
    """A piece of a reply; the last one says why it ended."""

    text: str = ""
    finish_reason: FinishReason | None = None
    output_tokens: int | None = None
    tokens_per_s: float | None = None


class Assistant(Protocol):
    """What the terminal needs of a model. Every method may take long and runs outside the screen's thread."""

    def is_available(self) -> bool:
        """Whether the weights are on this machine."""
        ...

    def load(self, progress: Progress) -> None:
        """Make the model ready, downloading its weights if they are missing."""
        ...

    def stream(self, turns: Sequence[Turn]) -> Generator[Piece]:
        """Answer the last turn; closing the generator stops the work."""
        ...


class LocalAssistant:
    """ChatGLM-6B-Slim or the demo model, in this process."""

    def __init__(self, options: LoadOptions) -> None:
        self._options = options

    def is_available(self) -> bool:
        """Whether nothing has to be downloaded; a folder that is missing is for ``load`` to complain about."""
        from chatglm_slim_llm.checkpoint.pull import is_hub_id

        return bool(self._model.is_available()) or not is_hub_id(self._options.model)

    def load(self, progress: Progress) -> None:
        self._model.load(progress=progress)

    def stream(self, turns: Sequence[Turn]) -> Generator[Piece]:
        with closing(self._model.stream(list(turns))) as chunks:
            for chunk in chunks:
                yield _piece(chunk)

    @cached_property
    def _model(self) -> Any:
        from chatglm_slim_llm import ChatGLMSlim

        options = self._options
        return ChatGLMSlim(model=options.model, quantization=options.quantization, device=options.device)


def _piece(chunk: Any) -> Piece:
    about = chunk.response_metadata or {}
    usage = chunk.usage_metadata or {}
    return Piece(str(chunk.content), about.get("finish_reason"), usage.get("output_tokens"), about.get("tokens_per_s"))
