"""cargo test, read from what libtest prints, and cargo-nextest, read through its JUnit XML.

libtest has no stable machine format (https://doc.rust-lang.org/rustc/tests/index.html), so lines
are read strictly: only between `running N tests` and the end of that list, and only when they agree
with the count that libtest gives after it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

from app.domain.file_tree import FileTree, folders_with, located, unlocated
from app.domain.sanitize import fit, fit_middle
from app.domain.verdict import (
    Kind,
    TestOutcome,
    TestResult,
    VerifierResult,
    all_skipped,
    executed,
)
from app.sandbox.spec import Completed
from app.verify.junit import (
    MAX_ALL_DETAILS,
    MAX_DETAILS,
    MAX_MESSAGE,
    MAX_REPORT_BYTES,
    BadReportError,
    bounded,
    read_junit,
    repository_path,
    stable_id,
)
from app.verify.results import (
    ended_early,
    output_tail,
    plain,
    result_of,
)
from app.verify.verifier import STDOUT, TestCommand, VerifierContext

MAX_SELECTED = 100
_CALL = re.compile(r"cargo test(?: --?[a-z][\w-]*(?:=[\w./,-]+)?)*")
_MAX_MANIFEST = 1_000_000
_CANNOT = {127: "`cargo` is not installed on this worker"}

# Merge stdout and stderr: cargo names the test program on one, and the program prints on the other.
_SCRIPT = """
exec 2>&1
command -v cargo >/dev/null || { echo "There is no cargo here."; exit 127; }
exec cargo test --no-fail-fast "$@"
"""
_NEXTEST = """
report=$1; shift
command -v cargo >/dev/null || { echo "There is no cargo here." >&2; exit 127; }
printf '[profile.default.junit]\\npath = "%s/report.xml"\\n' "$report" > "$report/nextest.toml"
exec cargo nextest run --workspace --no-fail-fast --tool-config-file "honk:$report/nextest.toml"
"""
_NEXTEST_FOUND_NONE = 4  # https://docs.rs/nextest-metadata, NextestExitCode
_ENVIRONMENT = {
    "CARGO_NET_OFFLINE": "true",
    "CARGO_TERM_COLOR": "never",
    "CARGO_INCREMENTAL": "0",
    "RUST_BACKTRACE": "0",
}


@dataclass(frozen=True)
class Cargo:
    """One package, one workspace with all its members, or what a policy's cargo test line names."""

    folder: str = ""
    line: str = "cargo test --workspace"
    name: ClassVar[str] = "cargo"
    kind: ClassVar[Kind] = "tests"

    @classmethod
    def detect(cls, tree: FileTree) -> Iterator[Cargo]:
        """Every workspace, and every package outside of a workspace."""
        workspaces: list[str] = []
        for folder in folders_with(tree, "Cargo.toml"):
            if any(not above or folder.startswith(f"{above}/") for above in workspaces):
                continue
            text = tree.read_text(located("Cargo.toml", folder), _MAX_MANIFEST) or ""
            if re.search(r"^\s*\[workspace\]", text, re.MULTILINE):
                workspaces.append(folder)
            yield cls(folder=folder)

    @classmethod
    def of_line(cls, line: str) -> Cargo | None:
        """Whether a line is a plain call of cargo test with options."""
        return cls(line=line) if _CALL.fullmatch(line) else None

    def selects(self, tests: Sequence[TestResult]) -> bool:
        """Select by name in any test program; doc tests have no stable names."""
        return 0 < len(tests) <= MAX_SELECTED and all(
            len(test.id.split(" ")) == 3 and "…" not in test.id for test in tests
        )

    def command(self, context: VerifierContext) -> TestCommand:
        only = [unlocated(test, self.folder).split(" ")[2] for test in context.only]
        what = self.line.split()[2:]
        if only:
            what += ["--", "--exact", *dict.fromkeys(only)]
        return TestCommand(
            argv=("bash", "-c", _SCRIPT, "honk", *what), environment=_ENVIRONMENT, stdout=True
        )

    def parse(self, completed: Completed, reports: Mapping[str, bytes]) -> VerifierResult:
        printed = reports.get(STDOUT, b"")
        text = plain(printed[:MAX_REPORT_BYTES].decode("utf-8", errors="replace"))
        run = _CargoOutput(self.folder)
        run.read(text)
        report = bounded(run.tests)
        tests = report.tests
        result = result_of(self.name, self.line, completed).model_copy(
            update={
                "tests": tests,
                "tests_dropped": report.dropped,
                "ran": executed(tests),
                "output_tail": output_tail(completed, printed),
            }
        )
        broken = completed.how_it_ended or _CANNOT.get(completed.exit_code or 0)
        if broken is None and len(printed) > MAX_REPORT_BYTES:
            broken = f"it printed more than {MAX_REPORT_BYTES // 2**20} MiB"
        return _judged(result, broken, run, text)


