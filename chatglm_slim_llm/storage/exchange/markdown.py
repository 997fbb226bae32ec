"""A conversation as Markdown: what was said stands as it was said, only what is around it is ours."""

from __future__ import annotations

import re
from collections.abc import Iterator

from chatglm_slim_llm.storage.exchange.labels import (
    Labels,
    call_of,
    labels_for,
    local_time,
    path_shown,
    place_of,
    reason_of,
    state_of,
)
from chatglm_slim_llm.storage.sources import Source
from chatglm_slim_llm.storage.tool_uses import ToolUse
from chatglm_slim_llm.storage.whole import WholeConversation, WholeMessage

_SPECIAL = re.compile(r"([\\`*_\[\]<>#|~])")
_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})(.*)$")


def pieces(conversation: WholeConversation) -> Iterator[str]:
    """The text in pieces: the title with what is known of the conversation, then message after message."""
    labels = labels_for(conversation)
    yield f"# {_escaped(conversation.title)}\n\n{_about(conversation, labels)}"
    for message in path_shown(conversation):
        yield "\n" + _message(message, labels)


def _about(conversation: WholeConversation, labels: Labels) -> str:
    settings = conversation.settings
    lines = [f"{labels.created}{labels.colon}{local_time(conversation.created_at)}"]
    if conversation.folder:
        lines.append(f"{labels.folder}{labels.colon}{_escaped(conversation.folder)}")
    if settings.knowledge_base:
        lines.append(f"{labels.knowledge_base}{labels.colon}{_escaped(settings.knowledge_base)}")
    if settings.tools:
        lines.append(f"{labels.tools}{labels.colon}{', '.join(map(_code, settings.tools))}")
    if settings.parameters:
        given = ", ".join(f"{key} = {value}" for key, value in settings.parameters.items())
        lines.append(f"{labels.parameters}{labels.colon}{_code(given)}")
    text = "".join(f"- {line}\n" for line in lines)
    if settings.system:
        text += f"- {labels.system}{labels.colon.rstrip()}\n\n{_quoted(settings.system, '  ')}"
    return text


def _message(message: WholeMessage, labels: Labels) -> str:
    parts = [f"## {labels.roles[message.role]} · {local_time(message.created_at)}"]
    if message.attachments:
        names = ", ".join(_code(attachment.name) for attachment in message.attachments)
        parts.append(f"{labels.attached}{labels.colon}{names}")
    if message.tool_uses:
        uses = "\n".join(_tool_use(use, labels) for use in message.tool_uses)
        parts.append(f"**{labels.tools}**\n\n{uses}".rstrip("\n"))
    if message.content:
        parts.append(_closed(message.content.rstrip("\r\n")))
    if reason := reason_of(message, labels):
        parts.append(f"*({_escaped(reason)})*")
    if message.sources:
        sources = "\n".join(_source(source, labels) for source in message.sources)
        parts.append(f"**{labels.sources}**\n\n{sources}".rstrip("\n"))
    return "\n\n".join(parts) + "\n"


def _tool_use(use: ToolUse, labels: Labels) -> str:
    text = f"- {_code(call_of(use))}"
    if state := state_of(use, labels):
        text += f" · {state}"
    return f"{text}\n\n{_quoted(use.result, '  ')}" if use.result.strip() else f"{text}\n"


def _source(source: Source, labels: Labels) -> str:
    text = f"- \\[{source.number}\\] {_code(place_of(source, labels))}"
    if source.heading:
        text += f" · {_escaped(source.heading)}"
    return f"{text}\n\n{_quoted(source.text, '  ')}" if source.text.strip() else f"{text}\n"


def _quoted(text: str, indent: str) -> str:
    return "".join(f"{indent}> {line}".rstrip() + "\n" for line in _closed(text.strip()).splitlines())


def _escaped(text: str) -> str:
    """Text on one line whose signs mean nothing."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def _code(text: str) -> str:
    """Text as it is, on one line."""
    text = " ".join(text.split())
    fence = "`" * (max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def _closed(text: str) -> str:
    """An answer that was stopped inside a code block would make code of all that follows: end the block."""
    fence = ""
    for line in text.splitlines():
        found = _FENCE.match(line)
        if found is None:
            continue
        marks, rest = found.groups()
        if not fence:
            fence = marks if "`" not in rest or marks[0] == "~" else ""
        elif marks[0] == fence[0] and len(marks) >= len(fence) and not rest.strip():
            fence = ""
    return f"{text}\n{fence}" if fence else text
