"""Reads JUnit XML as untrusted input: any code in the sandbox could have written it.

Bytes, tags and attributes are bounded before parsing. A document type is refused, since entity
bombs and external entities need one. Names, messages, details and the number of tests are
bounded in the results.

The parser is the standard library's expat, used as a stream: no tree is built, so reading 50,000
cases takes little longer than building the tree alone would.
"""

from __future__ import annotations

import gc
import posixpath
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import NoReturn
from xml.parsers import expat

from app.domain.sanitize import fit, fit_middle
from app.domain.verdict import TestOutcome, TestResult
from app.sandbox.spec import WORKSPACE
from app.verify.lenient import xml_text

MAX_REPORT_BYTES = 64 * 1024 * 1024
MAX_TESTS = 200_000
MAX_TAGS = 600_000
MAX_ATTRIBUTES = 2_000_000
MAX_ID = 1_000
MAX_SECONDS = 1e9
MAX_MESSAGE = 600
MAX_DETAILS = 8_000
MAX_ALL_DETAILS = 1_000_000
"""Characters of details in one report; beyond that, a test keeps only its message."""
_LEAST_DETAILS = 200
_TRACEBACK = 200_000

_FRAME = re.compile(r"^(?!E[ \t]|[ \t])([^:\n]{1,500}):(\d{1,7}): ", re.MULTILINE)
_SYNTAX_FRAME = re.compile(
    r'^(?:E[ \t]+)?[ \t]*File "([^"\n]{1,500})", line (\d{1,7})', re.MULTILINE
)
_ADDRESS = re.compile(r"(?<= at )0x[0-9a-fA-F]{6,}")
_FOREIGN = frozenset(
    {"", ".", "..", ".venv", "venv", ".tox", ".nox", "site-packages", "dist-packages"}
)


class BadReportError(Exception):
    """The report cannot be read. The message is the end of a sentence that says why."""


class NotJUnitError(BadReportError):
    """The file is XML of another kind, such as coverage data."""


@dataclass(frozen=True)
class JUnitReport:
    """The tests of one report, and how many were dropped above the limit. `unnamed` counts the
    failures that it declares without naming the test.
    """

    tests: tuple[TestResult, ...]
    dropped: int = 0
    unnamed: int = 0


Naming = Callable[[str, str | None], str | None]
"""The prefix of a case's name in the id of its test: (classname, file) -> prefix.

None if the case is a file that could not be collected: then the file is the id.
"""


def read_junit(report: bytes, naming: Naming, folder: str = "") -> JUnitReport:
    """Read JUnit XML of any family. Raises BadReportError for anything else.

    `folder` is where the command ran: ids and files become relative to the repository.
    """
    _refuse_bombs(report)
    reader = _JUnitParser(naming, folder)
    with _no_collections():
        tests = reader.read(xml_text(report))
    if not tests and reader.root not in _ROOTS:
        raise NotJUnitError("the report is not JUnit XML")
    return replace(bounded(tests), unnamed=reader.unnamed)


def read_named(report: bytes | None, folder: str) -> tuple[JUnitReport, str | None]:
    """Read a report whose classnames come before the test's name in its id.

    The second value is the end of a sentence that says why nothing could be read, else None.
    """
    if report is None:
        return JUnitReport(()), "wrote no report"
    try:
        return read_junit(report, lambda names, _: names or None, folder), None
    except BadReportError as error:
        return JUnitReport(()), str(error)


def _refuse_bombs(report: bytes) -> None:
    if len(report) > MAX_REPORT_BYTES:
        raise BadReportError(f"the report is larger than {MAX_REPORT_BYTES // 2**20} MiB")
    if not report.strip():
        raise BadReportError("the report is empty")
    # Memory grows with nodes, not bytes: 64 MiB can hold 16 million open tags.
    if report.count(b"<") > MAX_TAGS or _attributes(report) > MAX_ATTRIBUTES:
        raise BadReportError("the report has more elements than can be read")


def _attributes(report: bytes) -> int:
    if len(report) < 7 * MAX_ATTRIBUTES:
        return 0  # the shortest is ` a=""`, so the length bounds their number
    return report.count(b'="') + report.count(b"='")


