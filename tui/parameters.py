"""The fields of ``GenerationOptions`` as people fill them in: what is said about each, text to value and back."""

from __future__ import annotations

import ast
import inspect
import re
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any, get_args, get_type_hints

from chatglm_slim_llm.config import GenerationOptions
from chatglm_slim_llm.errors import ConfigError
from tui.language import tr

Value = float | int | str | list[str]

_ESCAPES = {r"\n": "\n", r"\t": "\t", r"\\": "\\"}


@dataclass(frozen=True)
class Parameter:
    """One field."""

    name: str
    kind: type
    """``float`` or ``int``; ``str`` where it holds many of them."""
    is_list: bool
    help: str
    """The field's own docstring, and how several are written."""

    @property
    def label(self) -> str:
        """What the field is called on the screen."""
        words = self.name.replace("_", " ").capitalize()
        return f"{words} strings" if self.is_list else words


def field_docs(cls: type) -> dict[str, str]:
    """The string below each field in the source of a dataclass, on one line; nothing where there is no source."""
    try:
        tree = ast.parse(inspect.getsource(cls))
    except (OSError, SyntaxError):
        return {}
    docs: dict[str, str] = {}
    body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
    for field, below in pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            text = below.value.value if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) else ""
            docs[field.target.id] = " ".join(str(text).replace("``", "").split())
    return docs


def _parameters() -> tuple[Parameter, ...]:
    hints, docs = get_type_hints(GenerationOptions), field_docs(GenerationOptions)
    return tuple(
        _parameter(field.name, hints[field.name], docs.get(field.name, "")) for field in fields(GenerationOptions)
    )


def _parameter(name: str, hint: Any, help: str) -> Parameter:
    kinds = [kind for kind in (get_args(hint) or (hint,)) if kind in (float, int, str)]
    is_list = kinds[0] is str
    return Parameter(name, kinds[0], is_list=is_list, help=f"{help} One a line." if is_list else help)


PARAMETERS = _parameters()


def parse(parameter: Parameter, typed: str) -> Value | None:
    r"""What was typed, as the field's value; ``None`` where nothing was. ``\n`` in a list is a line break.

    Raises:
        ConfigError: it is no number.
    """
    if parameter.is_list:
        return [_unescaped(line) for line in typed.split("\n") if line] or None
    if not (text := typed.strip()):
        return None
    try:
        return parameter.kind(text)  # type: ignore[no-any-return]
    except ValueError:
        wanted = tr("a whole number") if parameter.kind is int else tr("a number")
        raise ConfigError(tr("'{typed}' is not {wanted}", typed=text, wanted=wanted), key=parameter.name) from None


def refusal(error: ConfigError) -> str:
    """What is wanted instead, without what was typed, which stands there already."""
    said, found, wanted = str(error).rpartition("; it must be ")
    return tr("it must be {wanted}", wanted=tr(wanted)) if found else wanted or said


def as_typed(value: object) -> str:
    """A value as someone would type it; nothing for ``None`` and for an empty list."""
    if value is None:
        return ""
    if isinstance(value, list | tuple):
        return "\n".join(_escaped(str(each)) for each in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _escaped(text: str) -> str:
    return re.sub(r"[\\\n\t]", lambda found: {v: k for k, v in _ESCAPES.items()}[found[0]], text)


def _unescaped(text: str) -> str:
    return re.sub(r"\\[nt\\]", lambda found: _ESCAPES[found[0]], text)
