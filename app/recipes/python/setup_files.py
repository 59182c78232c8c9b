"""Literal values in setup.py and other Python files, found without running them. Pure."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Any

_DEEPEST = 8
_LONGEST = 2_000


def functions(text: str) -> Iterator[ast.FunctionDef]:
    """The functions of a module; none if it cannot be parsed."""
    return (each for each in _parsed(text).body if isinstance(each, ast.FunctionDef))


def setup_arguments(text: str) -> Mapping[str, Any]:
    """Arguments of the call of `setup`, with names that are literals above it.

    A value that is not a literal is None.
    """
    module = _parsed(text)
    known: dict[str, Any] = {}
    for statement in module.body:
        if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            target = statement.targets[0]
            if isinstance(target, ast.Name):
                known[target.id] = _value(statement.value, known)
    for call in ast.walk(module):
        if isinstance(call, ast.Call) and _is_setup(call.func):
            return {
                word.arg: _value(word.value, known)
                for word in call.keywords
                if word.arg is not None
            }
    return {}


def texts(value: object) -> list[str]:
    """The strings of a list, or the one string; nothing for anything else."""
    if isinstance(value, str):
        return [value]
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def _parsed(text: str) -> ast.Module:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ast.Module(body=[], type_ignores=[])


def _is_setup(function: ast.expr) -> bool:
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return name == "setup"


def _value(node: ast.expr, known: Mapping[str, Any], depth: int = 0) -> Any:
    """The value of a literal expression, in which names may refer to literals; None for others."""
    if depth > _DEEPEST:
        return None
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name):
        return known.get(node.id)
    if isinstance(node, (ast.List, ast.Tuple)):
        return [_value(each, known, depth + 1) for each in node.elts]
    if isinstance(node, ast.Dict):
        return {
            key: _value(value, known, depth + 1)
            for name, value in zip(node.keys, node.values, strict=True)
            if name is not None and isinstance(key := _value(name, known, depth + 1), str)
        }
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        sides = [_value(each, known, depth + 1) for each in (node.left, node.right)]
        fits = all(isinstance(each, list) and len(each) <= _LONGEST for each in sides)
        return sides[0] + sides[1] if fits else None
    return None
