"""Conversations as one HTML page that stands alone: no script, nothing fetched, nothing of theirs taken as HTML."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict

from chatglm_slim_llm.emphasis import read_chinese_emphasis
from chatglm_slim_llm.storage.exchange.html_style import STYLE, code_style, highlighted
from chatglm_slim_llm.storage.exchange.labels import (
    ENGLISH,
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

_HEAD = """<!doctype html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>
{style}
</style>
</head>
<body>
"""


def pieces(conversations: Iterator[WholeConversation]) -> Iterator[str]:
    """The page in pieces; its title is that of the first conversation."""
    markdown = _markdown()
    is_first = True
    for conversation in conversations:
        labels = labels_for(conversation)
        if is_first:
            yield _head(conversation.title, labels)
            is_first = False
        yield f'<main lang="{labels.language}">\n{_about(conversation, labels)}'
        for message in path_shown(conversation):
            yield _message(message, labels, markdown)
        yield "</main>\n"
    if is_first:
        yield _head("chatglm-slim", ENGLISH)
    yield "</body>\n</html>\n"


def _head(title: str, labels: Labels) -> str:
    return _HEAD.format(language=labels.language, title=_line(title), style=STYLE + code_style())


def _about(conversation: WholeConversation, labels: Labels) -> str:
    settings = conversation.settings
    facts = [(labels.created, local_time(conversation.created_at))]
    facts += [(labels.folder, conversation.folder)] if conversation.folder else []
    facts += [(labels.knowledge_base, settings.knowledge_base)] if settings.knowledge_base else []
    facts += [(labels.tools, ", ".join(settings.tools))] if settings.tools else []
    if settings.parameters:
        facts.append((labels.parameters, ", ".join(f"{key} = {value}" for key, value in settings.parameters.items())))
    line = " · ".join(f"{label}{labels.colon}{_line(value)}" for label, value in facts)
    system = ""
    if settings.system:
        system = f"<details><summary>{labels.system}</summary><p class=plain>{escape(settings.system)}</p></details>\n"
    return f"<header>\n<h1>{_line(conversation.title)}</h1>\n<p class=muted>{line}</p>\n{system}</header>\n"


def _message(message: WholeMessage, labels: Labels, markdown: MarkdownIt) -> str:
    parts = [f"<h2>{labels.roles[message.role]} <time>{local_time(message.created_at)}</time></h2>"]
    if message.attachments:
        names = " ".join(f"<code>{_line(attachment.name)}</code>" for attachment in message.attachments)
        parts.append(f"<p class=muted>{labels.attached}{labels.colon}{names}</p>")
    if message.tool_uses:
        parts.append(_tool_uses(message.tool_uses, labels))
    if message.role == "assistant":
        parts.append(str(markdown.render(message.content)).rstrip())
    else:  # people write text, not Markdown: line for line as they typed it
        parts.append(f"<p class=plain>{escape(message.content)}</p>")
    if reason := reason_of(message, labels):
        parts.append(f'<p class="muted reason">{_line(reason)}</p>')
    if message.sources:
        parts.append(_sources(message.sources, labels))
    return f"<section class={message.role}>\n" + "\n".join(parts) + "\n</section>\n"


def _tool_uses(uses: Sequence[ToolUse], labels: Labels) -> str:
    items = "\n".join(_tool_use(use, labels) for use in uses)
    return f"<div class=sources><h3>{labels.tools}</h3>\n{items}\n</div>"


def _tool_use(use: ToolUse, labels: Labels) -> str:
    state = f" · {said}" if (said := state_of(use, labels)) else ""
    return (
        f"<details><summary><code>{_line(call_of(use))}</code>{state}</summary>"
        f"<p class=plain>{escape(use.result.strip())}</p></details>"
    )


def _sources(sources: Sequence[Source], labels: Labels) -> str:
    items = "\n".join(_source(source, labels) for source in sources)
    return f"<div class=sources><h3>{labels.sources}</h3>\n{items}\n</div>"


def _source(source: Source, labels: Labels) -> str:
    heading = f" · {_line(source.heading)}" if source.heading else ""
    return (
        f"<details><summary>[{source.number}] {_line(place_of(source, labels))}{heading}</summary>"
        f"<p class=plain>{escape(source.text.strip())}</p></details>"
    )


def _line(text: str) -> str:
    return escape(" ".join(text.split()))


def _markdown() -> MarkdownIt:
    made = MarkdownIt("commonmark", {"html": False, "highlight": highlighted}).enable(["table", "strikethrough"])
    read_chinese_emphasis(made)
    made.add_render_rule("image", _image)
    made.add_render_rule("link_open", _link)
    return made


def _image(
    self: RendererHTML, tokens: Sequence[Token], place: int, options: OptionsDict, env: EnvType
) -> str:  # a picture would be fetched, and whoever wrote the answer would know who reads it
    token = tokens[place]
    address = str(token.attrs.get("src", ""))
    name = self.renderInlineAsText(token.children or [], options, env) or address
    return f'<a href="{escape(address)}" rel="noopener noreferrer">{escape(name)}</a>'


def _link(self: RendererHTML, tokens: Sequence[Token], place: int, options: OptionsDict, env: EnvType) -> Any:
    tokens[place].attrSet("rel", "noopener noreferrer")
    return self.renderToken(tokens, place, options, env)
