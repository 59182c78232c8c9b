"""The YAML of other tools' files, bounded and without types. Pure.

Anchors and merge keys are legal in such files. Every scalar stays text: `3.10` is a version, and
`on` a key.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import yaml

MAX_BYTES = 400_000
_MAX_NODES = 50_000
_MAX_DEPTH = 40
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Node: TypeAlias = "str | list[Node] | dict[str, Node]"


class UnreadableYamlError(ValueError):
    """The text is not YAML, or too large. The message says which."""


def load(text: str) -> Node:
    """The first document; an empty one is "".

    Aliases share one object, so that nothing grows; walk the result only along known keys.
    Raises UnreadableYamlError.
    """
    if len(text) > MAX_BYTES:
        raise UnreadableYamlError(f"it is larger than {MAX_BYTES} bytes")
    try:
        return _Builder(yaml.parse(text, Loader=_LOADER)).build()
    except (yaml.YAMLError, ValueError) as problem:
        if isinstance(problem, UnreadableYamlError):
            raise
        mark = getattr(problem, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark else ""
        raise UnreadableYamlError(f"it is not YAML{where}") from None


class _Builder:
    """From events, without recursion in the parser: the depth is checked before it grows."""

    def __init__(self, events: Iterator[Any]) -> None:
        self._events = events
        self._anchors: dict[str, Node] = {}
        self._nodes = 0

    def build(self) -> Node:
        for event in self._events:
            if isinstance(event, yaml.NodeEvent):
                return self._node(event, 0)
        return ""

    def _node(self, event: Any, depth: int) -> Node:
        self._nodes += 1
        if self._nodes > _MAX_NODES or depth > _MAX_DEPTH:
            raise UnreadableYamlError("it has too many values")
        if isinstance(event, yaml.AliasEvent):
            return self._anchors.get(event.anchor or "", "")
        node: Node
        if isinstance(event, yaml.ScalarEvent):
            plain_null = event.implicit[0] and event.value in ("~", "null")
            node = "" if plain_null else event.value
        elif isinstance(event, yaml.SequenceStartEvent):
            node = []
            self._remember(event, node)
            for item in self._until(yaml.SequenceEndEvent):
                node.append(self._node(item, depth + 1))
        else:
            node = {}
            self._remember(event, node)
            self._fill(node, depth)
        self._remember(event, node)
        return node

    def _fill(self, mapping: dict[str, Node], depth: int) -> None:
        merged: list[Node] = []
        for item in self._until(yaml.MappingEndEvent):
            key = self._node(item, depth + 1)
            value = self._node(next(self._events), depth + 1)
            if key == "<<":
                merged += value if isinstance(value, list) else [value]
            elif isinstance(key, str):
                mapping[key] = value
        for other in merged:
            for key, value in list(other.items()) if isinstance(other, dict) else ():
                self._nodes += 1
                if self._nodes > _MAX_NODES:
                    raise UnreadableYamlError("it has too many values")
                mapping.setdefault(key, value)

    def _until(self, end: type[Any]) -> Iterator[Any]:
        for event in self._events:
            if isinstance(event, end):
                return
            yield event

    def _remember(self, event: Any, node: Node) -> None:
        if event.anchor is not None:
            self._anchors[event.anchor] = node


def mapping(node: object) -> dict[str, Node]:
    """The node if it is a mapping, else an empty mapping."""
    return node if isinstance(node, dict) else {}


def items(node: object) -> list[Node]:
    """The node if it is a list; a single value as a list of one; nothing for "" and None."""
    if isinstance(node, list):
        return node
    return [] if node is None or node in ("", {}) else [node]  # type: ignore[list-item]


def text(node: object) -> str:
    """The node if it is text, else ""."""
    return node if isinstance(node, str) else ""
