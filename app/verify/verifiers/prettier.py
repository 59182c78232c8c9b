"""Prettier: https://prettier.io/docs/cli"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from app.verify.verifiers.checks import LintCheck, LintFinding, lines_of


@dataclass(frozen=True)
class Prettier(LintCheck):
    """Files that Prettier would reformat."""

    line: str = "prettier --check ."
    name: ClassVar[str] = "prettier"
    argv: ClassVar[tuple[str, ...]] = ("prettier", "--list-different", "--no-color", ".")
    configuration: ClassVar[tuple[tuple[str, str], ...]] = (
        *((f"prettier.config.{end}", "") for end in ("js", "mjs", "cjs", "ts", "mts", "cts")),
        *((f".prettierrc{end}", "") for end in ("", ".json", ".json5", ".yml", ".yaml", ".toml")),
        *((f".prettierrc.{end}", "") for end in ("js", "mjs", "cjs", "ts", "mts", "cts")),
        ("package.json", r'^\s*"prettier"\s*:\s*(?:\{|"(?![\^~]?\d|latest|\*|>|<))'),
    )

    def findings(self, report: bytes) -> Iterator[LintFinding]:
        for line in lines_of(report):
            if line:
                yield LintFinding(line, None, "", "is not formatted")
