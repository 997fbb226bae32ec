"""Rows of the history file as frozen values, and back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, fields
from datetime import UTC, datetime
from pathlib import Path
from sqlite3 import Row
from typing import Any

from chatglm_slim_llm.storage.records import Attachment, ChatSettings, Conversation, Figures, Message
from chatglm_slim_llm.storage.text import storable

CONVERSATION = "id, title, created_at, updated_at, head_id, folder, is_pinned, archived_at, deleted_at, uid"
MESSAGE = "id, conversation_id, parent_id, role, content, created_at, finish_reason, original, failure, figures"
ATTACHMENT = "message_id, number, name, text, path, media_type"


def conversation_of(row: Row | Sequence[Any]) -> Conversation:
    """The conversation of a row with the columns ``CONVERSATION``."""
    row_id, title, created_at, updated_at, head_id, folder, is_pinned, archived_at, deleted_at, uid = row
    return Conversation(
        row_id,
        title,
        moment(created_at),
        moment(updated_at),
        head_id,
        folder,
        bool(is_pinned),
        None if archived_at is None else moment(archived_at),
        None if deleted_at is None else moment(deleted_at),
        uid,
    )


def message_of(row: Row | Sequence[Any]) -> Message:
    """The message of a row with the columns ``MESSAGE``."""
    row_id, conversation_id, parent_id, role, content, created_at, reason, original, failure, figures = row
    return Message(
        row_id,
        conversation_id,
        parent_id,
        role,
        content,
        moment(created_at),
        reason,
        original,
        failure,
        figures_of(figures),
    )


def attachment_of(row: Row) -> Attachment:
    """The attachment of a row with the columns ``ATTACHMENT``."""
    path = None if row["path"] is None else Path(row["path"])
    return Attachment(row["name"], row["text"], path, row["media_type"])


def attachment_columns(attachment: Attachment) -> tuple[str, str, str | None, str]:
    """Name, text, path and media type, as they are stored."""
    path = None if attachment.path is None else storable(str(attachment.path))
    return storable(attachment.name), storable(attachment.text), path, storable(attachment.media_type)


def figures_of(stored: str | None) -> Figures | None:
    """Figures from their JSON; what a later version may have added is left out."""
    if stored is None:
        return None
    known = {field.name for field in fields(Figures)}
    return Figures(**{name: value for name, value in _read(stored).items() if name in known})


def figures_text(figures: Figures | None) -> str | None:
    """Figures as JSON."""
    if figures is None:
        return None
    return json.dumps({name: value for name, value in asdict(figures).items() if value is not None})


def settings_of(stored: str) -> ChatSettings:
    """Settings from their JSON; those that are not there have their defaults."""
    found = _read(stored) if stored else {}
    return ChatSettings(
        found.get("system", ""),
        found.get("parameters", {}),
        found.get("knowledge_base", ""),
        tuple(found.get("tools", ())),
    )


def settings_text(settings: ChatSettings) -> str:
    """Settings as JSON; empty where nothing differs from the defaults."""
    if settings == ChatSettings():
        return ""
    return storable(json.dumps(asdict(settings), ensure_ascii=False))


def moment(seconds: float) -> datetime:
    """Seconds since 1970 as a date."""
    return datetime.fromtimestamp(seconds, UTC)


def _read(stored: str) -> dict[str, Any]:
    try:
        found = json.loads(stored)
    except ValueError:  # another program has changed it; what was said is worth more than how it was made
        return {}
    return found if isinstance(found, dict) else {}
