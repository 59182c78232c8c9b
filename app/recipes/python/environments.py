"""Reads the test environments of tox, nox, hatch and conda. Pure; nothing is run."""

from __future__ import annotations

import ast
import configparser
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.recipes.python.names import is_name, is_path, requirement, wanted_for_tests
from app.recipes.python.setup_files import functions

_TOX_NAMES = re.compile(r"testenv(?::(?:py.*|\{?py.*|.*\b(?:tests?|unit|dev)\b.*))?")
_ONE_PYTHON = re.compile(r"testenv:(?:py\d*|pypy[\d.]*)")
_OTHER_WORK = re.compile(r"(?i)lint|docs?\b|mypy|type|pypy|flake|min|oldest|dev|main|master|latest")
_PLACES = re.compile(r"\{(?:toxinidir|tox_root|\.)\}/")
_OWN_PACKAGE = re.compile(r"(?:-e\s*)?\.(?:\[([\w., -]+)\])?")
_FILE = re.compile(r"(?:-r\s*|--requirement[= ]\s*)(\S+)")
_FACTOR = re.compile(r"^\s*([\w!,{}.-]+):\s+(.*)$")


@dataclass
class TestEnvironment:
    """Requirements, extras, dependency groups and requirement files, as they are named."""

    __test__ = False

    requirements: list[str] = field(default_factory=list)
    extras: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)

    def add(self, words: Iterable[str]) -> None:
        """Sort the arguments of a `pip install`; those that are not understood are left out."""
        for word in words:
            word = _PLACES.sub("", word.strip())
            own, file = _OWN_PACKAGE.fullmatch(word), _FILE.fullmatch(word)
            if own:
                self.extras += names_in(own[1] or "")
            elif file:
                self.files += [file[1].removeprefix("./")] if is_path(file[1]) else []
            elif requirement(word):
                self.requirements.append(word)


Table = Mapping[str, Any]


def read_tox(made: TestEnvironment, ini: str, legacy: object, native: Table) -> None:
    """tox.ini, or its text or tables in pyproject.toml."""
    texts = [ini, *([legacy] if isinstance(legacy, str) else [])]
    sections: list[Table] = [
        section for text in texts for section in _tox_sections(ini_sections(text))
    ]
    base, others = native.get("env_run_base"), native.get("env")
    sections += [base] if isinstance(base, Mapping) else []
    if isinstance(others, Mapping):
        sections += [
            section
            for name, section in others.items()
            if isinstance(section, Mapping) and _TOX_NAMES.fullmatch(f"testenv:{name}")
        ]
    for section in sections:
        made.add(_tox_lines(section.get("deps")))
        made.extras += names_in(section.get("extras"))
        made.groups += names_in(section.get("dependency_groups"))


def _tox_sections(sections: Mapping[str, Table]) -> Iterator[Table]:
    """Those for tests. A section of one interpreter (`testenv:py33`) says what only that one needs
    where the general one has a list."""
    general = "deps" in sections.get("testenv", {})
    for name, section in sections.items():
        if _TOX_NAMES.fullmatch(name) and not (general and _ONE_PYTHON.fullmatch(name)):
            yield section


def _tox_lines(value: object) -> Iterator[str]:
    """The lines of `deps`. Of a package with several conditions (`django5: django<6`), the last."""
    by_condition: dict[str, str] = {}
    for line in lines_of(value):
        found = _FACTOR.match(line)
        if found is None:
            yield line
        elif not _OTHER_WORK.search(found[1]) and (read := requirement(found[2])):
            by_condition[read.name.lower()] = found[2]
    yield from by_condition.values()


def read_nox(made: TestEnvironment, text: str) -> None:
    """Literal arguments of `session.install` in sessions that mention tests."""
    for function in functions(text):
        if not wanted_for_tests([function.name]):
            continue
        for call in ast.walk(function):
            if (
                isinstance(call, ast.Call)
                and isinstance(call.func, ast.Attribute)
                and call.func.attr == "install"
            ):
                made.add(_joined(call.args))


def _joined(arguments: Iterable[ast.expr]) -> Iterator[str]:
    """The literal arguments; an option and its value are one (`-r FILE`)."""
    option = ""
    for argument in arguments:
        word = argument.value if isinstance(argument, ast.Constant) else None
        if not isinstance(word, str):
            option = ""
        elif word in ("-r", "-e", "--requirement"):
            option = f"{word} "
        else:
            yield f"{option}{word}"
            option = ""


def read_hatch(made: TestEnvironment, tables: Iterable[Table]) -> None:
    """`tool.hatch.envs`: those for tests."""
    for table in tables:
        for key in ("dependencies", "extra-dependencies"):
            made.add(lines_of(table.get(key)))
        made.extras += names_in(table.get("features"))
        made.groups += names_in(table.get("dependency-groups"))


def conda_packages(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The packages for pip in environment.yml, and those for conda."""
    tail = text.partition("dependencies:")[2]
    below = re.search(r"(?m)^[ \t]*- pip:[ \t]*\n((?:[ \t]+- .*\n?)+)", tail)
    listed = re.findall(r"(?m)^[ \t]+- (.+)$", below[1]) if below else []
    rest = tail.replace(below[0], "") if below else tail
    for_pip = tuple(each for line in listed if requirement(each := _plain(line)))
    names = (re.match(r"(?:[\w-]+::)?([\w.-]+)", _plain(line)) for line in _listed(rest))
    others = tuple(
        found[1] for found in names if found and found[1].lower() not in ("python", "pip")
    )
    return for_pip, others


def _listed(text: str) -> Iterator[str]:
    for line in text.splitlines():
        found = re.match(r"[ \t]*-[ \t]+(.+)$", line)
        if found:
            yield found[1]
        elif re.match(r"\w", line):
            return  # the next key of the file


def _plain(line: str) -> str:
    return line.partition(" #")[0].strip().strip("\"'")


def ini_sections(text: str) -> Mapping[str, Mapping[str, str]]:
    """The sections of an INI file; none if it cannot be parsed."""
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(text)
    except (configparser.Error, ValueError, AttributeError):
        return {}
    return {name: dict(parser.items(name)) for name in parser.sections()}


def lines_of(value: object) -> list[str]:
    """The entries of a list, or the lines of a text, without comments."""
    lines = value.splitlines() if isinstance(value, str) else value
    if not isinstance(lines, (list, tuple)):
        return []
    plain = (re.sub(r"(?:^|\s)#.*", "", line).strip() for line in lines if isinstance(line, str))
    return [line for line in plain if line]


def names_in(value: object) -> list[str]:
    """The names in a list, or in a text separated by commas and spaces."""
    words = re.split(r"[\s,]+", value) if isinstance(value, str) else value
    return [word for word in words if is_name(word)] if isinstance(words, (list, tuple)) else []
