"""The XML that Maven's Surefire and Failsafe write, and Gradle after them: a file for each class.

They write into the project, so the wrapper script copies only files newer than its own start into
the report folder: a report in the repository does not count. The script also lists the test files
there, so that a failing class has a file and a line.

The format: https://maven.apache.org/surefire/maven-surefire-plugin/xsd/surefire-test-report.xsd
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from app.domain.file_tree import located
from app.domain.verdict import TestOutcome, TestResult, VerifierResult, all_skipped, executed
from app.sandbox.spec import Completed
from app.verify.junit import (
    MAX_REPORT_BYTES,
    MAX_TESTS,
    BadReportError,
    read_junit,
    repository_path,
)
from app.verify.results import ended_early, result_of

REPORTS = ("places", "sources", "*.xml")
MAX_ALL_BYTES = 2 * MAX_REPORT_BYTES
"""Size limit of all reports of one run; more is not read, and the result says so."""

# $1 report folder, $2 the path that reports lie below, then the command.
SCRIPT = """
report=$1 below=$2; shift 2
: > "$report/start"
command -v "$1" >/dev/null || { echo "There is no $1 here." >&2; exit 127; }
"$@"; code=$?
number=0
find . -type f -path "$below" -newer "$report/start" -print0 | sort -z | head -z -n 5000 |
  while IFS= read -r -d '' file; do
    number=$((number + 1)); name=$(printf %05d "$number").xml
    cp -- "$file" "$report/$name" && printf '%s\\t%s\\n' "$name" "${file#./}"
  done > "$report/places"
find . -type f \\( -name '*.java' -o -name '*.kt' -o -name '*.groovy' -o -name '*.scala' \\) \\
  -path '*/src/*' | head -n 20000 > "$report/sources"
exit "$code"
"""

_FRAME = re.compile(r"^\s*at (?:[\w.@-]+/+)*([\w.$]+)\.[\w$<>]+\(([\w$]+\.\w+):(\d{1,7})\)", re.M)
_COMPILER = re.compile(
    r"^(?:\[ERROR\] |e: (?:file://)?)?(/\S{1,300}\.(?:java|kt|groovy|scala)):"
    r"(?:\[(\d{1,7}),\d+\]|(\d{1,7}))(?::\d+)?:? (?:error: )?(.*)$",
    re.MULTILINE,
)

# Maven's and Gradle's final messages about each failed module, and about those skipped because of
# it.
_GOAL_FAILED = re.compile(
    r"^\[ERROR\] Failed to execute goal (?:\S+ (?:\([^)\n]*\) )?)?on project (\S+): (.*)$", re.M
)
_TASK_FAILED = re.compile(
    r"^(?:\* What went wrong:\n)?Execution failed for task '(\S+)'\.\n> (.*)$", re.M
)
_MODULE_SKIPPED = re.compile(r"^\[INFO\] (\S.{0,200}?) \.* ?SKIPPED$", re.M)


class SurefireReport(NamedTuple):
    """The combined content of all reports of one run. `problem`: why not all of them count."""

    tests: tuple[TestResult, ...]
    dropped: int
    problem: str | None


def read_reports(reports: Mapping[str, bytes], folder: str) -> SurefireReport:
    """Ids are the module's folder, class and name; never raises."""
    places = dict(_listed(reports.get("places", b"")))
    sources = _Sources(reports.get("sources", b""), folder)
    tests: list[TestResult] = []
    problems: list[str] = []
    dropped = read = 0
    for name in sorted(name for name in reports if name.endswith(".xml")):
        read += len(reports[name])
        if read > MAX_ALL_BYTES:
            problems.append(f"its reports are larger than {MAX_ALL_BYTES // 2**20} MiB together")
            break
        try:
            report = read_junit(reports[name], _prefix, located_module(places.get(name), folder))
        except BadReportError as error:
            problems.append(str(error))
            continue
        tests += report.tests
        dropped += report.dropped
    tests = _with_classes(_numbered([_from_body(test) for test in tests]))
    tests = [sources.placed(test) if test.outcome.bad else test for test in tests]
    tests.sort(key=lambda test: not test.outcome.bad)
    dropped += max(0, len(tests) - MAX_TESTS)
    return SurefireReport(tuple(tests[:MAX_TESTS]), dropped, problems[0] if problems else None)


def located_module(path: str | None, folder: str) -> str:
    """The module that a report of the given path was written in."""
    module = re.sub(r"(?:^|/)(?:target|build)/.*", "", path or "")
    return located(module, folder) if module else folder


def _prefix(classname: str, _: str | None) -> str | None:
    return f"{classname}." if classname else None


def _from_body(test: TestResult) -> TestResult:
    """An exception that the test method itself raised is a failure, like an assertion's.

    JUnit's reports call both it and a failed fixture an error.
    """
    owner, _, method = test.id.partition("(")[0].partition("[")[0].rpartition(".")
    if test.outcome is not TestOutcome.ERROR or not method:
        return test
    frame = rf"\bat (?:[^\s(]*/)?{re.escape(owner)}\.{re.escape(method.strip())}\("
    if not re.search(frame, test.details):
        return test
    return test.model_copy(update={"outcome": TestOutcome.FAILED})


