"""Maven's `pom.xml`: the plugins that run or measure tests, and the dependencies of tests."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from xml.parsers import expat

from app.integrity.mixed.splitter import MAX_BYTES, Parts, Splitter

_RUNNERS = re.compile(
    r"maven-(?:surefire|failsafe)\S*|jacoco-maven-plugin|pitest-maven|maven-(?:checkstyle|pmd)-plugin"
    r"|spotbugs-maven-plugin|spotless-maven-plugin"
)
_PROPERTIES = re.compile(
    r"skipTests|skipITs|maven\.test\.\S+|(?:surefire|failsafe|jacoco|pitest|checkstyle)\.\S+|test"
)
_MAX_ELEMENTS = 20_000
_MAX_DEPTH = 60


@dataclass
class _Element:
    """One element: its position, its bytes, its own text, and the texts of its children by name."""

    parent: _Element | None
    name: str
    start: int
    end: int
    words: str
    children: dict[str, str]
    leaf: bool

    @cached_property
    def path(self) -> tuple[str, ...]:
        """The names of its ancestors and its own; profiles with their ids, because there may be
        several.
        """
        own = f"{self.name} {self.children.get('id', '')}" if self.name == "profile" else self.name
        return (own,) if self.parent is None else (*self.parent.path, own)


class Pom(Splitter):
    """Elements are moved as written, to the position with the same path."""

    def parts(self, content: bytes) -> Parts | None:
        elements = _elements(content)
        if elements is None:
            return None
        cut = [each for each in elements if _group(each)]
        rest = tuple((each.path, _words(content, each)) for each in cut if _group(each) == "rest")
        dependencies = tuple(
            (each.path, _words(content, each)) for each in cut if _group(each) == "dependencies"
        )
        inside = [(each.start, each.end) for each in cut]
        source = tuple(
            (each.path, each.words.strip())
            for each in elements
            if each.leaf and not any(start <= each.start < end for start, end in inside)
        )
        return Parts(source, rest, dependencies)

    def _spliced(self, source: bytes, rest: bytes) -> bytes | None:
        own, other = _elements(source), _elements(rest)
        if own is None or other is None:
            return None
        made = source
        edits = [(each.start, each.end, b"") for each in own if _group(each) == "rest"]
        for each in other:
            if _group(each) == "rest":
                places = [one for one in own if one.path == each.path[:-1] and not one.leaf]
                if len(places) != 1:
                    return None
                closing = source.rindex(b"</", 0, places[0].end)
                edits.append((closing, closing, rest[each.start : each.end] + b"\n"))
        for start, end, text in sorted(edits, key=lambda edit: edit[:2], reverse=True):
            made = made[:start] + text + made[end:]
        return made


def _group(element: _Element) -> str:
    *_, above, name = ("", *element.path)
    if name == "plugin" and _RUNNERS.fullmatch(element.children.get("artifactId", "")):
        return "rest"
    if above == "properties" and _PROPERTIES.fullmatch(name):
        return "rest"
    if name == "dependency" and element.children.get("scope") == "test":
        return "dependencies"
    return ""


def _words(content: bytes, element: _Element) -> str:
    """The element without the layout between its tags."""
    text = content[element.start : element.end].decode("utf-8", "replace")
    return re.sub(r">\s+|\s+<", lambda found: found.group().strip(), text)


class _Reader:
    def __init__(self, content: bytes) -> None:
        self.elements: list[_Element] = []
        self._open: list[_Element] = []
        self._content = content
        self._parser = expat.ParserCreate()
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._data

    def read(self) -> list[_Element]:
        self._parser.Parse(self._content, True)
        return self.elements

    def _start(self, name: str, attributes: object) -> None:
        if self._open:
            self._open[-1].leaf = False
        parent = self._open[-1] if self._open else None
        own = name.rpartition(":")[2]
        element = _Element(parent, own, self._parser.CurrentByteIndex, 0, "", {}, True)
        self._open.append(element)
        self.elements.append(element)
        if len(self.elements) > _MAX_ELEMENTS or len(self._open) > _MAX_DEPTH:
            raise ValueError("too many elements")

    def _data(self, words: str) -> None:
        self._open[-1].words += words

    def _end(self, name: str) -> None:
        element = self._open.pop()
        at = self._parser.CurrentByteIndex
        # Of `<a/>` the index is that of what follows.
        is_empty = element.leaf and not element.words and self._content[at - 2 : at] == b"/>"
        element.end = at if is_empty else self._content.index(b">", at) + 1
        if self._open:
            self._open[-1].children.setdefault(element.name, element.words.strip())


def _elements(content: bytes) -> list[_Element] | None:
    if not content:
        return []
    if len(content) > MAX_BYTES or b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        return None
    try:
        return _Reader(content).read()
    except (expat.ExpatError, ValueError):
        return None