@contextmanager
def _no_collections() -> Iterator[None]:
    """Pause the garbage collector: 50,000 results have no cycles, and scanning them doubles the
    time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def bounded(tests: Sequence[TestResult]) -> JUnitReport:
    """At most MAX_TESTS, failures first, so that a passing test never displaces a failure."""
    if len(tests) <= MAX_TESTS:
        return JUnitReport(tuple(tests))
    failing = [test for test in tests if test.outcome.bad]
    others = [test for test in tests if not test.outcome.bad]
    kept = (failing + others)[:MAX_TESTS]
    return JUnitReport(tuple(kept), dropped=len(tests) - len(kept))


_ROOTS = ("testsuites", "testsuite")
_TOLD = {
    "skipped": TestOutcome.SKIPPED,
    "failure": TestOutcome.FAILED,
    "error": TestOutcome.ERROR,
}
_WORSE = list(_TOLD.values())
_STATUSES = {
    **dict.fromkeys(("notrun", "disabled", "skipped", "ignored"), TestOutcome.SKIPPED),
    **dict.fromkeys(("failed", "fail", "failure"), TestOutcome.FAILED),
    "error": TestOutcome.ERROR,
}
"""Values of a case's `status` that need no element inside, as in GoogleTest's reports."""
_PASSED = TestOutcome.PASSED
_FIELDS = set(TestResult.model_fields)


class _JUnitParser:
    """Reads the cases of one report as a stream.

    A case passes unless an element inside it says otherwise; the worst of several counts. Only
    such elements have handlers for their text and end.
    """

    def __init__(self, naming: Naming, folder: str) -> None:
        self.root: str | None = None
        self._naming = naming
        self._folder = folder
        self._tests: list[TestResult] = []
        self._known: dict[tuple[str, str | None], tuple[str | None, str | None]] = {}
        self._files: set[int] = set()
        self._text: list[str] = []
        self._message = ""
        self._told_by = ""  # the element being read: others may be inside it
        self._declared = 0
        self._named = 0
        self._details_left = MAX_ALL_DETAILS
        # Ignore the encoding that the report declares.
        self._parser = expat.ParserCreate("utf-8")
        self._parser.buffer_text = True
        self._parser.StartDoctypeDeclHandler = _refuse_document_type
        self._parser.StartElementHandler = self._starts()

    def read(self, text: str) -> list[TestResult]:
        try:
            self._parser.Parse(text, True)
        except expat.ExpatError as error:
            raise BadReportError(f"the report is truncated or not XML ({error})") from None
        finally:
            # Parser and handlers hold each other, and the report with them.
            self._parser.StartElementHandler = None
        return self._tests

    @property
    def unnamed(self) -> int:
        """Failures that a suite counts or reports, beyond those of its cases."""
        if self._declared <= self._named:
            return 0
        failing = sum(test.outcome.bad for test in self._tests)
        return max(0, self._declared - max(self._named, failing))

    def _starts(self) -> Callable[[str, Mapping[str, str]], None]:
        """Return the handler for opening tags: a closure that creates a passed test without
        calls.

        At 50,000 cases each extra lookup is measurable.
        """
        known, add, inside = self._known, self._tests.append, self._inside
        new, put = TestResult.__new__, object.__setattr__
        place = f"{self._folder}/" if self._folder else ""
        tests, files = self._tests, self._files

        def start(tag: str, attributes: Mapping[str, str]) -> None:
            if tag != "testcase":
                inside(tag, attributes)
                return
            get = attributes.get
            name, key = get("name", ""), (get("classname", ""), get("file"))
            try:
                prefix, file = known[key]
            except KeyError:
                prefix, file = known[key] = self._meet(*key)
            if prefix is not None:
                test_id = prefix + name
            else:
                test_id = place + (key[1] or name)
                files.add(len(tests))
            if len(test_id) > MAX_ID or " at 0x" in test_id:
                test_id = stable_id(test_id)
            try:
                line: int | None = int(attributes["line"][:7]) + 1  # pytest counts from zero
                seconds = float(attributes["time"])
            except (KeyError, ValueError):
                line, seconds = None, _seconds(get("time"))
            if not 0 <= seconds < MAX_SECONDS:
                seconds = 0.0
            if line is not None and line < 1:
                line = None
            status = get("status")
            test = new(TestResult)
            put(
                test,
                "__dict__",
                {
                    "id": test_id,
                    "outcome": _STATUSES.get(status.lower(), _PASSED) if status else _PASSED,
                    "message": "",
                    "details": "",
                    "file": file,
                    "line": line,
                    "seconds": seconds,
                    "also": (),
                    "whole_run": False,
                    "could_not_run": False,
                },
            )
            # Sets what `BaseModel.model_construct` sets in a tenth of the time: the values already
            # have their types, and frozen results can share the set of fields.
            put(test, "__pydantic_fields_set__", _FIELDS)
            put(test, "__pydantic_extra__", None)
            put(test, "__pydantic_private__", None)
            add(test)

        return start

    def _meet(self, classname: str, file: str | None) -> tuple[str | None, str | None]:
        prefix = self._naming(classname, file)
        if prefix is not None and self._folder:
            prefix = f"{self._folder}/{prefix}"
        return prefix, repository_path(file, self._folder)

    def _inside(self, tag: str, attributes: Mapping[str, str]) -> None:
        if self._told_by:
            return
        if tag in _TOLD and self._tests:
            self._told_by = tag
            self._named += tag != "skipped"
            self._message = attributes.get("message", "")
            self._text = []
            self._parser.CharacterDataHandler = self._text.append
            self._parser.EndElementHandler = self._end
            return
        if tag in _ROOTS:
            declared = _count(attributes, "failures") + _count(attributes, "errors")
            self._declared = max(self._declared, declared)
        elif tag in ("failure", "error"):
            self._declared = max(self._declared, 1)  # of a suite that has no case yet
        if self.root is None:
            self.root = tag

    def _end(self, tag: str) -> None:
        if tag != self._told_by:
            return  # an element inside the one being read
        outcome, self._told_by = _TOLD[tag], ""
        self._parser.CharacterDataHandler = None
        self._parser.EndElementHandler = None
        test = self._tests[-1]
        known = test.outcome
        if known is TestOutcome.PASSED or _WORSE.index(outcome) > _WORSE.index(known):
            self._tests[-1] = self._told(test, outcome, "".join(self._text))

    def _told(self, test: TestResult, outcome: TestOutcome, text: str) -> TestResult:
        file, line = test.file, test.line
        if outcome.bad:
            file, line = failing_line(text, self._folder) or (file, line)
        room = min(MAX_DETAILS, self._details_left)
        details = fit_middle(text, room) if room > _LEAST_DETAILS else ""
        self._details_left -= len(details)
        return TestResult(
            id=test.id,
            outcome=outcome,
            message=fit(self._message, MAX_MESSAGE),
            details=details,
            file=file,
            line=line,
            seconds=test.seconds,
            could_not_run=outcome.bad and len(self._tests) - 1 in self._files,
        )


def _refuse_document_type(name: str, *_: object) -> NoReturn:
    # Coverage reports bring one: JaCoCo's `report`, Cobertura's `coverage`.
    kind = BadReportError if name in _ROOTS else NotJUnitError
    raise kind("the report declares its own document type, which is refused")


def _count(attributes: Mapping[str, str], name: str) -> int:
    text = attributes.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def _seconds(text: str | None) -> float:
    try:
        return float(text or 0)
    except ValueError:
        return 0.0


def stable_id(test_id: str) -> str:
    """The same name for the same test in every run: bounded, without addresses in memory."""
    test_id = _ADDRESS.sub("0x…", test_id)
    if len(test_id) <= MAX_ID:
        return test_id
    digest = sha256(test_id.encode("utf-8", errors="replace")).hexdigest()[:16]
    return f"{test_id[: MAX_ID - 20]}…{digest}"


def failing_line(details: str, folder: str = "") -> tuple[str, int] | None:
    """File and line of the innermost frame of a pytest traceback that is in the repository, if
    any."""
    details = details[-_TRACEBACK:]
    for found in reversed([*_FRAME.finditer(details), *_SYNTAX_FRAME.finditer(details)]):
        file = repository_path(found[1], folder)
        if file is not None:
            return file, int(found[2])
    return None


def repository_path(path: str | None, folder: str = "") -> str | None:
    """The path relative to the repository, or None if it is outside.

    A relative path counts from `folder`.
    """
    if not path or len(path) > 500 or not path.isprintable() or path.startswith("<"):
        return None
    inside = path.removeprefix(f"{WORKSPACE}/")
    if inside == path and folder and not path.startswith("/"):
        inside = posixpath.normpath(posixpath.join(folder, path))
    inside = inside.removeprefix("./")
    return inside if _FOREIGN.isdisjoint(inside.split("/")) else None
