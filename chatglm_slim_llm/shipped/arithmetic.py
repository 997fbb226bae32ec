"""Arithmetic for a model that cannot count: a formula in, its value out, nothing else is run."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable
from typing import Any

from langchain_core.tools import BaseTool, StructuredTool, ToolException

_LONGEST = 200
_LARGEST_POWER = 1000
_LARGEST = 10**300
_OPERATORS: dict[type, Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    name: getattr(math, name) for name in ("sqrt", "sin", "cos", "tan", "log", "log10", "exp", "floor", "ceil")
} | {"abs": abs, "round": round, "min": min, "max": max}
_NAMES = {"pi": math.pi, "π": math.pi, "e": math.e}
_SPELLINGS = str.maketrans(
    {"×": "*", "÷": "/", "（": "(", "）": ")", "，": ",", "＋": "+", "－": "-", "−": "-", "^": "§"}
)


def calculator() -> BaseTool:
    """The tool ``calculator``."""
    return StructuredTool.from_function(
        calculate,
        name="calculator",
        description="Work out a formula, such as 3 * (4 + 5) or sqrt(2).",
        handle_tool_error=True,
        metadata={"readOnlyHint": True},
    )


def calculate(formula: str) -> str:
    """The value of a formula.

    Args:
        formula: numbers, + - * / // % ** ^, brackets, pi, e, and functions such as sqrt; ``×`` and ``÷`` too.

    Raises:
        ToolException: it is none, or its value is too large; the sentence is for the model.
    """
    if len(formula) > _LONGEST:
        raise ToolException(f"the formula has {len(formula)} characters; at most {_LONGEST} are worked out")
    try:
        value = _value(ast.parse(formula.translate(_SPELLINGS).replace("§", "**").strip(), mode="eval").body)
        return _text(value)
    except (SyntaxError, ArithmeticError, ValueError, TypeError, RecursionError, MemoryError) as error:
        raise ToolException(f"{formula!r} cannot be worked out: {error}") from error


def _value(node: ast.AST) -> Any:
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return number
        case ast.Name(id=name) if name in _NAMES:
            return _NAMES[name]
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_value(operand))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _bounded(_OPERATORS[type(op)], _value(left), _value(right))
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in _FUNCTIONS:
            return _FUNCTIONS[name](*map(_value, args))
    raise ValueError("only numbers, operators and functions such as sqrt are known")


def _bounded(work: Callable[..., Any], left: Any, right: Any) -> Any:
    """A step whose result is neither huge nor takes long."""
    if work is operator.pow and abs(right) > _LARGEST_POWER:
        raise ValueError(f"the power {right} is larger than {_LARGEST_POWER}")
    value = work(left, right)
    if isinstance(value, complex) or abs(value) > _LARGEST:
        raise ValueError("the value is no number of a usual size")
    return value


def _text(value: Any) -> str:
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return f"{value:.12g}" if isinstance(value, float) else str(value)
