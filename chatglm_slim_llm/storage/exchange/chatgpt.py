"""Conversations as ChatGPT's "Export data" gives them: a mapping of nodes, with all the branches there were.

The format is described by nobody but its readers and changes without notice, so what is missing or of another type
is left out; only the mapping must be there. Left out as well is what nobody saw: hidden messages, what the model
thought and what it asked of tools. Code that ran, and what it printed, is part of the answer.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast

from chatglm_slim_llm.storage.conversations import title_of
from chatglm_slim_llm.storage.exchange.chatgpt_text import attachments_of, text_of
from chatglm_slim_llm.storage.exchange.fields import moment_of
from chatglm_slim_llm.storage.exchange.json_stream import MalformedError
from chatglm_slim_llm.storage.exchange.tree import Node, planted
from chatglm_slim_llm.storage.records import ChatSettings, FinishReason, Role
from chatglm_slim_llm.storage.whole import WholeConversation, WholeMessage

FOLDER = "ChatGPT"

_NEVER = datetime(1970, 1, 1, tzinfo=UTC)
_REASONS: dict[str, FinishReason] = {"max_tokens": "length", "length": "length", "interrupted": "cancelled"}


def conversation(entry: Mapping[str, Any], where: str) -> WholeConversation | None:
    """One conversation of the export; ``None`` if nothing was ever said in it.

    Raises:
        MalformedError: its messages are no tree.
    """
    mapping = entry.get("mapping")
    if not isinstance(mapping, dict):
        raise MalformedError(f"{where}.mapping is no object")
    created_at = moment_of(entry.get("create_time")) or _first_moment(mapping) or _NEVER
    nodes = [_node(key, value, created_at) for key, value in mapping.items()]
    shown = entry.get("current_node")
    tree = planted(nodes, shown if isinstance(shown, str) else None)
    if not tree.messages:
        return None
    updated_at = moment_of(entry.get("update_time")) or max(message.created_at for message in tree.messages)
    return WholeConversation(
        uid=f"chatgpt:{_id(entry)}",
        title=_title(entry, tree.messages[0]),
        created_at=created_at,
        updated_at=updated_at,
        messages=tree.messages,
        head=tree.head,
        folder=FOLDER,
        is_pinned=entry.get("is_starred") is True,
        archived_at=updated_at if entry.get("is_archived") is True else None,
        settings=ChatSettings(system=_system(mapping)),
    )


def _id(entry: Mapping[str, Any]) -> str:
    for key in ("conversation_id", "id"):
        if isinstance(value := entry.get(key), str) and value:
            return value
    return hashlib.sha256(json.dumps(entry, sort_keys=True).encode("utf-8", "surrogatepass")).hexdigest()


def _title(entry: Mapping[str, Any], first: WholeMessage) -> str:
    title = entry.get("title")
    return title_of(title if isinstance(title, str) and title.strip() else first.content)


def _first_moment(mapping: Mapping[str, Any]) -> datetime | None:
    moments = (moment_of(_object(_object(node).get("message")).get("create_time")) for node in mapping.values())
    return min((moment for moment in moments if moment is not None), default=None)


def _node(key: str, value: object, created_at: datetime) -> Node:
    node = _object(value)
    parent = node.get("parent")
    return Node(key, parent if isinstance(parent, str) else None, _message(_object(node.get("message")), created_at))


def _message(message: Mapping[str, Any], created_at: datetime) -> WholeMessage | None:
    role = _role(message)
    if role is None or role == "system" or _is_hidden(message):
        return None
    text, sources = text_of(message)
    attachments = attachments_of(message) if role == "user" else ()
    if not text and not attachments:
        return None
    return WholeMessage(
        parent=None,
        role=role,
        content=text,
        created_at=moment_of(message.get("create_time")) or created_at,
        finish_reason=_reason(message) if role == "assistant" else None,
        attachments=attachments,
        sources=sources,
    )


def _role(message: Mapping[str, Any]) -> Role | None:
    """Who speaks; what a tool shows belongs to the answer that it serves."""
    role = _object(message.get("author")).get("role")
    if role == "tool":
        return "assistant"
    return cast(Role, role) if role in ("user", "assistant", "system") else None


def _is_hidden(message: Mapping[str, Any]) -> bool:
    return _object(message.get("metadata")).get("is_visually_hidden_from_conversation") is True


def _reason(message: Mapping[str, Any]) -> FinishReason:
    if message.get("status") == "in_progress":
        return "interrupted"
    kind = _object(_object(message.get("metadata")).get("finish_details")).get("type")
    return _REASONS.get(kind, "stop") if isinstance(kind, str) else "stop"


def _system(mapping: Mapping[str, Any]) -> str:
    """The first instruction that people could see."""
    for node in mapping.values():
        message = _object(_object(node).get("message"))
        if _role(message) == "system" and not _is_hidden(message) and (text := text_of(message)[0]):
            return text
    return ""


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
