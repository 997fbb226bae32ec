"""JSON schemas and tools as a model reads them: short, like the signatures of a program.

``{"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}`` takes thirty tokens as JSON and
five as ``{city: string}``. Of 2,048 tokens that prompt and reply share, a dozen tools must leave most. What a reply has
to look like is not left to this text: the engine's grammar holds it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Lang = Literal["en", "zh"]
Schema = Mapping[str, Any]

_IDENTIFIER = re.compile(r"[^\W\d]\w*")
_CHINESE = re.compile("[\u4e00-\u9fff]")
_DEEPEST = 12
"""Where a schema that contains itself is cut off."""

_TEXTS: dict[Lang, dict[str, str]] = {
    "en": {
        "tools": "Tools:",
        "how": 'To use a tool, answer with JSON: {"name": "...", "arguments": {...}}',
        "format": "Answer with JSON: ",
        "result": "Result of {name}: {text}",
        "failure": "{name} failed: {text}",
    },
    "zh": {
        "tools": "工具：",
        "how": '要用工具时，用 JSON 回答：{"name": "...", "arguments": {...}}',
        "format": "用 JSON 回答：",
        "result": "{name} 的结果：{text}",
        "failure": "{name} 出错：{text}",
    },
}


@dataclass(frozen=True)
class Tool:
    """Something that the model may ask to be called."""

    name: str
    description: str = ""
    parameters: Schema = field(default_factory=dict)
    """JSON schema of the arguments, an object; empty for a tool without any."""


def language(texts: Iterable[str]) -> Lang:
    """Chinese if any of the texts has a Chinese character."""
    return "zh" if any(_CHINESE.search(text) for text in texts) else "en"


def list_tools(tools: Iterable[Tool], lang: Lang) -> str:
    """What the prompt says of the tools: a signature a line, and how to call one."""
    texts = _TEXTS[lang]
    return "\n".join([texts["tools"], *map(signature, tools), texts["how"]])


def ask_for_json(schema: Schema, lang: Lang) -> str:
    """What the prompt says of the form that the whole reply must have."""
    return _TEXTS[lang]["format"] + describe(schema)


def tool_result(name: str, text: str, lang: Lang, *, failed: bool = False) -> str:
    """What a tool gave back, as it is told to the model."""
    return _TEXTS[lang]["failure" if failed else "result"].format(name=name, text=text)


def signature(tool: Tool) -> str:
    """One tool in a line.

    Example:
        >>> signature(Tool("area", "Area of a room.", {"properties": {"width": {"type": "number"}}}))
        'area(width?: number): Area of a room.'
    """
    schema = tool.parameters
    for _ in range(_DEEPEST):
        if isinstance(name := schema.get("$ref"), str):
            schema = _resolve(name, tool.parameters)
    parameters = ", ".join(_members(schema, tool.parameters, 0))
    description = _one_line(tool.description)
    return f"{tool.name}({parameters})" + (f": {description}" if description else "")


def describe(schema: Schema) -> str:
    """A JSON schema in one line.

    Example:
        >>> describe({"properties": {"tags": {"type": "array", "items": {"enum": ["a", 1]}}}})
        '{tags?: ("a" | 1)[]}'
    """
    return _type(schema, schema, 0)


def _type(schema: Any, root: Schema, depth: int) -> str:
    if not isinstance(schema, Mapping) or depth > _DEEPEST:
        return "any"
    for key in ("$ref", "const", "enum", "anyOf", "oneOf", "allOf"):
        if key in schema:
            return _COMBINED[key](schema[key], root, depth)
    kind = schema.get("type")
    if isinstance(kind, list):
        return " | ".join(_type({**schema, "type": each}, root, depth + 1) for each in kind)
    if kind == "array":
        return _array(schema, root, depth)
    if kind == "object" or "properties" in schema:
        return _object(schema, root, depth)
    return str(kind or "any")


def _object(schema: Schema, root: Schema, depth: int) -> str:
    if schema.get("properties"):
        return "{" + ", ".join(_members(schema, root, depth)) + "}"
    values = schema.get("additionalProperties")
    if isinstance(values, Mapping):
        return "{[key]: " + _type(values, root, depth + 1) + "}"
    return "object"


def _members(schema: Schema, root: Schema, depth: int) -> Iterable[str]:
    required = schema.get("required", ())
    for name, value in (schema.get("properties") or {}).items():
        key = name if _IDENTIFIER.fullmatch(name) else json.dumps(name, ensure_ascii=False)
        described = value.get("description") if isinstance(value, Mapping) else None
        note = f" ({_one_line(described)})" if isinstance(described, str) and described.strip() else ""
        yield f"{key}{'' if name in required else '?'}: {_type(value, root, depth + 1)}{note}"


def _array(schema: Schema, root: Schema, depth: int) -> str:
    if isinstance(first := schema.get("prefixItems"), list):
        return "[" + ", ".join(_type(item, root, depth + 1) for item in first) + "]"
    item = _type(schema.get("items", {}), root, depth + 1)
    return f"({item})[]" if " " in item and not item.startswith("{") else f"{item}[]"


def _reference(name: Any, root: Schema, depth: int) -> str:
    # Each reference counts as several levels, so that a schema that contains itself is told once or twice only.
    return _type(_resolve(str(name), root), root, depth + _DEEPEST // 3)


def _resolve(name: str, root: Schema) -> Schema:
    target: Any = root
    for part in filter(None, name.removeprefix("#").split("/")):
        target = target.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(target, Mapping) else None
    return target if isinstance(target, Mapping) else {}


def _join(separator: str, parts: Iterable[str]) -> str:
    return separator.join(dict.fromkeys(parts))


_COMBINED: dict[str, Callable[[Any, Schema, int], str]] = {
    "$ref": _reference,
    "const": lambda value, root, depth: json.dumps(value, ensure_ascii=False),
    "enum": lambda values, root, depth: _join(" | ", (json.dumps(value, ensure_ascii=False) for value in values)),
    "anyOf": lambda parts, root, depth: _join(" | ", (_type(part, root, depth + 1) for part in parts)),
    "oneOf": lambda parts, root, depth: _join(" | ", (_type(part, root, depth + 1) for part in parts)),
    "allOf": lambda parts, root, depth: _join(" & ", (_type(part, root, depth + 1) for part in parts)),
}


def _one_line(text: str) -> str:
    return " ".join(text.split())
