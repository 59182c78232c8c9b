"""tox and nox, where a project uses them to run its tests.

Each environment that they run by themselves is run alone, so that a pytest inside writes a report
of its own (through PYTEST_ADDOPTS) and every environment has its own exit code. Environments
without pytest are judged by that code alone. Nothing is installed here: setup did that, or the
package index is a local folder.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from app.domain.file_tree import FileTree, located, unlocated
from app.domain.sanitize import fit
from app.domain.verdict import (
    Kind,
    TestOutcome,
    TestResult,
    VerifierResult,
    all_skipped,
    executed,
)
from app.sandbox.spec import Completed
from app.verify.junit import MAX_MESSAGE, bounded
from app.verify.results import ended_early, result_of
from app.verify.verifier import TestCommand, VerifierContext
from app.verify.verifiers.pytest import FIND_PYTHON, read_report

MAX_ENVIRONMENTS = 30
_MAX_BYTES = 1_000_000

# $1 report folder. For each environment `<n>.name`, `<n>.code` and, of pytest, `<n>.xml`.
_SCRIPT = (
    """
report=$1
"""
    + FIND_PYTHON
    + """
unset HONK_FOLDER
has() { "$python" -c "import $1" 2>/dev/null; }
run_all() {
  worst=0 number=0
  while IFS= read -r name; do
    [ -n "$name" ] || continue
    number=$((number + 1))
    printf %s "$name" > "$report/$number.name"
    export PYTEST_ADDOPTS="--junitxml=$(printf %q "$report")/$number.xml -o junit_family=xunit1 \\
-o junit_logging=no --rootdir=$(printf %q "$PWD") --color=no --tb=short --maxfail=0"
    run_one "$name" < /dev/null; code=$?
    printf %s "$code" > "$report/$number.code"
    [ "$code" = 0 ] || worst=1
  done
  [ "$number" -gt 0 ] || { echo "It has no environments." >&2; return 126; }
  return $worst
}
"""
)
_TOX = """
if has tox; then tox() { "$python" -m tox "$@"; }
elif ! command -v tox >/dev/null; then echo "There is no tox here." >&2; exit 127; fi
run_one() {
  tox run -e "$1" --skip-missing-interpreters=true \\
    -x testenv.pass_env+=PYTEST_ADDOPTS -x env_run_base.pass_env+=PYTEST_ADDOPTS
}
tox list -q --no-desc -d > "$report/list" || exit 126
head -n MOST "$report/list" | run_all
"""
_NOX = """
if has nox; then nox() { "$python" -m nox "$@"; }
elif ! command -v nox >/dev/null; then echo "There is no nox here." >&2; exit 127; fi
run_one() { nox --non-interactive -R -s "$1"; }
nox --list --json > "$report/list.json" || exit 126
"$python" -c 'import json, sys
for each in json.load(sys.stdin):
    if each.get("default", True):
        print(each["session"])' < "$report/list.json" > "$report/list" || exit 126
