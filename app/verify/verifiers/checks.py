"""Shared base of formatters, linters and type checkers: findings with file and line.

A check runs if the repository configures it and the project's environment has it. Findings are
equal if file, rule and message are: line numbers shift with every change above them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Self

from app.domain.file_tree import FileTree, folders_with, located, outermost
from app.domain.sanitize import fit
from app.domain.verdict import Kind, TestOutcome, TestResult, VerifierResult
from app.sandbox.spec import Completed
from app.verify.junit import MAX_MESSAGE, repository_path, stable_id
from app.verify.results import ended_early, plain, result_of
from app.verify.verifier import TestCommand, VerifierContext

MAX_REPORT_BYTES = 16 * 1024 * 1024
MAX_FINDINGS = 20_000
MAX_CONFIG_BYTES = 200_000
REPORT = "findings"
ABSENT = "absent"

# $1 report folder, $2 folders between here and the repository's, $3 on the command. The project's
# own installation takes precedence over the system's.
_SCRIPT = """
report=$1 above=$2; shift 2
folder=$PWD own=
while :; do
  own=$own$folder/.venv/bin:$folder/venv/bin:$folder/node_modules/.bin:
  [ "$above" -gt 0 ] || break
  above=$((above - 1)) folder=${folder%/*}
done
export PATH=$own$PATH
command -v "$1" >/dev/null || { : > "$report/absent"; exit 0; }
exec "$@" > "$report/findings"
"""
_ENVIRONMENT = {"NO_COLOR": "1", "CI": "true", "PYTHONDONTWRITEBYTECODE": "1"}
_MOVING = re.compile(r"\bline \d+")


class UnreadableError(Exception):
    """The tool's report is invalid. The message is the end of a sentence."""


class LintFinding(NamedTuple):
    """One finding. `file` is as the tool names it; `line` counts from 1, None for the whole
    file."""

    file: str
    line: int | None
    rule: str
    message: str


@dataclass(frozen=True)
class LintCheck:
    """One tool in one folder. `found_codes`: exit codes that mean findings."""

    folder: str = ""
    line: str = ""
    name: ClassVar[str]
    kind: ClassVar[Kind] = "checks"
    argv: ClassVar[tuple[str, ...]]
    found_codes: ClassVar[tuple[int, ...]] = (1,)
    environment: ClassVar[Mapping[str, str]] = {}
    configuration: ClassVar[tuple[tuple[str, str], ...]]
    """File names that may configure the tool, with a pattern that they must contain, or ""."""

    @classmethod
    def detect(cls, tree: FileTree) -> Iterator[Self]:
        """The outermost folders that configure it; they include the folders below."""
        names = [name for name, _ in cls.configuration]
        folders = folders_with(tree, *names)
        configured = (folder for folder in folders if cls._is_configured(tree, folder))
        yield from (cls(folder=folder) for folder in outermost(configured))

    @classmethod
    def _is_configured(cls, tree: FileTree, folder: str) -> bool:
        for name, pattern in cls.configuration:
            text = tree.read_text(located(name, folder), MAX_CONFIG_BYTES)
            if text is not None and re.search(pattern, text, re.MULTILINE):
                return True
        return False

    def selects(self, tests: Sequence[TestResult]) -> bool:
        return False

    def command(self, context: VerifierContext) -> TestCommand:
        above = str(self.folder.count("/") + 1 if self.folder else 0)
        return TestCommand(
            argv=("bash", "-c", _SCRIPT, "honk", context.report, above, *self.argv),
            environment={**_ENVIRONMENT, **self.environment},
            reports=(REPORT, ABSENT),
        )

    def findings(self, report: bytes) -> Iterable[LintFinding]:
        """Parse the tool's report. Raises UnreadableError."""
        raise NotImplementedError

    def parse(self, completed: Completed, reports: Mapping[str, bytes]) -> VerifierResult:
        result = result_of(self.name, self.line, completed)
        broken = completed.how_it_ended
        if broken is not None:
            return ended_early(result, broken)
        if ABSENT in reports:
            note = f"{self.name} is configured but not installed in the project's environment"
            update = {"note": note, "nothing_to_run": True, "complete": False}
            return result.model_copy(update=update)
        code = completed.exit_code
        try:
            found = self._told(reports.get(REPORT, b""))
        except UnreadableError as error:
            return ended_early(result, f"{self.name} exited with code {code} and {error}")
        dropped = max(0, len(found) - MAX_FINDINGS)
        update = {"tests": found[:MAX_FINDINGS], "tests_dropped": dropped, "ran": True}
        return self._judged(result.model_copy(update=update))

    def _told(self, report: bytes) -> tuple[TestResult, ...]:
        if len(report) > MAX_REPORT_BYTES:
            raise UnreadableError(f"its report is larger than {MAX_REPORT_BYTES // 2**20} MiB")
        return tuple(_results(self.findings(report), self.folder))

    def _judged(self, result: VerifierResult) -> VerifierResult:
        code = result.exit_code
        if code not in (0, *self.found_codes):
            return ended_early(result, f"{self.name} exited with code {code}")
        if code != 0 and not result.tests:
            return ended_early(result, f"{self.name} exited with code {code} and reported nothing")
        if result.tests:
            return result
        clean = TestResult(id=self.line, outcome=TestOutcome.PASSED, seconds=result.seconds)
        return result.model_copy(update={"tests": (clean,)})


def _results(findings: Iterable[LintFinding], folder: str) -> Iterator[TestResult]:
    """Turn findings into failing entries; those that differ only by line are numbered."""
    seen: Counter[str] = Counter()
    for each in sorted(findings, key=lambda each: (each.file, each.line or 0)):
        file = repository_path(each.file, folder)
        message = fit(plain(each.message), MAX_MESSAGE)
        words = [file or plain(each.file), each.rule, _MOVING.sub("line …", message)]
        test_id = stable_id(": ".join(word for word in words if word))
        seen[test_id] += 1
        if seen[test_id] > 1:
            test_id = f"{test_id} #{seen[test_id]}"
        yield TestResult(
            id=test_id,
            outcome=TestOutcome.FAILED,
            message=f"{message} ({each.rule})" if each.rule else message,
            file=file,
            line=each.line if each.line and each.line > 0 else None,
        )


def lines_of(report: bytes) -> list[str]:
    """The lines of a report in plain text."""
    return plain(report.decode("utf-8", errors="replace")).splitlines()


def number(text: str | None) -> int | None:
    """A line number of at most seven digits."""
    return int(text[:7]) if text and text.isascii() and text.isdigit() else None
