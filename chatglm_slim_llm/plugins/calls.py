"""What a slash command is given, and what it may give back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Turn:
    """One turn of a conversation, as the model is to read it."""

    role: Literal["human", "ai"]
    text: str


@dataclass(frozen=True)
class CommandCall:
    """A slash command that a person gave."""

    text: str
    """What stands behind the command's name, without spaces around it."""
    turns: tuple[Turn, ...] = ()
    """The conversation on the screen, oldest turn first."""


@dataclass(frozen=True)
class Ask:
    """Send this text to the model, as if the person had typed it."""

    text: str


@dataclass(frozen=True)
class Insert:
    """Put this text into the prompt, for the person to go on with."""

    text: str
