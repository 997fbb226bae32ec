"""The form that a reply must have: JSON of a schema, or calls of tools.

Only values; `engine/grammar/` makes a grammar of them, and needs the extra ``structured`` for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

CALL_START = '{"name": "'
"""How every call begins; a reply of words never does."""


@dataclass(frozen=True, eq=False)
class JsonFormat:
    """The whole reply is one JSON value of this schema."""

    schema: Mapping[str, Any]
    """``{}`` is any JSON object."""


@dataclass(frozen=True, eq=False)
class CallsFormat:
    """The reply is tool calls, one JSON object a line, or words."""

    tools: Mapping[str, Mapping[str, Any]]
    """Each tool's name, and the JSON schema of its arguments; ``{}`` takes none."""
    may_be_words: bool
    """False: the reply must be calls."""
    may_be_several: bool = True


Format = JsonFormat | CallsFormat