def _numbered(tests: Sequence[TestResult]) -> list[TestResult]:
    """Number cases that share a name, as repeated ones can, so that none replaces another."""
    seen: Counter[str] = Counter()
    numbered = []
    for test in tests:
        seen[test.id] += 1
        number = seen[test.id]
        numbered.append(test if number == 1 else _renamed(test, f"{test.id} #{number}"))
    return numbered


# The entry for all tests of a class whose fixture fails: Surefire leaves out the name, and JUnit 4
# and Gradle use a fixed text.
_OF_CLASS = re.compile(r"(.+)\.(?:|initializationError|classMethod|executionError)(?: #\d+)?")


def _with_classes(tests: Sequence[TestResult]) -> list[TestResult]:
    """Classes without an executed test, as entries that could not run."""
    of_class = [_OF_CLASS.fullmatch(test.id) if test.outcome.bad else None for test in tests]
    ran = {
        test.id.rpartition(".")[0]
        for test, found in zip(tests, of_class, strict=True)
        if found is None and executed((test,))
    }
    return [
        test.model_copy(update={"id": found[1], "could_not_run": True})
        if found is not None and found[1] not in ran
        else test
        for test, found in zip(tests, of_class, strict=True)
    ]


def _renamed(test: TestResult, test_id: str) -> TestResult:
    return test.model_copy(update={"id": test_id})


def _listed(places: bytes) -> list[tuple[str, str]]:
    lines = places.decode("utf-8", errors="replace").splitlines()
    return [(name, path) for name, tab, path in (line.partition("\t") for line in lines) if tab]


class _Sources:
    """The project's files by their name in a stack frame."""

    def __init__(self, listed: bytes, folder: str) -> None:
        self._by_name: dict[str, list[str]] = {}
        for line in listed.decode("utf-8", errors="replace").splitlines():
            path = located(line.removeprefix("./"), folder)
            if path.isprintable() and len(path) <= 500:
                self._by_name.setdefault(path.rpartition("/")[2], []).append(path)

    def placed(self, test: TestResult) -> TestResult:
        """Add the innermost line in the project's own files that the stack names."""
        for found in _FRAME.finditer(test.details):
            package = found[1].rpartition(".")[0].replace(".", "/")
            wanted = f"/{package}/{found[2]}" if package else f"/{found[2]}"
            for path in self._by_name.get(found[2], ()):
                if f"/{path}".endswith(wanted):
                    return test.model_copy(update={"file": path, "line": int(found[3])})
        return test


def result(
    verifier: str, line: str, completed: Completed, reports: Mapping[str, bytes], folder: str
) -> VerifierResult:
    """Combine exit code and reports; if they disagree, the worse one wins."""
    found = read_reports(reports, folder)
    said = result_of(verifier, line, completed).model_copy(
        update={
            "tests": found.tests,
            "tests_dropped": found.dropped,
            "ran": executed(found.tests),
        }
    )
    code, bad = completed.exit_code, sum(test.outcome.bad for test in found.tests)
    broken = completed.how_it_ended
    if broken is not None:
        return ended_early(said, broken)
    if code == 127:
        return ended_early(said, f"`{line.split()[0]}` is not installed on this worker")
    compiler = _COMPILER.search(said.output_tail) if code else None
    if compiler is not None:
        return _not_built(said, compiler, folder)
    untested = _untested(said.output_tail) if code else None
    if untested is not None:
        return ended_early(said, untested, could_not_run=True)
    if found.problem is not None:
        return ended_early(said, f"{line} exited with code {code} and {found.problem}")
    if code == 0 and bad:
        return ended_early(said, f"{line} exited with code 0, but {bad} of its tests fail")
    if code != 0 and not bad:
        return ended_early(said, f"{line} exited with code {code}, but no test fails")
    problem = None if found.tests else "it exited with code 0 and ran no tests"
    nothing = all_skipped(found.tests)
    return said.model_copy(update={"nothing_to_run": nothing, "problem": problem})


def _untested(output: str) -> str | None:
    """What kept a module from being tested although others were: another goal, or their failure."""
    for project, reason in _GOAL_FAILED.findall(output):
        if not reason.startswith("There are test failures"):
            return f"the build of {project} failed: {reason}"
    for task, reason in _TASK_FAILED.findall(output):
        if not reason.startswith("There were failing tests"):
            return f"the task {task} failed: {reason}"
    skipped = _MODULE_SKIPPED.findall(output)
    return f"modules that need a failed one were skipped: {', '.join(skipped)}" if skipped else None


def _not_built(said: VerifierResult, at: re.Match[str], folder: str) -> VerifierResult:
    broken = ended_early(said, "it does not build", could_not_run=True)
    *others, entry = broken.tests
    place = {"file": repository_path(at[1], folder), "line": int(at[2] or at[3])}
    return broken.model_copy(update={"tests": (*others, entry.model_copy(update=place))})
