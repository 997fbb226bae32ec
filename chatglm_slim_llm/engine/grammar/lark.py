"""Rules as a grammar in llguidance's variant of Lark."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from itertools import takewhile

from chatglm_slim_llm.engine.grammar.nodes import (
    Array,
    Literal,
    Node,
    Object,
    Rules,
    Subset,
    Text,
    dumps,
    shortest_text,
)
from chatglm_slim_llm.engine.grammar.numbers import Number
from chatglm_slim_llm.engine.grammar.patterns import ANY, Chars, Choice, Pattern, Ranges, Repeat, Sequence

_ESCAPES = {'"': r"\\\"", "\\": r"\\\\", "\n": r"\\n", "\t": r"\\t", "\r": r"\\r", "\b": r"\\b", "\f": r"\\f"}


class Grammar:
    """Collects the lines of a grammar."""

    def __init__(self, rules: Rules, known: Mapping[str, str]) -> None:
        """Write the rules down, but for those that are not in ``known``, which nothing can meet."""
        self._lines: list[str] = []
        self._terminals: dict[str, str] = {}
        self._known = known
        for name, nodes in rules.items():
            if name in known:
                self.add(name, self._options(name, nodes))

    def add(self, name: str, options: Iterable[str]) -> None:
        """A rule with its alternatives."""
        self._lines.append(f"{name}: {' | '.join(options)}")

    def text(self, start: str) -> str:
        """The whole grammar."""
        return "\n".join([f"start: {start}", *self._lines]) + "\n"

    def _terminal(self, expression: str) -> str:
        if expression not in self._terminals:
            name = self._terminals[expression] = f"T{len(self._terminals)}"
            self._lines.append(f"{name}: {expression}")
        return self._terminals[expression]

    def _options(self, name: str, nodes: tuple[Node, ...]) -> Iterable[str]:
        literals = [quote(node.text) for node in nodes if isinstance(node, Literal)]
        if literals:
            yield self._terminal(" | ".join(literals))
        for index, node in enumerate(nodes):
            if not isinstance(node, Literal) and shortest_text(node, self._known) is not None:
                yield self._value(f"{name}x{index}", node)

    def _value(self, name: str, node: Node) -> str:
        match node:
            case Number():
                return self._number(node)
            case Text():
                return self._terminal(_string(node))
            case Array():
                return f'"[" {self._items(name, node)} "]"'
            case Subset():
                return f'"[" {self._chosen(name, node)} "]"'
            case Object():
                return f'"{{" {self._members(name, node)} "}}"'
        raise AssertionError(node)

    def _number(self, node: Number) -> str:
        if node.multiple_of is not None and node.is_integer:
            return f"%json {_number_schema(node)}"
        parts = [_regex(text) if text[0] != "~" else f"~{_regex(text[1:])}" for text in node.expressions()]
        return self._terminal(" & ".join(parts))

    def _items(self, name: str, node: Array) -> str:
        """The items, with a rule for what may follow each of the first."""
        first = list(takewhile(self._known.__contains__, node.first))
        rest = node.rest if node.rest in self._known and len(first) == len(node.first) else None
        count = len(first)
        after = "" if rest is None else repeat(f'", " {rest}', node.least - count, node.most and node.most - count)
        for index in range(count - 1, -1, -1):
            self.add(f"{name}i{index}", [f"{first[index]} {after}"])
            after = f'(", " {name}i{index}){"" if index < node.least else "?"}' if index else f"{name}i{index}"
        if not count and rest is not None:
            after = f"{rest} " + repeat(f'", " {rest}', node.least - 1, node.most and node.most - 1)
        if not after or node.most == 0:
            return '""'
        return after if node.least else f"({after})?"

    def _chosen(self, name: str, node: Subset) -> str:
        """Some of the texts: a rule for each place in the list and each number of texts before."""
        most = len(node.texts) if node.most is None else min(node.most, len(node.texts))
        for taken in range(most, -1, -1):
            for index in range(len(node.texts), -1, -1):
                comma = '", " ' if taken else ""
                options = ['""'] if taken >= node.least else []
                if taken < most:
                    options += [
                        f"{comma}{quote(node.texts[later])} {name}s{taken + 1}x{later + 1}"
                        for later in range(index, len(node.texts))
                        if len(node.texts) - later >= node.least - taken
                    ]
                if options:
                    self.add(f"{name}s{taken}x{index}", options)
        return f"{name}s0x0"

    def _members(self, name: str, node: Object) -> str:
        """The fields, with a rule for what may follow each."""
        fields = [field for field in node.fields if field.rule in self._known]
        extra = node.extra if node.extra is not None and node.extra.rule in self._known else None
        after, options = "", ['""'] if node.may_be_empty else []
        if extra is not None:
            pair = f'{self._key(extra.keys)} ": " {extra.rule}'
            after = repeat(f'", " {pair}', 0, extra.most)
            options.append(f"{pair} " + repeat(f'", " {pair}', 0, extra.most and extra.most - 1))
        self.add(f"{name}a{len(fields)}", [after or '""'])
        for index in range(len(fields) - 1, -1, -1):
            field, following = fields[index], f"{name}a{index + 1}"
            member = f"{self._name(field.name)} {field.rule}"
            self.add(f"{name}a{index}", [f'(", " {member}){"" if field.is_required else "?"} {following}'])
            options = [f"{member} {following}", *([] if field.is_required else options)]
        self.add(f"{name}m", options)
        return f"{name}m"

    def _name(self, name: str | Text) -> str:
        return f'{self._key((name,))} ": "' if isinstance(name, Text) else quote(f"{dumps(name)}: ")

    def _key(self, keys: tuple[Text, ...]) -> str:
        return self._terminal(" | ".join(f"({_string(key)})" for key in keys))


def repeat(expression: str, least: int, most: int | None) -> str:
    """So many of the same."""
    least = max(least, 0)
    if most == 0:
        return ""
    bounds = f"{{{least},{'' if most is None else most}}}"
    return f"({expression}){'*' if (least, most) == (0, None) else bounds}"


def quote(text: str) -> str:
    """A text as Lark writes it."""
    return json.dumps(text, ensure_ascii=False)


def _number_schema(node: Number) -> str:
    """What has no handy regular expression is left to llguidance's own compiler."""
    schema: dict[str, str] = {"type": '"integer"' if node.is_integer else '"number"'}
    limit = 10**15
    schema["multipleOf"] = format(node.multiple_of or 1, "f")
    low, high = node.low, node.high
    schema["exclusiveMinimum" if low and low.is_exclusive else "minimum"] = format(low.value if low else -limit, "f")
    schema["exclusiveMaximum" if high and high.is_exclusive else "maximum"] = format(high.value if high else limit, "f")
    return "{" + ", ".join(f'"{key}": {value}' for key, value in schema.items()) + "}"


