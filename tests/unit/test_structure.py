"""Rules about the code's own shape."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

APP = Path(__file__).parents[2] / "app"


def test_each_class_name_has_one_meaning() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for path in APP.rglob("*.py"):
        if "samples" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(f"{path.relative_to(APP)}:{node.lineno}")
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


def test_log_events_are_named_by_constants() -> None:
    sentences = [
        f"{path.relative_to(APP)}:{node.lineno}"
        for path in APP.rglob("*.py")
        if "playground" not in path.parts
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and _is_log_call(node)
        and isinstance(node.args[0], ast.Constant | ast.JoinedStr)
    ]
    assert sentences == []


def _is_log_call(node: ast.Call) -> bool:
    return (
        isinstance(node.func, ast.Attribute)
        and node.func.attr in {"debug", "info", "warning", "error", "exception", "critical"}
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id in {"log", "_log"}
        and bool(node.args)
    )
