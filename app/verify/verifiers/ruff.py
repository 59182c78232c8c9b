"""Ruff, its linter and its formatter: https://docs.astral.sh/ruff/configuration/"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import msgspec

from app.verify.lenient import json_bytes
from app.verify.verifiers.checks import LintCheck, LintFinding, UnreadableError, lines_of, number


class _Location(msgspec.Struct):
    row: int | None = None


class _Diagnostic(msgspec.Struct):
    filename: str = ""
    message: str = ""
    code: str | None = None
    location: _Location | None = None


_DIAGNOSTIC = msgspec.json.Decoder(_Diagnostic)


@dataclass(frozen=True)
class Ruff(LintCheck):
    """The linter, with the repository's rules."""

    line: str = "ruff check"
    name: ClassVar[str] = "ruff"
    argv: ClassVar[tuple[str, ...]] = (
        *("ruff", "check", "--output-format=json-lines", "--no-fix", "--no-cache", "--quiet", "."),
    )
    environment: ClassVar[Mapping[str, str]] = {"RUFF_NO_CACHE": "true"}
    configuration: ClassVar[tuple[tuple[str, str], ...]] = (
        ("ruff.toml", ""),
        (".ruff.toml", ""),
        ("pyproject.toml", r"^\[tool\.ruff[\].]"),
    )

    def findings(self, report: bytes) -> Iterator[LintFinding]:
        for line in json_bytes(report).splitlines():
            try:
                each = _DIAGNOSTIC.decode(line)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                raise UnreadableError("its report is truncated or not JSON") from None
            row = each.location.row if each.location else None
            yield LintFinding(each.filename, row, each.code or "", each.message)


@dataclass(frozen=True)
class RuffFormat(LintCheck):
    """The formatter, if the repository has a section for it."""

    line: str = "ruff format --check"
    name: ClassVar[str] = "ruff-format"
    argv: ClassVar[tuple[str, ...]] = ("ruff", "format", "--check", "--no-cache", ".")
    configuration: ClassVar[tuple[tuple[str, str], ...]] = (
        ("ruff.toml", r"^\[format\]"),
        (".ruff.toml", r"^\[format\]"),
        ("pyproject.toml", r"^\[tool\.ruff\.format\]"),
    )

    def findings(self, report: bytes) -> Iterator[LintFinding]:
        """One line for each file; newer versions add the place of its first difference."""
        unformatted = False
        for line in lines_of(report):
            _, would, file = line.partition("Would reformat: ")
            if would:
                yield LintFinding(file, None, "", _UNFORMATTED)
            elif unformatted and (found := _AT.fullmatch(line)) is not None:
                yield LintFinding(found[1], number(found[2]), "", _UNFORMATTED)
            unformatted = line.startswith("unformatted: ")


_UNFORMATTED = "is not formatted"
_AT = re.compile(r" *--> (.{1,500}?):(\d+):\d+")