def _string(node: Text) -> str:
    """The terminal of a string with its quotes."""
    parts = [_regex(json_regex(pattern)) for pattern in node.patterns]
    if node.least or node.most is not None or not parts:
        parts.append(_regex(json_regex(Repeat(ANY, node.least, node.most))))
    if node.taken:
        parts.append(f"~({' | '.join(quote(dumps(name)[1:-1]) for name in node.taken)})")
    return f'"\\"" ({" & ".join(parts)}) "\\""'


def _regex(expression: str) -> str:
    return f"/{expression}/"


def json_regex(pattern: Pattern) -> str:
    """A regular expression for a pattern's texts as they stand between the quotes of a JSON string."""
    match pattern:
        case Chars(certain, _):
            return _json_class(certain)
        case Sequence(parts):
            return "".join(map(json_regex, parts))
        case Choice(options):
            return f"({'|'.join(map(json_regex, options))})"
        case Repeat(body, least, most):
            bounds = f"{{{least},{'' if most is None else most}}}"
            return f"({json_regex(body)}){'*' if (least, most) == (0, None) else bounds}"
    raise AssertionError(pattern)


def _json_class(certain: Ranges) -> str:
    plain, escaped = [], []
    for first, last in certain:
        start = first
        for code in (*range(0x20), 0x22, 0x5C):
            if first <= code <= last:
                escaped.append(_escape(code))
                if start < code:
                    plain.append((start, code - 1))
                start = code + 1
        if start <= last:
            plain.append((start, last))
    options = [f"[{''.join(map(_span, plain))}]"] if plain else []
    options += escaped
    return options[0] if len(options) == 1 else f"({'|'.join(options)})"


def _escape(code: int) -> str:
    return _ESCAPES.get(chr(code), rf"\\u{code:04x}")


def _span(span: tuple[int, int]) -> str:
    return "-".join(rf"\x{{{code:x}}}" for code in span)
