"""What the package may say when something goes wrong, read out of its code: each sentence, with holes for its values.

A sentence is the text of an error, of a file that is skipped, of a plugin that is not on, of a problem or of a notice.
What is put together in a function is followed through names, conditions and the functions of the same module.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice, product
from pathlib import Path

HOLE = "¤"
"""What stands for a value that is known at run time only."""

_MOST = 48
_DEPTH = 6
_PREFIXES = {"UnreadableFileError": f"{HOLE}: ", "SchemaError": f"{HOLE}: "}
_Known = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Sentence:
    """One, and where it stands."""

    module: str
    line: int
    text: str


def sentences_of(root: Path) -> Iterator[Sentence]:
    """Those of every module below a folder that say more than a value."""
    for path in sorted(root.rglob("*.py")):
        module = path.relative_to(root).with_suffix("").as_posix()
        for line, text in _Module(ast.parse(path.read_text("utf-8"))).sentences():
            if text.replace(HOLE, "").strip(" :.;,"):
                yield Sentence(module, line, text)


@dataclass
class _Module:
    tree: ast.Module
    functions: dict[str, ast.FunctionDef | ast.AsyncFunctionDef] = field(default_factory=dict)
    within: dict[ast.AST, ast.AST] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                self.functions[node.name] = node
            for child in ast.iter_child_nodes(node):
                self.within[child] = node

    def sentences(self) -> Iterator[tuple[int, str]]:
        seen = set()
        for node in ast.walk(self.tree):
            for said in _said(node):
                for text in self._texts(said, {}, _DEPTH):
                    if text not in seen:
                        seen.add(text)
                        yield said.lineno, text

    def _texts(self, node: ast.expr, known: _Known, depth: int) -> list[str]:
        """All that an expression may be."""
        if depth == 0:
            return [HOLE]
        match node:
            case ast.Constant(value=str(text)):
                return [text]
            case ast.JoinedStr(values=parts):
                return self._joined(parts, known, depth)
            case ast.FormattedValue(value=value, format_spec=None, conversion=-1):
                return self._texts(value, known, depth)
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return self._joined([left, right], known, depth)
            case ast.IfExp(body=body, orelse=other):
                return [*self._texts(body, known, depth), *self._texts(other, known, depth)]
            case ast.BoolOp(values=values):
                return [text for each in values for text in self._texts(each, known, depth)]
            case ast.NamedExpr(value=value):
                return self._texts(value, known, depth)
            case ast.Name(id=name):
                return list(known[name]) if name in known else self._of_name(node, name, known, depth)
            case ast.Attribute(value=ast.Name(id="self"), attr=name) if name in self.functions:
                return self._results(self.functions[name], {}, depth)
            case ast.Subscript(value=ast.Name() as table):
                return self._of_table(table, known, depth) or [HOLE]
            case ast.Call():
                return self._of_call(node, known, depth)
        return [HOLE]

    def _joined(self, parts: Sequence[ast.expr], known: _Known, depth: int) -> list[str]:
        each = [self._texts(part, known, depth) for part in parts]
        return ["".join(chosen) for chosen in islice(product(*each), _MOST)]

    def _of_name(self, node: ast.AST, name: str, known: _Known, depth: int) -> list[str]:
        """What is put under a name in the same function, else in the module."""
        place: ast.AST | None = node
        while place is not None:
            place = self.within.get(place)
            if isinstance(place, ast.FunctionDef | ast.AsyncFunctionDef | ast.Module):
                found = list(_values(place, name))
                if found:
                    return [text for value in found for text in self._texts(value, known, depth - 1)]
        return [HOLE]

    def _of_table(self, table: ast.Name, known: _Known, depth: int) -> list[str]:
        """The values of a table of texts."""
        for value in _values(self.tree, table.id):
            if isinstance(value, ast.Dict):
                return [text for each in value.values for text in self._texts(each, known, depth - 1)]
        return []

    def _of_call(self, call: ast.Call, known: _Known, depth: int) -> list[str]:
        name = _name(call.func)
        if name.endswith("Error") and call.args:
            return [_PREFIXES.get(name, "") + text for text in self._texts(call.args[0], known, depth)]
        if name == "get" and isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Name):
            found = self._of_table(call.func.value, known, depth)
            return found + [text for each in call.args[1:] for text in self._texts(each, known, depth)] or [HOLE]
        if name == "format" and isinstance(call.func, ast.Attribute):
            filled = {key.arg: HOLE for key in call.keywords if key.arg}
            return [text.format(**filled) for text in self._texts(call.func.value, known, depth)]
        if (function := self.functions.get(name)) is None:
            return [HOLE]
        names = [each.arg for each in (*function.args.posonlyargs, *function.args.args) if each.arg != "self"]
        given = dict(zip(names, call.args, strict=False)) | {key.arg: key.value for key in call.keywords if key.arg}
        inside = {each: self._texts(given[each], known, depth - 1) if each in given else [HOLE] for each in names}
        return self._results(function, inside, depth)

    def _results(self, function: ast.AST, known: _Known, depth: int) -> list[str]:
        results = [each.value for each in ast.walk(function) if isinstance(each, ast.Return) and each.value]
        return [text for result in results for text in self._texts(result, known, depth - 1)] or [HOLE]


def _said(node: ast.AST) -> Iterator[ast.expr]:
    """What a node says to people, if it does."""
    match node:
        case ast.Raise(exc=ast.Call() as error):
            yield error
        case ast.Yield(value=ast.Call(func=ast.Name(id=name)) as error) if name.endswith("Error"):
            yield error
        case ast.Call(func=ast.Name(id="SkippedFile" | "Unreadable"), args=[_, reason, *_]):
            yield reason
        case ast.Call(func=ast.Attribute(value=ast.Name(id="problems" | "notices" | "unreadable"), attr="append")):
            yield node.args[0]
        case ast.Call(func=ast.Name(id="replace" | "Piece" | "PluginSpec"), keywords=keywords):
            yield from (each.value for each in keywords if each.arg in ("reason", "notice"))


def _values(scope: ast.AST, name: str) -> Iterator[ast.expr]:
    """What a name is set to, anywhere in a function, or at the top of a module."""
    nodes = scope.body if isinstance(scope, ast.Module) else ast.walk(scope)
    for node in nodes:
        match node:
            case ast.Assign(targets=[ast.Name(id=found)], value=value) if found == name:
                yield value
            case ast.AnnAssign(target=ast.Name(id=found), value=ast.expr() as value) if found == name:
                yield value
            case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Tuple(elts=values)):
                yield from (v for n, v in zip(names, values, strict=True) if isinstance(n, ast.Name) and n.id == name)


def _name(function: ast.expr) -> str:
    match function:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""
