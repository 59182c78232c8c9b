"""Manifests that also configure the test runner: TOML, INI and package.json."""

from __future__ import annotations

import configparser
import json
import re
import tomllib
from collections.abc import Iterator
from typing import Any

from app.domain.safe_json import json_value
from app.integrity.mixed.splitter import MAX_BYTES, Parts, Splitter

_UNREADABLE = (
    *(ValueError, RecursionError, configparser.Error, AttributeError, LookupError, TypeError),
)


class KeyedManifest(Splitter):
    """A file of keys. `rest` and `dependencies` are expressions for whole keys (`a.b`), which
    include everything below them.
    """

    def __init__(self, *, rest: str, dependencies: str) -> None:
        self._rest = re.compile(rf"(?:{rest})")
        self._dependencies = re.compile(rf"(?:{dependencies})")

    def parts(self, content: bytes) -> Parts | None:
        if len(content) > MAX_BYTES:
            return None
        try:
            flat = dict(self._flat(self._read(content.decode("utf-8"))))
        except _UNREADABLE:
            return None
        groups: dict[str, dict[str, object]] = {"source": {}, "rest": {}, "dependencies": {}}
        for key, value in flat.items():
            groups[self._group(key)][key] = value
        return Parts(**groups)

    def _read(self, text: str) -> Any:
        raise NotImplementedError

    def _group(self, key: str) -> str:
        for name, pattern in (("rest", self._rest), ("dependencies", self._dependencies)):
            found = pattern.match(key)
            if found and key[found.end() : found.end() + 1] in ("", "."):
                return name
        return "source"

    def _is_rest(self, key: str) -> bool:
        return self._group(key) == "rest"

    def _flat(self, data: Any, prefix: str = "") -> Iterator[tuple[str, object]]:
        """One level of keys; lists are values, because their order may matter.

        Values are texts, which distinguish `1`, `1.0` and `true`.
        """
        if isinstance(data, dict) and (data or not prefix):
            for key, value in data.items():
                yield from self._flat(value, f"{prefix}.{key}" if prefix else str(key))
        else:
            yield prefix, repr(data)


_TOML_TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?"""|\'\'\'.*?\'\'\'|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'|#[^\n]*|[\[\]{}]|\n',
    re.DOTALL,
)
_TOML_HEADER = re.compile(
    r"[ \t]*\[\[?[ \t]*(?:[\w-]+|\"[^\"\n]*\"|'[^'\n]*')"
    r"(?:[ \t]*\.[ \t]*(?:[\w-]+|\"[^\"\n]*\"|'[^'\n]*'))*[ \t]*\]\]?[ \t]*(?:#[^\n]*)?\r?$",
    re.MULTILINE,
)


class TomlTables(KeyedManifest):
    """TOML, spliced by whole tables. A file with a runner's key in another table cannot be
    split.
    """

    def _read(self, text: str) -> Any:
        return tomllib.loads(text)

    def _spliced(self, source: bytes, rest: bytes) -> bytes | None:
        own = [text for key, text in self._tables(source.decode()) if not self._is_rest(key)]
        other = [text for key, text in self._tables(rest.decode()) if self._is_rest(key)]
        return _joined(own, other).encode()

    def _tables(self, text: str) -> Iterator[tuple[str, str]]:
        """Each table's key and text, header included. The text before the first has no key."""
        starts = list(_toml_headers(text))
        yield "", text[: starts[0][0]] if starts else text
        ends = [*(at for at, _ in starts), len(text)][1:]
        for (start, key), end in zip(starts, ends, strict=True):
            yield key, text[start:end]


def _toml_headers(text: str) -> Iterator[tuple[int, str]]:
    depth = at = 0
    while at <= len(text):
        header = _TOML_HEADER.match(text, at) if depth == 0 else None
        if header:
            yield at, _toml_key(header.group())
            at = header.end()
        # Continue to the next line that is not inside a value.
        for token in _TOML_TOKEN.finditer(text, at):
            word = token.group()
            depth += (word in ("[", "{")) - (word in ("]", "}"))
            if word == "\n":
                at = token.end()
                break
        else:
            return


def _toml_key(header: str) -> str:
    data: Any = tomllib.loads(header)
    names: list[str] = []
    while data:
        ((name, data),) = data.items()
        names.append(name)
        data = data[0] if isinstance(data, list) else data
    return ".".join(names)


_INI_HEADER = re.compile(r"^\[(.+)\]", re.MULTILINE)


class Ini(KeyedManifest):
    """INI, spliced by whole sections."""

    def _read(self, text: str) -> Any:
        parser = configparser.RawConfigParser(strict=False, allow_no_value=True)
        parser.read_string(text)
        data = {section: dict(parser.items(section)) for section in parser.sections()}
        if parser.defaults():
            data[configparser.DEFAULTSECT] = dict(parser.defaults())
        return data

    def _group(self, key: str) -> str:
        # A section's name may have dots.
        found = super()._group(key)
        return found if found != "source" else super()._group(key.partition(".")[0])

    def _spliced(self, source: bytes, rest: bytes) -> bytes | None:
        own = [text for name, text in _ini_sections(source.decode()) if not self._is_rest(name)]
        other = [text for name, text in _ini_sections(rest.decode()) if self._is_rest(name)]
        return _joined(own, other).encode()


def _ini_sections(text: str) -> Iterator[tuple[str, str]]:
    starts = list(_INI_HEADER.finditer(text))
    yield "", text[: starts[0].start()] if starts else text
    ends = [*(each.start() for each in starts), len(text)][1:]
    for found, end in zip(starts, ends, strict=True):
        yield found.group(1), text[found.start() : end]


def _joined(own: list[str], other: list[str]) -> str:
    """Both, each from the start of a line."""
    return "".join(
        text if not text or text.endswith("\n") else f"{text}\n" for text in (*own, *other)
    )


class PackageJson(KeyedManifest):
    """`package.json`: the other part is set key by key, and the file is rewritten."""

    def _read(self, text: str) -> Any:
        data = json_value(text) if text.strip() else {}
        if not isinstance(data, dict):
            raise ValueError("no object")  # noqa: TRY004 - the content is wrong, not the program
        return {key: value for key, value in data.items() if key != "scripts" or value != {}}

    def _spliced(self, source: bytes, rest: bytes) -> bytes | None:
        text = source.decode()
        own, other = self._read(text), self._read(rest.decode())
        made = {key: value for key, value in own.items() if not self._is_rest(key)}
        made.update({key: value for key, value in other.items() if self._is_rest(key)})
        scripts = {
            name: line
            for text_side, is_rest in ((own, False), (other, True))
            for name, line in dict(text_side.get("scripts") or {}).items()
            if self._is_rest(f"scripts.{name}") is is_rest
        }
        made.pop("scripts", None)
        if scripts:
            made["scripts"] = scripts
        indent = re.search(r"\n([ \t]+)\"", text)
        written = json.dumps(made, indent=indent.group(1) if indent else 2, ensure_ascii=False)
        return f"{written}\n".encode()
