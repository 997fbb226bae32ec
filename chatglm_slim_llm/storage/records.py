"""What the history file holds, as frozen values."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal

Role = Literal["user", "assistant", "system"]
FinishReason = Literal["stop", "length", "cancelled", "error", "interrupted"]
"""Why a reply ended; ``interrupted`` where the process that wrote it died."""

Shelf = Literal["shown", "archived", "trash"]
"""Where a conversation lies."""


@dataclass(frozen=True)
class Conversation:
    """One conversation, without its messages."""

    id: int
    title: str
    created_at: datetime
    updated_at: datetime
    """When a message was last added."""
    head_id: int | None
    """The last message of the path that is shown."""
    folder: str = ""
    """The folder it is kept in; empty for none."""
    is_pinned: bool = False
    archived_at: datetime | None = None
    deleted_at: datetime | None = None
    """When it was moved to the trash."""
    uid: str = ""
    """The same in every history file that has a copy."""


@dataclass(frozen=True)
class Figures:
    """How a reply was made."""

    output_tokens: int | None = None
    tokens_per_s: float | None = None
    first_token_s: float | None = None
    """Seconds from the request to the first token."""
    prompt_tokens: int | None = None
    limit: int | None = None
    """Tokens that prompt and reply may fill together."""


@dataclass(frozen=True)
class Message:
    """One message of a conversation."""

    id: int
    conversation_id: int
    parent_id: int | None
    """The message that this one follows; ``None`` for the first."""
    role: Role
    content: str
    created_at: datetime
    finish_reason: FinishReason | None
    """Why a reply ended; ``None`` while it grows, and for what people wrote."""
    original: str | None = None
    """The message as its writer had it, where ``content`` is not all of it."""
    failure: str = ""
    """What went wrong, in a sentence, where ``finish_reason`` is ``error``."""
    figures: Figures | None = None

    @property
    def is_shown(self) -> bool:
        """Whether there is something to read: a tool's call or result has no text of its own."""
        return bool(self.content) or self.original is None


@dataclass(frozen=True)
class Draft:
    """A message to be added; the fields mean what they mean in ``Message``."""

    role: Role
    content: str
    finish_reason: FinishReason | None = None
    original: str | None = None


@dataclass(frozen=True)
class Attachment:
    """A file that was sent with a message, as the text that was read from it."""

    name: str
    text: str
    path: Path | None = None
    """Where it was read from; it may be gone."""
    media_type: str = "text/plain"


@dataclass(frozen=True)
class ChatSettings:
    """What one conversation has of its own."""

    system: str = ""
    """The system prompt; empty for none."""
    parameters: dict[str, float | int | str | list[str]] = field(default_factory=dict)
    """Fields of ``GenerationOptions`` that differ from the program's settings, by name."""
    knowledge_base: str = ""
    """The knowledge base that answers rest on; empty for none."""
    tools: tuple[str, ...] = ()
    """Names of the tool plugins that the model may use."""


@dataclass(frozen=True)
class Hit:
    """A conversation that holds what was searched for."""

    conversation: Conversation
    message_id: int | None
    """The message where it was found; ``None`` if it is in the title alone."""
    excerpt: str
    """One line of the text around the first place that was found."""
    marks: tuple[tuple[int, int], ...] = ()
    """Where the words stand in ``excerpt``: start and end, in characters."""