head -n MOST "$report/list" | run_all
"""
_CANNOT = {126: "its environments could not be listed", 127: "it is not installed"}


@dataclass(frozen=True)
class _Environments:
    """Shared base of tox and nox."""

    folder: str = ""
    line: str = ""
    name: ClassVar[str]
    kind: ClassVar[Kind] = "tests"
    _script: ClassVar[str]

    def selects(self, tests: Sequence[TestResult]) -> bool:
        return False

    def command(self, context: VerifierContext) -> TestCommand:
        script = _SCRIPT + self._script.replace("MOST", str(MAX_ENVIRONMENTS))
        numbers = range(1, MAX_ENVIRONMENTS + 1)
        return TestCommand(
            argv=("bash", "-c", script, "honk", context.report),
            environment={"HONK_FOLDER": self.folder, "PYTHONDONTWRITEBYTECODE": "1"},
            reports=tuple(f"{n}.{kind}" for n in numbers for kind in ("name", "code", "xml")),
        )

    def parse(self, completed: Completed, reports: Mapping[str, bytes]) -> VerifierResult:
        result = result_of(self.name, self.line, completed)
        tests: list[TestResult] = []
        dropped, complete, only_codes = 0, True, True
        for number in range(1, MAX_ENVIRONMENTS + 1):
            name = reports.get(f"{number}.name")
            if name is None:
                break
            ended = _ToolEnvironment(self, _text(name, 200), reports.get(f"{number}.code"))
            found = ended.read(reports.get(f"{number}.xml"))
            dropped += ended.dropped
            tests += found
            complete = complete and ended.complete
            only_codes = only_codes and ended.only_code
        kept = bounded(tests)
        result = result.model_copy(
            update={
                "tests": kept.tests,
                "tests_dropped": dropped + kept.dropped,
                "ran": executed(tests),
                "complete": complete,
                "from_exit_code_only": only_codes and bool(tests),
            }
        )
        return _judged(result, completed)


class _ToolEnvironment:
    """The result of one environment."""

    def __init__(self, verifier: _Environments, name: str, code: bytes | None) -> None:
        self.name = name
        self.code = _text(code, 20) if code is not None else None
        self.folder = verifier.folder
        self.complete = True
        self.only_code = False
        self.dropped = 0

    def read(self, xml: bytes | None) -> list[TestResult]:
        """Its tests, plus its own entry if they do not explain its exit code."""
        if xml is None:
            self.only_code = True
            return [self._itself("" if self.code == "0" else f"exit code {self.code}")]
        report, unreadable = read_report(xml, self.folder)
        self.dropped = report.dropped
        tests = [self._named(test) for test in report.tests]
        bad = any(test.outcome.bad for test in tests)
        if unreadable is not None:
            return [*tests, self._itself(unreadable)]
        if bad == (self.code == "0"):
            return [*tests, self._itself(f"exit code {self.code}, while its tests say otherwise")]
        return tests

    def _itself(self, problem: str) -> TestResult:
        if self.code is None:
            problem = "it did not end"
        self.complete = self.complete and (self.only_code and self.code is not None)
        return TestResult(
            id=located(f"{self.name} (the environment)", self.folder),
            outcome=TestOutcome.ERROR if problem else TestOutcome.PASSED,
            message=fit(problem, MAX_MESSAGE),
            whole_run=True,
            # A failure without a report does not show whether any test ran.
            could_not_run=bool(problem) and self.only_code,
        )

    def _named(self, test: TestResult) -> TestResult:
        name = f"{self.name}: {unlocated(test.id, self.folder)}"
        return test.model_copy(update={"id": located(name, self.folder)})


def _judged(result: VerifierResult, completed: Completed) -> VerifierResult:
    code, bad = result.exit_code, sum(test.outcome.bad for test in result.tests)
    broken = completed.how_it_ended
    if broken is not None:
        return ended_early(result, broken)
    if code in _CANNOT:
        return ended_early(result, _CANNOT[code])
    if (code == 0) == bool(bad):
        return ended_early(result, f"it exited with code {code}, while {bad} of its tests fail")
    return result.model_copy(update={"nothing_to_run": all_skipped(result.tests)})


def _text(data: bytes, most: int) -> str:
    return data[:most].decode("utf-8", errors="replace")


@dataclass(frozen=True)
class Tox(_Environments):
    """tox 4: https://tox.wiki/en/latest/cli_interface.html."""

    line: str = "tox"
    name: ClassVar[str] = "tox"
    _script: ClassVar[str] = _TOX

    @classmethod
    def detect(cls, tree: FileTree) -> Iterator[Tox]:
        """Configuration in the repository's root."""
        for path, pattern in (
            ("tox.ini", r"^\[(?:tox|testenv)\b"),
            ("tox.toml", ""),
            ("setup.cfg", r"^\[tox:tox\]"),
            ("pyproject.toml", r"^\[tool\.tox\b"),
        ):
            text = tree.read_text(path, _MAX_BYTES)
            if text is not None and re.search(pattern, text, re.MULTILINE):
                yield cls()
                return


@dataclass(frozen=True)
class Nox(_Environments):
    """nox: https://nox.thea.codes/en/stable/usage.html. `-R` reuses what setup installed."""

    line: str = "nox"
    name: ClassVar[str] = "nox"
    _script: ClassVar[str] = _NOX

    @classmethod
    def detect(cls, tree: FileTree) -> Iterator[Nox]:
        """A noxfile in the repository's root."""
        if tree.exists("noxfile.py"):
            yield cls()
