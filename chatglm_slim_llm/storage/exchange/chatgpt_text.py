"""What a message of ChatGPT says: its parts as one text, its marks for sources as numbers, its files by name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from chatglm_slim_llm.storage.records import Attachment
from chatglm_slim_llm.storage.sources import Source

_MARK = re.compile("\ue200[^\ue201]*\ue201|【[^【】\n]{0,80}†[^【】\n]{0,200}】")
_MAX_ITEMS = 1000  # each is looked for in a text; a file made to do harm has millions
_STRAY = re.compile("[\ue200-\ue206]")
_WORDLESS = {
    "thoughts",
    "reasoning_recap",
    "model_editable_context",
    "user_editable_context",
    "tether_browsing_display",
}


def text_of(message: Mapping[str, Any]) -> tuple[str, tuple[Source, ...]]:
    """The words of a message, and what they cite."""
    content = _object(message.get("content"))
    kind = content.get("content_type")
    role = _object(message.get("author")).get("role")
    if kind in _WORDLESS:
        return "", ()
    if kind == "code":
        return _code(message, _text(content.get("text"))), ()
    if kind == "execution_output":
        return _fenced(_text(content.get("text"))), ()
    text = "\n\n".join(filter(None, map(_part, _parts(content)))) or _text(content.get("text"))
    if role == "tool":  # of text, only what it drew or ran is meant for people
        return "", ()
    return _with_numbers(text, _list(_object(message.get("metadata")).get("content_references")))


def attachments_of(message: Mapping[str, Any]) -> tuple[Attachment, ...]:
    """The files that were sent with it, by name: what was in them is not in the export."""
    listed = [_object(item) for item in _list(_object(message.get("metadata")).get("attachments"))]
    named = [(_text(item.get("name")), _text(item.get("mime_type")) or _text(item.get("mimeType"))) for item in listed]
    ids = [identity for item in listed if (identity := _text(item.get("id")))]
    for part in _parts(_object(message.get("content"))):
        pointer = _text(_object(part).get("asset_pointer"))
        if pointer and not any(identity in pointer for identity in ids):
            named.append((pointer.rpartition("/")[2], "image/*" if _kind(part) == "image_asset_pointer" else ""))
    return tuple(
        Attachment(name=name, text="", media_type=media_type or "application/octet-stream")
        for name, media_type in named
        if name
    )


def _parts(content: Mapping[str, Any]) -> Sequence[object]:
    return _list(content.get("parts"))


def _part(part: object) -> str:
    return part if isinstance(part, str) else _text(_object(part).get("text"))


def _kind(part: object) -> object:
    return _object(part).get("content_type")


def _code(message: Mapping[str, Any], text: str) -> str:
    """What ran in a sandbox; a request to a search engine or a picture maker is nothing to read."""
    recipient = message.get("recipient")
    return _fenced(text, "python") if recipient == "python" else _fenced(text) if recipient == "all" else ""


def _fenced(text: str, language: str = "") -> str:
    if not text.strip():
        return ""
    longest = max((len(run) for run in re.findall("`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def _with_numbers(text: str, references: Sequence[object]) -> tuple[str, tuple[Source, ...]]:
    """Marks that only ChatGPT understands become ``[1]`` where their web page is known, and go where it is not."""
    sources: dict[str, Source] = {}
    for reference in map(_object, references):
        mark = _text(reference.get("matched_text"))
        if not mark or not _MARK.fullmatch(mark):
            continue
        numbers = [_number(item, sources) for item in [reference, *_list(reference.get("items"))]]
        text = text.replace(mark, "".join(f"[{number}]" for number in dict.fromkeys(numbers) if number))
    return _STRAY.sub("", _MARK.sub("", text)), tuple(sources.values())


def _number(item: object, sources: dict[str, Source]) -> int | None:
    page = _object(item)
    url = _text(page.get("url"))
    if not url:
        return None
    if url not in sources:
        sources[url] = Source(
            number=len(sources) + 1,
            passage_id=url,
            source=url,
            text=_text(page.get("snippet")),
            heading=_text(page.get("title")),
        )
    return sources[url].number


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> Sequence[Any]:
    return value[:_MAX_ITEMS] if isinstance(value, list) else []


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
