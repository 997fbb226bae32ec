"""Text as SQLite can hold it."""

from __future__ import annotations


def storable(text: str) -> str:
    """The text, but for a lone surrogate, which UTF-8 has no bytes for: it becomes U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