def _judged(
    result: VerifierResult, broken: str | None, run: _CargoOutput, text: str
) -> VerifierResult:
    code, bad = result.exit_code, sum(test.outcome.bad for test in result.tests)
    if broken is not None:
        return ended_early(result, broken)
    if run.unequal:
        return ended_early(
            result, f"{run.unequal} did not end, or printed another count than tests"
        )
    if code != 0 and _DOES_NOT_BUILD.search(text):
        unbuilt = ended_early(result, "it does not build", could_not_run=True)
        return _with_place(unbuilt, text, run.folder)
    if code == 0 and bad:
        return ended_early(result, f"cargo exited with code 0, but {bad} of its tests fail")
    if code != 0 and not bad:
        return ended_early(result, f"cargo exited with code {code}, but no test fails")
    if (silent := _failed_targets(text) - run.failing_programs) > 0:
        programs = "1 test program" if silent == 1 else f"{silent} test programs"
        return ended_early(
            result, f"{programs} failed without naming a failing test", could_not_run=True
        )
    return result.model_copy(update={"nothing_to_run": all_skipped(result.tests)})


_DOES_NOT_BUILD = re.compile(r"^error: could not compile ", re.MULTILINE)
_FAILED_TARGETS = re.compile(r"^error: (\d{1,7}) targets? failed:$", re.MULTILINE)
_COMPILER_AT = re.compile(
    r"^error(?:\[E\d+\])?: .*\n\s*--> ([^:\n]{1,300}):(\d{1,7}):", re.MULTILINE
)


def _failed_targets(text: str) -> int:
    """The number of failed programs according to cargo, which prints it last."""
    counts = _FAILED_TARGETS.findall(text)
    return int(counts[-1]) if counts else 0


def _with_place(result: VerifierResult, text: str, folder: str) -> VerifierResult:
    """The run's own entry, with the compiler's message and location."""
    found = _COMPILER_AT.search(text)
    if found is None:
        return result
    *others, entry = result.tests
    location = {
        "details": fit_middle(text[found.start() :], MAX_DETAILS),
        "file": repository_path(found[1], folder),
        "line": int(found[2]),
    }
    return result.model_copy(update={"tests": (*others, entry.model_copy(update=location))})


_PROGRAM = re.compile(r" {3,}Running (?:unittests )?(\S+) \(.*?([^/\\]+?)-[0-9a-f]{16}(?:\.exe)?\)")
_DOCUMENTATION = re.compile(r" {3}Doc-tests (\S+)")
_EXAMPLES = "(examples)"
_RUNNING = re.compile(r"running (\d+) tests?")
_TEST = re.compile(r"test (.+?)( - should panic)? \.\.\. (ok|FAILED|ignored)(?:, .*)?")
_SUMMARY = re.compile(
    r"test result: (?:ok|FAILED)\. (\d+) passed; (\d+) failed; (\d+) ignored; \d+ measured;.*"
)
_OF_ONE = re.compile(r"---- (.+?) stdout ----")
_LINE_OF_EXAMPLE = re.compile(r" \(line \d+\)")
_PANICKED = re.compile(r"panicked at (?:'.*', )?([^:\n]{1,300}):(\d{1,7}):\d+:?\n?(.*)")
_OUTCOMES = {
    "ok": TestOutcome.PASSED,
    "FAILED": TestOutcome.FAILED,
    "ignored": TestOutcome.SKIPPED,
}


@dataclass
class _TestBinary:
    """The state of one test program. `earlier` counts the outcomes of finished lists."""

    name: str
    expected: int | None = None
    earlier: Counter[TestOutcome] = field(default_factory=Counter)
    tests: dict[str, TestResult] = field(default_factory=dict)
    names: Counter[str] = field(default_factory=Counter)
    ids: dict[str, str] = field(default_factory=dict)
    ended: bool = False

    @property
    def outcomes(self) -> Counter[TestOutcome]:
        return Counter(test.outcome for test in self.tests.values())


