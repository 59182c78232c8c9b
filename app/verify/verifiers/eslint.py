"""ESLint: https://eslint.org/docs/latest/use/formatters/#json"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import msgspec

from app.verify.lenient import json_bytes
from app.verify.verifiers.checks import LintCheck, LintFinding, UnreadableError

MAX_OBJECTS = 400_000
_ERROR = 2


class _EslintMessage(msgspec.Struct):
    message: str = ""
    severity: int = 0
    rule: str | None = msgspec.field(name="ruleId", default=None)
    line: int | None = None


class _File(msgspec.Struct):
    path: str = msgspec.field(name="filePath", default="")
    messages: list[_EslintMessage] = []


_FILES = msgspec.json.Decoder(list[_File])


@dataclass(frozen=True)
class Eslint(LintCheck):
    """What ESLint calls errors; its warnings do not fail it by themselves."""

    line: str = "eslint ."
    name: ClassVar[str] = "eslint"
    argv: ClassVar[tuple[str, ...]] = ("eslint", "--format=json", "--no-color", ".")
    configuration: ClassVar[tuple[tuple[str, str], ...]] = (
        *((f"eslint.config.{end}", "") for end in ("js", "mjs", "cjs", "ts", "mts", "cts")),
        *((f".eslintrc{end}", "") for end in (".js", ".cjs", ".json", ".yml", ".yaml", "")),
        ("package.json", r'^\s*"eslintConfig"\s*:'),
    )

    def findings(self, report: bytes) -> Iterator[LintFinding]:
        if report.count(b"{") > MAX_OBJECTS:
            raise UnreadableError("its report has more entries than can be read")
        try:
            files = _FILES.decode(json_bytes(report) or b"[]")
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise UnreadableError("its report is truncated or not JSON") from None
        for file in files:
            for each in file.messages:
                if each.severity == _ERROR:
                    yield LintFinding(file.path, each.line, each.rule or "", each.message)
