"""What a client gives, held against the schema, with a sentence that another model can act on."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

import jsonschema

from chatglm_slim_llm.errors import ConfigError

_LONGEST_QUOTE = 200


def checked(given: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments with the defaults of those that were left out; an empty name is one that was left out.

    Raises:
        ConfigError: one is unknown, missing, of another type or out of its bounds.
    """
    known: Mapping[str, Any] = schema["properties"]
    for name in given:
        if name not in known:
            close = get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"there are: {', '.join(known) or 'none'}"
            raise ConfigError(f"{name[:_LONGEST_QUOTE]!r} is no argument of this tool; {hint}", key=name)
    for name in schema["required"]:
        if not str(given.get(name) or "").strip():
            raise ConfigError(f"{name} is missing or empty; give {known[name]['description']}", key=name)
    defaults = {name: about["default"] for name, about in known.items() if "default" in about}
    return defaults | {name: _checked(name, value, known[name]) for name, value in given.items()}


def _checked(name: str, value: Any, schema: Mapping[str, Any]) -> Any:
    if isinstance(value, str) and len(value) > schema.get("maxLength", len(value)):
        raise ConfigError(
            f"{name} has {len(value):,} characters; at most {schema['maxLength']:,} are taken, so shorten it", key=name
        )
    for error in jsonschema.Draft202012Validator(schema).iter_errors(value):
        raise ConfigError(f"{name}: {error.message[:_LONGEST_QUOTE]}", key=name)
    return int(value) if schema["type"] == "integer" else value  # JSON's 4.0 is a whole number, too
