"""What a conversation tells besides ``tui/messages.py``."""

from __future__ import annotations

from dataclasses import dataclass

from textual.message import Message


@dataclass
class LinkChosen(Message):
    """A link was clicked; its address begins with http:, https: or mailto:."""

    url: str
