"""What both ways of ``llm`` to log have in common: fragments, attachments, and values of any type made text."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import PurePath
from urllib.parse import urlsplit

from chatglm_slim_llm.storage.records import Attachment, Figures

FOLDER = "llm"


def text(value: object) -> str:
    """The value if it is a text; a column of SQLite may hold anything."""
    return value if isinstance(value, str) else ""


def count(value: object) -> int | None:
    """The value if it can be a number of tokens."""
    return value if isinstance(value, int) and 0 <= value < 2**53 else None


def figures(row: sqlite3.Row) -> Figures | None:
    """How the reply was made, as far as the row says it; a row of an older schema does not."""
    known = row.keys()
    written = count(row["output_tokens"]) if "output_tokens" in known else None
    read = count(row["input_tokens"]) if "input_tokens" in known else None
    duration_ms = count(row["duration_ms"]) if "duration_ms" in known else None
    if written is None and read is None:
        return None
    speed = written * 1000 / duration_ms if written and duration_ms else None
    return Figures(output_tokens=written, prompt_tokens=read, tokens_per_s=speed)


def attachment(row: sqlite3.Row) -> Attachment:
    """A file that was sent; only what is text can be kept."""
    media_type, content = text(row["type"]) or "application/octet-stream", row["content"]
    place = text(row["path"]) or urlsplit(text(row["url"])).path
    return Attachment(
        name=PurePath(place).name or text(row["id"])[:12] or "attachment",
        text=content.decode("utf-8", "replace") if isinstance(content, bytes) and media_type[:5] == "text/" else "",
        media_type=media_type,
    )


def fragments(rows: Iterable[sqlite3.Row]) -> tuple[Attachment, ...]:
    """Longer texts that went with a prompt."""
    return tuple(
        Attachment(name=PurePath(text(row["source"])).name or f"fragment {text(row['hash'])[:8]}", text=body)
        for row in rows
        if (body := text(row["content"]))
    )


def joined(texts: Sequence[str]) -> str:
    """Texts below one another, empty ones left out."""
    return "\n\n".join(part for part in texts if part.strip())
