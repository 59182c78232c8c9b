"""go test, read through `go test -json`.

The events: https://pkg.go.dev/cmd/test2json and `go help buildjson`. A package that does not
build, or fails outside of its tests, gets its own entry under its name.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from app.domain.file_tree import FileTree, folders_with, unlocated
from app.domain.safe_json import json_value
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
    bounded,
    repository_path,
    stable_id,
)
from app.verify.lenient import json_bytes
from app.verify.results import (
    ended_early,
    output_tail,
    plain,
    result_of,
)
from app.verify.verifier import STDOUT, TestCommand, VerifierContext, files_below

PACKAGES = "packages"
MAX_SELECTED = 100
_MAX_KEPT = 64_000
"""Characters of one test's output to keep, from its start and end."""

# $1 report folder, $2 and following: what to test. No module proxy: missing modules fail at once.
# No checksum database: setup has already verified modules that go.sum lacks. No test cache: a pass
# in another sandbox does not count.
_SCRIPT = """
report=$1; shift
command -v go >/dev/null || { echo "There is no go here." >&2; exit 127; }
: "${GOPROXY=off}" "${GONOSUMDB=*}" "${GOTOOLCHAIN=local}" "${GOFLAGS=-buildvcs=false}"
export GOPROXY GONOSUMDB GOTOOLCHAIN GOFLAGS
go list -e -f '{{.ImportPath}}{{"\\t"}}{{.Dir}}' ./... > "$report/packages" 2>/dev/null
exec go test -json -count=1 "$@"
"""

# A separate option value could be a package: treat such a line as an arbitrary command.
_CALL = re.compile(r"go test(?: -[\w.-]+(?:=[\w./@:,-]+)?)*(?: \.[\w./@-]*)*")

_ENDS = {
    "pass": TestOutcome.PASSED,
    "fail": TestOutcome.FAILED,
    "skip": TestOutcome.SKIPPED,
}
_AT = re.compile(r"^[ \t]*([\w./@+-]{1,300}\.go):(\d{1,7})(?::\d+)?:? ?(.*)$", re.MULTILINE)
_UNBUILT = re.compile(r"FAIL\s(\S{1,500}) \[(?:build|setup) failed\]")
_PANIC = re.compile(r"^(?:panic|fatal error): .*$", re.MULTILINE)
_MARKS = re.compile(r"^[ \t]*(?:=== \w+ .*|--- (?:PASS|FAIL|SKIP): .*)\n?", re.MULTILINE)


@dataclass(frozen=True)
class Go:
    """All packages of one module, or what a plain line of the policy names."""

    folder: str = ""
    line: str = "go test ./..."
    name: ClassVar[str] = "go"
    kind: ClassVar[Kind] = "tests"

    @classmethod
    def detect(cls, tree: FileTree) -> Iterator[Go]:
        """Every module with test files; nested modules are separate."""
        modules = folders_with(tree, "go.mod")
        tested = {_module_of(path, modules) for path in tree.names("*_test.go")}
        yield from (cls(folder=module) for module in modules if module in tested)

    @classmethod
    def of_line(cls, line: str) -> Go | None:
        """Whether a line is a plain call of go test with options and packages."""
        return cls(line=line) if _CALL.fullmatch(line) else None

    def selects(self, tests: Sequence[TestResult]) -> bool:
        """Select tests by their outermost names; a whole package cannot be selected by name."""
        return 0 < len(tests) <= MAX_SELECTED and all(_parts(test.id) for test in tests)

    def selects_files(self, files: Sequence[str]) -> tuple[str, ...]:
        """Go files of its folder; their whole packages run, which is all that Go can select."""
        return files_below(files, self.folder, ".go")

    def command(self, context: VerifierContext) -> TestCommand:
        what = self.line.split()[2:]
        if context.files:
            folders = {unlocated(path, self.folder).rpartition("/")[0] for path in context.files}
            what = [word for word in what if word.startswith("-")]
            what += sorted(f"./{folder}" for folder in folders)
        if context.only:
            chosen = [parts for test in context.only if (parts := _parts(test))]
            names = sorted({name.partition("/")[0] for _, name in chosen})
            what = [word for word in what if word.startswith("-")]
            what.append(f"-run=^({'|'.join(map(re.escape, names))})$")
            what += sorted({package for package, _ in chosen})
        return TestCommand(
            argv=("bash", "-c", _SCRIPT, "honk", context.report, *what),
            reports=(PACKAGES,),
            stdout=True,
        )

    def parse(self, completed: Completed, reports: Mapping[str, bytes]) -> VerifierResult:
        printed = reports.get(STDOUT, b"")
        run = _GoOutput(_folders(reports.get(PACKAGES, b"")), self.folder)
        for line in json_bytes(printed[:MAX_REPORT_BYTES]).splitlines():
            run.read(line)
        report = bounded(run.tests())
        tests = report.tests
        result = result_of(self.name, self.line, completed).model_copy(
            update={
                "tests": tests,
                "tests_dropped": report.dropped,
                "ran": executed(tests),
                "complete": not run.broken,
                "output_tail": output_tail(completed, run.printed()),
            }
        )
        return _judged(result, completed, too_long=len(printed) > MAX_REPORT_BYTES)


