"""JUnit XML, read as what it is: a file written by whoever ran in the sandbox.

It is bounded before it is parsed (bytes, tags, attributes), refused when it brings a
document type of its own (entity bombs and external entities need one), and bounded again on its
way into results: names, messages, details, number of tests.

The parser is the standard library's, on expat: its tree is what 50,000 cases are read from
fastest, since the attributes are plain dictionaries already. junitparser reads the cases that
have something to tell (failures, errors, skips), which are few.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import PurePosixPath
from xml.etree import ElementTree as ET

from junitparser import Error, Failure, Skipped, TestCase

from app.domain.sanitize import fit, fit_middle
from app.domain.verdict import TestOutcome, TestResult
from app.workspace.spec import WORKSPACE

MAX_REPORT_BYTES = 64 * 1024 * 1024
MAX_TESTS = 200_000
MAX_TAGS = 1_000_000
MAX_ATTRIBUTES = 2_000_000
MAX_ID = 1_000
MAX_MESSAGE = 600
MAX_DETAILS = 8_000
MAX_ALL_DETAILS = 1_000_000
"""Characters of details over all tests of a report; beyond, a test keeps its message alone."""
_LEAST_DETAILS = 200
_TRACEBACK = 200_000

_PROLOG = re.compile(r"\ufeff?\s*(?:<\?.*?\?>\s*|<!--.*?-->\s*)*+(<!DOCTYPE|<!ENTITY)?", re.DOTALL)
_FRAME = re.compile(r"^(?!E[ \t]|[ \t])([^:\n]{1,500}):(\d{1,7}): ", re.MULTILINE)
_SYNTAX_FRAME = re.compile(
    r'^(?:E[ \t]+)?[ \t]*File "([^"\n]{1,500})", line (\d{1,7})', re.MULTILINE
)
_ADDRESS = re.compile(r"(?<= at )0x[0-9a-fA-F]{6,}")
_FOREIGN = frozenset({"..", ".venv", "venv", ".tox", ".nox", "site-packages", "dist-packages"})


class BadReportError(Exception):
    """The report cannot be read; the message says why, in words that end a sentence."""


@dataclass(frozen=True)
class Report:
    """The tests of one report, and how many more there were than are compared."""

    tests: tuple[TestResult, ...]
    dropped: int = 0


Naming = Callable[[str, str, str | None], str]
"""How a case is called: (classname, name, file) -> the id of the test."""


def read_junit(report: bytes, naming: Naming) -> Report:
    """Read JUnit XML (any of its families). Raises BadReportError when it is not that."""
    root = _parse(report)
    reader = _Reader(naming)
    tests = [reader.read(case) for case in root.iter("testcase")]
    if not tests and root.tag not in ("testsuites", "testsuite"):
        raise BadReportError("the report is not JUnit XML")
    return _bounded(tests)


def _parse(report: bytes) -> ET.Element:
    if len(report) > MAX_REPORT_BYTES:
        raise BadReportError(f"the report is larger than {MAX_REPORT_BYTES // 2**20} MiB")
    if not report.strip():
        raise BadReportError("the report is empty")
    # Memory follows the number of nodes and not of bytes: 64 MiB can hold 16 million elements.
    if report.count(b"<") > MAX_TAGS or _attributes(report) > MAX_ATTRIBUTES:
        raise BadReportError("the report has more elements than can be read")
    text = report.decode("utf-8", errors="replace")
    prolog = _PROLOG.match(text)
    if prolog and prolog[1]:
        raise BadReportError("the report brings a document type of its own, which is refused")
    try:
        # Text, not bytes: an encoding that the report declares for itself has no say.
        return ET.fromstring(text)  # noqa: S314 - without a document type there are no entities
    except (ET.ParseError, ValueError) as error:
        raise BadReportError(f"the report is truncated or not XML ({error})") from None


def _attributes(report: bytes) -> int:
    return report.count(b'="') + report.count(b"='")


def _bounded(tests: list[TestResult]) -> Report:
    """At most MAX_TESTS, those that fail before all others: a failure is never dropped for room."""
    if len(tests) <= MAX_TESTS:
        return Report(tuple(tests))
    failing = [test for test in tests if test.outcome.bad]
    others = [test for test in tests if not test.outcome.bad]
    kept = (failing + others)[:MAX_TESTS]
    return Report(tuple(kept), dropped=len(tests) - len(kept))


class _Reader:
    """Reads the cases of one report. A passing case is the common one and has a short way."""

    def __init__(self, naming: Naming) -> None:
        self._naming = naming
        self._details_left = MAX_ALL_DETAILS
        self._files: dict[str, str | None] = {}

    def read(self, case: ET.Element) -> TestResult:
        attributes = case.attrib
        file = attributes.get("file")
        test_id = self._naming(attributes.get("classname", ""), attributes.get("name", ""), file)
        if len(test_id) > MAX_ID or " at 0x" in test_id:
            test_id = stable_id(test_id)
        if file is not None:
            file = self._path(file)
        line = _line(attributes.get("line"))
        seconds = _seconds(attributes.get("time"))
        if len(case) == 0:
            return _passed(test_id, file, line, seconds)
        return self._told(case, test_id, file, line, seconds)

    def _path(self, file: str) -> str | None:
        if file not in self._files:
            self._files[file] = repository_path(file)
        return self._files[file]

    def _told(
        self, case: ET.Element, test_id: str, file: str | None, line: int | None, seconds: float
    ) -> TestResult:
        outcome, message, details = _outcome(TestCase.fromelem(case).result)  # type: ignore[no-untyped-call]
        if outcome.bad:
            file, line = failing_line(details) or (file, line)
        room = min(MAX_DETAILS, self._details_left)
        details = fit_middle(details, room) if room > _LEAST_DETAILS else ""
        self._details_left -= len(details)
        return TestResult(
            id=test_id,
            outcome=outcome,
            message=fit(message, MAX_MESSAGE),
            details=details,
            file=file,
            line=line,
            seconds=seconds,
        )


def _outcome(results: Iterable[object]) -> tuple[TestOutcome, str, str]:
    """The worst of what a case tells of itself."""
    told = (TestOutcome.PASSED, "", "")
    for kind, outcome in (
        (Skipped, TestOutcome.SKIPPED),
        (Failure, TestOutcome.FAILED),
        (Error, TestOutcome.ERROR),
    ):
        for result in results:
            if isinstance(result, kind):
                told = (outcome, result.message or "", result.text or "")
    return told


_FIELDS = frozenset(TestResult.model_fields)


def _passed(test_id: str, file: str | None, line: int | None, seconds: float) -> TestResult:
    """A test that passed, made without validation, which would cost more than the XML parser.

    Every value comes from this module with its type already right; what is set is what
    `BaseModel.model_construct` sets.
    """
    test = TestResult.__new__(TestResult)
    put = object.__setattr__
    put(
        test,
        "__dict__",
        {
            "id": test_id,
            "outcome": TestOutcome.PASSED,
            "message": "",
            "details": "",
            "file": file,
            "line": line,
            "seconds": seconds,
            "also": (),
            "whole_run": False,
        },
    )
    put(test, "__pydantic_fields_set__", set(_FIELDS))
    put(test, "__pydantic_extra__", None)
    put(test, "__pydantic_private__", None)
    return test


def _line(text: str | None) -> int | None:
    """pytest counts lines from zero."""
    if text is None or len(text) > 7 or not text.isdecimal():
        return None
    return int(text) + 1


def _seconds(text: str | None) -> float:
    try:
        seconds = float(text or 0)
    except ValueError:
        return 0.0
    return seconds if 0 <= seconds < 1e9 else 0.0


def stable_id(test_id: str) -> str:
    """The same name for the same test in every run: bounded, without addresses in memory."""
    test_id = _ADDRESS.sub("0x…", test_id)
    if len(test_id) <= MAX_ID:
        return test_id
    digest = sha256(test_id.encode("utf-8", errors="replace")).hexdigest()[:16]
    return f"{test_id[: MAX_ID - 20]}…{digest}"


def failing_line(details: str) -> tuple[str, int] | None:
    """File and line of the innermost frame in the repository of a pytest traceback, if any."""
    details = details[-_TRACEBACK:]
    for found in reversed([*_FRAME.finditer(details), *_SYNTAX_FRAME.finditer(details)]):
        file = repository_path(found[1])
        if file is not None:
            return file, int(found[2])
    return None


def repository_path(path: str | None) -> str | None:
    """The path as the repository names it, or None for what does not lie in the repository."""
    if not path or len(path) > 500 or not path.isprintable():
        return None
    path = path.removeprefix(f"{WORKSPACE}/")
    parts = PurePosixPath(path).parts
    if path.startswith(("/", "<")) or not parts or not _FOREIGN.isdisjoint(parts):
        return None
    return str(PurePosixPath(path))
