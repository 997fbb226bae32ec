"""The words on the screen, in English or in Chinese.

English text is the key, so code reads as the screen does. Chinese is in ``zh_*.py``, one file an area, and is only
imported where it is wanted.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules
from typing import Literal

Language = Literal["en", "zh"]

_words: dict[str, str] = {}


def use(language: Language) -> None:
    """Show everything that is painted from now on in this language."""
    _words.clear()
    if language == "zh":
        for module in iter_modules(__path__):
            _words.update(import_module(f"{__name__}.{module.name}").WORDS)


def in_use() -> Language:
    """The language that is spoken now."""
    return "zh" if _words else "en"


def tr(text: str, /, **fields: object) -> str:
    """``text`` in the language in use, with its ``{fields}`` filled; English where no translation is known."""
    translated = _words.get(text, text)
    return translated.format(**fields) if fields else translated


def of_environment(environ: Mapping[str, str] = os.environ) -> Language:
    """The language that the user's locale asks for."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        if value := environ.get(name):
            return "zh" if value.lower().startswith("zh") else "en"
    return "en"
