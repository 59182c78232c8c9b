"""TypeScript's type checker: https://www.typescriptlang.org/docs/handbook/compiler-options.html"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from app.verify.verifiers.checks import LintCheck, LintFinding, lines_of, number

_ERROR = re.compile(r"(.{1,500}?)\((\d+),\d+\): error (TS\d+): (.*)")
_GLOBAL = re.compile(r"error (TS\d+): (.*)")


@dataclass(frozen=True)
class Tsc(LintCheck):
    """The project that `tsconfig.json` describes. Nothing is written."""

    line: str = "tsc --noEmit"
    name: ClassVar[str] = "tsc"
    argv: ClassVar[tuple[str, ...]] = (
        *("tsc", "--noEmit", "--incremental", "false", "--pretty", "false"),
        *("--project", "tsconfig.json"),
    )
    found_codes: ClassVar[tuple[int, ...]] = (1, 2)
    configuration: ClassVar[tuple[tuple[str, str], ...]] = (("tsconfig.json", ""),)

    def findings(self, report: bytes) -> Iterator[LintFinding]:
        for line in lines_of(report):
            if (found := _ERROR.fullmatch(line)) is not None:
                yield LintFinding(found[1], number(found[2]), found[3], found[4])
            elif (found := _GLOBAL.fullmatch(line)) is not None:
                yield LintFinding("tsconfig.json", None, found[1], found[2])