def _judged(result: VerifierResult, completed: Completed, *, too_long: bool) -> VerifierResult:
    code, bad = result.exit_code, sum(test.outcome.bad for test in result.tests)
    broken = completed.how_it_ended
    if broken is not None:
        return ended_early(result, broken)
    if code == 127:
        return ended_early(result, "`go` is not installed on this worker")
    if too_long:
        return ended_early(result, f"it printed more than {MAX_REPORT_BYTES // 2**20} MiB")
    if code == 0 and bad:
        return ended_early(result, f"go exited with code 0, but {bad} of its tests fail")
    if code != 0 and not bad:
        return ended_early(result, f"go exited with code {code}, but no test fails")
    return result.model_copy(update={"nothing_to_run": all_skipped(result.tests)})


@dataclass
class _TestOutput:
    """The output so far of one test or package."""

    outcome: TestOutcome | None = None
    seconds: float = 0.0
    output: list[str] = field(default_factory=list)
    size: int = 0
    failed_build: str = ""

    def add(self, text: str) -> None:
        self.output.append(text)
        self.size += len(text)
        if self.size > 2 * _MAX_KEPT:
            kept = fit_middle("".join(self.output), _MAX_KEPT)
            self.output, self.size = [kept], len(kept)

    @property
    def text(self) -> str:
        return plain(_MARKS.sub("", "".join(self.output))).strip("\n")


