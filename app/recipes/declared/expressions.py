"""GitHub's `${{ }}` expressions, limited to plain lookups and comparisons. Pure.

https://docs.github.com/en/actions/reference/workflows-and-actions/expressions
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from app.recipes.declared.yaml_data import Node, mapping, text

_EXPRESSION = re.compile(r"\$\{\{(?P<inside>[^{}]{0,500})\}\}")
UNKNOWN = "${{...}}"
"""The placeholder for an unknown expression; a shell command that contains it is not understood."""

_NAME = r"[A-Za-z_][\w-]*(?:\.[A-Za-z_][\w-]*|\[\s*(?:'[^']*'|\d+)\s*\])*"
_ATOM = re.compile(rf"\s*(?:'(?P<text>[^']*)'|(?P<name>{_NAME})|(?P<number>\d+(?:\.\d+)?))\s*")
_FIXED: Mapping[str, Node] = {
    "runner": {"os": "Linux", "arch": "X64"},
    "github": {"event_name": "pull_request"},
}


class Scope:
    """The contexts that are known: `matrix`, `env`, `inputs`, `job`."""

    def __init__(self, contexts: Mapping[str, Node]) -> None:
        self.contexts: Mapping[str, Node] = {**_FIXED, **contexts}

    def fill(self, value: str) -> str | None:
        """The text with its expressions replaced; None if one is unknown."""
        unknown = False

        def known(found: re.Match[str]) -> str:
            nonlocal unknown
            result = self._any(found["inside"])
            unknown = unknown or result is None
            return result or ""

        filled = _EXPRESSION.sub(known, value)
        return None if unknown or "${{" in filled else filled

    def fill_known(self, value: str) -> str:
        """The text with its known expressions replaced; the others become `UNKNOWN`."""

        def known(found: re.Match[str]) -> str:
            result = self._any(found["inside"])
            return UNKNOWN if result is None else result

        return _EXPRESSION.sub(known, value)

    def holds(self, condition: str) -> bool | None:
        """Whether an `if:` is true; None if unknown."""
        inside = condition.strip()
        whole = _EXPRESSION.fullmatch(inside)
        inside = whole["inside"] if whole else inside
        if not inside.strip():
            return True
        if len(inside) > 500 or "${{" in inside:
            return None
        return self._either(inside)

    def _any(self, inside: str) -> str | None:
        """`a || 'b'`: the first that is known and not empty."""
        result: str | None = None
        for part in inside.split("||"):
            result = self._value(part)
            if result is None or result:
                return result
        return result

    def _either(self, inside: str) -> bool | None:
        unknown = False
        for part in inside.split("||"):
            held = self._all(part)
            if held:
                return True
            unknown = unknown or held is None
        return None if unknown else False

    def _all(self, inside: str) -> bool | None:
        unknown = False
        for part in inside.split("&&"):
            held = self._one(part.strip())
            if held is False:
                return False
            unknown = unknown or held is None
        return None if unknown else True

    def _one(self, inside: str) -> bool | None:
        if inside in ("always()", "success()", "!cancelled()", "true", "!failure()"):
            return True
        if inside in ("failure()", "cancelled()", "false"):
            return False
        if inside.startswith("!") and not inside.startswith("!="):
            held = self._one(inside[1:].strip())
            return None if held is None else not held
        starts = re.fullmatch(r"(startsWith|contains)\(([^,]+),([^,]+)\)", inside)
        if starts:
            left, right = self._value(starts[2]), self._value(starts[3])
            if left is None or right is None:
                return None
            left, right = left.lower(), right.lower()
            return left.startswith(right) if starts[1] == "startsWith" else right in left
        for operator in ("==", "!="):
            left_text, found, right_text = inside.partition(operator)
            if found:
                left, right = self._value(left_text), self._value(right_text)
                if left is None or right is None:
                    return None
                return (left.lower() == right.lower()) is (operator == "==")
        value = self._value(inside)
        return None if value is None else value not in ("", "false", "0")

    def _value(self, inside: str) -> str | None:
        atom = _ATOM.fullmatch(inside)
        if atom is None:
            return None
        if atom["name"] is None:
            return atom["text"] if atom["text"] is not None else atom["number"]
        if atom["name"] in ("true", "false"):
            return atom["name"]
        return self._look_up(re.findall(r"[\w-]+", atom["name"]))

    def _look_up(self, parts: list[str]) -> str | None:
        node: Node = dict(self.contexts)
        for depth, part in enumerate(parts):
            if part not in mapping(node):
                # A row of a matrix without this key gives the empty text; other contexts are
                # known only in part.
                return "" if depth and parts[0] in ("matrix", "inputs") else None
            node = mapping(node)[part]
        return node if isinstance(node, str) else None


def plain(node: Node, scope: Scope) -> str:
    """A text node with its expressions replaced, or ""."""
    return scope.fill(text(node)) or ""
