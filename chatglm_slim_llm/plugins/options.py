"""The options of ``plugins.toml`` against what a plugin's function or class takes, before it is called."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from chatglm_slim_llm.errors import ConfigError
from chatglm_slim_llm.plugins.concealing import shown

if TYPE_CHECKING:
    from chatglm_slim_llm.plugins.spec import PluginSpec

_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def checked_options(spec: PluginSpec, target: Callable[..., Any]) -> dict[str, Any]:
    """The options as the target takes them: each is one of its own, and becomes the type that it says.

    Raises:
        ConfigError: the first that is not; it names the file and what there is.
    """
    if not spec.options:
        return {}
    takes, takes_any = _parameters(spec.group, target)
    options = {}
    for name, value in spec.options.items():
        if name not in takes and not takes_any:
            raise _refusal(spec, name, _hint(name, list(takes)))
        try:
            options[name] = _converted(name, takes.get(name, Any), value)
        except ValueError as error:
            raise _refusal(spec, name, str(error)) from error
    # A pydantic model converts for itself, and its validators want what stands in the file.
    return dict(spec.options) if _is_model(target) else options


def _parameters(group: str, target: Callable[..., Any]) -> tuple[Mapping[str, Any], bool]:
    """The keywords of the target with their types, and whether it takes others, too."""
    if _is_model(target):  # as LangChain's classes are; it says more than its signature
        fields: Mapping[str, Any] = target.model_fields  # type: ignore[attr-defined]
        aliases = {field.alias: field.annotation for field in fields.values() if field.alias}
        return aliases | {name: field.annotation for name, field in fields.items()}, False
    found = _signature(target)
    takes_any = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in found)
    own = found[1:] if group in ("loaders", "embedders", "commands") else found  # the file, or the call, is no option
    return {each.name: _type(each) for each in own if each.kind in _NAMED}, takes_any


def _signature(target: Callable[..., Any]) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(target, eval_str=True).parameters.values())
    except Exception:  # a type in quotes may name what only a type checker imports
        pass
    try:
        return list(inspect.signature(target).parameters.values())
    except (TypeError, ValueError):  # written in C
        return [inspect.Parameter("any", inspect.Parameter.VAR_KEYWORD)]


def _type(parameter: inspect.Parameter) -> Any:
    is_known = parameter.annotation is not inspect.Parameter.empty and not isinstance(parameter.annotation, str)
    return parameter.annotation if is_known else Any


def _is_model(target: object) -> bool:
    return isinstance(getattr(target, "model_fields", None), Mapping)


def _converted(name: str, annotation: Any, value: object) -> Any:
    """The value as the type that is wanted, such as a ``Path`` for a text.

    Raises:
        ValueError: it is no such thing; the message says why, in a few words.
    """
    if annotation is Any:
        return value
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(annotation).validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ValueError(f": {first['msg'][0].lower()}{first['msg'][1:]}, found {shown(value, name)!r}") from error
    except Exception:  # a type that only its owner can check
        return value


def _hint(name: str, known: list[str]) -> str:
    if close := get_close_matches(name, known, n=1):
        return f" is not one of its options; did you mean {close[0]}?"
    public = [each for each in known if not each.startswith("_")]
    return f" is not one of its options; it takes {', '.join(public) or 'none'}"


def _refusal(spec: PluginSpec, name: str, complaint: str) -> ConfigError:
    return ConfigError(f"{spec.file}: [{spec.key}.options] {name}{complaint}", key=name, source=str(spec.file))
