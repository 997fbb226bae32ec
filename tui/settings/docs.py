"""What each setting means, in the words that stand under its field in the code."""

from __future__ import annotations

import ast
import inspect
from dataclasses import fields
from textwrap import dedent
from typing import Any

from tui.settings.values import KEYS, Settings

TITLES = {"interface": "Interface", "load": "Model", "sampling": "Sampling", "program": "Program", KEYS: "Keys"}
"""What each group is called."""


def explanations() -> dict[str, str]:
    """One text for each ``"group.name"``, in English."""
    return {
        f"{group.name}.{name}": text
        for group in fields(Settings)
        if group.name != KEYS
        for name, text in _docs(type(getattr(Settings(), group.name))).items()
    }


def label(key: str) -> str:
    """What a setting is called, in English."""
    return key.partition(".")[2].replace("_", " ").capitalize()


def _docs(kind: type[Any]) -> dict[str, str]:
    body = ast.parse(dedent(inspect.getsource(kind))).body[0]
    assert isinstance(body, ast.ClassDef)
    found = {}
    for field, after in zip(body.body, body.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(after, ast.Expr):
            text = ast.literal_eval(after.value)
            found[field.target.id] = " ".join(text.replace("``", "").split())
    return found
