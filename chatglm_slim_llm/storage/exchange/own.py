"""Our own JSON: whole conversations, so that what comes in is what went out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any, cast, get_args

from chatglm_slim_llm.storage.exchange.fields import Fields, is_number
from chatglm_slim_llm.storage.exchange.json_stream import MalformedError
from chatglm_slim_llm.storage.records import Attachment, ChatSettings, Figures, FinishReason, Role
from chatglm_slim_llm.storage.sources import Source
from chatglm_slim_llm.storage.tool_uses import ToolState, ToolUse
from chatglm_slim_llm.storage.whole import WholeConversation, WholeMessage

FORMAT = "chatglm-slim-conversations"
VERSION = 1


def pieces(conversations: Iterable[WholeConversation]) -> Iterator[str]:
    """The file's text, one conversation after the other."""
    yield f'{{"format": {json.dumps(FORMAT)}, "version": {VERSION}, "conversations": ['
    for number, conversation in enumerate(conversations):
        yield ",\n" if number else "\n"
        yield json.dumps(as_json(conversation), ensure_ascii=False, indent=1, allow_nan=False)
    yield "\n]}\n"


def as_json(conversation: WholeConversation) -> dict[str, Any]:
    """One conversation, as the file has it."""
    return {
        "uid": conversation.uid,
        "title": conversation.title,
        "created_at": _time_text(conversation.created_at),
        "updated_at": _time_text(conversation.updated_at),
        "folder": conversation.folder,
        "is_pinned": conversation.is_pinned,
        "archived_at": _time_text(conversation.archived_at),
        "deleted_at": _time_text(conversation.deleted_at),
        "settings": asdict(conversation.settings),
        "head": conversation.head,
        "messages": [
            {"id": place, **_message_json(message)} for place, message in enumerate(conversation.messages)
        ],
    }  # fmt: skip


def _message_json(message: WholeMessage) -> dict[str, Any]:
    return {
        "parent": message.parent,
        "role": message.role,
        "created_at": _time_text(message.created_at),
        "content": message.content,
        "finish_reason": message.finish_reason,
        "failure": message.failure,
        "figures": None if message.figures is None else asdict(message.figures),
        "attachments": [
            {**asdict(attachment), "path": None if attachment.path is None else str(attachment.path)}
            for attachment in message.attachments
        ],
        "sources": [asdict(source) for source in message.sources],
        "tool_uses": [asdict(use) for use in message.tool_uses],
        "original": message.original,
    }


def _time_text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def check_version(version: object) -> None:
    """Refuse a file of a later version.

    Raises:
        MalformedError: it is one, or the version is no number.
    """
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise MalformedError(f"has {version!r} for the version of its format")
    if version > VERSION:
        raise MalformedError(
            f"was written by a newer version of this program (format {version}, this one knows {VERSION});"
            " update chatglm-slim-llm"
        )


def conversation(entry: Fields) -> WholeConversation:
    """One conversation as the file has it.

    Raises:
        MalformedError: a value is missing or is not what it should be.
    """
    messages = tuple(_message(fields, place) for place, fields in enumerate(entry.list("messages")))
    head = entry.integer("head")
    if head is not None and not 0 <= head < len(messages):
        raise MalformedError(f"{entry.where}.head is {head}, but there is no such message")
    uid = entry.text("uid")
    if not uid:
        raise MalformedError(f"{entry.where}.uid is empty")
    return WholeConversation(
        uid=uid,
        title=entry.text("title"),
        created_at=entry.moment("created_at"),
        updated_at=entry.moment("updated_at"),
        messages=messages,
        head=head,
        folder=entry.text("folder", ""),
        is_pinned=entry.flag("is_pinned"),
        archived_at=entry.maybe_moment("archived_at"),
        deleted_at=entry.maybe_moment("deleted_at"),
        settings=_settings(entry.object("settings")),
    )


def _settings(fields: Fields | None) -> ChatSettings:
    if fields is None:
        return ChatSettings()
    parameters = fields.object("parameters")
    return ChatSettings(
        system=fields.text("system", ""),
        parameters={} if parameters is None else {key: _parameter(parameters, key) for key in parameters.values},
        knowledge_base=fields.text("knowledge_base", ""),
        tools=fields.texts("tools"),
    )


def _parameter(fields: Fields, key: str) -> float | int | str | list[str]:
    value = fields.values[key]
    if isinstance(value, str) or is_number(value):
        return cast("str | int | float", value)
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value
    raise MalformedError(f"{fields.where}.{key} is no number, text or list of texts")


def _message(fields: Fields, place: int) -> WholeMessage:
    parent = fields.integer("parent")
    if parent is not None and not 0 <= parent < place:
        raise MalformedError(f"{fields.where}.parent is {parent}, which is no message before it")
    role = cast(Role, fields.choice("role", get_args(Role)))
    reason = None
    if fields.maybe_text("finish_reason") is not None:
        reason = cast(FinishReason, fields.choice("finish_reason", get_args(FinishReason)))
    elif role == "assistant":
        reason = "interrupted"  # it was still growing when it was exported, and nobody writes it any more
    return WholeMessage(
        parent=parent,
        role=role,
        content=fields.text("content"),
        created_at=fields.moment("created_at"),
        finish_reason=reason,
        original=fields.maybe_text("original"),
        failure=fields.text("failure", ""),
        figures=_figures(fields.object("figures")),
        attachments=tuple(_attachment(each) for each in fields.list("attachments")),
        sources=_sources(fields),
        tool_uses=tuple(_tool_use(each) for each in fields.list("tool_uses")),
    )


def _figures(fields: Fields | None) -> Figures | None:
    if fields is None:
        return None
    return Figures(
        output_tokens=fields.integer("output_tokens"),
        tokens_per_s=fields.number("tokens_per_s"),
        first_token_s=fields.number("first_token_s"),
        prompt_tokens=fields.integer("prompt_tokens"),
        limit=fields.integer("limit"),
    )


def _attachment(fields: Fields) -> Attachment:
    path = fields.maybe_text("path")
    return Attachment(
        name=fields.text("name"),
        text=fields.text("text"),
        path=None if path is None else Path(path),
        media_type=fields.text("media_type", "text/plain"),
    )


def _sources(fields: Fields) -> tuple[Source, ...]:
    found = tuple(_source(each) for each in fields.list("sources"))
    if len({source.number for source in found}) < len(found):
        raise MalformedError(f"{fields.where}.sources has one number twice")
    return found


def _source(fields: Fields) -> Source:
    number = fields.integer("number")
    if number is None:
        raise MalformedError(f"{fields.where}.number is missing")
    return Source(
        number=number,
        passage_id=fields.text("passage_id"),
        source=fields.text("source"),
        text=fields.text("text"),
        heading=fields.text("heading", ""),
        page=fields.integer("page"),
        first_line=fields.integer("first_line"),
        last_line=fields.integer("last_line"),
        score=fields.number("score"),
    )


def _tool_use(fields: Fields) -> ToolUse:
    arguments = fields.object("arguments")
    return ToolUse(
        id=fields.text("id"),
        name=fields.text("name"),
        arguments={} if arguments is None else arguments.values,
        state=cast(ToolState, fields.choice("state", get_args(ToolState))),
        result=fields.text("result", ""),
    )
