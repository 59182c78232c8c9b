"""The rows of a job's matrix, and the one closest to what this worker has. Pure."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence

from app.recipes.declared.yaml_data import Node, items, mapping, text

MOST_ROWS = 256

_TOOLS = {
    "py": "python",
    "node": "node",
    "go": "go",
    "java": "java",
    "jdk": "java",
    "ruby": "ruby",
    "rust": "rust",
    "toolchain": "rust",
}


def rows(strategy: Node | None) -> list[dict[str, Node]] | None:
    """The rows, as GitHub makes them from axes, `exclude` and `include`; `[{}]` without a matrix.

    None for a matrix that is computed while the workflow runs.
    """
    matrix = mapping(strategy).get("matrix")
    if matrix is None or matrix == "":
        return [{}]
    if not isinstance(matrix, dict):
        return None
    axes: dict[str, list[Node]] = {}
    for name, values in matrix.items():
        if name in ("include", "exclude"):
            continue
        if isinstance(values, str) and "${{" in values:
            return None
        axes[name] = items(values)
    product = itertools.product(*axes.values())
    made = [dict(zip(axes, row, strict=True)) for row in itertools.islice(product, MOST_ROWS)]
    excluded = [mapping(each) for each in items(matrix.get("exclude"))][:MOST_ROWS]
    made = [row for row in made if not any(_matches(row, each) for each in excluded if each)]
    return _included(made, [mapping(each) for each in items(matrix.get("include"))], axes)


def _included(
    made: list[dict[str, Node]], include: Sequence[Mapping[str, Node]], axes: Mapping[str, object]
) -> list[dict[str, Node]]:
    added: list[dict[str, Node]] = []
    for each in include[:MOST_ROWS]:
        fixed = {name: value for name, value in each.items() if name in axes}
        fitting = [row for row in made if axes and _matches(row, fixed)]
        for row in fitting:
            row.update(each)
        if not fitting:
            added.append(dict(each))
    return [*made, *added] or [{}]


def _matches(row: Mapping[str, Node], wanted: Mapping[str, Node]) -> bool:
    return all(row.get(name) == value for name, value in wanted.items())


def nearest(
    found: Sequence[dict[str, Node]], versions: Mapping[str, Sequence[str]]
) -> dict[str, Node]:
    """The row nearest to the versions installed; the first of those that are equally near.

    `versions`: by tool, newest first. For an unknown tool, the newest release is used.
    """
    return min(found, key=lambda row: _distance(row, versions))


def _distance(row: Mapping[str, Node], versions: Mapping[str, Sequence[str]]) -> tuple[int, float]:
    odd, away = 0, 0.0
    for name, node in row.items():
        value = text(node)
        odd += name == "experimental" and value == "true"
        tool = next((tool for key, tool in _TOOLS.items() if name.lower().startswith(key)), "")
        number = _number(value)
        if not tool:
            continue
        if number is None:
            odd += value not in ("stable", "lts/*", "lts")
            continue
        odd += bool(re.search(r"(?:alpha|beta|rc|dev|nightly)|\dt$|pypy", value))
        have = [each for each in map(_number, versions.get(tool, ())) if each is not None]
        away += min((abs(number - each) for each in have), default=-number)
    return odd, away


def _number(value: str) -> float | None:
    """`3.12` as 3012, `v22.1` as 22001."""
    found = re.match(r"[^\d]{0,10}(\d{1,4})(?:\.(\d{1,4}))?", value)
    if found is None:
        return None
    return int(found[1]) * 1000 + (int(found[2]) if found[2] else 0)
