"""Seconds as people read them, in their language."""

from __future__ import annotations

from tui.language import tr


def time_text(seconds: float) -> str:
    """Such as ``42 s``, ``19 min`` or ``2 h 10 min``."""
    whole = max(round(seconds), 1)
    if whole < 60:
        return tr("{count} s", count=whole)
    minutes = round(seconds / 60)
    if minutes < 60:
        return tr("{count} min", count=minutes)
    return tr("{hours} h {minutes} min", hours=minutes // 60, minutes=minutes % 60)
