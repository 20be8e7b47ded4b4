"""Conditions on a point's values: arithmetic and comparisons only, evaluated from the syntax tree, never by `eval`."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from math import inf, isfinite
from typing import Any

from ...meshes.errors import PlanError, one_of
from ...meshes.model import shown

_BINARY: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_CALLS: dict[str, Callable[..., Any]] = {"abs": abs, "min": min, "max": max}
_DEEPEST = 50
"""Nested operations and brackets: more than a person writes, and far from the interpreter's own bounds."""
_LONGEST = 1000
"""Characters. Text of megabytes takes Python 3.13's parser beyond its stack, and the process with it."""


class Condition:
    """A parsed condition.

    Raises:
        PlanError: syntax that is not arithmetic and comparison, or a name that is no axis.
    """

    def __init__(self, text: str, names: list[str], field: str) -> None:
        self.text, self._names, self._field = text, names, field
        if len(text) > _LONGEST:
            raise PlanError.of(field, f"a condition of at most {_LONGEST} characters", f"{len(text)}: {shown(text)}")
        try:
            self._tree = ast.parse(text, mode="eval").body
        except (SyntaxError, ValueError, MemoryError, RecursionError) as error:  # all of these tell of bad syntax
            why = error.msg if isinstance(error, SyntaxError) else str(error) or "nested too deeply"
            got = f"{shown(text)}: {why}"
            raise PlanError.of(field, "a comparison such as abs(shift) <= 3", got) from None
        if _deeper(self._tree, _DEEPEST):
            raise PlanError.of(field, f"a condition of at most {_DEEPEST} nested operations", shown(text))
        self._check(self._tree)

    def holds(self, values: Mapping[str, float]) -> bool:
        """Whether it holds; one that has no value does not: a division by zero, a root of a negative number."""
        try:
            return bool(self._value(self._tree, values))
        except (ArithmeticError, TypeError):  # complex numbers have no order
            return False

    def _check(self, node: ast.AST) -> None:
        match node:
            case ast.Name(id=name):
                if name not in self._names:
                    raise PlanError.of(self._field, f"names of axes, {one_of(self._names, name)}", name)
            case ast.Constant(value=value) if isinstance(value, int | float):
                if not isfinite(_as_float(value)):
                    raise PlanError.of(self._field, "finite numbers", shown(ast.unparse(node)))
            case ast.Call(func=ast.Name(id=name), keywords=[]) if name in _CALLS:
                if len(node.args) != 1 if name == "abs" else len(node.args) < 2:
                    expected = "one value in abs, two or more in min and max"
                    raise PlanError.of(self._field, expected, f"{len(node.args)} in {name}")
                for argument in node.args:
                    self._check(argument)
            case ast.BinOp() | ast.Compare() | ast.BoolOp() | ast.UnaryOp():
                for child in ast.iter_child_nodes(node):
                    if isinstance(child, ast.expr):
                        self._check(child)
                    elif type(child) not in (*_BINARY, ast.And, ast.Or, ast.Not, ast.USub, ast.UAdd):
                        raise PlanError.of(self._field, "+ - * / ** and comparisons", type(child).__name__)
            case _:
                got = shown(ast.unparse(node))
                raise PlanError.of(self._field, "axis names, numbers, abs, min, max and comparisons", got)

    def _value(self, node: ast.AST, values: Mapping[str, float]) -> Any:
        match node:
            case ast.Name(id=name):
                return values[name]
            case ast.Constant(value=value):
                return _as_float(value)  # whole numbers have no bound: 9**9**9 would never end
            case ast.Call(func=ast.Name(id=name), args=arguments):
                return _CALLS[name](*(self._value(a, values) for a in arguments))
            case ast.BinOp(left=left, op=op, right=right):
                return _BINARY[type(op)](self._value(left, values), self._value(right, values))
            case ast.UnaryOp(op=op, operand=operand):
                value = self._value(operand, values)
                return (not value) if isinstance(op, ast.Not) else -value if isinstance(op, ast.USub) else value
            case ast.BoolOp(op=op, values=parts):
                results = (self._value(part, values) for part in parts)
                return all(results) if isinstance(op, ast.And) else any(results)
            case ast.Compare(left=left, ops=ops, comparators=others):
                terms = [self._value(term, values) for term in (left, *others)]
                return all(_BINARY[type(op)](a, b) for op, a, b in zip(ops, terms, terms[1:], strict=False))
        raise AssertionError(ast.dump(node))


def _as_float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        return inf


def _deeper(tree: ast.AST, most: int) -> bool:
    """Whether a tree has more than so many levels; told without recursion."""
    level: list[ast.AST] = [tree]
    for _ in range(most):
        level = [child for node in level for child in ast.iter_child_nodes(node)]
    return bool(level)