class _CargoOutput:
    """Reads what cargo and its test programs print, line by line."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self._programs: list[_TestBinary] = []
        self._listing = False
        self._one: str | None = None
        self._text: list[str] = []
        self._details_left = MAX_ALL_DETAILS

    @property
    def tests(self) -> list[TestResult]:
        return [test for program in self._programs for test in program.tests.values()]

    @property
    def unequal(self) -> str:
        """Whether a program started but did not report all tests."""
        for program in self._programs:
            if program.expected is not None and not program.ended:
                return program.name
        return ""

    @property
    def failing_programs(self) -> int:
        programs = (program.tests.values() for program in self._programs)
        return sum(any(test.outcome.bad for test in tests) for tests in programs)

    def read(self, text: str) -> None:
        for line in text.split("\n"):
            self._line(line)

    def _line(self, line: str) -> None:
        if (found := _PROGRAM.fullmatch(line)) is not None:
            self._begin(f"{found[2]} {found[1]}")
        elif (found := _DOCUMENTATION.fullmatch(line)) is not None:
            self._begin(f"{found[1]} {_EXAMPLES}")
        elif (found := _RUNNING.fullmatch(line)) is not None and self._has_another_list:
            self._begin_another_list(int(found[1]))
        elif not self._programs or self._programs[-1].ended:
            return
        elif (found := _RUNNING.fullmatch(line)) is not None and self._current.expected is None:
            self._current.expected = int(found[1])
            self._listing = True
        elif (found := _SUMMARY.fullmatch(line)) is not None:
            self._end(*map(int, found.groups()))
        elif self._listing:
            self._listed(line)
        elif (found := _OF_ONE.fullmatch(line)) is not None or line == "failures:":
            self._tell()
            self._one = found[1] if found else None
        else:
            self._text.append(line)

    @property
    def _current(self) -> _TestBinary:
        return self._programs[-1]

    def _begin(self, name: str) -> None:
        self._tell()
        self._programs.append(_TestBinary(located(name, self.folder)))
        self._listing, self._one = False, None

    @property
    def _has_another_list(self) -> bool:
        """rustdoc prints doc tests that it builds separately after those that it builds
        together."""
        if not self._programs or not self._current.ended:
            return False
        return self._current.name.endswith(f" {_EXAMPLES}")

    def _begin_another_list(self, expected: int) -> None:
        program = self._current
        program.expected, program.ended = expected, False
        program.earlier = program.outcomes
        self._listing = True

    def _listed(self, line: str) -> None:
        if line in ("failures:", "successes:"):
            self._listing = False
        elif (found := _TEST.fullmatch(line)) is not None:
            program = self._current
            lasting = _LINE_OF_EXAMPLE.sub("", found[1])
            program.names[lasting] += 1
            number = program.names[lasting]
            test_id = stable_id(f"{program.name} {lasting}" + (f" #{number}" if number > 1 else ""))
            program.ids[found[1]] = test_id
            program.tests[test_id] = TestResult(id=test_id, outcome=_OUTCOMES[found[3]])

    def _end(self, passed: int, failed: int, ignored: int) -> None:
        self._tell()
        counts = self._current.outcomes - self._current.earlier
        counted = (
            counts[TestOutcome.PASSED],
            counts[TestOutcome.FAILED],
            counts[TestOutcome.SKIPPED],
        )
        self._current.ended = counted == (passed, failed, ignored)
        self._listing, self._one = False, None

    def _tell(self) -> None:
        """Attach a failing test's output to its result."""
        text, self._text = "\n".join(self._text).strip("\n"), []
        test_id = self._current.ids.get(self._one) if self._one and self._programs else None
        self._one = None
        if test_id is None:
            return
        test = self._current.tests[test_id]
        if not test.outcome.bad:
            return
        panicked = _PANICKED.search(text)
        details = fit_middle(text, max(0, min(MAX_DETAILS, self._details_left)))
        self._details_left -= len(details)
        update: dict[str, object] = {"details": details}
        update["message"] = fit(panicked[3] if panicked else text.partition("\n")[0], MAX_MESSAGE)
        if panicked and (file := repository_path(panicked[1], self.folder)) is not None:
            update |= {"file": file, "line": int(panicked[2])}
        self._current.tests[test_id] = test.model_copy(update=update)


@dataclass(frozen=True)
class Nextest(Cargo):
    """cargo-nextest, if the policy names it; its report goes to the report folder."""

    line: str = "cargo nextest run --workspace"
    name: ClassVar[str] = "nextest"

    @classmethod
    def detect(cls, tree: FileTree) -> Iterator[Cargo]:
        """Detects the same projects as cargo test; only a policy can choose nextest."""
        return (replace(cls(), folder=each.folder) for each in Cargo.detect(tree))

    def selects(self, tests: Sequence[TestResult]) -> bool:
        return False

    def command(self, context: VerifierContext) -> TestCommand:
        return TestCommand(
            argv=("bash", "-c", _NEXTEST, "honk", context.report),
            environment=_ENVIRONMENT,
            reports=("report.xml",),
        )

    def parse(self, completed: Completed, reports: Mapping[str, bytes]) -> VerifierResult:
        result = result_of(self.name, self.line, completed)
        broken = completed.how_it_ended or _CANNOT.get(completed.exit_code or 0)
        if broken is not None:
            return ended_early(result, broken)
        try:
            report = read_junit(
                reports.get("report.xml", b""), lambda program, _: f"{program} ", self.folder
            )
        except BadReportError as error:
            return ended_early(result, f"nextest exited with code {result.exit_code} and {error}")
        if result.exit_code == _NEXTEST_FOUND_NONE and not report.tests:
            return result.model_copy(update={"nothing_to_run": True})
        update = {
            "tests": report.tests,
            "tests_dropped": report.dropped,
            "ran": executed(report.tests),
        }
        return _judged(result.model_copy(update=update), None, _CargoOutput(self.folder), "")
