"""A setting's value as it is typed into a field, and back."""

from __future__ import annotations

import json
import re
import types
from typing import Any, Union, get_args, get_origin

from tui.settings.values import hints

_TEXTS = re.compile(r'\s*("(?:[^"\\]|\\.)*"(?=\s*(?:[,，]|$))|[^,，]+)')
"""Each text of a list: in quotes, as JSON writes it, or up to the next comma."""


def shown(value: object) -> str:
    """As it stands in a field; nothing for ``None``, texts of a list in quotes."""
    if value is None:
        return ""
    if isinstance(value, tuple):
        return json.dumps(value, ensure_ascii=False)[1:-1]
    return str(value)


def parsed(key: str, text: str) -> object:
    """The value that was typed; a text that does not fit its type stays a text, for the check to tell."""
    hint = hints()[key]
    kinds = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    text = text.strip()
    if type(None) in kinds and not text:
        return None
    for kind in kinds:
        if get_origin(kind) is tuple:
            return _list(text)
        if kind in (int, float):
            return _number(kind, text)
    return text


def _number(kind: type[Any], text: str) -> object:
    try:
        return kind(text)
    except ValueError:
        return text


def _list(text: str) -> tuple[str, ...]:
    """Texts between commas, of which a Chinese keyboard gives another; those in quotes may hold some."""
    return tuple(filter(None, (_unquoted(found[1].strip()) for found in _TEXTS.finditer(text))))


def _unquoted(text: str) -> str:
    try:
        return str(json.loads(text)) if text.startswith('"') else text
    except ValueError:
        return text
