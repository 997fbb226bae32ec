"""What is said below a reply: why it ended early, and how it was made."""

from __future__ import annotations

from chatglm_slim_llm.storage import Figures, FinishReason
from tui.language import tr


def ending(reason: FinishReason | None) -> str:
    """What is written below a reply that ended early."""
    if reason == "length":
        return tr("■ stopped at the length limit")
    if reason == "cancelled":
        return tr("■ stopped")
    if reason == "interrupted":
        return tr("■ interrupted: the program ended while this was written")
    return tr("■ ended by an error") if reason == "error" else ""


def figures_line(figures: Figures | None) -> str:
    """How a reply was made, in one line; empty where nobody counted."""
    if figures is None:
        return ""
    parts = []
    if figures.output_tokens is not None:
        parts.append(tokens(figures.output_tokens))
    if figures.tokens_per_s is not None:
        digits = 1 if figures.tokens_per_s < 100 else 0
        parts.append(tr("{rate} tokens/s", rate=f"{figures.tokens_per_s:.{digits}f}"))
    if figures.first_token_s is not None:
        digits = 1 if figures.first_token_s >= 0.1 else 2
        parts.append(tr("first after {seconds} s", seconds=f"{figures.first_token_s:.{digits}f}"))
    return " · ".join(parts)


def tokens(count: int) -> str:
    """So many tokens, in words."""
    return tr("1 token") if count == 1 else tr("{count} tokens", count=f"{count:,}")