class _GoOutput:
    """Reads events one by one and ignores everything else."""

    def __init__(self, folders: Mapping[str, str], folder: str) -> None:
        self.broken = False
        self._folders = folders
        self._folder = folder
        self._entries: dict[tuple[str, str], _TestOutput] = {}
        self._builds: dict[str, _TestOutput] = {}
        self._details_left = MAX_ALL_DETAILS

    def read(self, line: bytes) -> None:
        try:
            event = json_value(line)
        except ValueError:
            self._read_plain(line)
            return
        if not isinstance(event, dict):
            return
        action, output = event.get("Action"), str(event.get("Output", ""))
        if action == "build-output":
            self._builds.setdefault(str(event.get("ImportPath")), _TestOutput()).add(output)
        package, test = event.get("Package"), event.get("Test", "")
        if not isinstance(package, str) or not isinstance(test, str):
            return
        entry = self._entries.setdefault((package, test), _TestOutput())
        if action == "output":
            entry.add(output)
        elif action in _ENDS:
            entry.outcome = _ENDS[action]
            entry.seconds = _seconds(event.get("Elapsed"))
            entry.failed_build = str(event.get("FailedBuild", ""))

    def _read_plain(self, line: bytes) -> None:
        """Before Go 1.24, build failures are reported in plain text."""
        text = line.decode("utf-8", errors="replace")
        if (found := _UNBUILT.fullmatch(text)) is not None:
            entry = self._entries.setdefault((found[1], ""), _TestOutput())
            entry.outcome = TestOutcome.FAILED
            entry.add(f"{text}\n")

    def tests(self) -> list[TestResult]:
        """Every test, and every package that failed for another reason than a test."""
        failing: set[str] = set()
        executing = {
            package
            for (package, name), entry in self._entries.items()
            if name and entry.outcome in (TestOutcome.PASSED, TestOutcome.FAILED)
        }
        found: list[TestResult] = []
        for (package, name), entry in self._entries.items():
            if not name:
                continue
            if entry.outcome is None or entry.outcome.bad:
                failing.add(package)
                # After a panic, the package's remaining tests do not run.
                self.broken |= entry.outcome is None or _PANIC.search(entry.text) is not None
            found.append(self._test(package, name, entry))
        for (package, name), entry in self._entries.items():
            if not name and (entry.outcome is None or entry.outcome.bad) and package not in failing:
                self.broken = True
                whole = self._package(package, entry)
                unable = package not in executing
                found.append(whole.model_copy(update={"could_not_run": unable}))
        return found

    def printed(self) -> bytes:
        """The output of failures, as go shows it without `-json`."""
        builds = [entry.text for entry in self._builds.values()]
        tests = [
            entry.text for entry in self._entries.values() if entry.outcome is TestOutcome.FAILED
        ]
        packages = [entry.text for (_, name), entry in self._entries.items() if not name]
        return "\n".join(filter(None, [*builds, *tests, *packages])).encode()

    def _test(self, package: str, name: str, entry: _TestOutput) -> TestResult:
        test_id = stable_id(f"{package} {name}")
        if entry.outcome is TestOutcome.PASSED:
            return TestResult(id=test_id, outcome=entry.outcome, seconds=entry.seconds)
        text = entry.text
        message, place = self._where(package, text)
        if entry.outcome is None:
            message = message or "it did not end"
        outcome = entry.outcome or TestOutcome.ERROR
        return self._result(test_id, outcome, message, text, place, entry)

    def _package(self, package: str, entry: _TestOutput) -> TestResult:
        build = self._builds.get(entry.failed_build)
        text = build.text if build is not None else entry.text
        message, place = self._where(package, text, built=build is not None)
        if build is not None:
            message = f"it does not build: {message}" if message else "it does not build"
        message = message or "it did not end"
        return self._result(stable_id(package), TestOutcome.ERROR, message, text, place, entry)

    def _result(
        self,
        test_id: str,
        outcome: TestOutcome,
        message: str,
        text: str,
        place: tuple[str | None, int | None],
        entry: _TestOutput,
    ) -> TestResult:
        details = fit_middle(text, max(0, min(MAX_DETAILS, self._details_left)))
        self._details_left -= len(details)
        file, line = place
        return TestResult(
            id=test_id,
            outcome=outcome,
            message=fit(message, MAX_MESSAGE),
            details=details,
            file=file,
            line=line,
            seconds=entry.seconds,
        )

    def _where(
        self, package: str, text: str, *, built: bool = False
    ) -> tuple[str, tuple[str | None, int | None]]:
        """The first message, and the first line in the repository that it names.

        A compiler's paths are relative to where it runs, a test's to its package's folder, and a
        panic's are absolute.
        """
        panic = _PANIC.search(text)
        message, place = panic[0] if panic else "", (None, None)
        for found in _AT.finditer(text[:_MAX_KEPT]):
            file = found[1]
            if not built and "/" not in file and package in self._folders:
                file = posixpath.join(self._folders[package], file)
            path = repository_path(file, self._folder)
            if path is not None:
                return message or found[3] or text, (path, int(found[2]))
        return message or text.partition("\n")[0], place


def _seconds(elapsed: object) -> float:
    return float(elapsed) if isinstance(elapsed, int | float) and 0 <= elapsed < 1e9 else 0.0


def _parts(test_id: str) -> tuple[str, str] | None:
    """Split an id into package and name; None if it is not a single test."""
    package, _, name = test_id.partition(" ")
    return (package, name) if name and "…" not in test_id else None


def _folders(listed: bytes) -> dict[str, str]:
    """Maps packages to their folders, from `go list`."""
    lines = listed[:MAX_REPORT_BYTES].decode("utf-8", errors="replace").splitlines()
    return dict(line.split("\t", 1) for line in lines if "\t" in line)


def _module_of(path: str, modules: Iterable[str]) -> str | None:
    holding = (each for each in modules if not each or path.startswith(f"{each}/"))
    return max(holding, key=len, default=None)
