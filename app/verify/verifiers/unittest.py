"""unittest, where a project's tests use it and the project does not mention pytest.

unittest itself runs, with its own discovery rules: pytest would run most of these tests the same
way, but not `load_tests` and sub-tests. Honk only adds the report.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from app.domain.file_tree import FileTree, folders_with, outermost
from app.domain.verdict import Kind, TestResult, VerifierResult, all_skipped, executed
from app.sandbox.spec import Completed
from app.verify.results import ended_early, result_of
from app.verify.verifier import TestCommand, VerifierContext
from app.verify.verifiers.pytest import FIND_PYTHON, IS_UNITTEST, PROBE, Pytest, read_report

REPORT = "report.xml"
MANIFESTS = ("pyproject.toml", "setup.py", "setup.cfg")
MAX_FILES_READ = 200
MAX_TEST_BYTES = 200_000

_SCRIPT = f"""
report=$1
{FIND_PYTHON}
case $("$python" -c "$HONK_PROBE") in
  *source*) PYTHONPATH=$PWD/src${{PYTHONPATH:+:$PYTHONPATH}}; export PYTHONPATH ;;
esac
unset HONK_PROBE HONK_FOLDER
program=$HONK_PROGRAM; unset HONK_PROGRAM
exec "$python" -c "$program" "$report/{REPORT}"
"""
_NO_TESTS = 5


@dataclass(frozen=True)
class Unittest:
    """All tests that unittest discovers in one folder."""

    folder: str = ""
    line: str = "python -m unittest"
    name: ClassVar[str] = "unittest"
    kind: ClassVar[Kind] = "tests"

    @classmethod
    def detect(cls, tree: FileTree) -> Iterator[Unittest]:
        """Each outermost Python project whose tests are unittest's and that pytest does not run."""
        others = {verifier.folder for verifier in Pytest.detect(tree)}
        if "" in others:
            return
        files = [path for path in tree.names("*.py") if _is_test_file(path)]
        written = [path for path in files[:MAX_FILES_READ] if _is_written_so(tree, path)]
        folders = outermost(each for each in folders_with(tree, *MANIFESTS) if each)
        left = [path for path in written if _home(path, (*folders, *others)) is None]
        if left:
            yield cls()
        for folder in folders:
            if folder not in others and any(_home(path, (folder,)) for path in written):
                yield cls(folder=folder)

    @classmethod
    def of_line(cls, line: str) -> Unittest | None:
        """None: a policy's line runs as it is written, judged by its exit code."""
        return None

    def selects(self, tests: Sequence[TestResult]) -> bool:
        return False

    def command(self, context: VerifierContext) -> TestCommand:
        return TestCommand(
            argv=("bash", "-c", _SCRIPT, "honk", context.report),
            environment={
                "HONK_PROBE": PROBE,
                "HONK_FOLDER": self.folder,
                "HONK_PROGRAM": Path(__file__).with_name("unittest_report.py").read_text(),
                "PYTHONDONTWRITEBYTECODE": "1",
            },
            reports=(REPORT,),
        )

    def parse(self, completed: Completed, reports: Mapping[str, bytes]) -> VerifierResult:
        report, unreadable = read_report(reports.get(REPORT), self.folder)
        result = result_of(self.name, self.line, completed).model_copy(
            update={
                "tests": report.tests,
                "tests_dropped": report.dropped,
                "ran": executed(report.tests),
                # A module that cannot be imported says nothing about its tests.
                "complete": not any(test.could_not_run for test in report.tests),
            }
        )
        return _judged(result, completed.how_it_ended, unreadable)


def _judged(result: VerifierResult, broken: str | None, unreadable: str | None) -> VerifierResult:
    code, bad = result.exit_code, sum(test.outcome.bad for test in result.tests)
    if broken is not None:
        return ended_early(result, broken)
    if code == 127:
        return ended_early(result, "Python is not installed on this worker")
    if unreadable is not None:
        return ended_early(result, f"unittest exited with code {code} and {unreadable}")
    if code == _NO_TESTS and not result.tests:
        problem = "unittest found no tests"
        return result.model_copy(update={"problem": problem, "nothing_to_run": True})
    if code == 0 and bad:
        return ended_early(result, f"unittest exited with code 0, but {bad} of its tests fail")
    if code != 0 and not bad:
        return ended_early(result, f"unittest exited with code {code}, but no test fails")
    return result.model_copy(update={"nothing_to_run": all_skipped(result.tests)})


def _is_test_file(path: str) -> bool:
    name = path.rpartition("/")[2]
    return name.startswith("test") or "/tests/" in f"/{path}"


def _is_written_so(tree: FileTree, path: str) -> bool:
    return IS_UNITTEST.search(tree.read_text(path, MAX_TEST_BYTES) or "") is not None


def _home(path: str, folders: Sequence[str]) -> str | None:
    return next((each for each in folders if path.startswith(f"{each}/")), None)
