"""The options of ``plugins.toml`` against what a plugin's function or class takes, before it is called."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, get_type_hints

from chatglm_slim_llm.errors import ConfigError

if TYPE_CHECKING:
    from chatglm_slim_llm.plugins.spec import PluginSpec

_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def check_options(spec: PluginSpec, target: Callable[..., Any]) -> None:
    """Each option is one that the target takes, and has the type that it says.

    Raises:
        ConfigError: the first that is not; it names the file and what there is.
    """
    if not spec.options:
        return
    takes = _parameters(spec.group, target)
    for name, value in spec.options.items():
        if takes is not None and name not in takes:
            _refuse(spec, name, _hint(name, list(takes)))
        if complaint := _complaint((takes or {}).get(name, Any), value):
            _refuse(spec, name, complaint)


def _parameters(group: str, target: Callable[..., Any]) -> Mapping[str, Any] | None:
    """The keywords of the target with their types; ``None`` if it takes any."""
    fields = getattr(target, "model_fields", None)
    if isinstance(fields, Mapping):  # a pydantic model, as LangChain's classes are, says more than its signature
        return {field.alias or name: field.annotation for name, field in fields.items()} | {
            name: field.annotation for name, field in fields.items()
        }
    try:
        found = list(inspect.signature(target).parameters.values())
    except (TypeError, ValueError):  # written in C
        return None
    if any(each.kind is inspect.Parameter.VAR_KEYWORD for each in found):
        return None
    own = found[1:] if group in ("loaders", "embedders", "commands") else found  # the file, or the call, is no option
    types = _types(target)
    return {each.name: types.get(each.name, Any) for each in own if each.kind in _NAMED}


def _types(target: Callable[..., Any]) -> Mapping[str, Any]:
    try:
        return get_type_hints(target.__init__ if inspect.isclass(target) else target)
    except Exception:  # hints may name what only a type checker imports
        return {}


def _complaint(annotation: Any, value: object) -> str:
    """What is wrong with a value, in a few words; empty if nothing is."""
    if annotation is Any:
        return ""
    from pydantic import PydanticSchemaGenerationError, PydanticUserError, TypeAdapter, ValidationError

    try:
        TypeAdapter(annotation).validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        return f": {first['msg'][0].lower()}{first['msg'][1:]}, found {value!r}"
    except (PydanticSchemaGenerationError, PydanticUserError, NameError, TypeError):
        return ""  # a type that only its owner can check
    return ""


def _hint(name: str, known: list[str]) -> str:
    if close := get_close_matches(name, known, n=1):
        return f" is not one of its options; did you mean {close[0]}?"
    public = [each for each in known if not each.startswith("_")]
    return f" is not one of its options; it takes {', '.join(public) or 'none'}"


def _refuse(spec: PluginSpec, name: str, complaint: str) -> None:
    raise ConfigError(f"{spec.file}: [{spec.key}.options] {name}{complaint}", key=name, source=str(spec.file))
