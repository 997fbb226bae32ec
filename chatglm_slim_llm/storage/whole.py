"""A conversation as one value, with all its branches: what is exported, and what an import adds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from chatglm_slim_llm.storage.records import Attachment, ChatSettings, Figures, FinishReason, Role
from chatglm_slim_llm.storage.sources import Source
from chatglm_slim_llm.storage.tool_uses import ToolUse


@dataclass(frozen=True)
class WholeMessage:
    """One message with all that belongs to it; the fields mean what they mean in ``Message``."""

    parent: int | None
    """Where the message that this one follows stands in ``WholeConversation.messages``: before this one."""
    role: Role
    content: str
    created_at: datetime
    finish_reason: FinishReason | None = None
    original: str | None = None
    failure: str = ""
    figures: Figures | None = None
    attachments: tuple[Attachment, ...] = ()
    sources: tuple[Source, ...] = ()
    tool_uses: tuple[ToolUse, ...] = ()


@dataclass(frozen=True)
class WholeConversation:
    """One conversation with its tree of messages, in order of their creation."""

    uid: str
    """The same in every history file that has a copy; a file never holds two with one ``uid``."""
    title: str
    created_at: datetime
    updated_at: datetime
    messages: Sequence[WholeMessage] = ()
    head: int | None = None
    """Where the last message of the path that is shown stands in ``messages``."""
    folder: str = ""
    is_pinned: bool = False
    archived_at: datetime | None = None
    deleted_at: datetime | None = None
    settings: ChatSettings = field(default_factory=ChatSettings)
