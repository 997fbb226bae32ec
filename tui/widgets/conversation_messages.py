"""What a conversation tells besides ``tui/messages.py``."""

from __future__ import annotations

from dataclasses import dataclass

from textual.message import Message


@dataclass
class LinkChosen(Message):
    """A link was clicked; its address begins with http:, https: or mailto:."""

    url: str


@dataclass
class CopyAsked(Message):
    """A block of code is to be copied."""

    text: str
    number: int
    """Which of the message's blocks it is, from 1."""
    count: int
    message_id: int


@dataclass
class FindAsked(Message):
    """Someone wants to find words in this conversation."""


@dataclass
class FoundChanged(Message):
    """How many hits there are, and which was gone to last."""

    position: int
    """From 1; 0 for none."""
    count: int
